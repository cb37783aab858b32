"""Several processes over one PostgreSQL: who runs what, who counts as dead, who is told, who is on duty."""

import asyncio
import hashlib
import itertools
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import asyncpg
import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from filmgate.core.admission import Limits
from filmgate.core.change import advance, submission, tidying
from filmgate.core.errors import LeaseLost, OutcomeUnknown, StoreUnavailable
from filmgate.core.generation import Generation
from filmgate.core.task import Phase, Status, Task
from filmgate.dispatch.broadcast import AGAIN_S, Broadcast
from filmgate.dispatch.duty import on_duty
from filmgate.dispatch.hub import Hub
from filmgate.dispatch.shared import SharedDispatch
from filmgate.ports import Backend, Ports
from filmgate.ports.cluster import BEAT_S, LEASE_S, LONGEST_NOTE
from filmgate.ports.provider import RemoteId
from filmgate.ports.store import Committed, Job
from filmgate.providers.sandbox import CLIP, SPEC, Config, Sandbox
from filmgate.service.cancel_task import cancel_task
from filmgate.service.run_task import run_task
from filmgate.service.submit_task import submit_task
from filmgate.store.postgres import PostgresStore
from filmgate.store.postgres.cluster import CHANNEL, PostgresCluster
from filmgate.store.postgres.connection import Database
from filmgate.store.postgres.document import document_of
from tests.fakes import NOON, ManualClock, SilentSignals, an_output
from tests.runs import FUNDS, a_submission, some_ports
from tests.stores import a_claim, an_order, end, ended, findings, fund, refusal, send, submit

ROOMY: Final = Limits(account_concurrency=1_000, provider_slots={"studio": 1_000, "sandbox": 1_000})
# The listener asks every BEAT_S whether its link still stands, and tries again AGAIN_S later.
NOTICED_WITHIN_S: Final = 2 * BEAT_S + AGAIN_S + 2


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[EventDict]]:
    """Keep what is logged out of the way, and return it."""
    with capture_logs() as logs:
        yield logs


@dataclass(slots=True)
class Connected:
    """What one process has of the database."""

    store: PostgresStore
    cluster: PostgresCluster


@asynccontextmanager
async def connected(url: str, limits: Limits = ROOMY) -> AsyncIterator[Connected]:
    """Open the database as one more process would."""
    database = Database(url)
    store = PostgresStore(database, limits=limits)
    try:
        yield Connected(store, PostgresCluster(database))
    finally:
        await store.close()


@pytest.fixture
async def ours(migrated: str) -> AsyncIterator[Connected]:
    """Return one process's view of a database in which ada has credits."""
    async with connected(migrated) as ours:
        await fund(ours.store, "ada")
        yield ours


@pytest.fixture
async def theirs(migrated: str) -> AsyncIterator[Connected]:
    """Return another process's view of it."""
    async with connected(migrated) as theirs:
        yield theirs


async def sql(url: str, statement: str, *values: object) -> list[tuple[Any, ...]]:
    """Run a statement in a connection of its own, and return its rows."""
    connection = await asyncpg.connect(url)
    try:
        return [tuple(row) for row in await connection.fetch(statement, *values)]
    finally:
        await connection.close()


async def let_time_pass(url: str, worker: str) -> None:
    """Make it as if a worker had not beaten for longer than a lease."""
    late = timedelta(seconds=LEASE_S + 1)
    await sql(url, "UPDATE workers SET beat_at = beat_at - $2::interval WHERE id = $1", worker, late)


async def until(true: Callable[[], Awaitable[object]], within_s: float) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(within_s):
        while not await true():  # noqa: ASYNC110  (another process does it, and tells nobody here)
            await asyncio.sleep(0.02)


# --- claims -------------------------------------------------------------------------------------


async def test_each_job_is_claimed_by_one_of_many(ours: Connected, theirs: Connected) -> None:
    tasks = [an_order(n=n) for n in range(60)]
    for task in tasks:
        await submit(ours.store, task)
    workers = [(side.cluster, f"{n} of {side is ours}") for side in (ours, theirs) for n in range(4)]
    for cluster, worker in workers:
        await cluster.join(worker, {})

    async def claim_all(cluster: PostgresCluster, worker: str) -> list[Job]:
        claimed: list[Job] = []
        for _ in tasks:
            claimed += await cluster.claim(worker, "sandbox", most=3)
            await asyncio.sleep(0)
        return claimed

    shares = await asyncio.gather(*(claim_all(*worker) for worker in workers))

    claimed = list(itertools.chain(*shares))
    assert Counter(job.task_id for job in claimed) == Counter(task.id for task in tasks)
    assert {job.lease_no for job in claimed} == {2}, "each claim fences off who had the job before"


