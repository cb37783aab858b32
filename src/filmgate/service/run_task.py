"""Bring an admitted task to its end, and whatever was started upstream for it to its own.

Everything here may be cut off at any line and begun again from the rows: the intent is saved before
anything is sent, the reference that is sent is the same each time, and the end is saved once.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Final

from filmgate.core.attempt import Attempt, Outcome
from filmgate.core.change import advance, aside
from filmgate.core.errors import (
    Conflict,
    InputInvalid,
    InputUnavailable,
    InvalidRequest,
    LeaseLost,
    ModelUnavailable,
    ProviderError,
    ProviderMisconfigured,
    ProviderRejected,
    RemoteLost,
    StoreUnavailable,
    SubmissionUnclear,
)
from filmgate.core.generation import Generation
from filmgate.core.retry import again_at
from filmgate.core.task import Phase, Status, Task, TaskError
from filmgate.ports import Backend, Ports
from filmgate.ports.provider import ClientReference, Failed, RemoteId, Report, Running, Succeeded
from filmgate.ports.store import Job
from filmgate.service.prepare_inputs import is_prepared, paths_of, prepare_inputs
from filmgate.service.save import save
from filmgate.service.settle_task import EXPIRED, fail, succeed

PROGRESS_EVERY: Final = timedelta(seconds=1)
READ_EVERY: Final = timedelta(seconds=15)  # of a task that is followed: hints are not promises
UPSTREAM_TROUBLE_S: Final = 5.0  # between questions that the provider could not answer
PREPARING_CHECK_S: Final = 5.0  # between looks at whether the task is still wanted
STORE_TROUBLE_S: Final = 1.0  # between tries to save what only this run knows
DRAIN_TRIES: Final = 60


async def run_task(ports: Ports, job: Job) -> None:
    """Run the task of `job` to its end, then close its attempts; return early if it is taken over."""
    while True:
        task = await ports.store.task(job.task_id)
        attempts = await ports.store.attempts(job.task_id)
        assert task is not None, "a job belongs to a stored task"
        backend = ports.providers.get(task.route.provider)
        try:
            if task.ended:
                await _drain(ports, job, backend, attempts)
                return
            if backend is None:
                gone = ModelUnavailable(f"the provider {task.route.provider!r} is no longer configured")
                await fail(ports, task, _error(gone), lease_no=job.lease_no)
                continue
            if await _Run(ports, job, backend, task, attempts[-1]).go_on():
                return
        except LeaseLost:
            return
        except Conflict:
            continue  # cancelled, most likely: read the task again and go by that


class _Run:
    """One pass over a task that has not ended: it holds the task and its attempt as last saved."""

    def __init__(self, ports: Ports, job: Job, backend: Backend, task: Task, attempt: Attempt) -> None:
        self.ports = ports
        self.job = job
        self.provider = backend.provider
        self.capabilities = backend.capabilities
        self.task = task
        self.attempt = attempt
        self._read_at = ports.clock.now()

    @property
    def idempotent(self) -> bool:
        return self.capabilities.client_reference is ClientReference.IDEMPOTENT

    async def go_on(self) -> bool:
        """Submit if that is still to be done, then follow the work to its end.

        Return whether nothing is left to do: the task has ended and its attempt is closed.
        """
        if not await self._retry_time_has_come():
            return False
        if self.attempt.intent_at is None and self.ports.clock.now() >= self.task.deadline_at:
            await fail(self.ports, self.task, EXPIRED, lease_no=self.job.lease_no)
            return False
        try:
            remote_id = self.attempt.remote_id or await self._submit()
            if remote_id is not None:
                await self._follow(RemoteId(remote_id))
        except (InputInvalid, InputUnavailable) as error:
            # An attempt that was begun is left open: it is closed once the task has ended.
            await fail(self.ports, self.task, _error(error), lease_no=self.job.lease_no)
        return self.attempt.closed_at is not None

    # --- submitting -----------------------------------------------------------------------------

    async def _retry_time_has_come(self) -> bool:
        """Wait for it; False if something about the task changed meanwhile."""
        if self.task.retry_at is None:
            return True
        wait_s = (self.task.retry_at - self.ports.clock.now()).total_seconds()
        return wait_s <= 0 or not await self.ports.signals.wait(self.task.id, timeout_s=wait_s)

    async def _submit(self) -> RemoteId | None:
        """Return the provider's id, or None once the task has ended or waits for another try."""
        if self.attempt.intent_at is None:
            generation = await self._prepare()
            if generation is None:
                return None
            inputs = await paths_of(self.ports, generation)
            await self._save_intent(generation)
        elif not self.idempotent:
            # Sent, or not, by a worker that died: to send it again could start and bill it twice.
            unclear = SubmissionUnclear("it is not known whether the provider has started this task")
            await self._fail(unclear, Outcome.ORPHANED)
            return None
        else:
            inputs = await paths_of(self.ports, self.task.generation)
        try:
            remote_id = await self._send(inputs)
        except ProviderError as error:
            await self._save_refusal(error)
            return None
        await self._save_acceptance(remote_id)
        return remote_id

    async def _prepare(self) -> Generation | None:
        """Return what to make once its inputs are here, or None where the task ended before they were."""
        generation = self.task.generation
        if is_prepared(generation):
            return generation
        await self._save(self._running(Phase.PREPARING), attempt=self.attempt)
        work = asyncio.create_task(prepare_inputs(self.ports, generation))
        try:
            while not await self._done(work):
                if self.ports.clock.now() >= self.task.deadline_at:
                    await fail(self.ports, self.task, EXPIRED, lease_no=self.job.lease_no)
                    return None
                await self._read_again()
            return await work
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    async def _done(self, work: asyncio.Task[Generation]) -> bool:
        """Wait for the work, or for a sign that the task has changed; say whether the work is done."""
        sign = asyncio.create_task(self.ports.signals.wait(self.task.id, timeout_s=PREPARING_CHECK_S))
        try:
            await asyncio.wait([work, sign], return_when=asyncio.FIRST_COMPLETED)
        finally:
            sign.cancel()
        return work.done()

    async def _save_intent(self, generation: Generation) -> None:
        now = self.ports.clock.now()
        after = replace(self._running(Phase.SUBMITTING), generation=generation, attempt=self.attempt.n)
        await self._save(after, attempt=replace(self.attempt, intent_at=now))

    def _running(self, phase: Phase) -> Task:
        now = self.ports.clock.now()
        if self.task.status is Status.RUNNING:
            return self.task.still(at=now, phase=phase)
        return replace(self.task.to(Status.RUNNING, at=now), phase=phase)

    async def _send(self, inputs: Sequence[Path]) -> RemoteId:
        return await self.provider.submit(
            self.task.generation, reference=self.attempt.reference, inputs=inputs
        )

    async def _save_acceptance(self, remote_id: RemoteId) -> None:
        accepted = replace(self.attempt, remote_id=remote_id)
        if self.idempotent:
            # Kept with the first report: until then the same reference finds the same work again.
            self.attempt = accepted
            return
        while self.attempt.remote_id is None:
            following = self.task.still(at=self.ports.clock.now(), phase=Phase.GENERATING)
            try:
                await self._save(following, attempt=accepted)
            except StoreUnavailable:
                # The id is nowhere but here: to let go of it now would make an orphan of the work.
                await self.ports.signals.wait(self.task.id, timeout_s=STORE_TROUBLE_S)
            except Conflict:
                # The task ended meanwhile. Whoever closes this attempt needs the id all the same.
                await save(self.ports, aside(accepted))
                raise

    async def _save_refusal(self, error: ProviderError) -> None:
        try:
            await self._not_submitted(error)
        except Conflict:
            # The task ended meanwhile. What never started is then no suspected orphan.
            if not error.landed:
                refused = self.attempt.close(Outcome.REFUSED, at=self.ports.clock.now())
                await save(self.ports, aside(refused, lease_no=self.job.lease_no))
            raise

    async def _not_submitted(self, error: ProviderError) -> None:
        now = self.ports.clock.now()
        if error.landed and self.idempotent and now < self.task.deadline_at:
            # It may be there, and may not: the same reference finds out, and starts nothing twice.
            unknown = self.task.still(at=now, phase=Phase.SUBMIT_UNKNOWN)
            again = now + timedelta(seconds=UPSTREAM_TROUBLE_S)
            await self._save(replace(unknown, retry_at=again), attempt=self.attempt)
            return
        retry_at = again_at(
            error,
            reference=self.attempt.reference,
            tries=self.attempt.n,
            now=now,
            deadline=self.task.deadline_at,
        )
        if retry_at is None:
            await self._fail(error, Outcome.ORPHANED if error.landed else Outcome.REFUSED)
            return
        refused = self.attempt.close(Outcome.REFUSED, at=now)
        following = Attempt(task_id=self.task.id, n=self.attempt.n + 1, provider=self.attempt.provider)
        await self._save(
            replace(self.task.still(at=now, phase=Phase.WAITING), retry_at=retry_at),
            attempt=following,
            closed=refused,
        )

    # --- following ------------------------------------------------------------------------------

    async def _follow(self, remote_id: RemoteId) -> None:
        """Ask until the work has ended, and settle the task by how it did."""
        while True:
            wait_s = self.capabilities.poll_interval_s
            try:
                report = await self._ask(remote_id)
            except (RemoteLost, ProviderRejected) as final:
                await self._fail(final, Outcome.FAILED)
                return
            except ProviderError:
                wait_s = UPSTREAM_TROUBLE_S
            else:
                if await self._settled(remote_id, report):
                    return
            if self.ports.clock.now() >= self.task.deadline_at:
                await self._expire(remote_id)
                return
            hinted = await self.ports.signals.wait(self.task.id, timeout_s=wait_s)
            if hinted or self.ports.clock.now() - self._read_at >= READ_EVERY:
                await self._read_again()

    async def _ask(self, remote_id: RemoteId) -> Report:
        try:
            return await self.provider.poll(remote_id)
        except RemoteLost:
            if not self.idempotent:
                raise
            # It died with the process that ran it: the same reference begins it anew.
            await self._send(await paths_of(self.ports, self.task.generation))
            return Running()

    async def _settled(self, remote_id: RemoteId, report: Report) -> bool:
        now, lease_no = self.ports.clock.now(), self.job.lease_no
        match report:
            case Running(progress=progress):
                await self._save_progress(progress)
                return False
            case Succeeded(upstream_cost=cost):
                closed = self.attempt.close(Outcome.SUCCEEDED, at=now, upstream_cost=cost)
                await succeed(self.ports, self.task, closed, report.made, lease_no=lease_no)
                self.attempt = closed
            case Failed(code=code, reason=reason):
                closed = self.attempt.close(Outcome.FAILED, at=now)
                error = TaskError(code=code, message=reason)
                await fail(self.ports, self.task, error, lease_no=lease_no, attempts=(closed,))
                self.attempt = closed
        await self.provider.forget(remote_id)
        return True

    async def _save_progress(self, progress: int | None) -> None:
        """Save what is worth a row: the id and phase once, then at most one point a second."""
        task, now = self.task, self.ports.clock.now()
        started = task.phase is Phase.GENERATING
        moved = (progress or 0) > task.progress and now - task.updated_at >= PROGRESS_EVERY
        if moved or not started:
            await self._save(
                task.still(at=now, phase=Phase.GENERATING, progress=progress), attempt=self.attempt
            )

    async def _expire(self, remote_id: RemoteId) -> None:
        # Left open: it is cancelled and closed once the task has ended, as after a cancel.
        known = replace(self.attempt, remote_id=remote_id)
        await fail(self.ports, self.task, EXPIRED, lease_no=self.job.lease_no, attempts=(known,))

    async def _read_again(self) -> None:
        """Raise Conflict if someone else has changed the task since this run last saved it."""
        self._read_at = self.ports.clock.now()
        now = await self.ports.store.task(self.task.id)
        if now is None or now.version != self.task.version:
            raise Conflict(f"task {self.task.id} has changed")

    # --- saving ---------------------------------------------------------------------------------

    async def _save(self, after: Task, *, attempt: Attempt, closed: Attempt | None = None) -> None:
        attempts = (attempt,) if closed is None else (closed, attempt)
        await save(self.ports, advance(self.task, after, lease_no=self.job.lease_no, attempts=attempts))
        self.task, self.attempt = after, attempt

    async def _fail(self, error: ProviderError, outcome: Outcome) -> None:
        closed = self.attempt.close(outcome, at=self.ports.clock.now())
        await fail(self.ports, self.task, _error(error), lease_no=self.job.lease_no, attempts=(closed,))
        self.attempt = closed


