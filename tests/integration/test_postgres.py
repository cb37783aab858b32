"""The PostgreSQL store when the way to it is cut, the server dies, and everybody comes at once."""

import asyncio
import itertools
import os
import random
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Final, TypeVar

import pytest
from structlog.testing import capture_logs

from filmgate.core import ledger
from filmgate.core.admission import Limits
from filmgate.core.attempt import Outcome
from filmgate.core.change import Change, Namespace, advance, aside, submission
from filmgate.core.delivery import Try
from filmgate.core.errors import Conflict, InsufficientCredits, LeaseLost, StoreUnavailable
from filmgate.core.keys import Key
from filmgate.core.ledger import Account
from filmgate.core.task import Phase, Status, Task
from filmgate.ports.store import Committed, DeliveryQuery, Refused, Replayed, Store
from filmgate.ports.store import Outcome as Answer
from filmgate.store.postgres import PostgresStore, connection, open_store
from filmgate.store.postgres.connection import Database
from filmgate.store.sqlite import SqliteStore
from tests.fakes import NOON, an_output
from tests.postgres import Server, migrated, server
from tests.postgres_proxy import Cut, Proxy
from tests.stores import (
    a_claim,
    an_order,
    available,
    committed,
    end,
    ended,
    findings,
    fund,
    refusal,
    send,
    submit,
)

CUTS: Final = int(os.environ.get("FILMGATE_TEST_CUTS", "6"))  # of each kind of change
KILLS: Final = int(os.environ.get("FILMGATE_TEST_POSTGRES_KILLS", "3"))
ROOMY: Final = Limits(account_concurrency=10_000, account_queue=10_000, provider_slots={"sandbox": 10_000})
BACK_WITHIN_S: Final = 5.0
CLIENTS: Final = 8

T = TypeVar("T")


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with capture_logs():
        yield


@pytest.fixture(name="chance")
def _chance() -> random.Random:
    seed = int(os.environ.get("FILMGATE_TEST_SEED", "0")) or random.randrange(2**32)
    print(f"seed {seed}: FILMGATE_TEST_SEED={seed} repeats the choices")
    return random.Random(seed)


@asynccontextmanager
async def opened(url: str, limits: Limits = ROOMY) -> AsyncIterator[PostgresStore]:
    """Open the store as one process does."""
    store = PostgresStore(Database(url), limits=limits)
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture(name="direct")
async def _direct(migrated: str) -> AsyncIterator[PostgresStore]:
    """Return a store that nothing comes between."""
    async with opened(migrated) as store:
        await fund(store, "ada", "ben", amount=1_000_000)
        yield store


@pytest.fixture(name="proxy")
async def _proxy(migrated: str) -> AsyncIterator[Proxy]:
    proxy = Proxy(migrated)
    await proxy.listen()
    yield proxy
    await proxy.close()


@pytest.fixture(name="far")
async def _far(proxy: Proxy, direct: PostgresStore) -> AsyncIterator[PostgresStore]:
    """Return a store over the same database, by the way that can be cut."""
    async with opened(proxy.url) as store:
        yield store


# --- a commit whose answer is lost --------------------------------------------------------------
#
# Each of these returns change number `n` of its kind, after it has prepared what must be there for it.

Prepare = Callable[[Store, int], Awaitable[Change]]


async def a_submission(_: Store, n: int) -> Change:
    return submission(an_order(n=n))


async def a_claimed_submission(_: Store, n: int) -> Change:
    task = an_order(n=n)
    header = a_claim(task, f"header-{n}", namespace=Namespace.HEADER, expires_at=NOON + timedelta(days=7))
    return submission(task, claims=(a_claim(task, f"mine-{n}"), header))


async def progress(store: Store, n: int) -> Change:
    task = await a_running_task(store, n)
    return advance(task, task.still(at=NOON, phase=Phase.GENERATING, progress=50), lease_no=1)


async def an_end(store: Store, n: int) -> Change:
    task = await a_running_task(store, n)
    (attempt,) = await store.attempts(task.id)
    after = replace(ended(task, Status.SUCCEEDED), outputs=(an_output(),))
    return advance(task, after, lease_no=1, attempts=(attempt.close(Outcome.SUCCEEDED, at=NOON),))


async def a_cancel(store: Store, n: int) -> Change:
    task = await a_running_task(store, n)
    return advance(task, ended(task, Status.CANCELLED))


async def an_attempt(store: Store, n: int) -> Change:
    task = await a_running_task(store, n)
    await committed(store, advance(task, ended(task, Status.CANCELLED)))
    (attempt,) = await store.attempts(task.id)
    return aside(attempt.close(Outcome.CANCELLED, at=NOON), lease_no=1)