async def test_the_oldest_jobs_of_a_provider_are_claimed_first(ours: Connected) -> None:
    tasks = [an_order(n=n, provider="studio" if n % 2 else "sandbox") for n in range(10)]
    for task in reversed(tasks):
        await submit(ours.store, task)
    await ours.cluster.join("a", {})

    jobs = await ours.cluster.claim("a", "sandbox", most=3)

    assert {job.task_id for job in jobs} == {tasks[0].id, tasks[2].id, tasks[4].id}


async def test_what_a_worker_leaves_is_anyones_at_once_and_the_worker_is_fenced(
    ours: Connected, theirs: Connected
) -> None:
    task = an_order()
    await submit(ours.store, task)
    await ours.cluster.join("a", {})
    await theirs.cluster.join("b", {})
    (mine,) = await ours.cluster.claim("a", "sandbox", most=1)
    running = await send(ours.store, task, lease_no=mine.lease_no)
    assert not await theirs.cluster.claim("b", "sandbox", most=1)

    await ours.cluster.leave("a")

    (taken,) = await theirs.cluster.claim("b", "sandbox", most=1)
    late = advance(running, ended(running, Status.SUCCEEDED), lease_no=mine.lease_no)
    assert taken == Job(task_id=task.id, lease_no=mine.lease_no + 1)
    assert isinstance(await refusal(ours.store, late), LeaseLost)


async def test_the_dead_are_buried_and_the_living_keep_their_jobs(migrated: str, ours: Connected) -> None:
    tasks = [an_order(n=n) for n in range(4)]
    for task in tasks:
        await submit(ours.store, task)
    for worker in ("dead", "alive"):
        await ours.cluster.join(worker, {})
        await ours.cluster.claim(worker, "sandbox", most=2)
    await let_time_pass(migrated, "dead")
    assert not await ours.cluster.bury("alive"), "it has not lived for long enough to tell"
    await sql(migrated, "UPDATE workers SET since = since - interval '21 s' WHERE id = 'alive'")

    assert await ours.cluster.bury("alive") == 1

    freed = await ours.cluster.claim("alive", "sandbox", most=10)
    assert {job.task_id for job in freed} == {tasks[0].id, tasks[1].id}
    assert {job.lease_no for job in freed} == {3}
    assert not await ours.cluster.beat("dead"), "it is told that it is dead"
    await submit(ours.store, an_order(n=9))
    assert not await ours.cluster.claim("dead", "sandbox", most=1), "and gets nothing until it joins"
    assert await ours.cluster.beat("alive")


async def test_slots_on_the_workers_own_machines_add_up_and_go_with_them(migrated: str) -> None:
    limits = Limits(account_concurrency=100, provider_slots={"studio": 2}, local=frozenset({"studio"}))
    async with connected(migrated, limits) as ours:
        await fund(ours.store, "ada")
        await ours.cluster.join("a", {"studio": 2})
        await ours.cluster.join("b", {"studio": 1, "sandbox": 7})

        answers = [await submit(ours.store, an_order(n=n, provider="studio")) for n in range(5)]

        assert [bool(one.jobs) for one in answers if isinstance(one, Committed)] == [True] * 3 + [False] * 2
        assert not await ours.store.admit(NOON)
        await ours.cluster.join("c", {"studio": 1})
        assert len(await ours.store.admit(NOON)) == 1
        await ours.cluster.leave("c")
        await end(ours.store, await send(ours.store, an_order(n=0, provider="studio")))
        assert not await ours.store.admit(NOON), "as many run as those who are left have slots"
        await let_time_pass(migrated, "b")
        await end(ours.store, await send(ours.store, an_order(n=1, provider="studio")))
        assert not await ours.store.admit(NOON), "who does not beat offers nothing"


