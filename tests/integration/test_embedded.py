"""The embedded dispatch: runs what is admitted, survives bugs and full disks, takes over from the dead."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from filmgate.blobs.local import LocalBlobs
from filmgate.core.admission import Limits
from filmgate.core.attempt import Outcome
from filmgate.core.change import advance
from filmgate.core.errors import StoreUnavailable
from filmgate.core.generation import Generation
from filmgate.core.task import Phase, Status, Task
from filmgate.dispatch.embedded import EmbeddedDispatch
from filmgate.dispatch.hub import Hub
from filmgate.dispatch.runs import TRIES
from filmgate.ports import Backend, Ports
from filmgate.ports.provider import RemoteId, Report
from filmgate.ports.store import Committed
from filmgate.providers.sandbox import SPEC, Config, Sandbox
from filmgate.service.cancel_task import cancel_task
from filmgate.service.submit_task import submit_task
from filmgate.store.sqlite import SqliteStore
from tests.fakes import IdleProvider, ManualClock
from tests.runs import FUNDS, LIMITS, Fate, MortalSqlite, a_submission, some_ports
from tests.stores import ended, findings, fund

PROMPTS = {
    "a cat": Status.SUCCEEDED,
    "#slow=0.2": Status.SUCCEEDED,
    "#busy": Status.SUCCEEDED,
    "#fail": Status.FAILED,
    "#moderate": Status.FAILED,
    "#reject": Status.FAILED,
}


class Now(ManualClock):
    """The time of this machine."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class Buggy(Sandbox):
    """An adapter with a bug that shows whenever it is asked about a broken one."""

    def __init__(self, bug: BaseException) -> None:
        super().__init__(Config(), scratch=Path("never-made"))
        self.bug = bug
        self.broken: set[RemoteId] = set()

    async def submit(
        self, generation: Generation, *, reference: str, inputs: Sequence[Path] = ()
    ) -> RemoteId:
        remote_id = await super().submit(generation, reference=reference)
        if "broken" in generation.prompt:
            self.broken.add(remote_id)
        return remote_id

    async def poll(self, remote_id: RemoteId) -> Report:
        if remote_id in self.broken:
            raise self.bug
        return await super().poll(remote_id)


class Late(IdleProvider):
    """Accepts after a while, so that there is time to be cancelled in."""

    async def submit(
        self, generation: Generation, *, reference: str, inputs: Sequence[Path] = ()
    ) -> RemoteId:
        await asyncio.sleep(0.05)
        return RemoteId(reference)


@dataclass(slots=True)
class Process:
    """One serving process over a directory: its store, its dispatch and its ports."""

    ports: Ports
    store: MortalSqlite
    hub: Hub
    dispatch: EmbeddedDispatch

    async def submit(self, prompt: str = "a cat") -> Task:
        return (await submit_task(self.ports, a_submission(prompt))).task

    async def task(self, task: Task) -> Task:
        found = await self.store.task(task.id)
        assert found is not None
        return found

    async def end_of(self, task: Task) -> Task:
        """Wait until a task has ended and nothing of it is left to do."""
        async with asyncio.timeout(20):
            while not (now := await self.task(task)).ended or not await self.all_closed(task):
                await self.hub.wait(task.id, timeout_s=0.02)
        return now

    async def all_closed(self, task: Task) -> bool:
        return all(one.closed_at is not None for one in await self.store.attempts(task.id))

    async def until(self, true: Callable[[Task], bool], task: Task) -> Task:
        """Wait until something is true of a task."""
        async with asyncio.timeout(20):
            while not true(now := await self.task(task)):
                await self.hub.wait(task.id, timeout_s=0.02)
        return now


def sandbox() -> Backend:
    provider = Sandbox(Config(), scratch=Path("never-made"))
    return Backend(provider=provider, capabilities=SPEC.capabilities)