async def a_gift(_: Store, n: int) -> Change:
    return Change(transfers=(ledger.grant("acct_ada", 5, unique=f"gift-{n}", at=NOON, memo="für Ada"),))


async def a_key_with_its_account(_: Store, n: int) -> Change:
    account = Account(id=f"acct_new{n}", name=f"new {n}")
    key = Key(id=f"id{n}", identity=f"key_{n}", account_id=account.id, name="k", hash=b"h", created_at=NOON)
    gift = ledger.grant(account.id, 7, unique=f"new-{n}", at=NOON)
    return Change(accounts=(account,), keys=(key,), transfers=(gift,))


async def a_revocation(store: Store, n: int) -> Change:
    made = await a_key_with_its_account(store, n)
    await committed(store, made)
    return Change(keys=(replace(made.keys[0], revoked_at=NOON),))


async def a_delivery(store: Store, n: int) -> Change:
    task = await a_running_task(store, n, callback_url="https://example.com/hook")
    await end(store, task)
    (delivery,) = await store.deliveries(DeliveryQuery(task_id=task.id))
    return Change(deliveries=(delivery.tried(Try(at=NOON, took_s=0.1, status=200), chance=0.5),))


async def a_submission_nobody_can_pay(_: Store, n: int) -> Change:
    task = an_order(n=n, price=10**12)
    return submission(task, claims=(a_claim(task, f"dear-{n}"),))


async def a_change_that_came_too_late(store: Store, n: int) -> Change:
    task = await a_running_task(store, n)
    await end(store, task)
    return advance(task, replace(ended(task, Status.FAILED), progress=1))


async def a_running_task(store: Store, n: int, **changes: object) -> Task:
    task = an_order(n=n, **changes)  # type: ignore[arg-type]
    await submit(store, task)
    while not await store.attempts(task.id):  # others may wait before it
        await store.admit(NOON)
    return await send(store, task, lease_no=1)


KINDS: Final[dict[Prepare, type[Exception] | None]] = {
    a_submission: None,
    a_claimed_submission: None,
    progress: None,
    an_end: None,
    a_cancel: None,
    an_attempt: None,
    a_gift: None,
    a_key_with_its_account: None,
    a_revocation: None,
    a_delivery: None,
    a_submission_nobody_can_pay: InsufficientCredits,
    a_change_that_came_too_late: Conflict,
}


async def is_there(store: PostgresStore, change: Change) -> bool:
    """Say whether all of a change is in the database; fail if a part of it is."""
    parts: list[bool] = []
    if change.task is not None:
        events = await store.events(change.task.id, after=change.task.version - 1)
        parts.append(tuple(events[:1]) == change.events)
        if not change.was_version:
            parts.append(await store.task(change.task.id) is not None)
    for claim in change.claims:
        named = await store.task_named(claim.key_id, claim.namespace, claim.token)
        parts.append(named is not None and change.task is not None and named.id == change.task.id)
    for transfer in change.transfers:
        found = await store._db.fetch("SELECT kind FROM transfers WHERE id = $1", transfer.id)
        parts.append([kind for (kind,) in found] == [transfer.kind])
    parts += [await store.delivery(delivery.id) == delivery for delivery in change.deliveries]
    parts += [await store.key(key.id) == key for key in change.keys]
    parts += [await store.account(account.id) is not None for account in change.accounts]
    parts += [attempt in await store.attempts(attempt.task_id) for attempt in change.attempts]
    assert len(set(parts)) == 1, f"of one change a part is there, and a part is not: {parts}"
    return parts[0]


def cuts(chance: random.Random, asked: int, answered: int) -> list[Cut]:
    """Return where to cut a statement of so many bytes, and its answer; always at both ends of it."""
    everywhere = [Cut(asked=0), Cut(answered=0), Cut(answered=answered - 1)]
    while len(everywhere) < CUTS:
        everywhere.append(Cut(asked=chance.randrange(asked)))
        everywhere.append(Cut(answered=chance.randrange(answered)))
    return everywhere


