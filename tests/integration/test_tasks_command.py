"""`filmgate tasks` tells what becomes of a task's files, and deletes it."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from filmgate.bootstrap import beside
from filmgate.cli import app
from filmgate.core.task import Task
from filmgate.service.expire_results import expire_results
from filmgate.settings import load
from tests.runs import a_film_in

LONG_AGO = datetime.now(UTC) - timedelta(days=31)


def tasks(data: Path, *arguments: str) -> str:
    """Run a command that must succeed, and return what it printed."""
    result = CliRunner().invoke(app, ["tasks", *arguments, "--data", str(data)], catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    return result.stdout


async def expire(data: Path) -> None:
    async with beside(load({"data": data}, environ={}).settings) as ports:
        assert await expire_results(ports, at=datetime.now(UTC)) == 1


@pytest.fixture
def film(tmp_path: Path) -> Task:
    """Return the film of `tmp_path / "data"`, whose time has passed."""
    return asyncio.run(a_film_in(tmp_path / "data", at=LONG_AGO))


def test_a_task_shows_until_when_its_files_are_kept_and_that_they_have_gone(
    tmp_path: Path, film: Task
) -> None:
    data = tmp_path / "data"
    until = f"{LONG_AGO + timedelta(days=30):%Y-%m-%d}"
    assert f"kept until {until}" in tasks(data, "show", film.id)

    asyncio.run(expire(data))

    shown = tasks(data, "show", film.id)
    assert "gone: their time has passed" in shown
    assert "expired" in shown.splitlines()[-1]
    document = json.loads(tasks(data, "show", film.id, "--json"))
    assert (document["status"], document["files_gone"], document["outputs"]) == ("succeeded", True, [])
    assert document["events"][-1]["kind"] == "expired"


def test_a_deleted_task_is_listed_no_more_and_shown_to_the_operator(tmp_path: Path, film: Task) -> None:
    data = tmp_path / "data"

    tasks(data, "delete", film.id)
    again = json.loads(tasks(data, "delete", film.id, "--json"))

    assert again["deleted_at"] is not None
    assert json.loads(tasks(data, "list", "--json")) == []
    shown = tasks(data, "show", film.id)
    assert "gone with the task" in shown
    assert film.generation.prompt not in shown
