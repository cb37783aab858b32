"""Posts what we have to tell to addresses that strangers gave us."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """The receiver answered with `status`, and perhaps said when to come back."""

    status: int
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unanswered:
    """There was no answer; `reason` is safe to show to whoever gave the address."""

    reason: str


class Sender(Protocol):
    """Trusts neither the address nor the answer."""

    def check_url(self, url: str) -> None:
        """Raise InvalidRequest if `url` can be seen to be out of bounds; nobody is asked."""
        ...

    async def post(self, url: str, *, headers: Mapping[str, str], body: bytes) -> Answered | Unanswered:
        """Send `body` once, and say what came of it, within 15 seconds.

        Whatever the other side does, it is no exception. A redirect is an answer, and not followed.
        """
        ...