class Ailing(PostgresCluster):
    """A way to the database that can fail when a test says so."""

    deaf = False  # nobody hears that it lives
    lost_claims = 0  # so many claims are made, and their answers lost

    async def beat(self, worker: str) -> bool:
        """Beat, unless nothing gets through."""
        self._fail_if_deaf()
        return await super().beat(worker)

    async def hold_duty(self, duty: str, worker: str) -> bool:
        """Hold it, unless nothing gets through."""
        self._fail_if_deaf()
        return await super().hold_duty(duty, worker)

    async def claim(self, worker: str, provider: str, *, most: int, **more: Any) -> tuple[Job, ...]:  # noqa: ANN401
        """Claim; the answer may be lost."""
        claimed = await super().claim(worker, provider, most=most, **more)
        if claimed and self.lost_claims:
            self.lost_claims -= 1
            raise OutcomeUnknown("the connection went")
        return claimed

    def _fail_if_deaf(self) -> None:
        if self.deaf:
            raise StoreUnavailable("the database cannot be reached")


# --- duties -------------------------------------------------------------------------------------


async def test_a_duty_has_one_holder_until_its_lease_is_over(migrated: str, ours: Connected) -> None:
    hold = ours.cluster.hold_duty

    first = await asyncio.gather(*(hold("tell", f"w{n}") for n in range(8)))

    assert first.count(True) == 1
    holder, other = f"w{first.index(True)}", f"w{first.index(False)}"
    assert await hold("tell", holder)
    assert not await hold("tell", other)
    assert await hold("tidy", other), "one duty is not another"
    await sql(migrated, "UPDATE duties SET until = until - interval '1 day' WHERE name = 'tell'")
    assert await hold("tell", other)
    assert not await hold("tell", holder)
    await ours.cluster.leave(other)
    assert await hold("tell", holder), "who leaves leaves its duties"
    assert await hold("tidy", holder)


async def test_a_duty_is_taken_over_from_who_is_not_heard_and_let_go_of_by_who_hears_of_it(
    migrated: str, theirs: Connected
) -> None:
    doing: Counter[str] = Counter()
    database = Database(migrated)
    ours = Ailing(database)

    async def do(worker: str) -> None:
        doing[worker] += 1
        try:
            await asyncio.Event().wait()
        finally:
            doing[worker] -= 1

    async with asyncio.TaskGroup() as group:
        first = group.create_task(on_duty(ours, "tell", "a", lambda: do("a")))
        await until(lambda: _same(doing["a"]), 5)
        ours.deaf = True
        second = group.create_task(on_duty(theirs.cluster, "tell", "b", lambda: do("b")))
        await sql(migrated, "UPDATE duties SET until = until - interval '1 day'")
        await until(lambda: _same(doing["b"]), BEAT_S + 2)
        assert doing["a"], "it goes on for as long as nobody else can have it by right"

        ours.deaf = False
        await until(lambda: _same(not doing["a"]), BEAT_S + 2)

        assert doing["b"] == 1
        first.cancel()
        second.cancel()
    assert not any(doing.values()), "who is stopped stops what it does"
    await database.close()


async def _same(value: object) -> object:
    return value


# --- notes --------------------------------------------------------------------------------------


@asynccontextmanager
async def broadcasting(cluster: PostgresCluster) -> AsyncIterator[tuple[Broadcast, Hub]]:
    """Tell and hear as one process does."""
    hub = Hub()
    signals = Broadcast(cluster, hub)
    listening = asyncio.Event()
    leave = hub.watch("listening", listening.set)  # everyone looks once it listens
    running = asyncio.create_task(signals.run())
    try:
        async with asyncio.timeout(10):
            await listening.wait()
        leave()
        yield signals, hub
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_what_is_told_in_one_process_wakes_who_waits_in_another(
    ours: Connected, theirs: Connected
) -> None:
    async with broadcasting(ours.cluster) as (here, _), broadcasting(theirs.cluster) as (there, _):
        waiting = asyncio.create_task(there.wait("task_1", timeout_s=10))
        untold = asyncio.create_task(there.wait("task_2", timeout_s=0.5))
        await asyncio.sleep(0)  # they wait

        here.tell("task_1")

        assert await waiting
        assert not await untold


