"""What the client's logic asks of the outside, one step at a time; nothing here touches a network.

The logic is written once, as generators: each yields a step, gets the step's outcome back and returns
its result. `sync` and `aio` do the steps, one blocking, the other awaiting.
"""

import random
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import count
from typing import Any, BinaryIO, Final, TypeAlias, TypeVar

from filmgate.client.errors import Unreachable

T = TypeVar("T")

# A part of a form: its name, then file name (None for a text), content and media type (None likewise).
Part: TypeAlias = tuple[str, tuple[str | None, str | bytes | BinaryIO, str | None]]

RETRIED: Final = frozenset({429, 502, 503, 504})
PATIENCE_S: Final = 60.0  # a server that wants us to stay away for longer has refused
FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP request; `path` is below the server's address, `timeout_s` None means the usual."""

    method: str
    path: str
    query: Mapping[str, str | int] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    json: object | None = None
    parts: Sequence[Part] = ()
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The answer to a request; of one that is open, `body` is empty unless it is a refusal."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """One message of an event stream."""

    event: str
    data: str
    id: str


@dataclass(frozen=True, slots=True)
class Send:
    """Send a request: the outcome is its Reply, or Unreachable."""

    request: Request


@dataclass(frozen=True, slots=True)
class Open:
    """Send a request whose answer is read in pieces: the outcome is its Reply, or Unreachable."""

    request: Request


@dataclass(frozen=True, slots=True)
class Read:
    """Read on from what is open: the outcome is some bytes, None at the end, or Unreachable."""


@dataclass(frozen=True, slots=True)
class Listen:
    """Read on from the event stream that is open: the outcome is Heard, None at the end, or Unreachable."""


@dataclass(frozen=True, slots=True)
class Sleep:
    """Wait."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Now:
    """Ask for the time: the outcome is seconds on a clock that never goes back."""


@dataclass(frozen=True, slots=True)
class Do:
    """Call something that may block; the outcome is its own."""

    call: Callable[[], object]


@dataclass(frozen=True, slots=True)
class Emit:
    """Hand a value to whoever iterates."""

    value: Any


Step: TypeAlias = Send | Open | Read | Listen | Sleep | Now | Do | Emit
Flow: TypeAlias = Generator[Step, Any, T]


def emitted(flow: Flow[T]) -> Flow[None]:
    """Make the flow's result the one thing that it emits."""
    yield Emit((yield from flow))


def attempt(step: Send | Open, *, retries: int) -> Flow[tuple[Reply, int]]:
    """Take a step until there is an answer that another try would not change; return the tries too."""
    for tries in count(1):
        try:
            reply: Reply = yield step
        except Unreachable:
            if tries > retries:
                raise
            yield Sleep(pause_s(tries))
        else:
            wait_s = _wanted_pause_s(reply)
            if reply.status not in RETRIED or tries > retries or (wait_s or 0) > PATIENCE_S:
                return reply, tries
            yield Sleep(pause_s(tries) if wait_s is None else wait_s)
    raise AssertionError("counting never ends")


def pause_s(tries: int) -> float:
    """Return how long to wait after so many tries: longer each time, and never in step with others."""
    longest: float = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (tries - 1))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311  (no secret)


def _wanted_pause_s(reply: Reply) -> float | None:
    """Return what the server says of it in Retry-After: seconds, or a date."""
    said = reply.headers.get("retry-after", "")
    if said.isdecimal():
        return float(said)
    try:
        until = parsedate_to_datetime(said)
    except ValueError:
        return None
    return max(0.0, (until - datetime.now(UTC)).total_seconds()) if until.tzinfo else None
