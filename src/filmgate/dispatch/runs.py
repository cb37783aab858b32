"""The tasks that this process runs: one coroutine each, and what becomes of one that fails."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Final

import structlog

from filmgate.core.errors import Conflict, StoreUnavailable, is_no_room
from filmgate.ports import Ports
from filmgate.ports.store import Job
from filmgate.service.run_task import give_up, run_task

TRIES: Final = 3  # of a task whose run stops at a bug, before it fails
FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 30.0
STORE_PAUSE_S: Final = 2.0  # at most: what goes on is not to wait for long once the store is back

_log = structlog.get_logger(__name__)


class Runs:
    """Runs each job to its end, beginning again after trouble, until it is told to let go."""

    def __init__(
        self, *, first_pause_s: float = FIRST_PAUSE_S, when_over: Callable[[], None] = lambda: None
    ) -> None:
        """Run nothing yet; pause so long after a first failure, and call `when_over` after each end."""
        self._first_pause_s = first_pause_s
        self._when_over = when_over
        self._runs: dict[str, asyncio.Task[None]] = {}

    def __len__(self) -> int:
        """Return how many are under way."""
        return len(self._runs)

    def __iter__(self) -> Iterator[str]:
        """Return the ids of the tasks that are under way."""
        return iter(tuple(self._runs))

    def start(self, ports: Ports, job: Job) -> None:
        """Run a job, and stop running it by an older lease."""
        if job.task_id in self._runs:
            self._runs[job.task_id].cancel()
        run = asyncio.create_task(self._supervise(ports, job), name=job.task_id)
        self._runs[job.task_id] = run
        run.add_done_callback(self._forget)

    async def stop(self) -> None:
        """Let go of every run where it is: whoever has the job next begins again from its row."""
        runs = list(self._runs.values())
        for run in runs:
            run.cancel()
        await asyncio.gather(*runs, return_exceptions=True)

    def _forget(self, run: asyncio.Task[None]) -> None:
        if self._runs.get(run.get_name()) is run:
            del self._runs[run.get_name()]
            self._when_over()

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
                pause_s = min(pause_s, STORE_PAUSE_S)
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
