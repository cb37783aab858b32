"""What every store promises: the judge of balance, caps, uniqueness, versions and leases."""

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from filmgate.core import ledger, rate
from filmgate.core.admission import Limits
from filmgate.core.attempt import Attempt, Outcome
from filmgate.core.change import Change, Namespace, advance, aside, submission, tidying
from filmgate.core.delivery import Delivery, DeliveryState, Try, event_id
from filmgate.core.errors import Conflict, IdempotencyMismatch, InsufficientCredits, LeaseLost, QueueFull
from filmgate.core.events import EventKind
from filmgate.core.generation import Media, MediaKind, OutputKind
from filmgate.core.keys import Key
from filmgate.core.signing import Signing
from filmgate.core.task import TERMINAL, Phase, Status, Task
from filmgate.ports.store import Committed, DeliveryQuery, Job, Refused, Replayed, Store, TaskQuery
from filmgate.store.postgres import PostgresStore
from filmgate.store.postgres.connection import Database
from filmgate.store.sqlite import SqliteStore
from tests.fakes import NOON, MemoryStore, a_generation, an_output
from tests.postgres import widened
from tests.stores import (
    a_claim,
    an_order,
    available,
    close_attempt,
    committed,
    end,
    ended,
    findings,
    fund,
    refusal,
    send,
    started,
    submit,
)

Opens = Callable[[Limits], Store]

ROOMY = Limits(account_concurrency=100, provider_slots={"sandbox": 100, "studio": 100})
NARROW = Limits(account_concurrency=6, provider_slots={"sandbox": 1})


@pytest.fixture(params=["memory", "sqlite", "postgres", "postgres-widened"])
async def opens(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Opens]:
    """Return what opens an empty store with given limits: each implementation in turn.

    The last one is over the schema of a release to come, as in the middle of a rolling upgrade.
    """
    opened: list[Store] = []
    match request.param:
        case "postgres":
            url = request.getfixturevalue("migrated")
        case "postgres-widened":
            url = request.getfixturevalue("postgres").create_database(template=widened)
        case _:
            url = None

    def open_one(limits: Limits) -> Store:
        store: Store
        match request.param:
            case "memory":
                store = MemoryStore(limits)
            case "sqlite":
                store = SqliteStore.open(tmp_path, limits=limits, serving=True)
            case _:
                assert url is not None, "it was asked for above"
                store = PostgresStore(Database(url), limits=limits)
        opened.append(store)
        return store

    yield open_one
    for store in opened:
        await store.close()


@pytest.fixture
async def store(opens: Opens) -> Store:
    """Return a roomy store in which ada and ben each have a million micro-credits."""
    store = opens(ROOMY)
    await fund(store, "ada", "ben")
    return store


# --- a new task ---------------------------------------------------------------------------------


async def test_a_new_task_is_there_with_its_event_and_its_hold(store: Store) -> None:
    task = an_order(price=300)

    await submit(store, task)

    assert await store.task(task.id) == task
    (event,) = await store.events(task.id)
    assert (event.seq, event.kind, event.status) == (1, EventKind.STATUS, Status.QUEUED)
    assert await available(store) == 999_700
    assert not await findings(store)


async def test_a_task_nobody_can_pay_for_leaves_no_trace(opens: Opens) -> None:
    store = opens(NARROW)
    await fund(store, "ada", amount=9)
    task, affordable = an_order(n=1, price=10), an_order(n=2, price=9)
    before = await store.account("acct_ada")

    error = await refusal(store, submission(task, claims=(a_claim(task),)))

    assert isinstance(error, InsufficientCredits)
    await nothing_is_left_of(store, task)
    assert await store.account("acct_ada") == before
    assert isinstance(await submit(store, affordable, a_claim(affordable)), Committed), "the claim is free"
    assert await started(store, [affordable.id]), "and so is the slot"


async def test_the_last_credit_can_be_spent_and_not_one_more(opens: Opens) -> None:
    store = opens(ROOMY)
    await fund(store, "ada", amount=20)

    answers = [await submit(store, an_order(n=n, price=10)) for n in range(3)]

    assert [type(answer) for answer in answers] == [Committed, Committed, Refused]
    assert await available(store) == 0


async def test_a_change_with_one_transfer_that_is_refused_leaves_nothing(opens: Opens) -> None:
    store = opens(NARROW)
    await fund(store, "ada")
    task = an_order()
    before = await store.account("acct_ada")
    gift_again = ledger.grant("acct_ada", 5, unique="ada", at=NOON)
    change = submission(task, claims=(a_claim(task),))

    error = await refusal(store, replace(change, transfers=(*change.transfers, gift_again)))

    assert isinstance(error, Conflict)
    await nothing_is_left_of(store, task)
    assert await store.account("acct_ada") == before
    assert isinstance(await submit(store, task, a_claim(task)), Committed)
    assert await started(store, [task.id])
    assert not await findings(store)


async def test_an_advance_with_a_transfer_that_is_refused_leaves_the_task_as_it_was(store: Store) -> None:
    task = an_order()
    await submit(store, task)
    running = await send(store, task)
    after = replace(ended(running, Status.SUCCEEDED), outputs=(an_output(),))
    (attempt,) = await store.attempts(task.id)
    gift_again = ledger.grant("acct_ada", 5, unique="ada", at=NOON)
    change = advance(running, after, attempts=(attempt.close(Outcome.SUCCEEDED, at=NOON),))

    error = await refusal(store, replace(change, transfers=(*change.transfers, gift_again)))

    assert isinstance(error, Conflict)
    assert await store.task(task.id) == running
    assert await store.attempts(task.id) == [attempt]
    assert len(await store.events(task.id)) == running.version
    assert await store.output(an_output().blob) is None
    assert not await findings(store)


async def test_the_same_task_is_not_stored_twice(store: Store) -> None:
    task = an_order()
    await submit(store, task)

    error = await refusal(store, submission(task))

    assert isinstance(error, Conflict)
    assert await available(store) == 999_990


async def test_an_account_that_does_not_exist_pays_for_nothing(store: Store) -> None:
    task = an_order("nobody")

    error = await refusal(store, submission(task))

    assert isinstance(error, Conflict)
    await nothing_is_left_of(store, task)


async def nothing_is_left_of(store: Store, task: Task) -> None:
    assert await store.task(task.id) is None
    assert not await store.events(task.id)
    assert not await store.attempts(task.id)
    assert await store.task_named(task.key_id, Namespace.OUT_TASK_ID, "mine") is None
    assert not await store.take_over()


# --- versions and leases ------------------------------------------------------------------------


async def test_of_two_changes_to_one_version_the_second_is_refused(store: Store) -> None:
    task = an_order()
    await submit(store, task)
    cancelled = ended(task, Status.CANCELLED)
    await committed(store, advance(task, cancelled))

    error = await refusal(store, advance(task, ended(task, Status.FAILED)))

    assert isinstance(error, Conflict)
    assert await store.task(task.id) == cancelled
    assert not await findings(store)


async def test_a_change_to_a_task_that_does_not_exist_is_a_conflict(store: Store) -> None:
    task = an_order()

    error = await refusal(store, advance(task, ended(task, Status.CANCELLED)))

    assert isinstance(error, Conflict)
    assert await available(store) == 1_000_000


