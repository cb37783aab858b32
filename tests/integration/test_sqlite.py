"""SQLite in particular: its lock, its groups, a full disk, a kill, and rows that were tampered with."""

import asyncio
import contextlib
import multiprocessing
import random
import resource
import shutil
import signal
import stat
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import apsw
import pytest

from filmgate.core import ledger
from filmgate.core.admission import Limits
from filmgate.core.change import Change, advance
from filmgate.core.errors import AlreadyServing, StoreUnavailable
from filmgate.core.ledger import Finding
from filmgate.core.task import Status, Task
from filmgate.ports.store import Committed, Refused, TaskQuery
from filmgate.store import rows, sqlite
from filmgate.store.sqlite import DATABASE, SqliteStore
from tests.fakes import NOON, an_output
from tests.runs import LIMITS
from tests.stores import an_order, available, committed, end, ended, findings, fund, send, submit

CHILDREN = multiprocessing.get_context("forkserver")
CHILDREN.set_forkserver_preload([__name__])


@asynccontextmanager
async def opened(
    directory: Path, *, serving: bool = True, limits: Limits = LIMITS
) -> AsyncIterator[SqliteStore]:
    """Have a store open for as long as this lasts."""
    store = SqliteStore.open(directory, limits=limits, serving=serving)
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    """Return a serving store in which ada has a million micro-credits."""
    async with opened(tmp_path) as store:
        await fund(store, "ada")
        yield store


@asynccontextmanager
async def held(store: SqliteStore) -> AsyncIterator[None]:
    """Keep the writer thread busy meanwhile: all that is ordered then is one group afterwards."""
    begun, release = threading.Event(), threading.Event()

    def hold(_: object) -> None:
        begun.set()
        release.wait(30)

    busy = asyncio.ensure_future(store._order(hold))
    await asyncio.to_thread(begun.wait, 10)
    try:
        yield
        await asyncio.sleep(0)
    finally:
        release.set()
    await busy


# --- one process serves -------------------------------------------------------------------------


async def test_one_directory_is_served_once(tmp_path: Path) -> None:
    async with opened(tmp_path):
        with pytest.raises(AlreadyServing):
            SqliteStore.open(tmp_path, limits=LIMITS, serving=True)

    async with opened(tmp_path):
        pass


async def test_a_visitor_writes_beside_the_one_that_serves_and_is_noticed(
    tmp_path: Path, store: SqliteStore
) -> None:
    noticed = asyncio.Event()
    store.watch(noticed.set)
    mine, visitors = an_order(n=1), an_order(n=2)
    await submit(store, mine)

    async with opened(tmp_path, serving=False) as visitor:
        assert await visitor.task(mine.id) == mine
        answer = await submit(visitor, visitors)
        async with asyncio.timeout(5):
            await noticed.wait()

    assert answer == Committed(awaits_turn=True), "only the one that serves admits"
    assert await store.task(visitors.id) == visitors
    assert [job.task_id for job in await store.admit(NOON)] == [visitors.id]
    assert not await findings(store)


async def test_what_it_writes_itself_is_no_news(store: SqliteStore) -> None:
    noticed = asyncio.Event()
    store.watch(noticed.set)

    for n in range(3):
        await submit(store, an_order(n=n))
    await store._order(lambda _: None)

    assert not noticed.is_set()


async def test_a_command_before_the_first_start_makes_the_database(tmp_path: Path) -> None:
    async with opened(tmp_path / "new", serving=False) as visitor:
        await fund(visitor, "ada")

    async with opened(tmp_path / "new") as store:
        assert await available(store) == 1_000_000


