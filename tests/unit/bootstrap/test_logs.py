"""Logs: whatever becomes of where they go, they stop nothing else."""

import io
import sys

import pytest
import structlog

from filmgate.bootstrap.logs import start_logging


class FullDisk(io.TextIOWrapper):
    """A file that takes nothing more."""

    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


def closed_file() -> io.TextIOWrapper:
    """Return a file that was closed under whoever writes to it."""
    file = io.TextIOWrapper(io.BytesIO())
    file.close()
    return file


@pytest.mark.parametrize("file", [FullDisk(io.BytesIO()), closed_file()], ids=["full", "closed"])
def test_a_line_that_cannot_be_written_harms_nobody(
    file: io.TextIOWrapper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", file)
    monkeypatch.setattr(file, "isatty", lambda: True)
    start_logging("console", "info")
    monkeypatch.undo()

    structlog.get_logger("test").error("nobody will read this")