async def test_after_a_take_over_the_old_lease_writes_nothing(store: Store) -> None:
    task = an_order()
    answer = await submit(store, task)
    assert isinstance(answer, Committed)
    (old,) = answer.jobs
    running = await send(store, task, lease_no=old.lease_no)
    (attempt,) = await store.attempts(task.id)
    (new,) = await store.take_over()

    late = advance(running, ended(running, Status.SUCCEEDED), lease_no=old.lease_no)
    late_aside = aside(attempt.close(Outcome.SUCCEEDED, at=NOON), lease_no=old.lease_no)

    assert new == Job(task_id=task.id, lease_no=old.lease_no + 1)
    assert isinstance(await refusal(store, late), LeaseLost)
    assert isinstance(await refusal(store, late_aside), LeaseLost)
    assert await store.task(task.id) == running
    assert await store.attempts(task.id) == [attempt]
    await committed(store, advance(running, ended(running, Status.SUCCEEDED), lease_no=new.lease_no))


async def test_every_take_over_fences_off_the_one_before(store: Store) -> None:
    task = an_order()
    await submit(store, task)

    leases = [(await store.take_over())[0].lease_no for _ in range(3)]

    assert leases == [2, 3, 4]


async def test_whoever_has_no_lease_is_judged_by_the_version_alone(store: Store) -> None:
    task = an_order()
    await submit(store, task)
    await store.take_over()

    await committed(store, advance(task, ended(task, Status.CANCELLED)))


# --- idempotency --------------------------------------------------------------------------------


@pytest.mark.parametrize("namespace", Namespace)
async def test_the_same_submission_again_is_answered_with_the_task_as_it_is_now(
    store: Store, namespace: Namespace
) -> None:
    task, again = an_order(n=1), an_order(n=2)
    await submit(store, task, a_claim(task, namespace=namespace))
    running = await send(store, task)

    answer = await submit(store, again, a_claim(again, namespace=namespace))

    assert answer == Replayed(task=running)
    assert await store.task(again.id) is None
    assert await available(store) == 999_990


@pytest.mark.parametrize("namespace", Namespace)
async def test_the_same_key_for_something_else_is_refused(store: Store, namespace: Namespace) -> None:
    task, other = an_order(n=1), an_order(n=2, fingerprint="1:11")
    await submit(store, task, a_claim(task, namespace=namespace))

    error = await refusal(store, submission(other, claims=(a_claim(other, namespace=namespace),)))

    assert isinstance(error, IdempotencyMismatch)
    assert error.param == namespace
    assert await store.task(other.id) is None
    assert await store.task_named("key_ada", namespace, "mine") == task


async def test_a_replay_needs_no_credits_and_no_room(opens: Opens) -> None:
    store = opens(Limits(account_concurrency=1, account_queue=0, provider_slots={"sandbox": 1}))
    await fund(store, "ada", amount=10)
    task, again = an_order(n=1), an_order(n=2)
    await submit(store, task, a_claim(task))

    answer = await submit(store, again, a_claim(again))

    assert answer == Replayed(task=task)


async def test_one_token_in_two_namespaces_is_two_keys(store: Store) -> None:
    first, second = an_order(n=1), an_order(n=2, fingerprint="1:11")
    await submit(store, first, a_claim(first, namespace=Namespace.HEADER))

    assert isinstance(await submit(store, second, a_claim(second)), Committed)

    assert await store.task_named("key_ada", Namespace.HEADER, "mine") == first
    assert await store.task_named("key_ada", Namespace.OUT_TASK_ID, "mine") == second


async def test_one_token_of_two_key_identities_is_two_tasks(store: Store) -> None:
    adas, bens = an_order("ada", 1), an_order("ben", 2)

    await submit(store, adas, a_claim(adas))
    await submit(store, bens, a_claim(bens))

    assert await store.task_named("key_ada", Namespace.OUT_TASK_ID, "mine") == adas
    assert await store.task_named("key_ben", Namespace.OUT_TASK_ID, "mine") == bens


@pytest.mark.parametrize("fingerprint", ["1:00", "1:11"])
async def test_a_header_key_is_free_again_once_it_expires(store: Store, fingerprint: str) -> None:
    week = timedelta(days=7)
    first = an_order(n=1)
    just_before = an_order(n=2, created_at=NOON + week - timedelta(microseconds=1))
    on_time = an_order(n=3, created_at=NOON + week, fingerprint=fingerprint)

    def claimed(task: Task) -> Change:
        expires_at = task.created_at + week
        claim = a_claim(task, namespace=Namespace.HEADER, expires_at=expires_at)
        return submission(task, claims=(claim,))

    await committed(store, claimed(first))
    assert await store.commit(claimed(just_before)) == Replayed(task=first)
    await committed(store, claimed(on_time))

    assert await store.task_named("key_ada", Namespace.HEADER, "mine") == on_time


async def test_an_out_task_id_never_expires(store: Store) -> None:
    first = an_order(n=1)
    years_later = an_order(n=2, created_at=NOON + timedelta(days=3650))
    await submit(store, first, a_claim(first))
    await end(store, await send(store, first))

    answer = await submit(store, years_later, a_claim(years_later))

    assert isinstance(answer, Replayed)
    assert answer.task.id == first.id


async def test_a_mismatch_in_one_namespace_is_refused_though_the_other_matches(store: Store) -> None:
    first, second = an_order(n=1), an_order(n=2, fingerprint="1:11")
    await submit(store, first, a_claim(first))
    await submit(store, second, a_claim(second, namespace=Namespace.HEADER))
    third = an_order(n=3)
    claims = (a_claim(third), a_claim(third, namespace=Namespace.HEADER))

    error = await refusal(store, submission(third, claims=claims))

    assert isinstance(error, IdempotencyMismatch)


async def test_many_at_once_under_one_key_are_one_task(store: Store) -> None:
    tasks = [an_order(n=n) for n in range(50)]

    answers = await asyncio.gather(*(submit(store, task, a_claim(task)) for task in tasks))

    kept = [task for task in tasks if await store.task(task.id) is not None]
    assert len(kept) == 1
    assert [type(answer) for answer in answers].count(Committed) == 1
    assert {answer.task.id for answer in answers if isinstance(answer, Replayed)} == {kept[0].id}
    assert await available(store) == 999_990


# --- room ---------------------------------------------------------------------------------------


async def test_a_full_queue_of_an_account_refuses_it_alone(opens: Opens) -> None:
    store = opens(Limits(account_concurrency=1, account_queue=2, provider_slots={"sandbox": 10}))
    await fund(store, "ada", "ben")
    for n in range(3):
        await submit(store, an_order(n=n))
    task = an_order(n=3)

    error = await refusal(store, submission(task, claims=(a_claim(task),)))

    assert isinstance(error, QueueFull)
    assert await store.task(task.id) is None
    assert await store.task_named("key_ada", Namespace.OUT_TASK_ID, "mine") is None
    assert await available(store) == 1_000_000 - 30
    assert isinstance(await submit(store, an_order("ben", 4)), Committed)


