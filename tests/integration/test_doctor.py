"""The doctor finds what is wrong, says what to do about it, and changes nothing."""

import asyncio
import json
import os
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from filmgate.blobs.local import LocalBlobs
from filmgate.bootstrap.checkup import Finding, State, _clock, _Clocks, _disk, _tasks, examine
from filmgate.cli import app
from filmgate.core.task import Task
from filmgate.ports.store import Standing
from filmgate.settings import Settings, load
from filmgate.store import sqlite
from tests.fakes import ManualClock
from tests.runs import a_film_in

NOW = datetime.now(UTC)
IDLE = Standing(
    tasks=3,
    waiting=0,
    jobs=0,
    oldest_waiting_at=None,
    stillest_job_at=None,
    deliveries_pending=0,
    deliveries_dead=0,
)
DEADLINE = timedelta(hours=6)


def settings_for(data: Path) -> Settings:
    return load({"data": data}, environ={}).settings


async def found(data: Path, *, deep: bool = False) -> dict[str, Finding]:
    """Return what is found, the worst of each check."""
    findings: dict[str, Finding] = {}
    worse = list(State).index
    async for finding in examine(settings_for(data), deep=deep):
        known = findings.get(finding.check)
        if known is None or worse(finding.state) > worse(known.state):
            findings[finding.check] = finding
    return findings


@pytest.fixture
async def film(tmp_path: Path) -> Task:
    """Return the film of `tmp_path / "data"`."""
    return await a_film_in(tmp_path / "data", at=NOW - timedelta(hours=2))


@pytest.mark.parametrize("deep", [False, True], ids=["sample", "deep"])
async def test_where_all_is_well_every_check_says_so(tmp_path: Path, film: Task, deep: bool) -> None:  # noqa: FBT001  (a parameter of the test)
    findings = await found(tmp_path / "data", deep=deep)

    checks = "data disk renderer database clock files tasks webhooks ledger".split()
    assert {check: finding.state for check, finding in findings.items()} == dict.fromkeys(checks, State.OK)
    assert not any(finding.todo for finding in findings.values())
    assert "1 files of 1 tasks" in findings["files"].said


async def test_a_directory_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    findings = await found(tmp_path / "data")

    assert findings["data"].state is State.WARN
    assert "files" not in findings
    assert not (tmp_path / "data").exists()


async def test_a_directory_that_others_may_read_is_told(tmp_path: Path, film: Task) -> None:
    (tmp_path / "data").chmod(0o755)

    finding = (await found(tmp_path / "data"))["data"]

    assert finding.state is State.WARN
    assert finding.todo == f"chmod -R go= {tmp_path / 'data'}"


async def test_a_file_where_the_directory_should_be_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("mine")

    assert (await found(tmp_path / "data"))["data"].state is State.WRONG


@pytest.mark.parametrize("harm", ["missing", "damaged"])
async def test_a_film_that_is_not_whole_is_named(tmp_path: Path, film: Task, harm: str) -> None:
    blob = film.outputs[0].blob
    place = tmp_path / "data" / "blobs" / blob[:2] / blob
    if harm == "missing":
        place.unlink()
    else:
        with place.open("r+b") as file:
            file.write(b"other bytes")

    finding = (await found(tmp_path / "data"))["files"]

    assert finding.state is State.WRONG
    assert finding.details == (f"{blob} of {film.id} is {harm}",)


async def test_what_is_left_over_is_counted(tmp_path: Path, film: Task) -> None:
    (tmp_path / "orphan").write_bytes(b"an orphan")
    old = ManualClock(NOW - timedelta(hours=3))
    await LocalBlobs(tmp_path / "data" / "blobs", now=old.now).keep(tmp_path / "orphan")

    finding = (await found(tmp_path / "data", deep=True))["files"]

    assert finding.state is State.OK
    assert "1 files of no task" in finding.said


