"""Moving an installation to PostgreSQL: all of it arrives and lives on, or nothing has happened."""

import asyncio
import json
import random
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import asyncpg
import httpx2
import pytest

from filmgate.core.admission import Limits
from filmgate.core.change import Change, Namespace, tidying
from filmgate.core.delivery import Try
from filmgate.core.errors import AlreadyServing, QueueFull, StoreUnavailable
from filmgate.core.signing import Signing
from filmgate.core.task import Status, Task
from filmgate.ports.store import Committed, DeliveryQuery, Refused, Replayed, Store
from filmgate.store.postgres import PostgresStore
from filmgate.store.postgres.cluster import PostgresCluster
from filmgate.store.postgres.connection import Database
from filmgate.store.postgres.copying import TABLES, CannotMove
from filmgate.store.postgres.moving import KEPT, Moved, move
from filmgate.store.sqlite import DATABASE, SqliteStore
from tests.e2e.service import Service
from tests.fakes import NOON, an_output
from tests.postgres import Server
from tests.runs import a_key
from tests.stores import a_claim, an_order, committed, end, ended, findings, fund, send, submit

LIMITS: Final = Limits(
    account_concurrency=3,
    account_rate=1_000,
    provider_slots={"sandbox": 5},
    provider_rates={"sandbox": 2_000},
)
CALLBACK: Final = "https://receiver.example/hook"
DEATHS: Final = 14
SETTLES_WITHIN_S: Final = 60.0


@asynccontextmanager
async def opened(directory: Path, *, serving: bool = False) -> AsyncIterator[SqliteStore]:
    """Have a store on SQLite open for as long as this lasts."""
    store = SqliteStore.open(directory, limits=LIMITS, serving=serving)
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def moved_to(url: str, limits: Limits = LIMITS) -> AsyncIterator[PostgresStore]:
    """Have a store on PostgreSQL open for as long as this lasts."""
    store = PostgresStore(Database(url), limits=limits)
    try:
        yield store
    finally:
        await store.close()


async def moving(directory: Path, url: str, **more: Any) -> Moved:  # noqa: ANN401
    """Move at once: nobody waits for SQLite's lock."""
    return await move(directory, url, tell=lambda *_: None, **{"give_up_s": 0.0, **more})


@pytest.fixture
async def data(tmp_path: Path) -> Path:
    """Return the directory of an installation with a history: tasks of two accounts, however they stand.

    Of ada's, 1 to 5 have ended; 6 runs, with an id upstream; 7 and 8 are admitted; 9 to 11 wait, 10 with an
    idempotency key. Ben's 20 runs, and his 21 waits for nothing but its turn.
    """
    directory = tmp_path / "data"
    async with opened(directory, serving=True) as store:
        await fund(store, "ada", "ben")
        await committed(store, Change(keys=(a_key("ada"), replace(a_key("ben"), revoked_at=NOON))))
        await committed(store, Change(signings=(Signing(account_id="acct_ben", turn=2, rotated_at=NOON),)))
        await store.secret("key-pepper")
        for n, status in enumerate(
            [Status.SUCCEEDED, Status.FAILED, Status.CANCELLED, Status.SUCCEEDED, Status.SUCCEEDED], start=1
        ):
            await a_history(store, n, status)
        for n in (6, 7, 8):
            await submit(store, an_order(n=n))
        await submit(store, an_order("ben", n=20))
        await send(store, an_order("ben", n=20))
        await with_remote_id(store, await send(store, an_order(n=6)))
        for n in (9, 10, 11):
            task = an_order(n=n, priority=n)
            later = NOON + timedelta(days=7)
            claims = [a_claim(task, "tomorrow", namespace=Namespace.HEADER, expires_at=later)]
            await submit(store, task, *(claims if n == 10 else ()))
    async with opened(directory) as store:
        await submit(store, an_order("ben", n=21))  # by a command: whoever serves admits it
        assert not await findings(store)
    return directory