async def test_a_full_queue_in_total_refuses_everyone_who_would_wait(opens: Opens) -> None:
    limits = Limits(account_concurrency=1, total_queue=2, provider_slots={"sandbox": 10, "studio": 10})
    store = opens(limits)
    await fund(store, "ada", "ben", "eve")
    for n in range(3):
        await submit(store, an_order(n=n))

    error = await refusal(store, submission(an_order("ben", 10)))

    assert isinstance(error, QueueFull)
    assert isinstance(await submit(store, an_order("ben", 11, provider="studio")), Committed)
    assert isinstance(await refusal(store, submission(an_order("ben", 12, provider="studio"))), QueueFull)


async def test_a_cancelled_task_makes_room_in_the_queue(opens: Opens) -> None:
    store = opens(Limits(account_concurrency=1, account_queue=1, provider_slots={"sandbox": 1}))
    await fund(store, "ada")
    await submit(store, an_order(n=1))
    waiting = an_order(n=2)
    await submit(store, waiting)

    await end(store, waiting, Status.CANCELLED)

    assert isinstance(await submit(store, an_order(n=3)), Committed)
    assert isinstance(await refusal(store, submission(an_order(n=4))), QueueFull)


# --- admission ----------------------------------------------------------------------------------


async def test_a_task_starts_in_its_own_commit_where_a_slot_is_free_and_nobody_waits(opens: Opens) -> None:
    store = opens(NARROW)
    await fund(store, "ada")
    task = an_order()

    answer = await submit(store, task)

    assert answer == Committed(jobs=(Job(task_id=task.id, lease_no=1),))
    assert await store.attempts(task.id) == [Attempt(task_id=task.id, n=1, provider="sandbox")]
    assert await store.take_over() == (Job(task_id=task.id, lease_no=2),)


async def test_a_task_waits_where_its_provider_has_no_slot(opens: Opens) -> None:
    store = opens(NARROW)
    await fund(store, "ada", "ben")
    await submit(store, an_order(n=1))
    second, unknown = an_order("ben", 2), an_order("ben", 3, provider="nobody")

    assert await submit(store, second) == Committed()
    assert await submit(store, unknown) == Committed()

    assert not await store.admit(NOON)
    assert not await started(store, [second.id, unknown.id])


async def test_a_free_slot_goes_to_who_waits_and_not_to_who_comes(opens: Opens) -> None:
    store = opens(NARROW)
    await fund(store, "ada", "ben")
    first, waiting, newcomer = an_order(n=1), an_order(n=2), an_order("ben", 3)
    await submit(store, first)
    await submit(store, waiting)
    await end(store, await send(store, first))

    assert await submit(store, newcomer) == Committed(awaits_turn=True)

    assert await started(store, [waiting.id, newcomer.id]) == set()


async def test_the_free_slots_are_filled_once(opens: Opens) -> None:
    store = opens(NARROW)
    await fund(store, "ada")
    first, second, third = (an_order(n=n) for n in range(3))
    for task in (first, second, third):
        await submit(store, task)
    await end(store, await send(store, first))

    admitted = await store.admit(NOON)

    assert [job.task_id for job in admitted] == [second.id]
    assert not await store.admit(NOON)
    assert await started(store, [third.id]) == set()


async def test_the_higher_priority_starts_first_then_the_older(opens: Opens) -> None:
    store = opens(NARROW)
    await fund(store, "ada", "ben")
    first = an_order(n=0)
    await submit(store, first)
    urgencies = [0, 5, 9, 5, 0]
    for n, priority in enumerate(urgencies, start=1):
        await submit(store, an_order("ben" if n % 2 else "ada", n, priority=priority))

    order = await drain_by_admission(store, first)

    assert [urgencies[n - 1] for n in order] == sorted(urgencies, reverse=True)


async def test_a_thousand_tasks_of_one_account_do_not_keep_ten_of_another_waiting(opens: Opens) -> None:
    """O-2: the last of ben's ten starts before ada's hundredth."""
    store = opens(Limits(account_concurrency=6, account_queue=2_000, provider_slots={"sandbox": 4}))
    await fund(store, "ada", "ben")
    adas = [an_order("ada", n) for n in range(1_000)]
    bens = [an_order("ben", 1_000 + n) for n in range(10)]
    answers = await asyncio.gather(*(submit(store, task) for task in adas + bens))
    open_ = [job.task_id for answer in answers if isinstance(answer, Committed) for job in answer.jobs]
    admitted = list(open_)

    for step in range(40):
        task_id = open_.pop(0)
        task = await store.task(task_id)
        assert task is not None
        await end(store, await send(store, task))
        jobs = await store.admit(NOON + timedelta(seconds=step))
        open_ += [job.task_id for job in jobs]
        admitted += [job.task_id for job in jobs]

    of_ada = [task.id for task in adas]
    of_ben = {task.id for task in bens}
    last_of_ben = max(admitted.index(task_id) for task_id in of_ben)
    adas_so_far = sum(task_id in of_ada for task_id in admitted[:last_of_ben])
    assert of_ben <= set(admitted)
    assert adas_so_far < 100


async def test_an_account_at_its_cap_lets_the_others_pass(opens: Opens) -> None:
    store = opens(Limits(account_concurrency=1, provider_slots={"sandbox": 2}))
    await fund(store, "ada", "ben")
    adas = [an_order("ada", n) for n in range(3)]
    for task in adas:
        await submit(store, task)
    bens = an_order("ben", 3)
    await submit(store, bens)

    jobs = await store.admit(NOON)

    assert [job.task_id for job in jobs] == [bens.id]


async def drain_by_admission(store: Store, first: Task) -> list[int]:
    """End what runs and admit, until nobody is left; return the tasks' numbers in order of admission."""
    order: list[int] = []
    task: Task | None = first
    while task is not None:
        await end(store, await send(store, task))
        jobs = await store.admit(NOON)
        task = await store.task(jobs[0].task_id) if jobs else None
        if task is not None:
            order.append(int(task.id[-1]))
    return order


@pytest.mark.parametrize("seed", range(8))
async def test_no_cap_is_ever_exceeded(opens: Opens, seed: int) -> None:
    chance = random.Random(seed)
    limits = Limits(account_concurrency=3, account_queue=8, provider_slots={"sandbox": 4, "studio": 2})
    store = opens(limits)
    names = ["ada", "ben", "eve"]
    await fund(store, *names)
    ids: list[str] = []

    for n in range(120):
        match chance.choice(["submit", "submit", "send", "end", "cancel", "close", "admit"]):
            case "submit":
                task = an_order(chance.choice(names), n, provider=chance.choice(["sandbox", "studio"]))
                if isinstance(await submit(store, task), Committed):
                    ids.append(task.id)
            case "admit":
                await store.admit(NOON + timedelta(seconds=n))
            case what:
                await one_step(store, chance.choice(ids) if ids else "", what)
        await caps_hold(store, limits, ids)

    assert ids
    assert not await findings(store)


async def one_step(store: Store, task_id: str, what: str) -> None:
    task = await store.task(task_id)
    attempts = await store.attempts(task_id)
    if task is None:
        return
    if what == "cancel" and not task.ended:
        await committed(store, advance(task, ended(task, Status.CANCELLED)))
    elif what == "send" and task.status is Status.QUEUED and attempts:
        await send(store, task)
    elif what == "end" and task.status is Status.RUNNING:
        await end(store, task)
    elif what == "close" and attempts and attempts[-1].intent_at is not None:
        await close_attempt(store, attempts[-1])
        await close_attempt(store, attempts[-1])


