"""A directory of its own for each test that asks for one."""

from pathlib import Path

import pytest


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep everything of a test in its own directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FILMGATE_DATA", str(tmp_path / "data"))
    return tmp_path / "data"
