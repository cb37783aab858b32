"""The in-process hub: who waits for which task, and how they are woken."""

import asyncio


class Hub:
    """Implements `ports.signals.Signals` for one process; call it in the loop's thread only.

    A waiter is one future and one timer, so thousands cost little, and none outlives its wait.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Future[bool]]] = {}

    def tell(self, task_id: str) -> None:
        for waiter in self._waiting.pop(task_id, ()):
            _answer(waiter, hinted=True)

    def tell_everyone(self) -> None:
        """Wake all: something has changed, and nobody can say which task it was."""
        for task_id in tuple(self._waiting):
            self.tell(task_id)

    async def wait(self, task_id: str, *, timeout_s: float) -> bool:
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()
        self._waiting.setdefault(task_id, set()).add(waiter)
        timer = loop.call_later(timeout_s, _answer, waiter)
        try:
            return bool(await waiter)
        finally:
            timer.cancel()
            self._leave(task_id, waiter)

    def _leave(self, task_id: str, waiter: asyncio.Future[bool]) -> None:
        # After a hint the whole set is gone already, and a later one belongs to others.
        if waiters := self._waiting.get(task_id):
            waiters.discard(waiter)
            if not waiters:
                del self._waiting[task_id]


def _answer(waiter: asyncio.Future[bool], *, hinted: bool = False) -> None:
    if not waiter.done():
        waiter.set_result(hinted)