async def test_hints_are_sent_many_to_a_note_and_each_arrives(
    migrated: str, ours: Connected, theirs: Connected
) -> None:
    told = [an_order(n=n).id for n in range(1_000)]
    heard: Counter[str] = Counter()
    notes: list[str] = []
    listener = await asyncpg.connect(migrated)
    await listener.add_listener(CHANNEL, lambda *note: notes.append(str(note[-1])))
    async with broadcasting(ours.cluster) as (here, own), broadcasting(theirs.cluster) as (_, other):
        for task_id in told:
            other.watch(task_id, lambda task_id=task_id: heard.update([task_id]))  # type: ignore[misc]
        echoes: list[str] = []
        own.watch(told[0], lambda: echoes.append("woken"))

        for task_id in told * 2:
            here.tell(task_id)
        await until(lambda: _same(len(heard) == len(told)), 10)
        await until(lambda: _same(sum(len(note.split()) - 1 for note in notes) >= len(told)), 10)

    await listener.close()
    assert set(heard.values()) == {1}, "told twice within 10 ms is told once"
    assert max(map(len, notes)) <= LONGEST_NOTE
    assert len(notes) == -(-sum(len(task_id) + 1 for task_id in told) // LONGEST_NOTE)
    assert len(echoes) == 2, "who told it is woken at once, and not again by the note"


async def test_after_a_listener_was_killed_everyone_looks_again(
    migrated: str, ours: Connected, theirs: Connected
) -> None:
    async with broadcasting(ours.cluster) as (here, _), broadcasting(theirs.cluster) as (there, _):
        waiting = [asyncio.create_task(there.wait(f"task_{n}", timeout_s=30)) for n in range(3)]
        await asyncio.sleep(0)  # they wait

        killed = await sql(
            migrated,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        here.tell("task_0")  # nobody hears it

        async with asyncio.timeout(NOTICED_WITHIN_S):
            assert all(await asyncio.gather(*waiting))
        again = asyncio.create_task(there.wait("task_1", timeout_s=10))
        await asyncio.sleep(0)
        here.tell("task_1")
        assert await again, "and hints are heard again"

    assert len(killed) >= 2


async def test_to_listen_ends_when_nothing_can_come_any_more(migrated: str, ours: Connected) -> None:
    ready = asyncio.Event()
    listening = asyncio.create_task(ours.cluster.listen(lambda _: None, ready=ready.set))
    async with asyncio.timeout(10):
        await ready.wait()

    await sql(
        migrated,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND query LIKE 'LISTEN%'",
    )

    async with asyncio.timeout(2 * BEAT_S + 1):
        with pytest.raises(StoreUnavailable):
            await listening


# --- running tasks ------------------------------------------------------------------------------


class Now(ManualClock):
    """The time of this machine."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class Counting(Sandbox):
    """Notes under which references work was begun here."""

    def __init__(self) -> None:
        super().__init__(Config(), scratch=Path("never-made"))
        self.starts: list[str] = []

    async def submit(
        self, generation: Generation, *, reference: str, inputs: Sequence[Path] = ()
    ) -> RemoteId:
        self.starts.append(reference)
        return await super().submit(generation, reference=reference)


@dataclass(slots=True)
class Process:
    """One of several that run tasks."""

    url: str
    store: PostgresStore
    cluster: Ailing
    dispatch: SharedDispatch
    provider: Counting
    ports: Ports

    async def submit(self, prompt: str = "a cat") -> Task:
        return (await submit_task(self.ports, a_submission(prompt))).task

    async def task(self, task_id: str) -> Task:
        found = await self.store.task(task_id)
        assert found is not None
        return found

    async def end_of(self, task: Task, within_s: float = 30) -> Task:
        """Wait until a task has ended and nothing of it is left to do."""

        async def is_over() -> bool:
            return (await self.task(task.id)).ended and not await sql(
                self.url, "SELECT 1 FROM jobs WHERE task_id = $1", task.id
            )

        await until(is_over, within_s)
        return await self.task(task.id)

    async def runs(self, task: Task) -> bool:
        """Say whether it is this process that has the task's job."""
        found = await sql(self.url, "SELECT worker FROM jobs WHERE task_id = $1", task.id)
        return found == [(self.dispatch.worker,)]

    async def has_been_here_for(self, seconds: float) -> None:
        """Make it as if it had beaten without a gap for so long."""
        await sql(
            self.url,
            "UPDATE workers SET since = since - $2 * interval '1 s' WHERE id = $1",
            self.dispatch.worker,
            seconds,
        )

    async def freeze(self) -> None:
        """Make it as if no beat of this process had come for longer than a lease; none comes now."""
        self.cluster.deaf = True
        await let_time_pass(self.url, self.dispatch.worker)


@asynccontextmanager
async def working(url: str, slots: int = 100, *, deaf: bool = False) -> AsyncIterator[Process]:
    """Run tasks as one process of several does."""
    database = Database(url)
    store, cluster = PostgresStore(database, limits=ROOMY), Ailing(database)
    cluster.deaf = deaf
    provider = Counting()
    backend = Backend(provider=provider, capabilities=SPEC.capabilities)
    signals = Broadcast(cluster, Hub())
    dispatch = SharedDispatch(cluster, slots={"studio": slots}, first_pause_s=0.001)
    ports = some_ports(store, {"studio": backend}, clock=Now(), signals=signals, dispatch=dispatch)
    ports = replace(ports, entropy=os.urandom)
    running = [asyncio.create_task(work) for work in (signals.run(), dispatch.run(ports))]
    try:
        yield Process(url, store, cluster, dispatch, provider, ports)
    finally:
        for one in running[::-1]:
            one.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await dispatch.stop()
        await store.close()


@pytest.fixture
async def rich(migrated: str) -> str:
    """Return the URL of a database in which ada can pay for much."""
    async with connected(migrated) as ours:
        await fund(ours.store, "ada", amount=100 * FUNDS)
    return migrated


async def test_two_processes_share_the_work_and_run_each_task_once(rich: str) -> None:
    async with working(rich, slots=5) as one, working(rich, slots=5) as other:
        tasks = [await side.submit("#slow=0.2") for side in (one, other) for _ in range(20)]

        ends = [await one.end_of(task) for task in tasks]

        assert {task.status for task in ends} == {Status.SUCCEEDED}
        assert Counter(one.provider.starts + other.provider.starts) == Counter(f"{t.id}-1" for t in tasks)
        assert one.provider.starts
        assert other.provider.starts
        assert not await findings(one.store)


async def test_a_task_submitted_where_nothing_runs_is_run_elsewhere_at_once(rich: str) -> None:
    async with working(rich) as runs, working(rich, slots=0) as only_admits:
        await runs.end_of(await runs.submit())  # it has begun
        took_s = []
        for _ in range(5):
            began = asyncio.get_running_loop().time()
            task = await only_admits.submit()
            await only_admits.end_of(task)
            took_s.append(asyncio.get_running_loop().time() - began)

    assert min(took_s) < 0.5, "it is told, and not only found by looking"


async def test_a_cancel_in_one_process_stops_the_run_in_another(rich: str) -> None:
    async with working(rich) as runs, working(rich, slots=0) as beside:
        task = await beside.submit("#stall")
        await until(lambda: runs.runs(task), 10)
        await until(lambda: _phase_is(runs, task, Phase.GENERATING), 10)

        await cancel_task(beside.ports, await beside.task(task.id))

        await beside.end_of(task, within_s=5)
        (attempt,) = await beside.store.attempts(task.id)
        assert attempt.outcome == "cancelled"


async def _phase_is(process: Process, task: Task, phase: Phase) -> bool:
    return (await process.task(task.id)).phase is phase


async def test_who_was_taken_for_dead_is_fenced_and_goes_on_as_another(
    rich: str, logs: list[EventDict]
) -> None:
    async with working(rich) as frozen, working(rich, slots=0) as submits:
        task = await submits.submit("#slow=3")
        await until(lambda: frozen.runs(task), 10)
        ((lease_no,),) = await sql(rich, "SELECT lease_no FROM tasks WHERE id = $1", task.id)
        async with working(rich) as other:
            await until(lambda: _same(other.dispatch._known), 10)
            await other.has_been_here_for(LEASE_S + 1)
            name = frozen.dispatch.worker
            await frozen.freeze()

            await other.dispatch._beat()

            await until(lambda: other.runs(task), 10)
            now = await frozen.task(task.id)
            late = advance(now, ended(now, Status.CANCELLED), lease_no=lease_no)
            assert isinstance(await refusal(frozen.store, late), LeaseLost)
            frozen.cluster.deaf = False
            await frozen.dispatch._beat()
            assert frozen.dispatch.worker != name
            assert not any(map(len, frozen.dispatch._runs.values())), "it has let go of what was taken"
            later = [await submits.submit() for _ in range(20)]
            ends = [await submits.end_of(one) for one in (task, *later)]

        assert {one.status for one in ends} == {Status.SUCCEEDED}
        assert not await findings(submits.store)
        assert {log["event"] for log in logs} >= {"workers_died", "taken_for_dead"}


async def test_who_missed_a_beat_buries_nobody_for_a_while_and_claims_nothing_meanwhile(rich: str) -> None:
    async with connected(rich) as ours, working(rich, deaf=True) as process:
        await ours.cluster.join("dead", {})
        await let_time_pass(rich, "dead")
        # After a long time without trouble, nobody's beats come through for longer than a gap may be.
        process.cluster.deaf = False
        await until(lambda: _same(process.dispatch._known), 5)
        process.cluster.deaf = True
        await process.has_been_here_for(10 * LEASE_S)
        with pytest.raises(StoreUnavailable):
            await process.dispatch._beat()
        process.dispatch._known = False  # as the loop of beats does after a miss
        await let_time_pass(rich, process.dispatch.worker)
        task = await process.submit()
        await asyncio.sleep(0.1)
        await process.dispatch._claim()
        assert not await process.runs(task), "who cannot say that it lives takes on nothing"

        process.cluster.deaf = False
        await process.end_of(task)
        await process.dispatch._beat()

        assert await sql(rich, "SELECT 1 FROM workers WHERE id = 'dead'"), "it may have been deaf itself"
        await process.has_been_here_for(LEASE_S + 1)
        await process.dispatch._beat()
        assert not await sql(rich, "SELECT 1 FROM workers WHERE id = 'dead'")


async def test_who_was_deaf_for_a_moment_goes_on_with_its_runs(rich: str) -> None:
    async with working(rich) as process:
        task = await process.submit("#slow=3")
        await until(lambda: process.runs(task), 10)
        name = process.dispatch.worker
        process.cluster.deaf = True
        with pytest.raises(StoreUnavailable):
            await process.dispatch._beat()

        process.cluster.deaf = False
        process.dispatch._known = False  # as the loop of beats does after a miss
        await process.dispatch._beat()

        assert process.dispatch.worker == name
        assert (await process.end_of(task)).status is Status.SUCCEEDED
        assert process.provider.starts == [f"{task.id}-1"]


async def test_whoever_stops_hands_over_at_once(rich: str) -> None:
    async with working(rich, slots=0) as submits:
        async with working(rich) as first:
            task = await submits.submit("#slow=1")
            await until(lambda: _phase_is(first, task, Phase.GENERATING), 10)
        async with working(rich) as second:
            await until(lambda: second.runs(task), 3)

            assert (await submits.end_of(task)).status is Status.SUCCEEDED
    assert first.provider.starts == second.provider.starts == [f"{task.id}-1"], "by the same reference"


async def test_a_claim_whose_answer_was_lost_strands_nothing(rich: str) -> None:
    async with working(rich) as process:
        await process.end_of(await process.submit())
        process.cluster.lost_claims = 2

        tasks = [await process.submit() for _ in range(10)]

        ends = [await process.end_of(task, within_s=10) for task in tasks]
        assert {task.status for task in ends} == {Status.SUCCEEDED}
        assert process.cluster.lost_claims == 0


# --- files --------------------------------------------------------------------------------------


async def test_a_file_that_is_needed_while_it_is_collected_stays_known(
    migrated: str, ours: Connected, theirs: Connected
) -> None:
    """Both at once: the last task that needed a file lets go of it, and another one's end names it."""
    old, new = an_order(n=1), an_order(n=2)
    film = an_output()
    for task in (old, new):
        await submit(ours.store, task)
    was = replace(ended(running := await send(ours.store, old), Status.SUCCEEDED), outputs=(film,))
    await ours.store.commit(advance(running, was))
    await ours.store.commit(tidying(was, was.without_files(at=NOON)))
    now = await send(ours.store, new)
    change = advance(now, replace(ended(now, Status.SUCCEEDED), outputs=(film,)))
    commits = await asyncpg.connect(migrated)
    transaction = commits.transaction()
    await transaction.start()
    await commits.fetch("SELECT * FROM commit_change_v1($1, '{}')", document_of(change))

    collecting = asyncio.create_task(theirs.store.collect([film.blob]))
    await asyncio.sleep(0.3)  # it has looked, or it waits
    await transaction.commit()
    await commits.close()

    await collecting
    assert await ours.store.output(film.blob) == film


# --- all at once --------------------------------------------------------------------------------

TIGHT: Final = Limits(account_concurrency=3, account_queue=500, provider_slots={"sandbox": 5, "studio": 2})
NAMES: Final = ("ada", "ben", "eve")
STORM: Final = 200  # tasks at least
KINDS: Final = ("claims", "admitted", "cancelled", "buried")  # each must happen before it may calm down
FILM: Final = hashlib.sha256(CLIP.source.read_bytes()).hexdigest()  # what the sandbox makes


class Storm:
    """Everything that processes do to one another's rows, all the time, until every task has ended."""

    def __init__(self, url: str, sides: Sequence[Connected], seed: int) -> None:
        self.url = url
        self.sides = sides
        self.seed = seed
        self.chance = random.Random(seed)
        self.numbers = itertools.count()
        self.ids: list[str] = []
        self.workers: set[str] = set()
        self.submitting = 0
        self.over = False
        self.most: Counter[str] = Counter()
        self.did: Counter[str] = Counter()

    async def rage(self) -> None:
        """Do all of it at once; whatever is raised is a fault."""
        async with asyncio.timeout(100), asyncio.TaskGroup() as group:
            for side in self.sides:
                group.create_task(self.submit(side))
                group.create_task(self.submit(side))
                for _ in range(3):
                    group.create_task(self.work(side))
                group.create_task(self.again(partial(self.admit, side), 0.003))
                group.create_task(self.again(partial(self.cancel, side), 0.02))
                group.create_task(self.again(partial(self.collect, side), 0.01))
            group.create_task(self.again(partial(self.kill_somebody, self.sides[0]), 0.2))
            group.create_task(self.again(self.look, 0.01))

    async def again(self, do: Callable[[], Awaitable[None]], pause_s: float) -> None:
        while not self.over:
            await do()
            await asyncio.sleep(self.chance.uniform(0, 2 * pause_s))

    @property
    def rages(self) -> bool:
        """Whether there is something yet to be seen."""
        return len(self.ids) < STORM or not all(self.did[kind] for kind in KINDS)

    async def submit(self, side: Connected) -> None:
        self.submitting += 1
        while self.rages:
            n = next(self.numbers)
            prompt = self.chance.choice(["a cat", "a cat", "#fail", "#slow=0.1"])
            task = an_order(
                self.chance.choice(NAMES),
                n,
                provider=self.chance.choice(["sandbox", "studio"]),
                priority=self.chance.randrange(2),
                callback_url="https://example.com/hook",
            )
            at = datetime.now(UTC)
            task = replace(
                task,
                generation=replace(task.generation, prompt=prompt),
                created_at=at,
                updated_at=at,
                deadline_at=at + timedelta(hours=1),
            )
            answer = await side.store.commit(submission(task, claims=(a_claim(task, f"{n}"),)))
            assert isinstance(answer, Committed), answer
            self.ids.append(task.id)
            if len(self.ids) >= STORM:  # just enough to keep it going
                await asyncio.sleep(0.02)
        self.submitting -= 1

    async def work(self, side: Connected) -> None:
        """Be one worker after another: some leave, some are taken for dead, and some die half-way."""
        sandbox = Backend(provider=Sandbox(Config(), scratch=Path("none")), capabilities=SPEC.capabilities)
        ports = some_ports(
            side.store, {"sandbox": sandbox, "studio": sandbox}, clock=Now(), signals=SilentSignals()
        )
        while not self.over:
            worker = f"worker {self.chance.randrange(2**64)}"
            await side.cluster.join(worker, {})
            self.workers.add(worker)
            for _ in range(self.chance.randrange(5, 40)):
                jobs = [
                    job
                    for provider in ("sandbox", "studio")
                    for job in await side.cluster.claim(worker, provider, most=2)
                ]
                self.did["claims"] += len(jobs)
                for job in jobs:
                    patience_s = self.chance.choice([0.005, 10, 10, 10])
                    with suppress(TimeoutError):
                        async with asyncio.timeout(patience_s):
                            await run_task(ports, job)
                await side.cluster.beat(worker)
                await asyncio.sleep(0.002)
            self.workers.discard(worker)
            await side.cluster.leave(worker)

    async def admit(self, side: Connected) -> None:
        self.did["admitted"] += len(await side.store.admit(datetime.now(UTC)))
        calm = not self.submitting
        standing = await side.store.standing()
        self.over = self.over or (calm and standing.jobs == standing.waiting == 0)

    async def cancel(self, side: Connected) -> None:
        if self.ids:
            task = await side.store.task(self.chance.choice(self.ids[-40:]))
            assert task is not None
            if not task.ended:
                after = task.to(Status.CANCELLED, at=datetime.now(UTC))
                answer = await side.store.commit(advance(task, after))
                self.did["cancelled"] += isinstance(answer, Committed)

    async def collect(self, side: Connected) -> None:
        self.did["collected"] += len(await side.store.collect([FILM]))

    async def kill_somebody(self, side: Connected) -> None:
        if self.workers:
            rows = await sql(self.url, "SELECT DISTINCT worker FROM jobs WHERE worker IS NOT NULL")
            busy = self.workers.intersection(worker for (worker,) in rows)
            dead = self.chance.choice(sorted(busy or self.workers))
            await let_time_pass(self.url, dead)
            await sql(self.url, "UPDATE workers SET since = since - interval '21 s' WHERE id <> $1", dead)
            for worker in sorted(self.workers - {dead}):
                self.did["buried"] += await side.cluster.bury(worker)

    async def look(self) -> None:
        """Count what runs, as of one moment."""
        for name, count in await sql(
            self.url,
            "SELECT provider, count(*) FROM attempts WHERE closed_at IS NULL GROUP BY 1 "
            "UNION ALL SELECT account_id, count(*) FROM tasks WHERE admitted = 1 GROUP BY 1",
        ):
            self.most[name] = max(self.most[name], count)
        self.did["looks"] += 1


async def test_a_burst_into_an_empty_house_takes_no_more_slots_than_there_are(migrated: str) -> None:
    """A task starts in the commit that stores it: of many such commits at once, as many as there is room."""
    limits = Limits(account_concurrency=2, provider_slots={"sandbox": 3})
    names = [f"guest{n}" for n in range(8)]
    numbers = itertools.count()
    began = 0
    async with AsyncExitStack() as stack:
        stores = [(await stack.enter_async_context(connected(migrated, limits))).store for _ in range(4)]
        await fund(stores[0], *names)
        for _ in range(20):
            orders = [(store, an_order(name, next(numbers))) for name in names for store in stores]

            await asyncio.gather(*(submit(store, task) for store, task in orders))

            slots = await sql(migrated, "SELECT count(*) FROM attempts WHERE closed_at IS NULL")
            accounts = "SELECT count(*) FROM tasks WHERE admitted = 1 GROUP BY account_id"
            began += slots[0][0]
            assert slots[0][0] <= 3
            assert max(await sql(migrated, accounts), default=(0,)) <= (2,)
            for store, task in orders:
                await store.commit(advance(task, ended(task, Status.CANCELLED)))
    assert began > 20


async def test_a_storm_of_everything_at_once_stops_nobody_and_exceeds_nothing(migrated: str) -> None:
    seed = int(os.environ.get("FILMGATE_TEST_SEED", "0")) or random.randrange(2**32)
    print(f"seed {seed}: FILMGATE_TEST_SEED={seed} repeats the choices")
    async with connected(migrated, TIGHT) as one, connected(migrated, TIGHT) as other:
        await fund(one.store, *NAMES)
        storm = Storm(migrated, (one, other), seed)

        await storm.rage()

        print(f"at most {dict(storm.most)}; {dict(storm.did)}")
        for provider, slots in TIGHT.provider_slots.items():
            assert 0 < storm.most[provider] <= slots
        for name in NAMES:
            assert 0 < storm.most[f"acct_{name}"] <= TIGHT.account_concurrency
        assert not await findings(one.store)
        for task_id in storm.ids:
            task = await one.store.task(task_id)
            assert task is not None
            assert task.ended
            events = await one.store.events(task_id)
            assert [event.seq for event in events] == list(range(1, task.version + 1))
            assert all(attempt.closed_at for attempt in await one.store.attempts(task_id))
            for output in task.outputs:
                assert output.blob == FILM
                assert await one.store.output(output.blob) == output
        for name in NAMES:
            account = await one.store.account(f"acct_{name}")
            assert account is not None
            assert account.held == 0
        assert await sql(migrated, "SELECT sum(queued) - sum(started) FROM accounts LEFT JOIN turns "
                                   "ON account_id = id") == [(0,)]  # fmt: skip
        assert await sql(
            migrated, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        ) == [(0,)]