async def a_history(store: Store, n: int, status: Status) -> None:
    """Leave a task of ada's that has ended; the first is still to be told, the fourth was deleted."""
    task = an_order(n=n, metadata={"note": "ä\u2028 \\ \x7f"}, callback_url=CALLBACK if n in {1, 2} else None)
    await submit(store, task, a_claim(task, f"mine-{n}"))
    running = await send(store, task)
    if status is Status.SUCCEEDED:
        output = an_output(content=b"film %d" % n)
        running = replace(running, outputs=(output,), result_expires_at=NOON + timedelta(days=30))
    over = await end(store, running, status)
    if n == 4:
        await committed(store, tidying(over, over.erased(at=NOON)))
    if n == 2:
        (delivery,) = await store.deliveries(DeliveryQuery(task_id=task.id))
        tried = delivery.tried(Try(at=NOON, took_s=0.5, status=500), chance=0.5)
        await committed(store, Change(deliveries=(tried,)))


async def with_remote_id(store: Store, task: Task) -> None:
    attempt = (await store.attempts(task.id))[-1]
    await committed(store, Change(attempts=(replace(attempt, remote_id="remote-6"),)))


async def everything(store: Store) -> dict[str, Any]:
    """Return all that a store can be asked for."""
    books = await store.books()
    transfers, billed = list(books.rows), list(books.tasks)
    ids = [task.id for task in billed]
    tasks = [await store.task(task_id) for task_id in ids]
    deliveries = await store.deliveries(DeliveryQuery())
    claims = [
        await store.task_named("key_ada", namespace, token)
        for namespace in Namespace
        for token in ("tomorrow", *(f"mine-{n}" for n in range(1, 6)))
    ]
    return {
        "accounts": await store.accounts(),
        "keys": await store.keys(),
        "tasks": tasks,
        "events": [await store.events(task_id) for task_id in ids],
        "attempts": [await store.attempts(task_id) for task_id in ids],
        "transfers": transfers,
        "billed": billed,
        "claims": claims,
        "deliveries": deliveries,
        "outputs": [await store.output(blob) for task in tasks if task for blob in sorted(task.blobs)],
        "signings": [await store.signing(f"acct_{name}") for name in ("ada", "ben")],
        "secret": await store.secret("key-pepper"),
        "standing": await store.standing(),
    }


def dump(directory: Path) -> list[str]:
    """Return every row of a SQLite database as text, read beside whoever else uses it."""
    with closing(sqlite3.connect(directory / DATABASE)) as db:
        return list(db.iterdump())


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


async def rows_in(url: str) -> int:
    """Return how many rows there are in a PostgreSQL, of whatever the move brings."""
    connection = await asyncpg.connect(url)
    try:
        if not await connection.fetchval("SELECT to_regclass('secrets') IS NOT NULL"):
            return 0
        counts = [await connection.fetchval(f"SELECT count(*) FROM {table.name}") for table in TABLES]  # noqa: S608
    finally:
        await connection.close()
    return sum(counts)


# --- all of it ------------------------------------------------------------------------------------


async def test_all_that_can_be_read_is_the_same_afterwards(data: Path, database: str) -> None:
    async with opened(data) as store:
        before = await everything(store)

    moved = await moving(data, database)

    async with moved_to(database) as store:
        after = await everything(store)
        assert not await findings(store)
    assert set(before) == set(after)
    for what, said in before.items():
        assert after[what] == said, what
    assert len(after["billed"]) == 13
    assert len(after["deliveries"]) == 2
    assert sum(claim is not None for claim in after["claims"]) == 6
    assert moved.tables["tasks"] == 13
    assert not moved.before


