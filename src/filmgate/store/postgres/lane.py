"""Doing together what is asked for at the same time: one statement instead of many."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Q = TypeVar("Q")
A = TypeVar("A")


class Lane(Generic[Q, A]):
    """Answers questions in groups: those that come while one group is under way are the next.

    Who asks alone waits for nobody. An answer that is an exception is raised to who asked; so is,
    to all of a group, what the group as a whole raises. Who goes away does not take the question along.
    """

    def __init__(self, do: Callable[[Sequence[Q]], Awaitable[Sequence[A | Exception]]], *, most: int) -> None:
        """Call `do` with up to `most` questions at a time; it answers each, in their order."""
        self._do = do
        self._most = most
        self._asked: list[tuple[Q, asyncio.Future[A]]] = []
        self._work: asyncio.Task[None] | None = None

    async def ask(self, question: Q) -> A:
        """Return the answer to a question; it is begun after this was called."""
        answer: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._asked.append((question, answer))
        if self._work is None:
            self._work = asyncio.create_task(self._answer_all())
        return await answer

    async def _answer_all(self) -> None:
        try:
            while self._asked:
                group, self._asked = self._asked[: self._most], self._asked[self._most :]
                try:
                    answers = await self._do([question for question, _ in group])
                except Exception as error:  # noqa: BLE001  (whatever it is, it is for those who asked)
                    answers = [error] * len(group)
                for (_, waiting), answer in zip(group, answers, strict=True):
                    if waiting.done():  # who asked has gone
                        continue
                    if isinstance(answer, Exception):
                        waiting.set_exception(answer)
                    else:
                        waiting.set_result(answer)
        finally:
            self._work = None
            for _, waiting in self._asked:  # the loop is closing
                waiting.cancel()