@pytest.mark.parametrize("prepare", KINDS, ids=lambda kind: kind.__name__)
async def test_wherever_the_way_is_cut_the_answer_is_what_is_in_the_database(
    prepare: Prepare, proxy: Proxy, far: PostgresStore, direct: PostgresStore, chance: random.Random
) -> None:
    error = KINDS[prepare]
    await far.commit(await prepare(direct, 1))  # what a connection needs once has been done
    proxy.arm(None)
    await far.commit(await prepare(direct, 2))
    where = cuts(chance, proxy.asked, proxy.answered)

    for n, cut in enumerate(where, start=3):
        change = await prepare(direct, n)
        before = proxy.cuts
        proxy.arm(cut)

        answer = await far.commit(change)

        assert proxy.cuts == before + 1, f"{cut} was never reached"
        if error is None:
            assert isinstance(answer, Committed), (cut, answer)
            assert await is_there(direct, change), cut
        else:
            assert isinstance(answer, Refused), (cut, answer)
            assert isinstance(answer.error, error), (cut, answer)
            assert not await is_there(direct, change), cut
    assert not await findings(direct)


async def test_a_replay_whose_answer_is_lost_is_a_replay(
    proxy: Proxy, far: PostgresStore, direct: PostgresStore
) -> None:
    first = an_order(n=1)
    await submit(far, first, a_claim(first))

    for n, cut in enumerate((Cut(asked=0), Cut(answered=0)), start=2):
        again = an_order(n=n)
        proxy.arm(cut)

        assert await submit(far, again, a_claim(again)) == Replayed(task=first)
        assert await direct.task(again.id) is None
    assert proxy.cuts == 2