async def caps_hold(store: Store, limits: Limits, ids: list[str]) -> None:
    accounts: dict[str, int] = {}
    providers: dict[str, int] = {}
    for task_id in ids:
        task, attempts = await store.task(task_id), await store.attempts(task_id)
        assert task is not None
        for attempt in attempts:
            providers[attempt.provider] = providers.get(attempt.provider, 0) + (attempt.closed_at is None)
        accounts[task.account_id] = accounts.get(task.account_id, 0) + (bool(attempts) and not task.ended)
    assert all(used <= limits.account_concurrency for used in accounts.values())
    assert all(used <= limits.provider_slots[provider] for provider, used in providers.items())


# --- rates --------------------------------------------------------------------------------------
#
# 20 a minute is one each 3 s, and two at once.


def with_rates(account_rate: int = 0, **provider_rates: int) -> Limits:
    return replace(ROOMY, account_rate=account_rate, provider_rates=provider_rates)


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


async def admitted(store: Store, seconds: float) -> list[str]:
    """Return the tasks that are admitted so long after noon."""
    return [job.task_id for job in await store.admit(after(seconds))]


async def test_a_task_of_an_account_that_is_over_its_rate_waits_for_its_time(opens: Opens) -> None:
    store = opens(with_rates(20))
    await fund(store, "ada", "ben")
    first, second, third, fourth = (an_order(n=n) for n in range(4))
    bens = an_order("ben", 5)

    assert (await committed(store, submission(first))).jobs
    assert (await committed(store, submission(second))).jobs
    assert await submit(store, third) == Committed(), "there is no room for it"
    assert await submit(store, fourth) == Committed()
    assert await submit(store, bens) == Committed(awaits_turn=True), "but for ben there is"

    assert await admitted(store, 0) == [bens.id]
    assert await admitted(store, 2.999999) == []
    assert await admitted(store, 3) == [third.id]
    assert await admitted(store, 5.999999) == []
    assert await admitted(store, 6) == [fourth.id]
    assert not await findings(store)


async def test_a_task_of_a_provider_that_is_over_its_rate_waits_for_its_time(opens: Opens) -> None:
    store = opens(with_rates(sandbox=20))
    await fund(store, "ada", "ben")
    first, second, third = an_order("ada", 1), an_order("ben", 2), an_order("ada", 3)
    elsewhere = an_order("ben", 4, provider="studio")

    assert (await committed(store, submission(first))).jobs
    assert (await committed(store, submission(second))).jobs
    assert await submit(store, third) == Committed()
    assert (await committed(store, submission(elsewhere))).jobs, "another provider has no rate"

    assert await admitted(store, 2.999999) == []
    assert await admitted(store, 3) == [third.id]


async def test_a_task_starts_once_its_account_and_its_provider_may(opens: Opens) -> None:
    store = opens(with_rates(10, sandbox=20))  # one each 6 s; two at once and one each 3 s
    await fund(store, "ada", "ben", "eve")
    adas, bens = [an_order("ada", n) for n in (1, 2)], [an_order("ben", n) for n in (3, 4)]
    elsewhere, eves = an_order("ada", 5, provider="studio"), an_order("eve", 6)
    for task in (*adas, *bens, elsewhere, eves):
        await submit(store, task)

    assert await started(store, [task.id for task in (*adas, *bens, elsewhere, eves)]) == {adas[0].id}
    assert await admitted(store, 0) == [bens[0].id], "the provider has one more, for whose account may"
    assert await admitted(store, 3) == [eves.id]
    assert await admitted(store, 6) == [adas[1].id], "and so its account may not start one elsewhere"
    assert await admitted(store, 9) == [bens[1].id]
    assert await admitted(store, 12) == [elsewhere.id]


async def test_the_waiting_keep_their_places_by_priority_and_fair_share(opens: Opens) -> None:
    store = opens(with_rates(sandbox=10))
    await fund(store, "ada", "ben")
    first, *adas = (an_order("ada", n) for n in range(4))
    urgent, *bens = (an_order("ben", n, priority=9 * (n == 4)) for n in range(4, 7))
    for task in (first, *adas, urgent, *bens):
        await submit(store, task)

    order = [task_id for n in range(1, 40) for task_id in await admitted(store, n)]

    assert order == [task.id for task in (urgent, adas[0], bens[0], adas[1], bens[1], adas[2])]


async def test_an_account_over_its_rate_lets_the_others_pass(opens: Opens) -> None:
    store = opens(with_rates(10))
    await fund(store, "ada", "ben")
    urgent = [an_order("ada", n, priority=9) for n in range(3)]
    bens = an_order("ben", 4)
    for task in (*urgent, bens):
        await submit(store, task)

    assert await admitted(store, 1) == [bens.id]
    assert await admitted(store, 6) == [urgent[1].id]


async def test_after_a_quiet_time_no_more_than_the_burst_starts_at_once(opens: Opens) -> None:
    store = opens(with_rates(30, studio=60))  # three at once, one each 2 s; six at once, one each 1 s
    await fund(store, "ada", "ben", "eve")

    for hours in range(2):
        names = ["ada", "ben", "eve"] * 4
        at = hours * 3600.0
        tasks = [
            an_order(name, 20 * hours + n, provider="studio", created_at=after(at))
            for n, name in enumerate(names)
        ]
        answers = [await submit(store, task) for task in tasks]
        assert [isinstance(one, Committed) and len(one.jobs) for one in answers] == [1] * 6 + [0] * 6
        assert len(await admitted(store, at)) == 0
        assert len(await admitted(store, at + 1)) == 1
        assert len(await admitted(store, at + 3)) == 2
        assert len(await admitted(store, at + 60)) == 3


async def test_only_a_task_that_starts_counts_and_its_further_attempts_do_not(opens: Opens) -> None:
    store = opens(with_rates(10, sandbox=10))
    await fund(store, "ada")
    task, dear, cancelled, last = (
        an_order(n=n, created_at=after(6 * (n > 1)), price=10**9 if n == 2 else 10) for n in range(1, 5)
    )
    await submit(store, task, a_claim(task))
    running = await send(store, task)
    (one,) = await store.attempts(task.id)
    two = Attempt(task_id=task.id, n=2, provider="sandbox")
    waiting = running.still(at=after(6), phase=Phase.WAITING)
    refused = one.close(Outcome.REFUSED, at=after(6))

    await committed(store, advance(running, waiting, attempts=(refused, two)))
    assert isinstance(await refusal(store, submission(dear)), InsufficientCredits)
    assert isinstance(await submit(store, last, a_claim(last)), Replayed)
    assert (await committed(store, submission(cancelled))).jobs, "nobody else has started for 6 s"

    for n in (5, 6):
        await submit(store, an_order(n=n, created_at=after(6)))
    await end(store, an_order(n=5, created_at=after(6)), Status.CANCELLED)
    assert await admitted(store, 12) == [an_order(n=6).id]


