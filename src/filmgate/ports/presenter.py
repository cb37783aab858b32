"""An event of a task, as the task's own dialect tells it."""

from typing import Protocol

from filmgate.core.delivery import Delivery
from filmgate.core.task import Task


class Presenter(Protocol):
    """Writes what webhooks carry."""

    def event(self, task: Task, delivery: Delivery) -> bytes:
        """Return the body that tells of the end of `task`: JSON of at most 20,000 bytes, links fresh."""
        ...
