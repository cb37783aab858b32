"""The in-process hub: who waits for which task, and how they are woken."""

import asyncio
from collections.abc import Callable
from functools import partial

Wake = Callable[[], None]


class Hub:
    """Implements `ports.signals.Signals` for one process; call it in the loop's thread only.

    A watcher is one entry in a set, a waiter also one future and one timer, so thousands cost little.
    """

    def __init__(self) -> None:
        self._watching: dict[str, set[Wake]] = {}

    def tell(self, task_id: str) -> None:
        for wake in tuple(self._watching.get(task_id, ())):
            wake()

    def tell_everyone(self) -> None:
        """Wake all: something has changed, and nobody can say which task it was."""
        for task_id in tuple(self._watching):
            self.tell(task_id)

    def watch(self, task_id: str, wake: Wake) -> Wake:
        self._watching.setdefault(task_id, set()).add(wake)
        return partial(self._leave, task_id, wake)

    async def wait(self, task_id: str, *, timeout_s: float) -> bool:
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[bool] = loop.create_future()
        leave = self.watch(task_id, partial(_answer, waiter, hinted=True))
        timer = loop.call_later(timeout_s, _answer, waiter)
        try:
            return await waiter
        finally:
            timer.cancel()
            leave()

    def _leave(self, task_id: str, wake: Wake) -> None:
        if watchers := self._watching.get(task_id):
            watchers.discard(wake)
            if not watchers:
                del self._watching[task_id]


def _answer(waiter: asyncio.Future[bool], *, hinted: bool = False) -> None:
    if not waiter.done():
        waiter.set_result(hinted)