async def test_every_table_and_column_is_moved_or_made_anew(data: Path, migrated: str) -> None:
    with closing(sqlite3.connect(data / DATABASE)) as db:
        names = [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        there = {name: {row[1] for row in db.execute(f"PRAGMA table_info({name})")} for name in names}
    connection = await asyncpg.connect(migrated)
    columns = await connection.fetch(
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
    )
    await connection.close()
    here: dict[str, set[str]] = {}
    for table, column in columns:
        here.setdefault(table, set()).add(column)
    moved = {table.name: set(table.columns) for table in TABLES}

    assert set(there) - set(moved) == {"provider_slots", "schema_versions"}
    assert {(name, one) for name in moved if name in there for one in there[name] - moved[name]} == {
        ("accounts", "slots"),  # counted
        ("accounts", "waiting"),  # in `queued`
        ("accounts", "admitted"),  # in `turns`
        ("accounts", "free_at"),
        ("accounts", "free_at"),  # in `turns`
    }
    assert set(here) - set(moved) == {"workers", "duties", "schema_versions"}
    assert {(name, one) for name in moved for one in here[name] - moved[name]} == {("jobs", "worker")}


async def test_what_waits_is_admitted_there_in_the_same_order(data: Path, database: str) -> None:
    shutil.copytree(data, data.with_name("copy"))
    roomy = replace(LIMITS, account_concurrency=5, provider_slots={"sandbox": 7})
    here = SqliteStore.open(data.with_name("copy"), limits=roomy, serving=True)
    expected = [job.task_id for job in await here.admit(NOON)]
    await here.close()

    await moving(data, database)

    async with moved_to(database, roomy) as store:
        assert [job.task_id for job in await store.admit(NOON)] == expected
    assert len(expected) == 3


async def test_how_much_started_lately_is_known_there(data: Path, database: str) -> None:
    with closing(sqlite3.connect(data / DATABASE)) as db:
        accounts = db.execute("SELECT id, free_at FROM accounts ORDER BY id").fetchall()
        providers = db.execute("SELECT provider, free_at FROM provider_slots").fetchall()

    await moving(data, database)

    async with moved_to(database) as store:
        turns = await store._db.read("SELECT account_id, free_at FROM turns ORDER BY account_id")
        assert [tuple(turn) for turn in turns] == accounts
        assert [tuple(turn) for turn in await store._db.read("SELECT * FROM provider_turns")] == providers
    assert all(free_at for _, free_at in (*accounts, *providers))


async def test_an_account_that_waits_to_its_limit_does_so_there(data: Path, database: str) -> None:
    await moving(data, database)

    full = replace(LIMITS, account_queue=3)
    async with moved_to(database, full) as store:
        answer = await submit(store, an_order(n=12))
        assert isinstance(answer, Refused)
        assert isinstance(answer.error, QueueFull)
        waiting = await store.task(an_order(n=9).id)
        assert waiting is not None
        await end(store, waiting, Status.CANCELLED)
        assert isinstance(await submit(store, an_order(n=12)), Committed)


async def test_what_ran_is_claimed_there_under_a_new_lease_and_ends_once(data: Path, database: str) -> None:
    await moving(data, database)

    async with moved_to(database) as store:
        cluster = PostgresCluster(store._db)
        await cluster.join("worker", {"sandbox": 10})
        jobs = {job.task_id: job.lease_no for job in await cluster.claim("worker", "sandbox", most=10)}
        assert jobs == dict.fromkeys((an_order(n=n).id for n in (6, 7, 8, 20)), 2)
        (attempt,) = await store.attempts(an_order(n=6).id)
        assert attempt.remote_id == "remote-6"
        for task_id in jobs:
            task = await store.task(task_id)
            assert task is not None
            running = task if task.status is Status.RUNNING else await send(store, task)
            await end(store, running)
            again = await store.commit(Change(task=ended(running, Status.SUCCEEDED), was_version=1))
            assert isinstance(again, Refused)
        assert not await cluster.claim("worker", "sandbox", most=10)
        assert (await store.standing()).jobs == 0
        assert not await findings(store)


async def test_a_webhook_still_to_be_told_is_due_there_and_an_idempotency_key_replays(
    data: Path, database: str
) -> None:
    await moving(data, database)

    async with moved_to(database) as store:
        due = await store.deliveries(DeliveryQuery(due_at=NOON + timedelta(hours=1)))
        task = an_order(n=10, priority=10)
        expires = NOON + timedelta(days=7)
        claim = a_claim(task, "tomorrow", namespace=Namespace.HEADER, expires_at=expires)
        answer = await submit(store, replace(task, id=an_order(n=99).id), claim)

    assert {delivery.task_id for delivery in due} == {an_order(n=1).id, an_order(n=2).id}
    assert isinstance(answer, Replayed)
    assert answer.task.id == task.id


# --- afterwards -----------------------------------------------------------------------------------


@pytest.mark.parametrize("serving", [True, False])
async def test_the_directory_is_not_served_from_sqlite_again(
    data: Path,
    database: str,
    serving: bool,  # noqa: FBT001  (a parameter of the test)
) -> None:
    await moving(data, database)

    with pytest.raises(StoreUnavailable):
        SqliteStore.open(data, limits=LIMITS, serving=serving)
    with pytest.raises(CannotMove, match="was moved before"):
        await moving(data, database)


async def test_the_old_database_is_kept_whole(data: Path, database: str) -> None:
    before = dump(data)

    moved = await moving(data, database)

    assert moved.kept == data / KEPT
    assert names(data) == {DATABASE, KEPT, "serve.lock"}
    assert moved.kept.stat().st_mode & 0o077 == 0
    moved.kept.replace(data / DATABASE)
    assert dump(data) == before
    async with opened(data, serving=True) as store:
        assert not await findings(store)


async def test_a_copy_that_was_finished_before_is_recognised(data: Path, database: str) -> None:
    moved = await moving(data, database)
    moved.kept.replace(data / DATABASE)  # as if killed between PostgreSQL's commit and this

    again = await moving(data, database)

    assert again.before
    assert again.tables == moved.tables
    assert (data / KEPT).exists()


async def test_an_installation_that_has_gone_on_since_is_not_taken_for_its_copy(
    data: Path, database: str
) -> None:
    moved = await moving(data, database)
    moved.kept.replace(data / DATABASE)
    async with opened(data) as store:
        await fund(store, "eve")

    with pytest.raises(CannotMove, match="gone on since"):
        await moving(data, database)

    assert not (data / KEPT).exists()


# --- refusals -------------------------------------------------------------------------------------


async def test_a_directory_that_is_served_is_not_moved(data: Path, database: str) -> None:
    async with opened(data, serving=True):
        with pytest.raises(AlreadyServing):
            await moving(data, database)

    assert await rows_in(database) == 0


async def test_a_directory_without_a_database_is_not_made_one(tmp_path: Path, database: str) -> None:
    with pytest.raises(CannotMove, match="no database"):
        await moving(tmp_path, database)

    assert not names(tmp_path)


async def test_a_database_with_something_in_it_is_refused_by_name(data: Path, migrated: str) -> None:
    async with moved_to(migrated) as store:
        await fund(store, "eve")
    before = dump(data)

    with pytest.raises(CannotMove, match="there are rows in accounts, transfers"):
        await moving(data, migrated)

    assert dump(data) == before
    async with moved_to(migrated) as store:
        assert [account.id for account in await store.accounts()] == ["acct_eve"]


async def test_somebody_elses_tables_are_left_alone(data: Path, database: str) -> None:
    connection = await asyncpg.connect(database)
    await connection.execute("CREATE TABLE accounts (mine int)")
    await connection.close()

    with pytest.raises(CannotMove, match='"accounts" already exists'):
        await moving(data, database)


async def test_a_server_that_is_not_there_is_said(data: Path) -> None:
    with pytest.raises(CannotMove, match="PostgreSQL: "):
        await moving(data, "postgresql://filmgate@127.0.0.1:1/filmgate")
    with pytest.raises(CannotMove, match="database: "):
        await moving(data, "postgresql://filmgate@127.0.0.1:port/filmgate")


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (
            "UPDATE accounts SET name = 'a' || char(0) || 'b' WHERE id = 'acct_ben'",
            "name of acct_ben in accounts holds a NUL character",
        ),
        (
            "UPDATE claims SET fingerprint = CAST(x'61ff' AS TEXT) WHERE token = 'tomorrow'",
            "a text that is not UTF-8: the first of claims",
        ),
        ("UPDATE events SET progress = 1 << 40 WHERE last", f"{an_order(n=21).id}/1 in events is damaged"),
        (
            "UPDATE keys SET created_at = 1.5 WHERE id = 'ben'",
            "what arrived in PostgreSQL is not what was sent: keys",
        ),
        ("UPDATE secrets SET value = 'text'", "key-pepper in secrets is damaged"),
        ("DELETE FROM tasks WHERE status = 'running'", "the books in SQLite are wrong: 2 findings"),
        ("UPDATE accounts SET balance = balance + 1", "the books in SQLite are wrong: 2 findings"),
    ],
    ids=["nul", "utf-8", "too-large", "rounded-on-the-way", "text-for-bytes", "a-task-is-missing", "balance"],
)
async def test_a_row_that_cannot_be_moved_is_named_and_stops_it(
    data: Path, database: str, statement: str, said: str
) -> None:
    last = "(task_id, seq) = (SELECT task_id, seq FROM events ORDER BY 1 DESC, 2 DESC LIMIT 1)"
    with closing(sqlite3.connect(data / DATABASE, isolation_level=None)) as db:
        db.text_factory = bytes
        db.execute(statement.replace("WHERE last", f"WHERE {last}"))
        rows = db.execute("SELECT * FROM accounts").fetchall()

    with pytest.raises(CannotMove) as refused:
        await moving(data, database)

    assert said in str(refused.value)
    assert await rows_in(database) == 0
    assert names(data) <= {DATABASE, "serve.lock"}
    with closing(sqlite3.connect(data / DATABASE)) as db:
        db.text_factory = bytes
        assert db.execute("SELECT * FROM accounts").fetchall() == rows


