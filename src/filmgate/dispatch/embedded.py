"""Runs admitted tasks in this process, one coroutine each; takes over what the last process left."""

import asyncio
import contextlib
from typing import Final

import structlog

from filmgate.core.errors import Conflict, StoreUnavailable, is_no_room
from filmgate.ports import Ports
from filmgate.ports.store import Job
from filmgate.service.run_task import give_up, run_task

ADMIT_EVERY_S: Final = 1.0
TRIES: Final = 3  # of a task whose run stops at a bug, before it fails
FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 30.0

_log = structlog.get_logger(__name__)


class EmbeddedDispatch:
    """`ports.dispatch.Dispatch` for the one process that serves a SQLite store.

    There is nothing to claim: an admitted task is this process's own, and the store's lock makes
    sure that there is no other. When a process dies, the next one takes all its jobs over at once.
    """

    def __init__(self, *, first_pause_s: float = FIRST_PAUSE_S) -> None:
        """Be ready to be told of jobs; `run` runs them, and pauses so long after a first failure."""
        self._first_pause_s = first_pause_s
        self._ports: Ports | None = None
        self._early: list[Job] = []
        self._runs: dict[str, asyncio.Task[None]] = {}
        self._freed = asyncio.Event()

    def start(self, jobs: tuple[Job, ...]) -> None:
        """See the port."""
        if self._ports is None:
            self._early.extend(jobs)
            return
        for job in jobs:
            run = asyncio.create_task(self._supervise(self._ports, job), name=job.task_id)
            self._runs[job.task_id] = run
            run.add_done_callback(self._forget)

    def freed(self) -> None:
        """See the port."""
        self._freed.set()

    async def run(self, ports: Ports) -> None:
        """Take over, then admit whoever is next for as long as this is not cancelled."""
        taken = await ports.store.take_over()
        self._ports = ports
        # A job told before the take-over is in it, under its newer lease.
        taken_ids = {job.task_id for job in taken}
        self.start(taken + tuple(job for job in self._early if job.task_id not in taken_ids))
        self._early.clear()
        self._freed.set()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ADMIT_EVERY_S):
                    await self._freed.wait()
            self._freed.clear()
            try:
                self.start(await ports.store.admit(ports.clock.now()))
            except StoreUnavailable:
                _log.exception("admission_failed")
                await asyncio.sleep(ADMIT_EVERY_S)

    async def stop(self) -> None:
        """Let go of every run where it is: the next process begins each again from its row."""
        runs = list(self._runs.values())
        self._ports = None
        for run in runs:
            run.cancel()
        await asyncio.gather(*runs, return_exceptions=True)

    def _forget(self, run: asyncio.Task[None]) -> None:
        self._runs.pop(run.get_name(), None)

    async def _supervise(self, ports: Ports, job: Job) -> None:
        run = asyncio.current_task()
        pause_s, tries = self._first_pause_s, 0
        while True:
            try:
                if tries == TRIES:
                    await give_up(ports, job)
                    tries = 0
                await run_task(ports, job)
            except (StoreUnavailable, Conflict):
                _log.warning("run_waits_for_the_store", task_id=job.task_id)
            except (Exception, asyncio.CancelledError) as error:  # one task's trouble is not another's
                if run is not None and run.cancelling():  # by `stop`; else it escaped from a provider
                    raise
                if is_no_room(error):
                    _log.warning("run_waits_for_room", task_id=job.task_id)
                else:
                    tries = min(tries + 1, TRIES)
                    _log.exception("run_failed", task_id=job.task_id, tries=tries)
            else:
                return
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
