"""Rolling upgrades: a migration comes while others serve by the schema before, and both go on together."""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, TypeVar

import asyncpg
import pytest
from structlog.testing import capture_logs

from filmgate.core.admission import Limits
from filmgate.core.errors import StoreUnavailable
from filmgate.core.task import Status, Task
from filmgate.ports.store import Committed, Replayed
from filmgate.store.postgres import PostgresStore
from filmgate.store.postgres.connection import Database
from filmgate.store.postgres.schema import Migration, built_in, migrate, version_of
from tests.fakes import NOON
from tests.postgres import Server
from tests.stores import a_claim, an_order, end, findings, fund, send, submit

ROOMY: Final = Limits(account_concurrency=10_000, account_queue=10_000, provider_slots={"sandbox": 10_000})
NOW: Final = built_in()[-1][0]  # the schema that this code was written for
CLIENTS: Final = 4  # of each store
SIDE_BY_SIDE_S: Final = 1.0
LONGEST_S: Final = 5.0  # that anybody may be kept waiting

T = TypeVar("T")


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with capture_logs():
        yield


@pytest.fixture(name="upgrade")
def _upgrade(postgres: Server, migrated: str) -> Migration:
    """Return a next migration: a column, an index on it, a commit that fills it; nothing is taken away."""
    ((commit,),) = postgres.sql("SELECT pg_get_functiondef('commit_change_v1'::regproc)", url=migrated)
    saved = "outcome := submit_v1(change, task, limits);"
    assert commit.count(saved) == 1, "the place where a new task is saved"
    filling = "UPDATE tasks SET tone = 'warm' WHERE id = task.id;"
    script = f"""
        ALTER TABLE tasks ADD COLUMN tone text;
        CREATE INDEX tasks_of_tone ON tasks (tone) WHERE tone IS NOT NULL;
        {commit.replace(saved, f"{saved} {filling}")};
    """
    return NOW + 1, script


def lasting(upgrade: Migration) -> Migration:
    """Return a migration that takes half a second from its last statement to its commit."""
    number, script = upgrade
    return number, f"{script} SELECT pg_sleep(0.5);"


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[PostgresStore]:
    """Open the store as one process does."""
    store = PostgresStore(Database(url), limits=ROOMY)
    try:
        yield store
    finally:
        await store.close()


@dataclass(slots=True)
class Load:
    """Clients of several stores: they submit, replay, run and end tasks, and try again at most once."""

    over: bool = False
    upgraded: bool = False
    ids: dict[str, str] = field(default_factory=dict)  # task by idempotency key
    late: set[str] = field(default_factory=set)  # of those, the ones begun after the upgrade
    done: Counter[str] = field(default_factory=Counter)  # by whom
    again: int = 0
    longest_s: float = 0.0
    numbers: Iterator[int] = field(default_factory=itertools.count)

    async def run(self, who: str, store: PostgresStore, client: int) -> None:
        """Be one client."""
        for n in itertools.count():
            if self.over:
                return
            await self._one(store, f"{who}-{client}-{n}")
            self.done[who] += 1

    async def _one(self, store: PostgresStore, token: str) -> None:
        first, late = an_order(n=next(self.numbers)), self.upgraded
        answer = await self._answered(lambda: submit(store, first, a_claim(first, token)))
        assert isinstance(answer, Committed | Replayed), answer
        task_id = answer.task.id if isinstance(answer, Replayed) else first.id
        second = an_order(n=next(self.numbers))
        replayed = await self._answered(lambda: submit(store, second, a_claim(second, token)))
        assert isinstance(replayed, Replayed)
        assert replayed.task.id == task_id

        async def finish() -> Task:
            task = await store.task(task_id)
            assert task is not None
            while not task.ended and not await store.attempts(task_id):
                await store.admit(NOON)
            if task.status is Status.QUEUED:
                task = await send(store, task)
            return task if task.ended else await end(store, task)

        assert (await self._answered(finish)).charged == 10
        self.ids[token] = task_id
        if late:
            self.late.add(task_id)

    async def _answered(self, do: Callable[[], Awaitable[T]]) -> T:
        began = time.monotonic()
        try:
            try:
                return await do()
            except StoreUnavailable:
                self.again += 1
                return await do()
        finally:
            self.longest_s = max(self.longest_s, time.monotonic() - began)