@asynccontextmanager
async def serving(directory: Path, provider: Backend, limits: Limits = LIMITS) -> AsyncIterator[Process]:
    """Serve a directory for as long as this lasts; at its end everything is let go of where it is."""
    store = MortalSqlite.open(directory, limits=limits, serving=True)
    assert isinstance(store, MortalSqlite)
    store.fate = Fate()
    if await store.account("acct_ada") is None:
        await fund(store, "ada", amount=FUNDS)
    hub, dispatch = Hub(), EmbeddedDispatch(first_pause_s=0.001)
    ports = some_ports(store, {"studio": provider}, clock=Now(), signals=hub, dispatch=dispatch)
    ports = replace(ports, blobs=LocalBlobs(directory / "blobs"), entropy=os.urandom)
    running = asyncio.create_task(dispatch.run(ports))
    try:
        yield Process(ports, store, hub, dispatch)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await dispatch.stop()
        await store.close()


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[EventDict]]:
    """Keep what is logged out of the way, and return it."""
    with capture_logs() as logs:
        yield logs


@pytest.fixture
async def process(tmp_path: Path) -> AsyncIterator[Process]:
    """Return a process that serves with the sandbox."""
    async with serving(tmp_path, sandbox()) as process:
        yield process


async def test_tasks_of_all_kinds_end_as_they_should_at_the_same_time(process: Process) -> None:
    tasks = [(prompt, await process.submit(prompt)) for prompt in PROMPTS for _ in range(3)]

    ends = [(prompt, (await process.end_of(task)).status) for prompt, task in tasks]

    assert ends == [(prompt, status) for prompt, status in PROMPTS.items() for _ in range(3)]
    assert not await process.store.take_over()
    assert not await findings(process.store)


async def test_a_cancelled_task_is_stopped_upstream(process: Process) -> None:
    task = await process.submit("#stall")
    await process.until(lambda now: now.status is Status.RUNNING, task)

    cancelled = await cancel_task(process.ports, await process.task(task))
    await process.end_of(task)

    (attempt,) = await process.store.attempts(task.id)
    assert cancelled.status is Status.CANCELLED
    assert attempt.outcome is Outcome.CANCELLED


async def test_a_free_slot_goes_to_who_waits(tmp_path: Path) -> None:
    one_at_a_time = replace(LIMITS, account_concurrency=1)
    async with serving(tmp_path, sandbox(), one_at_a_time) as process:
        tasks = [await process.submit() for _ in range(20)]

        ends = [await process.end_of(task) for task in tasks]

    assert {task.status for task in ends} == {Status.SUCCEEDED}


# --- bugs ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("bug", [ValueError("a bug"), asyncio.CancelledError()], ids=["error", "cancelled"])
async def test_a_bug_in_an_adapter_fails_its_task_and_no_other(tmp_path: Path, bug: BaseException) -> None:
    provider = Buggy(bug)
    async with serving(tmp_path, Backend(provider=provider, capabilities=SPEC.capabilities)) as process:
        broken = [await process.submit("a broken one") for _ in range(3)]
        whole = await process.submit("a cat")

        ends = [await process.end_of(task) for task in broken]

        for end in ends:
            (attempt,) = await process.store.attempts(end.id)
            assert end.error is not None
            assert (end.status, end.error.code) == (Status.FAILED, "internal_error")
            assert "bug" not in end.error.message
            assert attempt.outcome is Outcome.ORPHANED
        assert (await process.end_of(whole)).status is Status.SUCCEEDED
        assert not await process.store.take_over()
        assert not await findings(process.store)


async def test_a_bug_that_passes_costs_nothing(tmp_path: Path) -> None:
    class OnceBuggy(Sandbox):
        bugs = 2

        async def poll(self, remote_id: RemoteId) -> Report:
            if self.bugs:
                self.bugs -= 1
                raise ValueError("a bug")
            return await super().poll(remote_id)

    provider = OnceBuggy(Config(), scratch=tmp_path / "scratch")
    async with serving(tmp_path, Backend(provider=provider, capabilities=SPEC.capabilities)) as process:
        task = await process.submit()

        assert (await process.end_of(task)).status is Status.SUCCEEDED


async def test_a_disk_without_room_for_files_only_delays_what_runs(tmp_path: Path) -> None:
    class Full(Sandbox):
        times = TRIES + 2

        async def poll(self, remote_id: RemoteId) -> Report:
            if self.times:
                self.times -= 1
                raise OSError(errno.ENOSPC, "no space left on device")
            return await super().poll(remote_id)

    provider = Full(Config(), scratch=tmp_path / "scratch")
    async with serving(tmp_path, Backend(provider=provider, capabilities=SPEC.capabilities)) as process:
        task = await process.submit()

        assert (await process.end_of(task)).status is Status.SUCCEEDED