async def test_nobody_else_can_read_what_the_store_keeps(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.secret("links")
        modes = modes_in(tmp_path)

    assert set(modes) >= {DATABASE, f"{DATABASE}-wal"}
    assert set(modes.values()) == {0o600}


def modes_in(directory: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}


async def test_a_database_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    async with opened(tmp_path):
        pass
    with apsw.Connection(str(tmp_path / DATABASE)) as db:
        db.execute("INSERT INTO schema_versions VALUES (99, 99, 0)")

    with pytest.raises(StoreUnavailable, match="99"):
        SqliteStore.open(tmp_path, limits=LIMITS, serving=True)


async def test_a_database_is_copied_before_it_is_migrated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path) as store:
        await fund(store, "ada", amount=5)
    later = sqlite.CODE + 1
    following = [*sqlite._migrations(), (later, "CREATE TABLE later (x INTEGER)")]
    monkeypatch.setattr(sqlite, "CODE", later)
    monkeypatch.setattr(sqlite, "_migrations", lambda: following)
    (tmp_path / f"{DATABASE}.before-{later}.partial").write_text("left by one that was killed half-way")

    async with opened(tmp_path) as store:
        assert await available(store, "ada") == 5

    copy = tmp_path / f"{DATABASE}.before-{later}"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    db = apsw.Connection(str(copy))
    assert db.execute("SELECT balance FROM accounts").get == 5
    assert not db.table_exists(None, "later")
    db.close()
    db = apsw.Connection(str(tmp_path / DATABASE))
    assert db.table_exists(None, "later")
    db.close()


async def test_the_second_migration_knows_what_the_first_one_left(tmp_path: Path) -> None:
    late, link_until, until = NOON + timedelta(minutes=1), NOON + timedelta(days=1), NOON + timedelta(days=30)
    waiting = an_order(n=1, deadline_at=late)
    done = replace(
        ended(an_order(n=2).to(Status.RUNNING, at=NOON), Status.SUCCEEDED),
        outputs=(an_output(),),
        result_expires_at=link_until,
    )
    with contextlib.closing(apsw.Connection(str(tmp_path / DATABASE))) as db:
        db.execute("CREATE TABLE schema_versions (version INTEGER, oldest_code INTEGER, applied_at INTEGER)")
        db.execute("INSERT INTO schema_versions VALUES (1, 1, 0)")
        db.execute(dict(sqlite._migrations())[1])
        db.execute("INSERT INTO accounts (id, name, chain_head) VALUES ('acct_ada', 'ada', x'00')")
        for task, waits in ((waiting, 1), (done, 0)):
            row = (task.id, task.key_id, task.dialect, task.status, task.version, waits, rows.dump_task(task))
            db.execute(
                "INSERT INTO tasks "
                "VALUES (?, 'acct_ada', ?, ?, 'video', ?, ?, 0, 'sandbox', 0, ?, 0, 0, 0, 0, ?)",
                row,
            )

    async with opened(tmp_path) as store:
        assert await store.overdue(late) == [waiting]
        assert not await store.overdue(late - timedelta(seconds=1))
        assert await store.outdated(until) == [replace(done, result_expires_at=until)]
        assert not await store.outdated(until - timedelta(seconds=1))
        assert await store.collect([done.outputs[0].blob]) == []
        assert len(await store.tasks(TaskQuery(model_id=done.model_id))) == 2
        assert (await store.standing()).waiting == 1


async def test_the_third_migration_begins_with_rates_that_nobody_has_used(tmp_path: Path) -> None:
    with contextlib.closing(apsw.Connection(str(tmp_path / DATABASE))) as db:
        db.execute("CREATE TABLE schema_versions (version INTEGER, oldest_code INTEGER, applied_at INTEGER)")
        for number in (1, 2):
            db.execute(dict(sqlite._migrations())[number])
            db.execute("INSERT INTO schema_versions VALUES (?, 1, 0)", (number,))
        db.execute(
            "INSERT INTO accounts (id, name, balance, chain_head) VALUES ('acct_ada', 'ada', 99, x'00')"
        )
        db.execute("INSERT INTO provider_slots (provider) VALUES ('sandbox')")
    paced = replace(LIMITS, account_rate=20, provider_rates={"sandbox": 60})

    for n, jobs in ((1, 1), (2, 1), (3, 0)):  # two at once, whoever serves
        async with opened(tmp_path, limits=paced) as store:
            answer = await submit(store, an_order(n=n))
            assert isinstance(answer, Committed)
            assert len(answer.jobs) == jobs
    assert (tmp_path / f"{DATABASE}.before-3").exists()