# --- after the task's end -------------------------------------------------------------------------


async def _drain(ports: Ports, job: Job, backend: Backend | None, attempts: Sequence[Attempt]) -> None:
    """Stop and close what still runs upstream for a task that has ended; its result is not wanted."""
    for attempt in attempts:
        if attempt.closed_at is None:
            closed = (
                attempt.close(Outcome.ORPHANED, at=ports.clock.now())
                if backend is None
                else await _stopped(ports, backend, attempt, job)
            )
            await save(ports, aside(closed, lease_no=job.lease_no))


async def _stopped(ports: Ports, backend: Backend, attempt: Attempt, job: Job) -> Attempt:
    """Return the attempt closed as the provider says, with its id and what it cost all the same."""
    remote_id = await _find(ports, backend, attempt, job)
    if remote_id is None:
        return attempt.close(Outcome.ORPHANED, at=ports.clock.now())
    known = replace(attempt, remote_id=remote_id)
    for _ in range(DRAIN_TRIES):
        with contextlib.suppress(ProviderError):
            if backend.capabilities.cancels:
                await backend.provider.cancel(remote_id)
            try:
                report = await backend.provider.poll(remote_id)
            except RemoteLost:
                return known.close(Outcome.CANCELLED, at=ports.clock.now())
            match report:
                case Succeeded(upstream_cost=cost):
                    await backend.provider.forget(remote_id)
                    return known.close(Outcome.SUCCEEDED, at=ports.clock.now(), upstream_cost=cost)
                case Failed():
                    await backend.provider.forget(remote_id)
                    return known.close(Outcome.CANCELLED, at=ports.clock.now())
                case Running():
                    pass
        await asyncio.sleep(max(backend.capabilities.poll_interval_s, 0.05))
    return known.close(Outcome.ORPHANED, at=ports.clock.now())