async def test_a_full_disk_only_delays_what_runs(process: Process) -> None:
    task = await process.submit("#slow=0.1")
    process.store.failures = 5

    end = await process.end_of(task)

    assert end.status is Status.SUCCEEDED
    assert process.store.failures == 0


# --- callers that go away -----------------------------------------------------------------------


async def test_a_task_whose_caller_goes_away_while_it_is_stored_runs_all_the_same(process: Process) -> None:
    caller = asyncio.create_task(submit_task(process.ports, a_submission(out_task_id="mine")))
    await asyncio.sleep(0)  # its change is on its way to the disk

    caller.cancel()
    await asyncio.gather(caller, return_exceptions=True)

    submitted = await submit_task(process.ports, a_submission(out_task_id="mine"))
    assert submitted.replayed
    assert (await process.end_of(submitted.task)).status is Status.SUCCEEDED


async def test_a_submission_that_cannot_be_stored_is_refused_and_nothing_runs(process: Process) -> None:
    process.store.failures = 1

    with pytest.raises(StoreUnavailable):
        await process.submit()

    assert not await process.store.take_over()


# --- the end of a process -----------------------------------------------------------------------


async def test_the_next_process_goes_on_where_the_last_one_stopped(tmp_path: Path) -> None:
    async with serving(tmp_path, sandbox()) as first:
        tasks = {prompt: await first.submit(prompt) for prompt in (*PROMPTS, "#stall")}
        stalled = tasks.pop("#stall")
        await first.until(lambda now: now.status is Status.RUNNING, stalled)

    async with serving(tmp_path, sandbox()) as second:
        assert (await second.task(stalled)).status is Status.RUNNING
        ends = {prompt: (await second.end_of(task)).status for prompt, task in tasks.items()}
        await cancel_task(second.ports, await second.task(stalled))
        await second.end_of(stalled)

        assert ends == PROMPTS
        assert not await second.store.take_over()
        assert not await findings(second.store)


async def test_what_was_stored_before_the_dispatch_runs_is_run_once(tmp_path: Path) -> None:
    starts: list[str] = []

    class Counting(Sandbox):
        async def submit(
            self, generation: Generation, *, reference: str, inputs: Sequence[Path] = ()
        ) -> RemoteId:
            starts.append(reference)
            return await super().submit(generation, reference=reference)

    provider = Counting(Config(), scratch=tmp_path / "scratch")
    async with serving(tmp_path, Backend(provider=provider, capabilities=SPEC.capabilities)) as process:
        tasks = await asyncio.gather(*(process.submit() for _ in range(5)))
        for task in tasks:
            await process.end_of(task)

    assert sorted(starts) == sorted(f"{task.id}-1" for task in tasks)


async def test_a_task_that_another_process_cancelled_is_stopped(tmp_path: Path) -> None:
    async with serving(tmp_path, sandbox()) as process:
        process.store.watch(process.hub.tell_everyone)
        task = await process.submit("#stall")
        running = await process.until(lambda now: now.phase is Phase.GENERATING, task)
        visitor = SqliteStore.open(tmp_path, limits=LIMITS, serving=False)

        outcome = await visitor.commit(advance(running, ended(running, Status.CANCELLED)))
        assert isinstance(outcome, Committed)
        await visitor.close()

        await process.end_of(task)
        (attempt,) = await process.store.attempts(task.id)
        assert attempt.outcome is Outcome.CANCELLED


async def test_a_cancel_while_it_is_accepted_is_stopped_upstream(tmp_path: Path) -> None:
    provider = Late()
    stopped = asyncio.Event()
    provider.cancel = told(stopped)  # type: ignore[method-assign,assignment]
    async with serving(tmp_path, Backend(provider=provider, capabilities=SPEC.capabilities)) as process:
        task = await process.submit()
        await process.until(lambda now: now.status is Status.RUNNING, task)

        await cancel_task(process.ports, await process.task(task))

        async with asyncio.timeout(10):
            await stopped.wait()


def told(event: asyncio.Event) -> Callable[[RemoteId], Awaitable[None]]:
    async def tell(remote_id: RemoteId) -> None:
        event.set()

    return tell
