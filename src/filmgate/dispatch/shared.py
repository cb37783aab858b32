"""Runs admitted tasks in as many processes as there are: each claims what it can run, and beats."""

import asyncio
import contextlib
import os
import random
import secrets
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import structlog

from filmgate.core.errors import StoreUnavailable
from filmgate.dispatch.runs import FIRST_PAUSE_S, Runs
from filmgate.ports import Ports
from filmgate.ports.cluster import BEAT_S, LEASE_S, Cluster
from filmgate.ports.signals import JOBS
from filmgate.ports.store import Job

LOOK_EVERY_S: Final = 1.0  # hints are not promises
JITTER: Final = 0.1
BREATH_S: Final = 0.005  # so that a thousand ends a second are not a thousand looks
AT_ONCE: Final = 100  # jobs in one claim

_log = structlog.get_logger(__name__)


class SharedDispatch:
    """`ports.dispatch.Dispatch` for one of several processes.

    It admits for all, whoever may run it; it claims for itself what its `slots` have room for: tasks of
    these providers, so many at a time. Without slots it only admits. A job is this process's own until
    it ends, or until the others have heard no beat for `LEASE_S`: then they take it over, and whatever
    this process still writes for it is refused.
    """

    def __init__(
        self, cluster: Cluster, *, slots: Mapping[str, int], first_pause_s: float = FIRST_PAUSE_S
    ) -> None:
        """Be ready to be told of jobs; `run` runs them."""
        self._cluster = cluster
        self._slots = dict(slots)
        self._runs = {
            provider: Runs(first_pause_s=first_pause_s, when_over=self._make_room) for provider in slots
        }
        self._ports: Ports | None = None
        self._freed = asyncio.Event()
        self._jobs = asyncio.Event()
        self._unheard: set[str] = set()
        self._known = False  # to the others, as alive
        self.worker = self.born_as = _name()  # the first name is what it holds duties by

    def start(self, jobs: tuple[Job, ...]) -> None:
        """See the port: whoever has room runs them."""
        if jobs:
            self._jobs.set()
            if self._ports is not None:
                self._ports.signals.tell(JOBS)

    def freed(self) -> None:
        """See the port."""
        self._freed.set()

    async def run(self, ports: Ports) -> None:
        """Admit, claim and beat for as long as this is not cancelled."""
        self._ports = ports
        leave = ports.signals.watch(JOBS, self._jobs.set)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._again("admit", self._freed, self._admit))
                if self._slots:
                    group.create_task(self._beat_for_ever())
                    group.create_task(self._again("claim", self._jobs, self._claim))
        finally:
            leave()

    async def stop(self) -> None:
        """Let go of every run where it is, and of the jobs: others begin them again at once."""
        await self._let_go()
        with contextlib.suppress(StoreUnavailable):
            for name in {self.worker, self.born_as}:
                await self._cluster.leave(name)

    # --- admitting and claiming -----------------------------------------------------------------

    async def _again(self, what: str, wanted: asyncio.Event, do: Callable[[], Awaitable[None]]) -> None:
        """Do it whenever it is wanted, and every second, whatever comes of it."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S * random.uniform(1 - JITTER, 1 + JITTER)):  # noqa: S311
                    await wanted.wait()
            wanted.clear()
            try:
                await do()
            except StoreUnavailable:
                _log.warning("dispatch_waits_for_the_store", what=what)
                await asyncio.sleep(LOOK_EVERY_S)
            await asyncio.sleep(BREATH_S)

    async def _admit(self) -> None:
        assert self._ports is not None, "it runs"
        self.start(await self._ports.store.admit(self._ports.clock.now()))

    async def _claim(self) -> None:
        assert self._ports is not None, "it runs"
        if not self._known:
            return  # who cannot say that it lives takes on nothing
        for provider, runs in self._runs.items():
            room = min(self._slots[provider] - len(runs), AT_ONCE)
            if room > 0:
                await self._claim_some(self._ports, provider, runs, room)

    async def _claim_some(self, ports: Ports, provider: str, runs: Runs, room: int) -> None:
        worker = self.worker
        if provider in self._unheard:
            await self._cluster.give_back(worker, provider, running=tuple(runs))
        self._unheard.add(provider)  # until an answer was heard, what was claimed is not known
        jobs = await self._cluster.claim(worker, provider, most=room)
        self._unheard.discard(provider)
        if worker != self.worker:
            return  # taken for dead meanwhile: these are others' by now
        for job in jobs:
            runs.start(ports, job)
        if len(jobs) == AT_ONCE:
            self._jobs.set()

    def _make_room(self) -> None:
        self._jobs.set()

    # --- staying alive --------------------------------------------------------------------------

    async def _beat_for_ever(self) -> None:
        while True:
            try:
                async with asyncio.timeout(LEASE_S / 2):
                    await self._beat()
            except (StoreUnavailable, TimeoutError):
                self._known = False  # what happened meanwhile is to be found out
                _log.warning("beat_missed", worker=self.worker)
                await asyncio.sleep(LOOK_EVERY_S)
            else:
                await asyncio.sleep(BEAT_S)

    async def _beat(self) -> None:
        if not await self._cluster.beat(self.worker):
            if any(self._runs.values()):
                await self._be_born_again()
            else:
                await self._cluster.join(self.worker, self._slots)
        if not self._known:
            self._known = True
            self._jobs.set()
        if dead := await self._cluster.bury(self.worker):
            _log.warning("workers_died", count=dead)
            self._jobs.set()

    async def _be_born_again(self) -> None:
        """Let go of everything that was taken from this one, and go on as another."""
        _log.warning("taken_for_dead", worker=self.worker, runs=sum(map(len, self._runs.values())))
        self.worker = _name()
        await self._let_go()
        await self._cluster.join(self.worker, self._slots)

    async def _let_go(self) -> None:
        await asyncio.gather(*(runs.stop() for runs in self._runs.values()))


def _name() -> str:
    """Return what a process is called by the others: never the same twice."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
