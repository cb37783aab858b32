"""What runs admitted tasks; it knows nothing of fairness, credits or dialects."""

from typing import Protocol

from filmgate.ports.store import Job


class Dispatch(Protocol):
    """Runs each admitted task under a lease, and takes over from the dead."""

    def start(self, jobs: tuple[Job, ...]) -> None:
        """Run these: their admission is durable."""
        ...

    def freed(self) -> None:
        """Say that a slot may have become free, or that a task waits for one."""
        ...