async def test_everything_is_there_after_it_was_closed_and_opened(tmp_path: Path) -> None:
    task = an_order()
    async with opened(tmp_path) as store:
        await fund(store, "ada")
        secret = await store.secret("links")
        await submit(store, task)
        done = await end(store, await send(store, task))
        events, attempts = await store.events(task.id), await store.attempts(task.id)

    async with opened(tmp_path) as store:
        assert await store.secret("links") == secret
        assert await store.task(task.id) == done
        assert await store.events(task.id) == events
        assert await store.attempts(task.id) == attempts
        assert not await findings(store)


async def test_a_store_that_is_closed_takes_nothing_and_closes_twice(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await fund(store, "ada")
    await store.close()

    with pytest.raises(StoreUnavailable):
        await submit(store, an_order())


async def test_what_was_ordered_before_the_close_is_done(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await fund(store, "ada")
        orders = [asyncio.ensure_future(submit(store, an_order(n=n))) for n in range(300)]
        await asyncio.sleep(0)

    answers = await asyncio.gather(*orders)

    assert all(isinstance(answer, Committed) for answer in answers)
    async with opened(tmp_path) as store:
        assert len(await store.take_over()) == 300


# --- groups -------------------------------------------------------------------------------------


async def test_whoever_hears_of_a_change_finds_it_on_another_connection(
    tmp_path: Path, store: SqliteStore
) -> None:
    other = apsw.Connection(str(tmp_path / DATABASE))

    async def submit_and_look(n: int) -> bool:
        task = an_order(n=n)
        await submit(store, task)
        return other.execute("SELECT 1 FROM tasks WHERE id = ?", (task.id,)).fetchone() is not None

    assert all(await asyncio.gather(*(submit_and_look(n) for n in range(300))))
    other.close()


async def test_nobody_hears_of_a_change_before_it_can_be_committed(
    tmp_path: Path, store: SqliteStore
) -> None:
    other = apsw.Connection(str(tmp_path / DATABASE))
    other.execute("BEGIN IMMEDIATE")
    waiting = asyncio.ensure_future(submit(store, an_order(n=1)))
    refused = asyncio.ensure_future(submit(store, an_order("nobody", n=2)))

    done, _ = await asyncio.wait({waiting, refused}, timeout=0.2)
    other.execute("ROLLBACK")
    other.close()

    assert not done, "not even a refusal"
    assert isinstance(await waiting, Committed)
    assert isinstance(await refused, Refused)


async def test_a_refusal_does_not_harm_its_group(store: SqliteStore) -> None:
    async with held(store):
        good = [asyncio.ensure_future(submit(store, an_order(n=n))) for n in range(5)]
        poor = asyncio.ensure_future(submit(store, an_order(n=9, price=10**9)))
        more = [asyncio.ensure_future(submit(store, an_order(n=n))) for n in range(10, 15)]

    assert all(isinstance(answer, Committed) for answer in await asyncio.gather(*good, *more))
    assert isinstance(await poor, Refused)
    assert not await findings(store)


async def test_a_bug_in_one_change_does_not_harm_its_group(store: SqliteStore) -> None:
    task = an_order(n=1)
    await submit(store, task)
    overcharged = ended(await send(store, task), Status.SUCCEEDED, charged=11)
    impossible = advance(await running(store, task.id), overcharged)

    async with held(store):
        before = asyncio.ensure_future(submit(store, an_order(n=2)))
        wrong = asyncio.ensure_future(store.commit(impossible))
        after = asyncio.ensure_future(submit(store, an_order(n=3)))

    with pytest.raises(AssertionError):
        await wrong
    assert isinstance(await before, Committed)
    assert isinstance(await after, Committed)
    assert (await running(store, task.id)).status is Status.RUNNING
    assert not await findings(store)


async def running(store: SqliteStore, task_id: str) -> Task:
    task = await store.task(task_id)
    assert task is not None
    return task


async def test_a_caller_who_goes_away_does_not_take_the_change_along(store: SqliteStore) -> None:
    task = an_order()
    async with held(store):
        caller = asyncio.ensure_future(submit(store, task))
        await asyncio.sleep(0)
        caller.cancel()

    await store._order(lambda _: None)

    assert await store.task(task.id) == task


async def test_a_question_that_sqlite_cannot_answer_just_now_does_not_stop_the_writer(
    store: SqliteStore,
) -> None:
    def deny(_operation: int, pragma: str | None, *_: object) -> int:
        return apsw.SQLITE_DENY if pragma == "data_version" else apsw.SQLITE_OK

    await store._order(lambda writer: setattr(writer.db, "authorizer", deny))

    async with asyncio.timeout(10):
        answers = [await submit(store, an_order(n=n)) for n in range(3)]

    assert all(isinstance(answer, Committed) for answer in answers)


# --- a full disk --------------------------------------------------------------------------------


async def test_a_group_that_finds_the_database_full_fails_as_one_and_leaves_nothing(
    store: SqliteStore,
) -> None:
    await submit(store, an_order(n=999))
    account = await store.account("acct_ada")
    large = {"text": "x" * 20_000}
    pages = await store._order(lambda writer: writer.db.execute("PRAGMA page_count").get)
    await store._order(lambda writer: writer.db.execute(f"PRAGMA max_page_count = {pages + 20}").get)

    async with held(store):
        small = asyncio.ensure_future(submit(store, an_order(n=500)))
        orders = [asyncio.ensure_future(submit(store, an_order(n=n, metadata=large))) for n in range(20)]
        poor = asyncio.ensure_future(submit(store, an_order(n=501, price=10**9)))
    answers = await asyncio.gather(small, *orders, poor, return_exceptions=True)

    assert all(isinstance(answer, StoreUnavailable) for answer in answers), answers
    assert await store.account("acct_ada") == account
    assert [task.id for task in await store.tasks(TaskQuery(key_id="key_ada"))] == [an_order(n=999).id]
    await store._order(lambda writer: writer.db.execute("PRAGMA max_page_count = 1000000").get)
    answers = await asyncio.gather(*(submit(store, an_order(n=n, metadata=large)) for n in range(20)))
    assert all(isinstance(answer, Committed) for answer in answers)
    assert not await findings(store)


def test_a_commit_that_the_disk_refuses_is_told_to_all_of_its_group(tmp_path: Path) -> None:
    ours, theirs = CHILDREN.Pipe()
    child = CHILDREN.Process(target=write_to_a_full_disk, args=(tmp_path, theirs))
    child.start()
    theirs.close()

    refused, left, afterwards, wrong = ours.recv()
    child.join(10)

    assert refused == ["StoreUnavailable"] * 20
    assert left == 0
    assert afterwards == ["Committed"] * 20
    assert not wrong


def write_to_a_full_disk(directory: Path, pipe: Connection) -> None:
    """Be a process whose files may not grow for a while."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    asyncio.run(_write_to_a_full_disk(directory, pipe))


async def _write_to_a_full_disk(directory: Path, pipe: Connection) -> None:
    async with opened(directory) as store:
        await fund(store, "ada")
        _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
        size = (directory / f"{DATABASE}-wal").stat().st_size

        async def all_at_once() -> list[str]:
            async with held(store):
                orders = [asyncio.ensure_future(submit(store, an_order(n=n))) for n in range(20)]
            answers = await asyncio.gather(*orders, return_exceptions=True)
            return [type(answer).__name__ for answer in answers]

        resource.setrlimit(resource.RLIMIT_FSIZE, (size, most))
        refused = await all_at_once()
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        left = 1_000_000 - await available(store)
        pipe.send((refused, left, await all_at_once(), await findings(store)))


# --- a kill -------------------------------------------------------------------------------------


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    acknowledged: set[str] = set()
    for round_ in range(20):
        ours, theirs = CHILDREN.Pipe(duplex=False)
        child = CHILDREN.Process(target=acknowledge_for_ever, args=(tmp_path, round_, theirs))
        child.start()
        theirs.close()
        before = len(acknowledged)
        for task_id in received(ours):
            acknowledged.add(task_id)
            if len(acknowledged) == before + 1 + round_ * 3:
                child.kill()
        child.join(10)

    kept, wrong = asyncio.run(what_is_there(tmp_path))

    assert len(acknowledged) > 20
    assert acknowledged <= kept
    assert not wrong


def received(pipe: Connection) -> Iterator[str]:
    while True:
        try:
            yield pipe.recv()
        except (EOFError, OSError):
            return


def acknowledge_for_ever(directory: Path, round_: int, pipe: Connection) -> None:
    """Be a process that submits, says so, and never stops."""
    asyncio.run(_acknowledge_for_ever(directory, round_, pipe))


async def _acknowledge_for_ever(directory: Path, round_: int, pipe: Connection) -> None:
    async with opened(directory) as store:
        if await store.account("acct_ada") is None:
            await fund(store, "ada", amount=10**12)

        async def one_after_another(lane: int) -> None:
            for n in range(10_000):
                task = an_order(n=(round_ * 100 + lane) * 10_000 + n)
                await submit(store, task)
                pipe.send(task.id)
                await end(store, await send(store, task))

        await asyncio.gather(*(one_after_another(lane) for lane in range(4)))


async def what_is_there(directory: Path) -> tuple[set[str], list[Finding]]:
    async with opened(directory) as store:
        books = await store.books()
        return {task.id for task in books.tasks}, await findings(store)


# --- rows that were tampered with ---------------------------------------------------------------


@pytest.mark.parametrize("statement", ["UPDATE transfers SET amount = 0", "DELETE FROM transfers"])
async def test_the_database_itself_refuses_to_change_a_transfer(
    tmp_path: Path, store: SqliteStore, statement: str
) -> None:
    with apsw.Connection(str(tmp_path / DATABASE)) as db, pytest.raises(apsw.ConstraintError):
        db.execute(statement)


COLUMNS = "id kind account_id debit credit amount releases task_id memo at seq hash".split()


@pytest.fixture
async def books(tmp_path: Path) -> Path:
    """Return the folder of a database with some history, which is clean."""
    directory = tmp_path / "original"
    async with opened(directory) as store:
        await fund(store, "ada", "ben")
        await committed(
            store,
            Change(transfers=(ledger.grant("acct_ada", 7, unique="x", at=NOON, memo="a gift"),)),
        )
        ends = [Status.SUCCEEDED, Status.FAILED, Status.CANCELLED, None]
        for n in range(24):
            task = an_order("ada" if n % 3 else "ben", n, price=100 + n)
            await submit(store, task)
            status = ends[n % 4]
            if status is not None:
                await end(store, await send(store, task), status)
        assert not await findings(store)
    return directory


@pytest.mark.parametrize("seed", range(4))
async def test_the_audit_names_every_row_that_was_tampered_with(
    tmp_path: Path, books: Path, seed: int
) -> None:
    """L-5: 100 random mutations in all, 100 found."""
    chance = random.Random(seed)
    for n in range(25):
        directory = tmp_path / str(n)
        shutil.copytree(books, directory)
        tamper = chance.choice([flip_a_bit, flip_a_bit, delete_the_last_row, swap_two_rows])
        with apsw.Connection(str(directory / DATABASE)) as db:
            db.execute("DROP TRIGGER transfers_stay; DROP TRIGGER transfers_remain")
            db.execute("PRAGMA ignore_check_constraints = ON")
            what, names = tamper(db, chance)
        db.close()

        async with opened(directory, serving=False) as store:
            named = {finding.row for finding in await findings(store)}

        assert names <= named, f"{what}: found only {named}"


Tampered = tuple[str, set[str]]


def flip_a_bit(db: apsw.Connection, chance: random.Random) -> Tampered:
    """Flip one bit of one column of one row; return what was done, and the id the row has then."""
    column = chance.choice(COLUMNS)
    found: list[Any] = db.execute(
        f"SELECT rowid, CAST({column} AS BLOB), typeof({column}) FROM transfers "  # noqa: S608
        f"WHERE length({column}) > 0"
    ).fetchall()
    rowid, value, kind = chance.choice(found)
    if kind == "integer":
        lowest = 8 if column == "seq" else 0  # no two rows can be in one place
        number = int(value) ^ (1 << chance.randrange(lowest, 63))
        db.execute(f"UPDATE transfers SET {column} = ? WHERE rowid = ?", (number, rowid))  # noqa: S608
    else:
        changed = bytearray(value)
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
        to = "TEXT" if kind == "text" else "BLOB"
        db.execute(
            f"UPDATE transfers SET {column} = CAST(? AS {to}) WHERE rowid = ?",  # noqa: S608
            (bytes(changed), rowid),
        )
    name = db.execute("SELECT CAST(id AS BLOB) FROM transfers WHERE rowid = ?", (rowid,)).get
    return f"a bit of {column} in row {rowid}", {bytes(name).decode(errors="replace")}


def delete_the_last_row(db: apsw.Connection, chance: random.Random) -> Tampered:
    """Delete the end of somebody's chain: only the account can still tell."""
    account_id = chance.choice(["acct_ada", "acct_ben"])
    db.execute(
        "DELETE FROM transfers WHERE account_id = ?1 "
        "AND seq = (SELECT max(seq) FROM transfers WHERE account_id = ?1)",
        (account_id,),
    )
    return f"the last row of {account_id}", {account_id}


def swap_two_rows(db: apsw.Connection, chance: random.Random) -> Tampered:
    """Let two rows of one account change places."""
    rows: list[Any] = db.execute(
        "SELECT rowid, id, seq FROM transfers WHERE account_id = 'acct_ada'"
    ).fetchall()
    (first, name, place), (second, other_name, other_place) = chance.sample(rows, 2)
    for rowid, seq in ((first, -1), (second, place), (first, other_place)):
        db.execute("UPDATE transfers SET seq = ? WHERE rowid = ?", (seq, rowid))
    return f"rows {place} and {other_place}", {name, other_name}


async def test_a_balance_that_was_changed_is_found(books: Path) -> None:
    with apsw.Connection(str(books / DATABASE)) as db:
        db.execute("UPDATE accounts SET balance = balance + 1 WHERE id = 'acct_ben'")
    db.close()

    async with opened(books) as store:
        (finding,) = await findings(store)

    assert finding.row == "acct_ben"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE tasks SET status = 'failed' WHERE status = 'succeeded'",
        "UPDATE tasks SET status = 'succeeded' WHERE status = 'cancelled'",
        "UPDATE tasks SET charged = charged + 1 WHERE status = 'succeeded'",
        "UPDATE tasks SET held = held + 1",
        "UPDATE tasks SET status = 'running' WHERE status = 'failed'",
        "UPDATE tasks SET status = 'failed' WHERE status = 'queued'",
        "DELETE FROM tasks WHERE status = 'succeeded'",
    ],
)
async def test_a_task_that_does_not_match_its_transfers_is_found(books: Path, statement: str) -> None:
    with apsw.Connection(str(books / DATABASE)) as db:
        db.execute(statement)
        changed = db.changes()
    db.close()

    async with opened(books) as store:
        found = await findings(store)

    assert changed == 6 or statement.startswith("UPDATE tasks SET held")
    assert len(found) == changed