async def test_a_clock_that_is_a_little_behind_neither_adds_nor_takes_away(opens: Opens) -> None:
    store = opens(with_rates(20, sandbox=20))
    await fund(store, "ada")
    for n in range(6):
        await submit(store, an_order(n=n))

    assert [await admitted(store, seconds) for seconds in (-1, -59, 0, 2.9, -30)] == [[]] * 5
    assert await admitted(store, 3) == [an_order(n=2).id]
    assert [await admitted(store, seconds) for seconds in (-50, 0, 3, 5.9)] == [[]] * 4
    assert await admitted(store, 6) == [an_order(n=3).id]


async def test_a_clock_that_was_set_far_back_stops_nobody(opens: Opens) -> None:
    store = opens(with_rates(20, sandbox=20))
    await fund(store, "ada", "ben")
    for n in range(2):
        await submit(store, an_order(n=n, created_at=NOON + timedelta(days=1)))

    assert (await committed(store, submission(an_order(n=2)))).jobs
    for n in range(3, 5):
        assert await submit(store, an_order(n=n)) == Committed()
    assert await admitted(store, 2.9) == []
    assert await admitted(store, 3) == [an_order(n=3).id]
    assert await admitted(store, 6) == [an_order(n=4).id]


@pytest.mark.parametrize("seed", range(4))
async def test_no_rate_is_ever_exceeded_in_any_minute(opens: Opens, seed: int) -> None:
    chance = random.Random(seed)
    limits = replace(with_rates(chance.choice([7, 20]), sandbox=30, studio=9), account_concurrency=9)
    store = opens(limits)
    names = ["ada", "ben", "eve"]
    await fund(store, *names)
    tasks: dict[str, Task] = {}
    began: dict[str, float] = {}
    seconds = 0.0

    for n in range(150):
        seconds += chance.choice([0, 0, 0.5, 1, 3, 20])
        if n % 3:
            task = an_order(
                chance.choice(names),
                n,
                provider=chance.choice(["sandbox", "studio"]),
                created_at=after(seconds),
            )
            answer = await committed(store, submission(task))
            tasks[task.id], jobs = task, answer.jobs
        else:
            jobs = await store.admit(after(seconds))
        began |= {job.task_id: seconds for job in jobs}
        for task_id in [task_id for task_id in began if task_id in tasks and chance.random() < 0.3]:
            await end(store, await send(store, tasks.pop(task_id)))

    rates = {"sandbox": 30, "studio": 9} | {f"acct_{name}": limits.account_rate for name in names}
    times: dict[str, list[float]] = {name: [] for name in rates}
    for task_id, at in began.items():
        found = await store.task(task_id)
        assert found is not None
        times[found.account_id].append(at)
        times[found.route.provider].append(at)
    for name, starts in times.items():
        for begin in starts:
            assert sum(begin <= at <= begin + 60 for at in starts) <= rates[name] + rate.burst(rates[name])
    assert len(began) > 30
    assert not await findings(store)


@asynccontextmanager
async def several(url: str, limits: Limits) -> AsyncIterator[list[PostgresStore]]:
    """Have three processes' stores open on one database, in which ada has credits."""
    stores = [PostgresStore(Database(url), limits=limits) for _ in range(3)]
    try:
        await fund(stores[0], "ada")
        yield stores
    finally:
        for store in stores:
            await store.close()


@pytest.mark.parametrize("limits", [with_rates(60), with_rates(sandbox=60)], ids=["account", "provider"])
async def test_a_rate_holds_for_all_processes_on_one_database(migrated: str, limits: Limits) -> None:
    async with several(migrated, limits) as stores:
        answers = await asyncio.gather(*(submit(stores[n % 3], an_order(n=n)) for n in range(40)))
        began = sum(len(answer.jobs) for answer in answers if isinstance(answer, Committed))
        later: list[int] = []
        for seconds in (0, 0.5, 1, 2, 2, 5):
            found = await asyncio.gather(*(store.admit(after(seconds)) for store in stores))
            later.append(sum(map(len, found)))

    assert began + later[0] == 6, "the burst, whoever started them"
    assert later[1:] == [0, 1, 1, 0, 3]


async def test_whoever_comes_and_whoever_waits_share_one_rate(migrated: str) -> None:
    async with several(migrated, with_rates(10)) as stores:
        for n in range(100):
            await submit(stores[0], an_order(n=n, provider="studio"))

        for step in range(1, 41):
            at = after(6 * step)
            comers = [an_order(n=1_000 * step + n, created_at=at) for n in range(2)]
            coming = asyncio.gather(*(submit(stores[0], task) for task in comers))
            admitting = asyncio.gather(*(store.admit(at) for store in stores[1:]))
            came = [answer.jobs for answer in await coming if isinstance(answer, Committed)]
            assert sum(map(len, [*came, *await admitting])) == 1
            for task in comers:
                await end(stores[0], task, Status.CANCELLED)


async def test_postgresql_counts_as_the_core_does(migrated: str) -> None:
    chance = random.Random(1)
    database = Database(migrated)
    now, minute = 1_800_000_000_000_000, rate.MINUTE
    for _ in range(300):
        per_minute = chance.choice([1, 7, 10, 20, 61, 600, 1_000_000])
        every = rate.interval(per_minute)
        ahead = chance.choice(
            [-minute, 0, 1, every - 1, every, every + 1, minute, 2 * minute, 2 * minute + 1]
        )
        free_at = chance.choice([0, now + ahead, now + ahead * rate.burst(per_minute)])
        found = await database.read_row(
            "SELECT free_after_v1($1, $2, $3)",
            free_at,
            now,
            f"[{every}, {rate.burst(per_minute)}, {rate.BELIEVED}]",
        )
        may = rate.may_start(1, rate=per_minute, free_at=free_at, at=now)
        expected = rate.after(1, rate=per_minute, free_at=free_at, at=now) if may else None
        assert found is not None
        assert found[0] == expected, (per_minute, free_at - now)
    await database.close()


# --- slots and attempts -------------------------------------------------------------------------


async def test_a_task_that_ends_frees_its_account_and_its_open_attempt_keeps_the_provider(
    opens: Opens,
) -> None:
    store = opens(Limits(account_concurrency=1, provider_slots={"sandbox": 1, "studio": 1}))
    await fund(store, "ada")
    first, elsewhere, same = an_order(n=1), an_order(n=2, provider="studio"), an_order(n=3)
    await submit(store, first)
    running = await send(store, first)

    await committed(store, advance(running, ended(running, Status.CANCELLED)))

    assert await submit(store, elsewhere) != Committed(), "the account has a slot again"
    assert await submit(store, same) == Committed(), "the provider does not"
    assert first.id in {job.task_id for job in await store.take_over()}, "the attempt is still to be closed"


async def test_closing_an_attempt_frees_the_provider_once_however_often_it_is_saved(opens: Opens) -> None:
    store = opens(NARROW)
    await fund(store, "ada")
    first, second, third = (an_order(n=n) for n in range(3))
    await submit(store, first)
    running = await send(store, first)
    await committed(store, advance(running, ended(running, Status.CANCELLED)))
    (attempt,) = await store.attempts(first.id)

    for _ in range(3):
        await close_attempt(store, attempt)

    assert await submit(store, second) != Committed()
    assert await submit(store, third) == Committed()


