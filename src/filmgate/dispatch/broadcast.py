"""Hints between processes: told here, they wake whoever waits in any of them."""

import asyncio
import secrets
from collections.abc import Callable
from typing import Final

import structlog

from filmgate.core.errors import StoreUnavailable
from filmgate.dispatch.hub import Hub
from filmgate.ports.cluster import LONGEST_NOTE, Cluster

COALESCE_S: Final = 0.01
AGAIN_S: Final = 1.0

_log = structlog.get_logger(__name__)


class Broadcast:
    """Implements `ports.signals.Signals` for one of several processes.

    What is told wakes this process at once and the others a moment later: hints are collected for
    10 ms and sent outside of any commit, since a note inside one makes all commits queue. A hint that
    is lost costs only time; after a gap in the listening everyone looks again.
    """

    def __init__(self, cluster: Cluster, hub: Hub) -> None:
        """Wake who waits at `hub`."""
        self._cluster = cluster
        self._hub = hub
        self._me = secrets.token_hex(4)
        self._told: dict[str, None] = {}  # a set that keeps its order
        self._some = asyncio.Event()

    def tell(self, task_id: str) -> None:
        """See the port."""
        self._hub.tell(task_id)
        self._told[task_id] = None
        self._some.set()

    async def wait(self, task_id: str, *, timeout_s: float) -> bool:
        """See the port."""
        return await self._hub.wait(task_id, timeout_s=timeout_s)

    def watch(self, task_id: str, wake: Callable[[], None]) -> Callable[[], None]:
        """See the port."""
        return self._hub.watch(task_id, wake)

    async def run(self) -> None:
        """Send and hear for as long as this is not cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen())
            group.create_task(self._send_for_ever())

    async def flush(self) -> None:
        """Send what was told; if that cannot be, let it be lost."""
        while self._told:
            note = self._next_note()
            try:
                await self._cluster.notify(note)
            except StoreUnavailable:
                _log.warning("hints_lost")

    async def _send_for_ever(self) -> None:
        while True:
            await self._some.wait()
            await asyncio.sleep(COALESCE_S)
            self._some.clear()
            await self.flush()

    def _next_note(self) -> str:
        note = self._me
        for task_id in tuple(self._told):
            if len(note) + 1 + len(task_id) > LONGEST_NOTE:
                break
            note += f" {task_id}"
            del self._told[task_id]
        return note

    async def _listen(self) -> None:
        while True:
            try:
                await self._cluster.listen(self._heard, ready=self._hub.tell_everyone)
            except StoreUnavailable:
                _log.warning("listener_lost")
            await asyncio.sleep(AGAIN_S)

    def _heard(self, note: str) -> None:
        sender, *told = note.split(" ")
        if sender != self._me:
            for task_id in told:
                self._hub.tell(task_id)