async def test_a_task_from_the_future_tells_of_a_clock_that_went_back(tmp_path: Path) -> None:
    await a_film_in(tmp_path / "data", at=datetime.now(UTC) + timedelta(days=2))

    finding = (await found(tmp_path / "data"))["clock"]

    assert finding.state is State.WRONG
    assert "48 h from now" in finding.said or "2 days from now" in finding.said


async def test_changed_books_are_wrong(tmp_path: Path, film: Task) -> None:
    with sqlite3.connect(tmp_path / "data" / sqlite.DATABASE) as db:
        db.execute("UPDATE accounts SET balance = balance + 1")
    db.close()

    finding = (await found(tmp_path / "data"))["ledger"]

    assert finding.state is State.WRONG
    assert any("acct_ada" in detail for detail in finding.details)


async def test_an_older_database_is_left_as_it_is(tmp_path: Path, film: Task) -> None:
    with sqlite3.connect(tmp_path / "data" / sqlite.DATABASE) as db:
        db.execute("DELETE FROM schema_versions WHERE version = ?", (sqlite.CODE,))
    db.close()

    findings = await found(tmp_path / "data")

    assert findings["database"].state is State.WARN
    assert "files" not in findings
    assert sqlite.schema_of(tmp_path / "data") == sqlite.CODE - 1
    assert not list((tmp_path / "data").glob("*.before-*"))


async def test_a_broken_database_file_is_told(tmp_path: Path, film: Task) -> None:
    path = tmp_path / "data" / sqlite.DATABASE
    content = bytearray(path.read_bytes())
    content[len(content) // 4 : len(content) // 2] = os.urandom(len(content) // 4)
    path.write_bytes(content)

    findings = await found(tmp_path / "data", deep=True)

    assert findings["database"].state is State.WRONG


# --- judgements ---------------------------------------------------------------------------------


def test_who_waits_past_its_deadline_is_stuck() -> None:
    waits = replace(IDLE, waiting=1, oldest_waiting_at=NOW - DEADLINE - timedelta(minutes=5))

    assert _tasks(waits, served=True, deadline=DEADLINE).state is State.WRONG
    assert _tasks(waits, served=False, deadline=DEADLINE).todo == "filmgate serve goes on with them"


@pytest.mark.parametrize(
    ("still", "state"),
    [
        (timedelta(minutes=10), State.OK),
        (timedelta(hours=2), State.WARN),
        (timedelta(hours=8), State.WRONG),
    ],
)
def test_a_run_that_does_not_move_is_told(still: timedelta, state: State) -> None:
    runs = replace(IDLE, jobs=1, stillest_job_at=datetime.now(UTC) - still)

    assert _tasks(runs, served=True, deadline=DEADLINE).state is state


def test_a_clock_that_is_set_meanwhile_is_told() -> None:
    began = _Clocks()
    began.wall -= timedelta(minutes=5)

    assert _clock(began, None).state is State.WARN


@pytest.mark.parametrize(("free", "state"), [(10**10, State.OK), (10**8, State.WARN), (10**6, State.WRONG)])
def test_a_disk_that_fills_up_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, state: State
) -> None:
    usage = type("Usage", (), {"free": free})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)

    assert _disk(tmp_path).state is state


# --- the command --------------------------------------------------------------------------------


def doctor(data: Path, *arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["doctor", "--data", str(data), *arguments])
    return result.exit_code, result.stdout


def test_the_exit_status_says_whether_something_is_wrong(tmp_path: Path) -> None:
    data = tmp_path / "data"
    film = asyncio.run(a_film_in(data, at=NOW - timedelta(hours=2)))
    assert doctor(data)[0] == 0
    place = data / "blobs" / film.outputs[0].blob[:2] / film.outputs[0].blob
    place.unlink()

    code, out = doctor(data)
    code_of_json, document = doctor(data, "--json")

    assert code == code_of_json == 1
    assert "wrong  files" in out
    assert "-> put them back" in out
    assert "1 wrong" in out
    assert json.loads(document)["ok"] is False
    assert {finding["state"] for finding in json.loads(document)["findings"]} == {"ok", "wrong"}
