"""The doctor finds what is wrong, says what to do about it, and changes nothing."""

import asyncio
import json
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from typer.testing import CliRunner

from filmgate.blobs.local import LocalBlobs
from filmgate.bootstrap.checkup import Finding, State, examine
from filmgate.bootstrap.checkup import postgres as judge
from filmgate.bootstrap.checkup.machine import Clocks, clock, disk
from filmgate.bootstrap.checkup.stored import files, tasks
from filmgate.cli import app
from filmgate.core.errors import StoreUnavailable
from filmgate.core.task import Task
from filmgate.dispatch.hub import Hub
from filmgate.ports.store import Standing
from filmgate.settings import Settings, load
from filmgate.store import sqlite
from filmgate.store.postgres import PostgresStore, open_store, schema
from filmgate.store.postgres.cluster import PostgresCluster
from filmgate.store.postgres.moving import move
from filmgate.store.postgres.survey import OLDEST, SETTINGS, Survey
from filmgate.store.postgres.survey import Server as Seen
from tests.fakes import ManualClock, MemoryBlobs, MemoryStore
from tests.postgres import Server
from tests.runs import LIMITS, a_film_in, some_ports
from tests.stores import an_order, fund, submit

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


def settings_for(data: Path, **flags: Any) -> Settings:  # noqa: ANN401
    return load({"data": data, **flags}, environ={}).settings


async def found(data: Path, *, deep: bool = False, **flags: Any) -> dict[str, Finding]:  # noqa: ANN401
    """Return what is found, the worst of each check."""
    findings: dict[str, Finding] = {}
    worse = list(State).index
    async for finding in examine(settings_for(data, **flags), deep=deep):
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


# --- PostgreSQL ---------------------------------------------------------------------------------


QUICK: Any = {"capabilities": ("sandbox",)}  # no renderer to try out


@pytest.fixture
async def moved(tmp_path: Path, film: Task, database: str) -> str:
    """Return the URL of the database that the film of `tmp_path / "data"` was moved to."""
    await move(tmp_path / "data", database, tell=lambda *_: None, give_up_s=0)
    return database


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[tuple[PostgresStore, PostgresCluster]]:
    store, cluster = await open_store(url, limits=LIMITS)
    try:
        yield store, cluster
    finally:
        await store.close()


async def test_where_all_is_well_on_postgresql_every_check_says_so(tmp_path: Path, moved: str) -> None:
    async with opened(moved) as (_, cluster):
        await cluster.join("one", {"studio": 2, "sandbox": 8})
        await cluster.join("two", {"studio": 2})
        for duty in ("janitor", "courier"):
            await cluster.hold_duty(duty, "one")

    findings = await found(tmp_path / "data", deep=True, database=moved)

    checks = (
        "data disk renderer database connections clock workers duties files tasks webhooks ledger".split()
    )
    durable = findings.pop("durable")
    assert {check: finding.state for check, finding in findings.items()} == dict.fromkeys(checks, State.OK)
    assert durable.state in {State.OK, State.WARN}, "the tests' own server is careless"
    assert findings["workers"].said == "2 live: sandbox 8, studio 4"
    assert findings["duties"].said == "courier by one, janitor by one"
    assert "1 files of 1 tasks" in findings["files"].said


async def test_a_database_out_of_reach_is_told_with_its_reason(tmp_path: Path) -> None:
    url = "postgresql://ada:geheim@127.0.0.1:1/films"

    findings = await found(tmp_path / "data", database=url, **QUICK)

    assert findings["database"].state is State.WRONG
    assert "Connect call failed" in findings["database"].said
    assert not any("geheim" in str(finding) for finding in findings.values())
    assert set(findings) == {"data", "disk", "database", "clock"}


async def test_an_empty_database_is_left_as_it_is(tmp_path: Path, database: str, postgres: Server) -> None:
    findings = await found(tmp_path / "data", database=database, **QUICK)

    assert findings["database"].state is State.WARN
    assert "schema 0" in findings["database"].said
    assert "workers" not in findings
    assert postgres.sql("SELECT to_regclass('tasks') IS NULL", url=database) == [(True,)]


async def test_tasks_that_no_worker_runs_are_told_by_their_provider(tmp_path: Path, migrated: str) -> None:
    async with opened(migrated) as (store, cluster):
        await fund(store, "ada")
        await submit(store, an_order(n=1))  # admitted, and claimed by nobody
        await submit(store, an_order(n=2, provider="studio"))
        await cluster.join("one", {"studio": 2})

    finding = (await found(tmp_path / "data", database=migrated, **QUICK))["workers"]

    assert finding.state is State.WRONG
    assert finding.details == ("1 tasks wait for sandbox, which no worker runs",)
    assert finding.todo == "filmgate worker --capabilities sandbox"


async def test_a_worker_that_has_died_is_told(tmp_path: Path, migrated: str, postgres: Server) -> None:
    async with opened(migrated) as (_, cluster):
        await cluster.join("one", {"studio": 2})
    postgres.sql("UPDATE workers SET beat_at = beat_at - interval '5 min'", url=migrated)

    findings = await found(tmp_path / "data", database=migrated, **QUICK)

    assert findings["workers"].state is State.WARN
    assert findings["workers"].details == ("one has said nothing for 5 min",)


async def test_nobody_on_duty_is_told_where_somebody_runs(tmp_path: Path, migrated: str) -> None:
    before = await found(tmp_path / "data", database=migrated, **QUICK)
    async with opened(migrated) as (_, cluster):
        await cluster.join("one", {"studio": 2})
        await cluster.hold_duty("janitor", "one")

    after = await found(tmp_path / "data", database=migrated, **QUICK)

    assert before["duties"].state is State.OK
    assert after["duties"].state is State.WARN
    assert after["duties"].said == "nobody does courier; janitor by one"


