"""Time and chance, so that neither is anywhere else."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """What time it is."""

    def now(self) -> datetime:
        """Return the time as aware UTC."""
        ...


class Entropy(Protocol):
    """Where ids and keys get their bytes from."""

    def __call__(self, size: int, /) -> bytes:
        """Return `size` unguessable bytes."""
        ...
