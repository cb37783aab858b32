"""Commands run in this process, as tests without a server do."""

import json
from typing import Any

from typer.testing import CliRunner

from filmgate.cli import app


def filmgate(*arguments: str) -> str:
    """Run a command that must succeed, and return its stdout."""
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def answer(*arguments: str) -> Any:  # noqa: ANN401
    """Run a command with --json and return its one document."""
    return json.loads(filmgate(*arguments, "--json"))
