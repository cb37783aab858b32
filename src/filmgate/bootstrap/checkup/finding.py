"""What a look at one thing finds."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class State(StrEnum):
    """How something is."""

    OK = "ok"
    WARN = "warn"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at: `said` is what was found, `todo` what can be done about it.

    `details` name every single thing that is wrong, where there may be many.
    """

    check: str
    state: State
    said: str
    todo: str | None = None
    details: tuple[str, ...] = ()


def spelt(span: timedelta) -> str:
    """Return a span of time as people say it: 20 s, 5 min, 3 h, 2 days."""
    minutes = round(span.total_seconds() / 60)
    if minutes < 1:
        return f"{span.total_seconds():.0f} s"
    if minutes < 120:  # noqa: PLR2004  (two hours)
        return f"{minutes} min"
    return f"{minutes / 60:.0f} h" if minutes < 48 * 60 else f"{minutes / 1440:.0f} days"