async def test_an_attempt_that_was_never_sent_is_closed_with_its_task(opens: Opens) -> None:
    store = opens(NARROW)
    await fund(store, "ada")
    task = an_order(n=1)
    await submit(store, task)

    cancelled = await end(store, task, Status.CANCELLED)

    (attempt,) = await store.attempts(task.id)
    assert (attempt.outcome, attempt.closed_at) == (Outcome.UNSENT, cancelled.updated_at)
    assert not await store.take_over()
    assert await submit(store, an_order(n=2)) != Committed(), "the slot is free"


async def test_an_attempt_that_was_sent_stays_open_when_its_task_ends(store: Store) -> None:
    task = an_order()
    await submit(store, task)
    running = await send(store, task)

    await committed(store, advance(running, ended(running, Status.CANCELLED)))

    (attempt,) = await store.attempts(task.id)
    assert (attempt.outcome, attempt.closed_at) == (None, None)
    assert [job.task_id for job in await store.take_over()] == [task.id]


async def test_what_is_learnt_of_an_attempt_after_the_end_is_kept(store: Store) -> None:
    task = an_order()
    await submit(store, task)
    running = await send(store, task)
    await committed(store, advance(running, ended(running, Status.CANCELLED)))
    (attempt,) = await store.attempts(task.id)

    await committed(store, aside(replace(attempt, remote_id="r1")))
    await committed(store, aside(attempt.close(Outcome.SUCCEEDED, at=NOON, upstream_cost="0.4 USD")))

    (known,) = await store.attempts(task.id)
    assert (known.remote_id, known.outcome, known.upstream_cost) == ("r1", Outcome.SUCCEEDED, "0.4 USD")
    assert not await store.take_over()


async def test_a_closed_attempt_is_never_reopened_nor_ended_otherwise(opens: Opens) -> None:
    store = opens(NARROW)
    await fund(store, "ada")
    task = an_order(n=1)
    await submit(store, task)
    running = await send(store, task)
    (sent,) = await store.attempts(task.id)
    await committed(store, advance(running, ended(running, Status.CANCELLED)))
    await close_attempt(store, sent)

    await committed(store, aside(replace(sent, remote_id="late")))
    await committed(store, aside(sent.close(Outcome.SUCCEEDED, at=NOON + timedelta(days=1))))

    (known,) = await store.attempts(task.id)
    assert (known.remote_id, known.outcome, known.closed_at) == ("late", Outcome.CANCELLED, NOON)
    assert await submit(store, an_order(n=2)) != Committed(), "the slot stays free"
    assert [job.task_id for job in await store.take_over()] == [an_order(n=2).id]


async def test_another_attempt_takes_over_the_slot_of_the_one_before(opens: Opens) -> None:
    store = opens(NARROW)
    await fund(store, "ada")
    task = an_order(n=1)
    await submit(store, task)
    running = await send(store, task)
    (first,) = await store.attempts(task.id)
    second = Attempt(task_id=task.id, n=2, provider="sandbox")
    waiting = running.still(at=NOON, phase=Phase.WAITING)

    await committed(
        store, advance(running, waiting, attempts=(first.close(Outcome.REFUSED, at=NOON), second))
    )

    assert [one.n for one in await store.attempts(task.id)] == [1, 2]
    assert await submit(store, an_order(n=2)) == Committed(), "the slot is still taken"
    await committed(store, advance(waiting, ended(waiting, Status.CANCELLED)))
    assert [job.task_id for job in await store.admit(NOON)] == [an_order(n=2).id], "and free at the end"


async def test_only_what_is_admitted_and_still_open_is_taken_over(opens: Opens) -> None:
    store = opens(Limits(account_concurrency=3, provider_slots={"sandbox": 10}))
    await fund(store, "ada")
    done, open_, never_sent, waiting = (an_order(n=n) for n in range(4))
    for task in (done, open_, never_sent, waiting):
        await submit(store, task)
    await end(store, await send(store, done))
    await send(store, open_)

    taken = await store.take_over()

    assert [job.task_id for job in taken] == [open_.id, never_sent.id]


# --- events -------------------------------------------------------------------------------------


async def test_events_are_numbered_without_gaps_and_the_last_is_the_version(store: Store) -> None:
    task = an_order()
    await submit(store, task)
    now = await send(store, task)
    for progress in (10, 20, 15):
        after = now.still(at=NOON, phase=Phase.GENERATING, progress=progress)
        await committed(store, advance(now, after))
        now = after
    now = await end(store, now)

    events = await store.events(task.id)

    assert [event.seq for event in events] == list(range(1, now.version + 1))
    assert [event.progress for event in events] == [0, 0, 10, 20, 20, 100]
    assert [event.kind for event in events].count(EventKind.STATUS) == 3
    assert await store.events(task.id, after=4) == events[4:]
    assert not await store.events(task.id, after=now.version)
    assert not await store.events("task_unknown")


async def test_only_a_task_that_there_is_room_for_awaits_its_turn(opens: Opens) -> None:
    store = opens(Limits(account_concurrency=1, provider_slots={"sandbox": 2}))
    await fund(store, "ada", "ben", "cid")
    await submit(store, an_order("ada", n=1))

    assert await submit(store, an_order("ada", n=2)) == Committed(), "the account is full"
    assert await submit(store, an_order("ben", n=3)) == Committed(awaits_turn=True), "but ada was first"
    (job,) = await store.admit(NOON)
    assert job.task_id == an_order("ben", n=3).id
    assert await submit(store, an_order("cid", n=4)) == Committed(), "the provider is full"


# --- lists --------------------------------------------------------------------------------------


async def test_tasks_are_listed_newest_first_and_paged_both_ways(store: Store) -> None:
    ids = [an_order(n=n).id for n in range(7)]
    for n in range(7):
        await submit(store, an_order(n=n))

    async def listed(**query: object) -> list[int]:
        found = await store.tasks(TaskQuery(**query))  # type: ignore[arg-type]
        return [ids.index(task.id) for task in found]

    assert await listed() == [6, 5, 4, 3, 2, 1, 0]
    assert await listed(limit=3) == [6, 5, 4]
    assert await listed(limit=3, after=ids[4]) == [3, 2, 1]
    assert await listed(ascending=True, limit=3) == [0, 1, 2]
    assert await listed(ascending=True, limit=3, after=ids[2]) == [3, 4, 5]
    assert await listed(before=ids[4]) == [6, 5]
    assert await listed(ascending=True, before=ids[2]) == [0, 1]
    assert await listed(after=ids[5], before=ids[2]) == [4, 3]
    assert await listed(after=ids[0]) == []


async def test_lists_hold_only_what_was_asked_for(store: Store) -> None:
    film, picture = a_generation(), a_generation(duration_s=0)
    adas = an_order("ada", 1, generation=film, dialect="loova")
    bens = an_order("ben", 2, generation=picture)
    await submit(store, adas)
    await submit(store, bens)
    bens = await end(store, bens, Status.CANCELLED)

    async def only(**query: object) -> list[Task]:
        return list(await store.tasks(TaskQuery(**query)))  # type: ignore[arg-type]

    assert await only(key_id="key_ada") == [adas]
    assert await only(account_id="acct_ben") == [bens]
    assert await only(dialect="loova") == [adas]
    assert await only(kind="image") == [bens]
    assert await only(kind="video") == [adas]
    assert await only(status=Status.CANCELLED) == [bens]
    assert await only(key_id="key_ada", status=Status.CANCELLED) == []
    assert await only(key_id="key_eve") == []


