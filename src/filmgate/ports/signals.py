"""Hints that a task has changed: they wake readers, and losing one costs only time."""

from collections.abc import Callable
from typing import Final, Protocol

# What stands where a task id stands:
DELIVERIES: Final = "deliveries"  # a webhook is to be delivered
JOBS: Final = "jobs"  # a task was admitted, and somebody is to run it
KEYS: Final = "keys"  # an API key was made or revoked


class Signals(Protocol):
    """A hub. Rows are the truth: whoever wakes up reads again."""

    def tell(self, task_id: str) -> None:
        """Wake everyone who waits for this task; nobody waiting is fine."""
        ...

    async def wait(self, task_id: str, *, timeout_s: float) -> bool:
        """Return True at the next hint about this task, False once `timeout_s` have passed."""
        ...

    def watch(self, task_id: str, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` at every hint about this task, until what is returned is called."""
        ...