async def test_many_changes_that_are_cut_off_together_are_each_answered_truly(
    proxy: Proxy, far: PostgresStore, direct: PostgresStore, chance: random.Random
) -> None:
    numbers = itertools.count(1)

    async def some() -> list[Change]:
        kinds = [kind for kind in KINDS if kind is not a_change_that_came_too_late] * 3
        return [await kind(direct, next(numbers)) for kind in kinds]

    await asyncio.gather(*map(far.commit, await some()))
    proxy.arm(None)
    await asyncio.gather(*map(far.commit, await some()))
    where = cuts(chance, proxy.asked // 2, proxy.answered // 2)  # how they are grouped is chance

    for cut in where:
        changes = await some()
        proxy.arm(cut)

        answers = await asyncio.gather(*map(far.commit, changes), return_exceptions=True)

        for change, answer in zip(changes, answers, strict=True):
            assert isinstance(answer, Committed) is await is_there(direct, change), (cut, answer)
            match answer:
                case Committed() | Refused(error=InsufficientCredits()):
                    pass
                case StoreUnavailable():  # it was not sent: the cut came while its lane connected anew
                    assert type(answer) is StoreUnavailable
                case _:
                    raise AssertionError(answer)
    # Who goes with whom in a statement is chance, and with it how many bytes there are to be cut.
    assert proxy.cuts > len(where) / 2
    assert not await findings(direct)


async def test_what_was_taken_over_before_it_could_be_done_again_is_refused(
    proxy: Proxy, far: PostgresStore, direct: PostgresStore
) -> None:
    await far.commit(await progress(direct, 1))
    for n, prepare in enumerate((progress, an_end, an_attempt), start=2):
        change = await prepare(direct, n)
        proxy.arm(Cut(asked=0))
        committing = asyncio.create_task(far.commit(change))
        await until_cut(proxy, n - 1)
        await direct.take_over()
        proxy.open.set()

        answer = await committing

        assert isinstance(answer, Refused), prepare
        assert isinstance(answer.error, LeaseLost), prepare
        assert not await is_there(direct, change), prepare


async def until_cut(proxy: Proxy, times: int) -> None:
    """Wait for the cut; nothing is passed on from then, until the proxy is opened again."""
    async with asyncio.timeout(10):
        while proxy.cuts < times:  # noqa: ASYNC110  (it happens between two sockets)
            await asyncio.sleep(0.005)
    proxy.open.clear()


async def test_a_database_that_falls_silent_in_the_middle_is_unavailable(
    proxy: Proxy, far: PostgresStore, direct: PostgresStore
) -> None:
    await far.commit(await a_gift(direct, 1))
    change = await a_gift(direct, 2)
    proxy.arm(Cut(answered=0))
    committing = asyncio.create_task(far.commit(change))
    await until_cut(proxy, 1)

    with pytest.raises(StoreUnavailable):
        await committing

    proxy.open.set()
    assert await is_there(direct, change), "it was done, and nobody could say so"
    assert isinstance(await refusal(far, change), Conflict), "to ask again is safe"


# --- a server that stops, or dies ---------------------------------------------------------------


@pytest.fixture(name="own")
def _own() -> Iterator[Server]:
    with server() as own:
        yield own


async def test_while_the_server_is_stopped_everything_is_unavailable_and_then_all_goes_on(
    own: Server,
) -> None:
    async with opened(own.create_database(template=migrated)) as store:
        await fund(store, "ada")
        task = an_order(n=1)
        await submit(store, task)
        await asyncio.to_thread(own.stop)  # meanwhile the store hears that its connections have ended

        began = time.monotonic()
        for call in (
            lambda: submit(store, an_order(n=2)),
            lambda: store.task(task.id),
            lambda: store.events(task.id),
            lambda: store.admit(NOON),
            lambda: store.key("none"),
            store.take_over,
            lambda: store.collect(["a"]),
            store.ready,
            store.standing,
        ):
            with pytest.raises(StoreUnavailable):
                await call()
        unavailable_s = time.monotonic() - began
        await asyncio.to_thread(own.start)
        began = time.monotonic()
        await store.ready()
        assert isinstance(await submit(store, an_order(n=2)), Committed)
        assert await store.task(task.id) == task
        assert time.monotonic() - began < BACK_WITHIN_S

    assert unavailable_s < 5, "nobody is kept waiting for what is not there"


async def test_what_is_under_way_when_the_server_goes_and_stays_away_is_unavailable_in_seconds(
    own: Server,
) -> None:
    url = own.create_database(template=migrated)
    proxy = Proxy(url)
    await proxy.listen()
    async with opened(proxy.url) as store:
        await fund(store, "ada")
        proxy.arm(Cut(asked=0))
        began = time.monotonic()
        committing = asyncio.create_task(submit(store, an_order(n=1)))
        await until_cut(proxy, 1)
        await asyncio.to_thread(own.stop)
        proxy.open.set()

        with pytest.raises(StoreUnavailable):
            await committing

    assert time.monotonic() - began < 15
    await proxy.close()


class Load:
    """Clients that submit, run and end tasks by several stores, and ask again until they are answered."""

    def __init__(self, stores: Sequence[PostgresStore]) -> None:
        self.stores = stores
        self.over = False
        self.accepted: dict[str, set[str]] = {}  # task ids by idempotency key
        self.charged = 0
        self.unavailable = 0
        self.answered_at = 0.0
        self._numbers = itertools.count()

    async def run(self, client: int) -> None:
        store = self.stores[client % len(self.stores)]
        for n in itertools.count():
            if self.over:
                return
            await self._one(store, f"{client}-{n}")

    async def _one(self, store: PostgresStore, token: str) -> None:
        async def place() -> Answer:
            task = an_order(n=next(self._numbers))  # as a client's retry: another task, under the same key
            return await submit(store, task, a_claim(task, token))

        async def find() -> Task:
            named = await store.task_named("key_ada", Namespace.OUT_TASK_ID, token)
            assert named is not None, f"{token} was accepted, and is lost"
            return named

        async def finish() -> Task:
            now = await find()
            while not now.ended and not await store.attempts(now.id):
                await store.admit(NOON)
            if now.status is Status.QUEUED:
                now = await send(store, now)
            return now if now.ended else await end(store, now)

        answer = await self._until_answered(place)
        assert isinstance(answer, Committed | Replayed), answer
        ids = self.accepted.setdefault(token, set())
        ids.add((await self._until_answered(find)).id)
        if isinstance(answer, Replayed):
            ids.add(answer.task.id)
        charged = (await self._until_answered(finish)).charged
        self.charged += charged

    async def _until_answered(self, do: Callable[[], Awaitable[T]]) -> T:
        while True:
            try:
                answer = await do()
            except StoreUnavailable:
                self.unavailable += 1
                await asyncio.sleep(0.02)
            else:
                self.answered_at = time.monotonic()
                return answer


async def test_a_start_without_an_answer_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "CONNECT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://filmgate@127.0.0.1:{silent.getsockname()[1]}/filmgate"

        with pytest.raises(StoreUnavailable, match="database: it does not answer"):
            await open_store(url, limits=Limits())


async def test_a_server_that_is_killed_under_load_loses_nothing_and_doubles_nothing(
    own: Server, chance: random.Random
) -> None:
    url = own.create_database(template=migrated)
    back_s = []
    async with opened(url) as one, opened(url) as other:
        await fund(one, "ada", amount=10**12)
        load = Load((one, other))
        async with asyncio.TaskGroup() as group:
            for client in range(CLIENTS):
                group.create_task(load.run(client))
            for _ in range(KILLS):
                await asyncio.sleep(chance.uniform(0.3, 1.0))
                own.kill()
                await asyncio.to_thread(own.start)
                up_at = time.monotonic()
                while load.answered_at < up_at:  # noqa: ASYNC110  (a client notes it)
                    await asyncio.sleep(0.01)
                back_s.append(load.answered_at - up_at)
            await asyncio.sleep(0.3)
            load.over = True

        standing = await one.standing()
        account = await one.account("acct_ada")
        assert account is not None
        assert {len(ids) for ids in load.accepted.values()} == {1}
        assert (standing.tasks, standing.jobs, standing.waiting) == (len(load.accepted), 0, 0)
        assert (account.balance, account.held) == (10**12 - load.charged, 0)
        assert load.charged == 10 * len(load.accepted)
        assert load.unavailable, "the kills must have been felt"
        assert max(back_s) < BACK_WITHIN_S
        assert not await findings(one)
    print(
        f"{KILLS} kills, answers again after at most {max(back_s):.2f} s; "
        f"{len(load.accepted)} tasks, {load.unavailable} times unavailable"
    )


# --- everybody at once --------------------------------------------------------------------------


async def test_sixty_four_who_spend_the_last_hundred_credits_spend_a_hundred(migrated: str) -> None:
    """L-2."""
    numbers = itertools.count()
    async with opened(migrated) as one, opened(migrated) as other:
        await fund(one, "ada", amount=100)

        async def spend(store: PostgresStore) -> list[Answer]:
            return [await submit(store, an_order(n=next(numbers), price=1)) for _ in range(10)]

        spent = await asyncio.gather(*(spend(store) for store in (one, other) for _ in range(32)))

        answers = [answer for some in spent for answer in some]
        refused = [answer.error for answer in answers if isinstance(answer, Refused)]
        assert len(answers) - len(refused) == 100
        assert {type(error) for error in refused} == {InsufficientCredits}
        assert await available(other) == 0
        assert not await findings(one)


async def test_a_hundred_keys_from_eight_connections_each_are_a_hundred_tasks(migrated: str) -> None:
    """I-1."""
    async with opened(migrated) as one, opened(migrated) as other:
        await fund(one, "ada", amount=1_000_000)
        orders = [(f"key-{n // 8}", an_order(n=n), (one, other)[n % 2]) for n in range(800)]

        answers = await asyncio.gather(
            *(submit(store, task, a_claim(task, key)) for key, task, store in orders)
        )

        ids: dict[str, set[str]] = {}
        for (key, task, _), answer in zip(orders, answers, strict=True):
            assert isinstance(answer, Committed | Replayed), answer
            ids.setdefault(key, set()).add(answer.task.id if isinstance(answer, Replayed) else task.id)
        assert Counter(map(type, answers)) == {Committed: 100, Replayed: 700}
        assert {len(of_key) for of_key in ids.values()} == {1}
        assert (await one.standing()).tasks == 100
        assert await available(one) == 1_000_000 - 100 * 10
        assert not await findings(one)


# --- one history on two stores ------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
async def test_one_history_makes_the_same_books_on_both_stores(
    migrated: str, tmp_path: Path, seed: int
) -> None:
    sqlite = SqliteStore.open(tmp_path, limits=ROOMY, serving=True)
    async with opened(migrated) as postgres:
        for store in (sqlite, postgres):
            await live_through(store, random.Random(seed))

        books = [await store.books() for store in (sqlite, postgres)]
        ledgers = [(list(one.accounts), list(one.rows), list(one.tasks)) for one in books]

    await sqlite.close()
    assert ledgers[0] == ledgers[1], "balances, rows, and every hash of every chain"
    assert len(ledgers[0][1]) > 50


async def live_through(store: Store, chance: random.Random) -> None:
    """Do what happens to accounts: gifts, holds, ends of all kinds, and what is refused."""
    names = ("ada", "ben", "Zoë \U0001f3ac")
    await fund(store, *names, amount=3_000)
    at = NOON
    for n in range(60):
        at += timedelta(microseconds=chance.randrange(1, 10**12))
        name = chance.choice(names)
        if chance.random() < 0.2:
            memo = chance.choice(["", "für Zoë", "日本 \U0001f30a", "a\nb"])
            gift = ledger.grant(f"acct_{name}", chance.randrange(2**40), unique=f"{n % 9}", at=at, memo=memo)
            await store.commit(Change(transfers=(gift,)))
            continue
        task = an_order(name, n, price=chance.choice([0, 1, 999, 2**33]), created_at=at, updated_at=at)
        if isinstance(await submit(store, task), Refused) or chance.random() < 0.2:
            continue
        running = await send(store, task)
        status = chance.choice([Status.SUCCEEDED, Status.FAILED, Status.CANCELLED])
        charged = chance.randrange(task.quote.amount + 1)
        await committed(store, advance(running, ended(running, status, charged=charged)))