# --- keys, accounts, secrets, outputs -----------------------------------------------------------


def a_key(n: int, name: str = "ada") -> Key:
    return Key(
        id=f"id{n}",
        identity=f"key_{name}",
        account_id=f"acct_{name}",
        name=f"{name}'s",
        hash=bytes([n]) * 32,
        created_at=NOON + timedelta(seconds=n),
    )


async def test_keys_come_back_as_they_were_saved_oldest_first(store: Store) -> None:
    await committed(store, Change(keys=(a_key(2), a_key(1, "ben"))))

    assert await store.key("id2") == a_key(2)
    assert await store.key("id3") is None
    assert await store.keys() == [a_key(1, "ben"), a_key(2)]


async def test_a_key_is_revoked_once_and_for_good(store: Store) -> None:
    key = a_key(1)
    await committed(store, Change(keys=(key,)))
    revoked = replace(key, revoked_at=NOON + timedelta(days=1))

    await committed(store, Change(keys=(revoked,)))
    await committed(store, Change(keys=(key,)))
    await committed(store, Change(keys=(replace(key, revoked_at=NOON + timedelta(days=2)),)))

    assert await store.key(key.id) == revoked


async def test_accounts_are_found_and_listed(store: Store) -> None:
    accounts = await store.accounts()

    assert [account.name for account in accounts] == ["ada", "ben"]
    assert await store.account("acct_ben") == accounts[1]
    assert await store.account("acct_eve") is None


async def test_a_secret_is_made_once_for_each_name(store: Store) -> None:
    links, again, keys = [await store.secret(name) for name in ("links", "links", "keys")]

    assert links == again != keys
    assert len(links) == len(keys) == 32


async def test_outputs_are_known_by_their_blob_once_a_task_has_them(store: Store) -> None:
    film, picture = an_output(), an_output(OutputKind.IMAGE, content=b"picture")
    task = an_order()
    await submit(store, task)
    running = await send(store, task)
    assert await store.output(film.blob) is None

    after = replace(ended(running, Status.SUCCEEDED), outputs=(film, picture))
    await committed(store, advance(running, after))

    assert await store.output(film.blob) == film
    assert await store.output(picture.blob) == picture
    found = await store.task(task.id)
    assert found is not None
    assert found.outputs == (film, picture)


async def test_a_task_comes_back_with_every_field_it_had(store: Store) -> None:
    task = an_order(
        metadata={"shot": 3, "notes": ["ä", None, 1.5]},
        callback_url="https://example.com/done",
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        request_id="r",
        out_task_id="mine",
        generation=a_generation(extra={"studio": {"mood": "calm"}}, prompt="日本 \U0001f30a"),
        created_at=NOON + timedelta(microseconds=1),
    )

    await submit(store, task)

    assert await store.task(task.id) == task


# --- money --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "charged", "left"),
    [
        (Status.SUCCEEDED, 10, 999_990),
        (Status.SUCCEEDED, 4, 999_996),
        (Status.SUCCEEDED, 0, 1_000_000),
        (Status.FAILED, 0, 1_000_000),
        (Status.CANCELLED, 0, 1_000_000),
    ],
)
async def test_the_end_of_a_task_resolves_its_hold(
    store: Store, status: Status, charged: int, left: int
) -> None:
    task = an_order(price=10)
    await submit(store, task)
    running = await send(store, task)

    await committed(store, advance(running, ended(running, status, charged=charged)))

    account = await store.account("acct_ada")
    assert account is not None
    assert (account.balance, account.held) == (left, 0)
    assert not await findings(store)


async def test_the_same_gift_twice_is_given_once(store: Store) -> None:
    gift = ledger.grant("acct_ada", 5, unique="birthday", at=NOON)
    await committed(store, Change(transfers=(gift,)))

    error = await refusal(store, Change(transfers=(gift,)))

    assert isinstance(error, Conflict)
    assert await available(store) == 1_000_005


@pytest.mark.parametrize("spend", [0, 1_000_000], ids=["with credits left", "with none left"])
async def test_a_hold_is_resolved_once_whatever_else_is_held(store: Store, spend: int) -> None:
    task = an_order(n=1, price=10)
    await submit(store, task)
    cancelled = await end(store, task, Status.CANCELLED)
    await submit(store, an_order(n=2, price=spend))
    before = await store.account("acct_ada")

    error = await refusal(store, Change(transfers=(ledger.resolve(cancelled),)))

    assert isinstance(error, Conflict)
    assert await store.account("acct_ada") == before
    assert not await findings(store)


async def test_the_books_of_many_tasks_that_ended_in_all_ways_are_clean(store: Store) -> None:
    for n, status in enumerate([*TERMINAL, *Status, *TERMINAL], start=1):
        task = an_order("ada" if n % 2 else "ben", n, price=n)
        await submit(store, task)
        if status is Status.QUEUED:
            continue
        task = await send(store, task)
        if status is not Status.RUNNING:
            await end(store, task, status)

    assert not await findings(store)


# --- lists ----------------------------------------------------------------------------------------


async def test_a_list_is_of_one_model_and_of_one_stretch_of_time(store: Store) -> None:
    times = [NOON + timedelta(hours=n) for n in range(3)]
    tasks = [an_order(n=n, model_id=f"model-{n % 2}", created_at=at) for n, at in enumerate(times, 1)]
    for task in tasks:
        await submit(store, task)

    assert await ids_of(store, TaskQuery(model_id="model-0")) == [tasks[1].id]
    assert await ids_of(store, TaskQuery(created_from=times[1])) == [tasks[2].id, tasks[1].id]
    assert await ids_of(store, TaskQuery(created_before=times[1])) == [tasks[0].id]


async def ids_of(store: Store, query: TaskQuery) -> list[str]:
    """Return the ids of the tasks asked for."""
    return [task.id for task in await store.tasks(query)]


# --- deadlines ------------------------------------------------------------------------------------


async def test_only_a_task_that_waits_past_its_deadline_is_overdue(opens: Opens) -> None:
    store = opens(NARROW)
    await fund(store, "ada")
    late, later = NOON + timedelta(minutes=1), NOON + timedelta(minutes=2)
    running, waiting, patient = (an_order(n=n, deadline_at=at) for n, at in enumerate((late, late, later), 1))
    for task in (running, waiting, patient):
        await submit(store, task)

    assert [task.id for task in await store.overdue(late)] == [waiting.id]
    assert [task.id for task in await store.overdue(later)] == [waiting.id, patient.id]
    await end(store, waiting, Status.FAILED)
    assert [task.id for task in await store.overdue(later)] == [patient.id]


# --- files ----------------------------------------------------------------------------------------


async def with_files(store: Store, n: int, *, until: datetime | None) -> Task:
    """Return an ended task with an input and an output, kept `until` then."""
    came_in = Media(kind=MediaKind.IMAGE, blob=blob_of(f"in {n}"))
    task = an_order(n=n, generation=a_generation(media=(came_in,)))
    await submit(store, task)
    running = await send(store, task)
    output = an_output(content=b"the same film")
    after = replace(ended(running, Status.SUCCEEDED), outputs=(output,), result_expires_at=until)
    (attempt,) = await store.attempts(task.id)
    closed = attempt.close(Outcome.SUCCEEDED, at=NOON)
    await committed(store, advance(running, after, attempts=(closed,)))
    return after


