"""Runs admitted tasks in this process, one coroutine each; takes over what the last process left."""

import asyncio
import contextlib
from typing import Final

import structlog

from filmgate.core.errors import StoreUnavailable
from filmgate.dispatch.runs import FIRST_PAUSE_S, Runs
from filmgate.ports import Ports
from filmgate.ports.store import Job

ADMIT_EVERY_S: Final = 1.0

_log = structlog.get_logger(__name__)


class EmbeddedDispatch:
    """`ports.dispatch.Dispatch` for the one process that serves a SQLite store.

    There is nothing to claim: an admitted task is this process's own, and the store's lock makes
    sure that there is no other. When a process dies, the next one takes all its jobs over at once.
    """

    def __init__(self, *, first_pause_s: float = FIRST_PAUSE_S) -> None:
        """Be ready to be told of jobs; `run` runs them, and pauses so long after a first failure."""
        self._ports: Ports | None = None
        self._early: list[Job] = []
        self._runs = Runs(first_pause_s=first_pause_s)
        self._freed = asyncio.Event()

    def start(self, jobs: tuple[Job, ...]) -> None:
        """See the port."""
        if self._ports is None:
            self._early.extend(jobs)
            return
        for job in jobs:
            self._runs.start(self._ports, job)

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
        self._ports = None
        await self._runs.stop()
