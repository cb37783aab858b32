"""Tasks whose submitters never heard of them, for the retry that a stock client sends by itself."""

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

KEPT_S: Final = 600.0


class Undelivered:
    """Remembers whose submit was answered to nobody: the connection went before the answer was sent.

    A client that repeats such a request means the same task; one that repeats a request which was
    answered may well mean another. What was handed to the operating system counts as delivered, and
    what a process remembers ends with it: an `Idempotency-Key` knows neither limit.
    """

    def __init__(
        self,
        *,
        keep_s: float = KEPT_S,
        most: int = 10_000,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Keep each for `keep_s`, and the latest `most` of them."""
        self._keep_s = keep_s
        self._most = most
        self._monotonic = monotonic
        self._known: OrderedDict[tuple[str, str], deque[tuple[str, float]]] = OrderedDict()

    def note(self, key_id: str, fingerprint: str, task_id: str) -> None:
        """Remember that the owner of this key does not know this task."""
        tasks = self._known.setdefault((key_id, fingerprint), deque(maxlen=self._most))
        tasks.append((task_id, self._monotonic() + self._keep_s))
        self._known.move_to_end((key_id, fingerprint))
        if len(self._known) > self._most:
            self._known.popitem(last=False)

    def take(self, key_id: str, fingerprint: str) -> str | None:
        """Return a task of this submission that is not known to its owner; after this it is."""
        tasks = self._known.get((key_id, fingerprint))
        while tasks:
            task_id, until = tasks.popleft()
            if not tasks:
                del self._known[key_id, fingerprint]
            if until > self._monotonic():
                return task_id
        return None
