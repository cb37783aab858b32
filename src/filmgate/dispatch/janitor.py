"""Does what no caller asks for and time demands: expire, let go, collect, forget."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog

from filmgate.core.errors import StoreUnavailable
from filmgate.ports import Ports
from filmgate.ports.blobs import GRACE
from filmgate.service.collect_garbage import collect_garbage
from filmgate.service.expire_results import expire_results
from filmgate.service.expire_waiting import expire_waiting

SECOND_S: Final = 1.0
MINUTE_S: Final = 60.0
JITTER: Final = 0.1  # so that what comes every hour does not come at the same second for ever

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chore:
    """Something to do every `every_s` seconds, `first_s` after the start; `do` says how much there was."""

    name: str
    every_s: float
    first_s: float
    do: Callable[[], Awaitable[int]]


class Janitor:
    """Keeps one data directory tidy; each chore may be done at any time, by anyone, twice."""

    def __init__(self, ports: Ports) -> None:
        """Take note of the time: what was kept before has been needed by now, or will not be."""
        self._ports = ports
        self._last_collection = ports.clock.now()
        self.chores: Final = (
            Chore(name="expire_waiting", every_s=SECOND_S, first_s=0, do=self.expire_waiting),
            Chore(name="expire_results", every_s=MINUTE_S, first_s=0, do=self.expire_results),
            Chore(name="collect_garbage", every_s=GRACE.total_seconds(), first_s=MINUTE_S, do=self.collect),
            Chore(name="prune_claims", every_s=GRACE.total_seconds(), first_s=MINUTE_S, do=self.prune),
        )

    async def run(self) -> None:
        """Do every chore at its time for as long as this is not cancelled."""
        async with asyncio.TaskGroup() as group:
            for chore in self.chores:
                group.create_task(again_and_again(chore), name=chore.name)

    async def expire_waiting(self) -> int:
        """End what waited too long."""
        return await expire_waiting(self._ports, at=self._believed())

    async def expire_results(self) -> int:
        """Let go of files whose time has passed."""
        return await expire_results(self._ports, at=self._believed())

    async def collect(self) -> int:
        """Remove files that nobody needs.

        Wherever the clock was set to meanwhile: a file that was kept since the last collection, or
        since the start, is younger than that by one clock or the other.
        """
        now = self._ports.clock.now()
        cutoff, self._last_collection = min(self._last_collection, now - GRACE), now
        return await collect_garbage(self._ports, kept_before=cutoff)

    async def prune(self) -> int:
        """Forget idempotency keys whose time has passed."""
        return await self._ports.store.prune(self._believed())

    def _believed(self) -> datetime:
        """Return the time; a clock that leaps ahead is believed in an hour: what goes by it is gone."""
        return min(self._ports.clock.now(), self._last_collection + 2 * GRACE)


async def again_and_again(chore: Chore) -> None:
    """Do a chore at its time for ever, whatever comes of it."""
    wait_s = chore.first_s
    while True:
        await asyncio.sleep(wait_s * random.uniform(1 - JITTER, 1 + JITTER))  # noqa: S311  (nobody guesses it)
        wait_s = chore.every_s
        try:
            done = await chore.do()
        except StoreUnavailable:
            _log.warning("chore_waits_for_the_store", chore=chore.name)
        except Exception:  # noqa: BLE001  (one chore's trouble is not another's, nor any task's)
            _log.exception("chore_failed", chore=chore.name)
        else:
            if done:
                _log.info("chore_done", chore=chore.name, count=done)