async def give_up(ports: Ports, job: Job) -> None:
    """End a task that a fault of ours keeps from running; once it has ended, close what is open.

    What was started is left open by the first call: running the job again stops it, as after a cancel.
    """
    task = await ports.store.task(job.task_id)
    assert task is not None, "a job belongs to a stored task"
    if not task.ended:
        error = TaskError(code="internal_error", message="Filmgate could not run this task")
        await fail(ports, task, error, lease_no=job.lease_no)
        return
    now = ports.clock.now()
    attempts = await ports.store.attempts(job.task_id)
    orphans = tuple(one.close(Outcome.ORPHANED, at=now) for one in attempts if one.closed_at is None)
    await save(ports, aside(*orphans, lease_no=job.lease_no))


async def _find(ports: Ports, backend: Backend, attempt: Attempt, job: Job) -> RemoteId | None:
    """Return the id of what may run upstream: asked for again where that starts nothing twice."""
    if attempt.remote_id is not None:
        return RemoteId(attempt.remote_id)
    if backend.capabilities.client_reference is not ClientReference.IDEMPOTENT:
        return None
    task = await ports.store.task(job.task_id)
    assert task is not None, "a job belongs to a stored task"
    try:
        inputs = await paths_of(ports, task.generation)
        return await backend.provider.submit(task.generation, reference=attempt.reference, inputs=inputs)
    except (ProviderError, InputUnavailable):
        return None


def _error(error: ProviderError | ModelUnavailable | InvalidRequest) -> TaskError:
    if isinstance(error, ProviderMisconfigured):
        # What is wrong with the operator's account is not the caller's to read.
        return TaskError(code=error.code, message="the provider is not available at the moment")
    return TaskError(code=error.code, message=error.message)