async def test_who_serves_by_the_schema_before_goes_on_during_an_upgrade_and_beside_the_new(
    migrated: str, upgrade: Migration
) -> None:
    """D-10."""
    async with opened(migrated) as old, opened(migrated) as other, opened(migrated) as new:
        await fund(old, "ada", amount=10**9)
        load = Load()
        async with asyncio.TaskGroup() as group:

            def begin(who: str, store: PostgresStore) -> None:
                for client in range(CLIENTS):
                    group.create_task(load.run(who, store, client))

            begin("old", old)
            begin("other", other)
            await asyncio.sleep(SIDE_BY_SIDE_S)
            before = set(load.ids.values())
            assert await migrate(Database(migrated), (*built_in(), lasting(upgrade))) == NOW + 1
            load.upgraded = True
            at_upgrade = Counter(load.done)
            begin("new", new)
            await asyncio.sleep(SIDE_BY_SIDE_S)
            # What starts now, old or new, finds the schema of another number, and lives with it.
            assert await migrate(Database(migrated)) == NOW + 1
            assert await version_of(new._db) == NOW + 1
            load.over = True

        assert all(load.done[who] > at_upgrade[who] for who in ("old", "other", "new"))
        assert load.longest_s < LONGEST_S
        found = dict(await old._db.fetch("SELECT id, tone FROM tasks"))
        assert found.keys() == set(load.ids.values())
        assert {found[task_id] for task_id in before} == {None}
        assert {found[task_id] for task_id in load.late} == {"warm"}, "whoever saves them"
        account = await old.account("acct_ada")
        assert account is not None
        assert (account.balance, account.held) == (10**9 - 10 * len(found), 0)
        assert (await new.standing()).jobs == 0
        assert not await findings(new)
    print(f"{dict(load.done)} tasks, {load.again} requests sent again, {load.longest_s:.2f} s at most")


async def test_a_change_that_comes_in_the_middle_of_an_upgrade_is_saved_by_the_schema_after_it(
    migrated: str, upgrade: Migration
) -> None:
    async with opened(migrated) as store, opened(migrated) as looking:
        await fund(store, "ada")
        sent = an_order(n=1)
        await submit(store, sent)
        sent = await send(store, sent)

        upgrading = asyncio.create_task(migrate(Database(migrated), (*built_in(), lasting(upgrade))))
        while not await looking._db.fetch(_TAKEN):  # noqa: ASYNC110  (nothing else tells)
            await asyncio.sleep(0.01)
        outcome, ended = await asyncio.gather(submit(store, an_order(n=2)), end(store, sent))

        assert upgrading.done()
        assert await upgrading == NOW + 1
        assert isinstance(outcome, Committed)
        assert ended.status is Status.SUCCEEDED
        assert len(await store._db.fetch("SELECT 1 FROM tasks WHERE tone = 'warm'")) == 1
        assert not await findings(store)


_TAKEN: Final = """
    SELECT 1 FROM pg_locks WHERE relation = 'tasks'::regclass AND mode = 'AccessExclusiveLock' AND granted
"""


async def test_many_who_start_at_once_upgrade_once(database: str, upgrade: Migration) -> None:
    made = await asyncio.gather(
        *(migrate(Database(database), (*built_in(), upgrade)) for _ in range(6)),
        *(migrate(Database(database)) for _ in range(6)),
    )

    assert set(made[:6]) == {NOW + 1}
    connection = await asyncpg.connect(database)
    applied = await connection.fetch("SELECT version FROM schema_versions ORDER BY version")
    await connection.close()
    assert [version for (version,) in applied] == list(range(1, NOW + 2))


async def test_a_migration_that_fails_leaves_nothing_and_can_be_mended(
    migrated: str, upgrade: Migration
) -> None:
    number, script = upgrade
    broken = (number, f"{script}; SELECT 1 / 0")

    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(Database(migrated), (*built_in(), broken))

    async with opened(migrated) as store:
        assert await version_of(store._db) == NOW
        await fund(store, "ada")
        assert isinstance(await submit(store, an_order()), Committed)
        assert await migrate(Database(migrated), (*built_in(), upgrade)) == NOW + 1
        assert isinstance(await submit(store, an_order(n=2)), Committed)


async def test_code_that_is_too_old_for_the_database_is_refused(migrated: str, upgrade: Migration) -> None:
    await migrate(Database(migrated), (*built_in(), upgrade))
    assert await migrate(Database(migrated)) == NOW + 1, "one step apart, both may run"
    async with opened(migrated) as store:
        await store._db.fetch("UPDATE schema_versions SET oldest_code = version WHERE version = $1", NOW + 1)

    with pytest.raises(StoreUnavailable, match=f"needs Filmgate code {NOW + 1} or later"):
        await migrate(Database(migrated))

    assert await migrate(Database(migrated), (*built_in(), upgrade)) == NOW + 1


@asynccontextmanager
async def reading(url: str) -> AsyncIterator[None]:
    """Keep every row readable as of now, and so the table open, as a backup does for minutes."""
    backup = await asyncpg.connect(url)
    try:
        async with backup.transaction(isolation="repeatable_read", readonly=True):
            await backup.fetch("SELECT count(*) FROM tasks")
            yield
    finally:
        await backup.close()


async def test_while_an_upgrade_waits_for_a_long_reader_nobody_else_waits(
    migrated: str, upgrade: Migration
) -> None:
    async with opened(migrated) as store:
        await fund(store, "ada", amount=10**9)
        longest_s = 0.0
        async with reading(migrated):
            upgrading = asyncio.create_task(migrate(Database(migrated), (*built_in(), upgrade)))
            until = time.monotonic() + SIDE_BY_SIDE_S * 4
            for n in itertools.count():
                began = time.monotonic()
                if began > until:
                    break
                assert isinstance(await submit(store, an_order(n=n)), Committed)
                longest_s = max(longest_s, time.monotonic() - began)
                await asyncio.sleep(0.05)
            assert not upgrading.done()

        async with asyncio.timeout(LONGEST_S):
            assert await upgrading == NOW + 1
    assert longest_s < LONGEST_S
