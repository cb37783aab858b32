"""What processes that share a store need to share the work: who lives, who runs what, who is told."""

from collections.abc import Callable, Collection, Mapping
from typing import Final, Protocol

from filmgate.ports.store import Job

LEASE_S: Final = 20.0  # without a beat for so long, a worker is dead to the others
BEAT_S: Final = 5.0
LONGEST_NOTE: Final = 7_900  # bytes


class Cluster(Protocol):
    """The shared part of a store, beside its rows; every method may raise StoreUnavailable."""

    async def join(self, worker: str, slots: Mapping[str, int]) -> None:
        """Count `worker` among the living: it runs tasks of these providers, so many at a time."""
        ...

    async def beat(self, worker: str) -> bool:
        """Say that `worker` lives; False if the others took it for dead, and its jobs from it."""
        ...

    async def leave(self, worker: str) -> None:
        """Let go of everything that `worker` holds: others may have it at once."""
        ...

    async def bury(self, worker: str) -> int:
        """Let go of everything that the dead hold, and return how many of them there were.

        Only a `worker` that has itself beaten without a gap for `LEASE_S` can tell: after an outage
        nobody's beats have come through for a while, and all are alive.
        """
        ...

    async def claim(self, worker: str, provider: str, *, most: int) -> tuple[Job, ...]:
        """Give `worker` free jobs of a provider, the oldest first, and fence off who had them before."""
        ...

    async def give_back(self, worker: str, provider: str, *, running: Collection[str]) -> None:
        """Free what `worker` has of a provider's jobs but for those tasks that it runs.

        For whoever claimed and heard no answer.
        """
        ...

    async def hold_duty(self, duty: str, worker: str) -> bool:
        """Say whether it is `worker` who does `duty` for all, for another `LEASE_S`; ask each `BEAT_S`."""
        ...

    async def notify(self, note: str) -> None:
        """Send a note of up to `LONGEST_NOTE` bytes to everyone who listens; whoever does not loses it."""
        ...

    async def listen(self, heard: Callable[[str], None], *, ready: Callable[[], None]) -> None:
        """Call `heard` with every note that comes after `ready` was called.

        Never return; raise StoreUnavailable once no note can come any more.
        """
        ...