async def test_whoever_changes_something_meanwhile_is_told_that_it_was_not_kept(
    data: Path, database: str
) -> None:
    grants: list[asyncio.Task[None]] = []
    async with opened(data) as beside:

        def grant(_: int, doing: str) -> None:
            if doing == "checking" and not grants:
                grants.append(asyncio.get_running_loop().create_task(fund(beside, "eve")))

        await move(data, database, tell=grant)

        with pytest.raises(StoreUnavailable):
            await grants[0]
    async with moved_to(database) as store:
        assert await store.account("acct_eve") is None


# --- death ----------------------------------------------------------------------------------------

# Moves, and is killed before it runs line number so-and-so of the moving; 0 is to live, and to say which
# lines there were.
MORTAL: Final = """
import asyncio, os, signal, sys, threading
from pathlib import Path
from filmgate.store.postgres import copying, moving

lines, dies_at = [], int(sys.argv[3])

def trace(frame, event, _):
    if frame.f_code.co_filename not in {copying.__file__, moving.__file__}:
        return None
    if event == "line":
        lines.append(f"{frame.f_code.co_name}:{frame.f_lineno}")
        if len(lines) == dies_at:
            os.kill(os.getpid(), signal.SIGKILL)
    return trace

threading.settrace(trace)
sys.settrace(trace)
asyncio.run(moving.move(Path(sys.argv[1]), sys.argv[2], tell=lambda *_: None, give_up_s=0))
print(*lines)
"""