def blob_of(text: str) -> str:
    """Return the id of the blob that holds `text`."""
    return hashlib.sha256(text.encode()).hexdigest()


async def test_a_file_that_some_task_needs_is_not_collected(store: Store) -> None:
    first, second = await with_files(store, 1, until=NOON), await with_files(store, 2, until=NOON)
    (film,) = (output.blob for output in first.outputs)
    files = [film, blob_of("in 1"), blob_of("in 2"), blob_of("nobody's")]

    assert await store.collect(files) == [blob_of("nobody's")]

    await committed(store, tidying(first, first.without_files(at=NOON)))
    assert await store.collect(files) == [blob_of("in 1"), blob_of("nobody's")]
    assert await store.output(film) == second.outputs[0], "the second task has the same film"

    await committed(store, tidying(second, second.without_files(at=NOON)))
    assert await store.output(film) is None, "what no task needs is not handed out"
    assert set(await store.collect(files)) == set(files)


async def test_the_input_of_a_task_that_runs_is_not_collected(store: Store) -> None:
    came_in = Media(kind=MediaKind.IMAGE, blob=blob_of("in"))
    task = an_order(generation=a_generation(media=(came_in,)))
    await submit(store, task)

    await send(store, task)

    assert await store.collect([blob_of("in")]) == []


async def test_a_task_is_outdated_once_its_files_have_had_their_time(store: Store) -> None:
    until = NOON + timedelta(days=1)
    early, kept = await with_files(store, 1, until=until), await with_files(store, 2, until=None)

    assert not await store.outdated(until - timedelta(seconds=1))
    assert await store.outdated(until) == [early]

    await committed(store, tidying(early, early.without_files(at=until)))
    assert not await store.outdated(until + timedelta(days=999)), "one has none, the other keeps its own"
    assert await store.task(kept.id) == kept


# --- deletion -------------------------------------------------------------------------------------


async def test_a_deleted_task_leaves_a_skeleton_its_claim_and_its_ledger(store: Store) -> None:
    task = an_order(out_task_id="mine", callback_url="https://example.com/hook")
    await submit(store, task, a_claim(task))
    after = await end(store, await send(store, task))
    assert await store.deliveries(DeliveryQuery(task_id=task.id))

    await committed(store, tidying(after, after.erased(at=NOON)))

    kept = await store.task(task.id)
    assert kept is not None
    assert kept.deleted_at == NOON
    assert (kept.generation.prompt, kept.callback_url, kept.charged) == ("", None, after.charged)
    assert not await store.tasks(TaskQuery())
    assert not await store.deliveries(DeliveryQuery(task_id=task.id)), "nobody is told of it any more"
    assert (await store.events(task.id))[-1].kind is EventKind.DELETED
    assert isinstance(await submit(store, an_order(n=2), a_claim(task)), Replayed)
    assert not await findings(store)


# --- webhooks -------------------------------------------------------------------------------------


async def test_the_end_of_a_task_and_what_is_told_of_it_are_one_commit(store: Store) -> None:
    task = an_order(callback_url="https://example.com/hook")
    await submit(store, task)
    running = await send(store, task)
    assert not await store.deliveries(DeliveryQuery())

    after = await end(store, running)

    (delivery,) = await store.deliveries(DeliveryQuery(due_at=after.updated_at))
    assert (delivery.task_id, delivery.url) == (task.id, task.callback_url)
    assert delivery.id == event_id(task.id, after.version)
    assert await store.delivery(delivery.id) == delivery
    assert not await store.deliveries(DeliveryQuery(due_at=after.updated_at - timedelta(seconds=1)))


async def test_two_who_save_the_same_try_save_it_once(store: Store) -> None:
    task = an_order(callback_url="https://example.com/hook")
    await submit(store, task)
    after = await end(store, await send(store, task))
    (delivery,) = await store.deliveries(DeliveryQuery(task_id=task.id))
    tried = delivery.tried(Try(at=after.updated_at, took_s=0.1, status=200), chance=0.5)

    await committed(store, Change(deliveries=(tried,)))

    assert isinstance(await refusal(store, Change(deliveries=(tried,))), Conflict)
    assert isinstance(await refusal(store, Change(deliveries=(delivery,))), Conflict)
    assert await store.deliveries(DeliveryQuery(state=DeliveryState.DELIVERED)) == [tried]
    assert not await store.deliveries(DeliveryQuery(due_at=NOON + timedelta(days=999)))


async def test_what_is_due_can_be_read_page_by_page(store: Store) -> None:
    for n in range(7):  # by threes at the same time, so that the id decides
        task = an_order(
            n=n, callback_url="https://example.com/hook", updated_at=NOON + timedelta(seconds=n // 3)
        )
        await submit(store, task)
        await end(store, await send(store, task))
    due = DeliveryQuery(due_at=NOON + timedelta(minutes=1))
    whole = list(await store.deliveries(due))

    pages: list[Delivery] = []
    while page := await store.deliveries(
        replace(
            due,
            limit=2,
            due_after=None if not pages or pages[-1].next_at is None else (pages[-1].next_at, pages[-1].id),
        )
    ):
        pages += page

    assert len(whole) == 7
    assert pages == whole


async def test_an_account_signs_with_its_latest_secret(store: Store) -> None:
    assert await store.signing("acct_ada") == Signing(account_id="acct_ada")
    second = Signing(account_id="acct_ada").rotated(at=NOON)
    third = second.rotated(at=NOON)

    await committed(store, Change(signings=(third,)))
    await committed(store, Change(signings=(second,)))

    assert await store.signing("acct_ada") == third
    assert await store.signing("acct_ben") == Signing(account_id="acct_ben")


# --- housekeeping ---------------------------------------------------------------------------------


async def test_an_idempotency_key_is_forgotten_when_its_time_is_over(store: Store) -> None:
    task, later = an_order(), NOON + timedelta(days=7)
    passing = a_claim(task, "passing", namespace=Namespace.HEADER, expires_at=later)
    await submit(store, task, a_claim(task, "lasting"), passing)

    assert await store.prune(later - timedelta(seconds=1)) == 0
    assert await store.prune(later) == 1
    assert await store.task_named(task.key_id, Namespace.OUT_TASK_ID, "lasting") == task
    assert await store.task_named(task.key_id, Namespace.HEADER, "passing") is None


async def test_the_standing_counts_what_waits_runs_and_is_to_be_told(opens: Opens) -> None:
    store = opens(NARROW)
    await fund(store, "ada")
    first = an_order(n=1, callback_url="https://example.com/hook")
    second, third = an_order(n=2), an_order(n=3, created_at=NOON + timedelta(minutes=1))
    for task in (first, second, third):
        await submit(store, task)
    running = await send(store, first)

    standing = await store.standing()

    assert (standing.tasks, standing.waiting, standing.jobs) == (3, 2, 1)
    assert standing.oldest_waiting_at == second.created_at
    assert standing.stillest_job_at == running.updated_at
    await end(store, running)
    standing = await store.standing()
    assert (standing.jobs, standing.deliveries_pending, standing.deliveries_dead) == (0, 1, 0)