@pytest.mark.parametrize(
    ("setting", "check", "said"),
    [
        ("synchronous_commit = off", "durable", "synchronous_commit is off"),
        ("default_transaction_read_only = on", "database", "takes no changes"),
    ],
)
async def test_a_setting_that_harms_is_told_by_its_name(
    tmp_path: Path, migrated: str, postgres: Server, setting: str, check: str, said: str
) -> None:
    name = urlsplit(migrated).path.removeprefix("/")
    postgres.sql(f'ALTER DATABASE "{name}" SET {setting}')

    finding = (await found(tmp_path / "data", database=migrated, **QUICK))[check]

    assert finding.state is not State.OK
    assert said in finding.said


async def test_changed_books_are_wrong_on_postgresql(tmp_path: Path, moved: str, postgres: Server) -> None:
    postgres.sql("UPDATE accounts SET balance = balance + 1", url=moved)

    finding = (await found(tmp_path / "data", database=moved, **QUICK))["ledger"]

    assert finding.state is State.WRONG


async def test_a_directory_that_was_moved_is_not_looked_at_as_sqlite(tmp_path: Path, moved: str) -> None:
    findings = await found(tmp_path / "data")

    assert findings["database"].state is State.WRONG
    assert "moved to PostgreSQL" in findings["database"].said


async def test_a_sqlite_database_beside_is_told(tmp_path: Path, film: Task, migrated: str) -> None:
    finding = (await found(tmp_path / "data", database=migrated, **QUICK))["database"]

    assert finding.state is State.WARN
    assert "is there and not used" in finding.said


async def test_a_place_for_files_out_of_reach_is_told() -> None:
    class NoBlobs(MemoryBlobs):
        async def kept_before(self, at: datetime, *, after: str = "", limit: int = 1_000) -> list[str]:
            raise StoreUnavailable("the files cannot be reached") from OSError("no route to the bucket")

    ports = replace(some_ports(MemoryStore(LIMITS), {}, clock=ManualClock(), signals=Hub()), blobs=NoBlobs())

    finding = await files(ports, deep=False)

    assert finding.state is State.WRONG
    assert "no route to the bucket" in finding.said


# --- judgements ---------------------------------------------------------------------------------


def test_who_waits_past_its_deadline_is_stuck() -> None:
    waits = replace(IDLE, waiting=1, oldest_waiting_at=NOW - DEADLINE - timedelta(minutes=5))

    assert tasks(waits, served=True, deadline=DEADLINE).state is State.WRONG
    assert tasks(waits, served=False, deadline=DEADLINE).todo == "filmgate serve goes on with them"


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

    assert tasks(runs, served=True, deadline=DEADLINE).state is state


def test_a_clock_that_is_set_meanwhile_is_told() -> None:
    began = Clocks()
    began.wall -= timedelta(minutes=5)

    assert clock(began, None).state is State.WARN


A_SERVER = Survey(
    server=Seen(
        version=18,
        name="18.1 (Debian)",
        encoding="UTF8",
        read_only=False,
        settings=dict.fromkeys(SETTINGS, "on"),
        room=97,
        connections=5,
        ahead=timedelta(),
    ),
    schema=schema.CODE,
)


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, State.OK),
        ({"version": 13, "name": "13.4"}, State.WRONG),
        ({"encoding": "SQL_ASCII"}, State.WRONG),
        ({"read_only": True}, State.WRONG),
    ],
    ids=["good", "old", "no-utf-8", "read-only"],
)
def test_a_server_that_will_not_do_is_told(changes: dict[str, Any], state: State) -> None:
    seen = replace(A_SERVER, server=replace(A_SERVER.server, **changes))

    assert judge.database(seen, code=schema.CODE, oldest=OLDEST).state is state


@pytest.mark.parametrize(("found_schema", "state"), [(-1, State.WARN), (0, State.OK), (1, State.WARN)])
def test_a_schema_of_another_version_is_told(found_schema: int, state: State) -> None:
    seen = replace(A_SERVER, schema=schema.CODE + found_schema)

    assert judge.database(seen, code=schema.CODE, oldest=OLDEST).state is state


@pytest.mark.parametrize(
    ("processes", "room", "used", "state"),
    [
        (1, 97, 5, State.OK),
        (1, 97, 90, State.WARN),  # hardly any left, whoever has them
        (8, 100, 5, State.OK),  # 9 processes of 9 each, and 10 for people
        (9, 97, 5, State.WARN),
    ],
)
def test_too_few_connections_are_told_before_they_run_out(
    tmp_path: Path, processes: int, room: int, used: int, state: State
) -> None:
    settings = settings_for(tmp_path, processes=processes)
    seen = replace(A_SERVER, server=replace(A_SERVER.server, room=room, connections=used))

    assert judge.connections(seen, settings, of_a_process=9).state is state


def test_a_clock_that_is_not_the_databases_is_told() -> None:
    ahead = judge.server_clock(replace(A_SERVER.server, ahead=timedelta(minutes=3)))
    behind = judge.server_clock(replace(A_SERVER.server, ahead=-timedelta(minutes=3)))

    assert ahead is not None
    assert "3 min behind" in ahead.said
    assert behind is not None
    assert "3 min ahead" in behind.said
    assert judge.server_clock(A_SERVER.server) is None


@pytest.mark.parametrize(("free", "state"), [(10**10, State.OK), (10**8, State.WARN), (10**6, State.WRONG)])
def test_a_disk_that_fills_up_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, state: State
) -> None:
    usage = type("Usage", (), {"free": free})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)

    assert disk(tmp_path).state is state


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