def live(directory: Path, url: str, *, dies_at: int = 0) -> list[str]:
    """Move in a process of its own; return the lines it ran, by function and number, or none if it died."""
    done = subprocess.run(
        [sys.executable, "-c", MORTAL, str(directory), url, str(dies_at)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode in {0, -9}, done.stderr
    return done.stdout.split()


async def test_killed_at_any_line_it_has_moved_all_or_nothing_and_begins_again(
    data: Path, postgres: Server, tmp_path: Path
) -> None:
    untouched = dump(data)
    rehearsal = tmp_path / "rehearsal"
    shutil.copytree(data, rehearsal)
    lines = live(rehearsal, postgres.create_database())
    seed = random.randrange(2**32)
    print(f"seed {seed}, {len(lines)} lines")
    # Most lines are about rows; what matters most happens in a few.
    ends = [n for n, line in enumerate(lines, start=1) if line.startswith(("_commit:", "give_way:"))]
    assert len(ends) >= 5, "these are the lines about the exchange"
    seen = set()
    for dies_at in sorted({*random.Random(seed).sample(range(1, len(lines)), DEATHS), *ends, max(ends) + 1}):
        directory, url = tmp_path / f"{dies_at}", postgres.create_database()
        shutil.copytree(data, directory)
        if live(directory, url, dies_at=dies_at):
            continue  # it was a line shorter this time
        arrived = await rows_in(url)
        given_way = dump(directory) != untouched
        assert arrived or not given_way, f"line {dies_at}: nothing is left"
        seen.add((arrived > 0, given_way))
        if given_way:
            continue
        again = await moving(directory, url)
        assert again.before is (arrived > 0), f"line {dies_at}"
        async with moved_to(url) as store:
            assert not await findings(store)
        assert await rows_in(url) == sum(again.tables.values())
    assert seen == {(False, False), (True, False), (True, True)}


# --- the whole service ----------------------------------------------------------------------------


def test_a_killed_service_goes_on_in_postgresql(tmp_path: Path, database: str) -> None:
    service = Service(tmp_path / "data", providers__sandbox__slots="2")
    service.start()
    key = service.new_key(credits_=1_000)
    client = httpx2.Client(base_url=service.url, headers={"Authorization": f"Bearer {key}"}, timeout=10)
    prompts = ["a cat", "#slow=3 a river", "#slow=3 a lake", "#slow=1 a sea", "#slow=1 a pond"]
    with client as http:
        ids = [create(http, prompt, n) for n, prompt in enumerate(prompts)]
        film = wait_for_end(http, ids[0])
        served = service.run("migrate", "sqlite-to-postgres", "--database", database)
        service.kill()
        moved = service.run("migrate", "sqlite-to-postgres", "--database", database, "--json")
        again = service.run("migrate", "sqlite-to-postgres", "--database", database)
        closed = service.run("credits", "balance")
        service._environment["FILMGATE_DATABASE"] = database
        service.start()
        try:
            ends = [wait_for_end(http, task_id)["status"] for task_id in ids]
            assert [create(http, prompt, n) for n, prompt in enumerate(prompts)] == ids, (
                "each key has its task"
            )
            assert http.get(film["url"].removeprefix(service.url)).status_code == 200, "an old link works"
            verified = service.run("ledger", "verify", "--json")
        finally:
            assert service.stop() == 0

    assert served.returncode == 1
    assert "another Filmgate serves" in served.stderr
    assert json.loads(moved.stdout)["tables"]["tasks"] == len(prompts)
    assert again.returncode == 1
    assert "was moved before" in again.stderr
    assert closed.returncode == 1
    assert "Traceback" not in closed.stderr
    assert ends == ["completed"] * len(prompts)
    assert json.loads(verified.stdout)["ok"]


def create(http: httpx2.Client, prompt: str, n: int) -> str:
    answer = http.post(
        "/v1/videos",
        json={"model": "sandbox", "prompt": prompt, "seconds": "1"},
        headers={"Idempotency-Key": f"order-{n}"},
    )
    assert answer.status_code in {200, 201}, answer.text
    return str(answer.json()["id"])


def wait_for_end(http: httpx2.Client, task_id: str) -> dict[str, Any]:
    until = time.monotonic() + SETTLES_WITHIN_S
    while time.monotonic() < until:
        task: dict[str, Any] = http.get(f"/v1/videos/{task_id}", params={"wait": "5"}).json()
        if task["status"] in {"completed", "failed"}:
            return task
    raise AssertionError(f"{task_id} did not end")
