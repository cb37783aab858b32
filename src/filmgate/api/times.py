"""Times as the wire says them."""

from datetime import datetime
from functools import lru_cache


@lru_cache(maxsize=8_192)  # pollers ask for the same times again and again
def iso(at: datetime) -> str:
    """Return an aware UTC time as ISO 8601 with milliseconds and Z."""
    return at.isoformat(timespec="milliseconds")[:23] + "Z"


def iso_or_none(at: datetime | None) -> str | None:
    """Return the same, or None."""
    return None if at is None else iso(at)


def unix(at: datetime) -> int:
    """Return a time as whole Unix seconds."""
    return int(at.timestamp())


def unix_or_none(at: datetime | None) -> int | None:
    """Return the same, or None."""
    return None if at is None else int(at.timestamp())
