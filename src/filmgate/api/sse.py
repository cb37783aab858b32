"""Streams of a task's events: each is a cursor over what is stored, so nothing is kept for a client.

A stream is the task's event log from `Last-Event-ID` on, from its beginning without one. An event says
how the task stood then; only the last one has what came of it, as that is read now.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from filmgate.api.answer import Answer, Feed, Headers
from filmgate.api.auth import Keys
from filmgate.api.call import Call
from filmgate.api.limits import NARROW
from filmgate.core.errors import TooManyStreams, Unauthenticated
from filmgate.core.events import Event, EventKind, as_of
from filmgate.core.task import TERMINAL
from filmgate.ports import Ports

QUIET_S: Final = 15.0  # then a comment is sent, so that no proxy thinks the connection dead

_SHOWN: Final = frozenset({EventKind.STATUS, EventKind.PROGRESS})
_ID: Final = re.compile(r"[0-9]{1,18}")
_HEADERS: Final = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store, no-transform"),  # to compress is to hold back
    (b"x-accel-buffering", b"no"),
    (b"connection", b"close"),  # it is narrow now: no good for what may follow
)
_RETRY: Final = b"retry: 3000\n\n"
_COMMENT: Final = b":\n\n"
_BYE: Final = b"event: bye\nretry: 1000\ndata: {}\n\n"
_encoder: Final = msgspec.json.Encoder()


class Line(Protocol):
    """The connection that a stream goes out on."""

    async def send(self, answer: Answer) -> None:
        """Send an answer in one piece instead."""
        ...

    async def begin(self, status: int, headers: Headers) -> None:
        """Send the header."""
        ...

    async def write(self, piece: bytes) -> None:
        """Send a piece of the body, once there is room for it."""
        ...

    async def end(self) -> None:
        """Send the end of the body."""
        ...

    async def gone(self) -> None:
        """Return once the client has gone."""
        ...


class Streams:
    """All open streams of this process: whose they are, and how they are told to end."""

    def __init__(self, ports: Ports, keys: Keys, *, most: int, most_per_key: int) -> None:
        """Allow so many at a time, in all and of one key."""
        self.ports = ports
        self.keys = keys
        self.closing = False
        self._most = most
        self._most_per_key = most_per_key
        self._open: set[Stream] = set()
        self._of_key: Counter[str] = Counter()

    def __len__(self) -> int:
        """Return how many are open."""
        return len(self._open)

    def close(self) -> None:
        """End all streams, with a word to come back soon, and whatever is opened after this too."""
        self.closing = True
        self.look_again()

    def look_again(self) -> None:
        """Have every stream look again, at its task and at its key."""
        for stream in tuple(self._open):
            stream.wake()

    async def open(self, feed: Feed, call: Call, line: Line) -> "Stream | None":
        """Return a new stream, to be run at once; None if there is none and that was said. Or refuse to."""
        last = _last_seen(call, feed)
        if feed.ended and last and not _shown(await self.ports.store.events(feed.task_id, after=last)):
            await line.send(Answer(None, 204))  # there is nothing to come: a browser stops asking
            return None
        if call.method == "HEAD":
            await line.begin(200, _headers(feed))
            await line.end()
            return None
        who = call.key.identity
        if len(self._open) >= self._most or self._of_key[who] >= self._most_per_key:
            raise TooManyStreams("too many streams are open; close some, or poll")
        stream = Stream(self, feed, call, line, last)
        self._open.add(stream)
        self._of_key[who] += 1
        return stream

    def leave(self, stream: "Stream", who: str) -> None:
        """Forget a stream that is over."""
        self._open.discard(stream)
        self._of_key[who] -= 1
        if not self._of_key[who]:
            del self._of_key[who]


class Stream:
    """One client's cursor: one coroutine, which waits for a hint, a long silence or the client's leaving."""

    __slots__ = (
        "_check_at",
        "_era",
        "_feed",
        "_hinted",
        "_last",
        "_line",
        "_loop",
        "_pause",
        "_quiet_until",
        "_scope",
        "_streams",
        "_who",
    )

    def __init__(self, streams: Streams, feed: Feed, call: Call, line: Line, last: int) -> None:
        self._streams = streams
        self._feed = feed
        self._scope = call.scope
        self._who = call.key.identity
        self._line = line
        self._last = last
        self._hinted = False
        self._pause: asyncio.Timeout | None = None
        self._era = streams.keys.era
        self._loop = asyncio.get_running_loop()
        self._check_at = self._quiet_until = self._loop.time() + QUIET_S

    def wake(self) -> None:
        """Have the stream look again, now."""
        self._hinted = True
        if self._pause is not None and not self._pause.expired():
            self._pause.reschedule(0)

    async def run(self) -> None:
        """Send what is new whenever something is, and a comment when nothing was for a while."""
        leave = self._streams.ports.signals.watch(self._feed.task_id, self.wake)
        try:
            self._scope.pop(NARROW, _wide)()
            await self._line.begin(200, _headers(self._feed))
            piece = _RETRY
            while True:
                self._hinted = False
                if self._streams.closing:
                    await self._line.write(piece + _BYE)
                    break
                news, ended = await self._news()
                piece += news
                if piece:
                    await self._line.write(piece)
                    self._quiet_until = self._loop.time() + QUIET_S
                    piece = news = b""  # not to be kept while it waits
                if ended:
                    break
                if await self._gone_meanwhile():
                    return
                if not await self._still_welcome():
                    break
                piece = b"" if self._hinted else _COMMENT
            await self._line.end()
        finally:
            leave()
            self._streams.leave(self, self._who)

    async def _news(self) -> tuple[bytes, bool]:
        """Return what happened since, ready to be sent, and whether that is all there will ever be."""
        store, task_id = self._streams.ports.store, self._feed.task_id
        events = _shown(await store.events(task_id, after=self._last))
        if not events:
            return b"", False
        task = await store.task(task_id)  # after the events, so that it is no older than they are
        assert task is not None, "what has events is there"
        self._last = events[-1].seq
        said = b"".join(_say(event, self._feed.write(as_of(task, event))) for event in events)
        return said, events[-1].status in TERMINAL

    async def _gone_meanwhile(self) -> bool:
        """Wait for a hint, or until it was quiet for long; return whether the client has gone."""
        if self._hinted:
            return False
        try:
            async with asyncio.timeout_at(self._quiet_until) as self._pause:
                await self._line.gone()
        except TimeoutError:
            return False
        finally:
            self._pause = None
        return True

    async def _still_welcome(self) -> bool:
        """Say whether the key is still good: asked now and then, and whenever some key was changed."""
        now, era = self._loop.time(), self._streams.keys.era
        if now < self._check_at and era == self._era:
            return True
        try:
            await self._streams.keys.of(self._scope["headers"])
        except Unauthenticated:
            return False
        self._check_at, self._era = now + QUIET_S, era
        return True


def _headers(feed: Feed) -> Headers:
    return [*_HEADERS, (b"x-filmgate-task-id", feed.task_id.encode())]


def _wide() -> None:
    """Leave the connection as it is: this server has no way to narrow it."""


def _last_seen(call: Call, feed: Feed) -> int:
    """Return after which event to begin: 0 where the client names none that there can be."""
    text = call.header(b"last-event-id") or ""
    seen = int(text) if _ID.fullmatch(text) else 0
    return seen if seen <= feed.version or feed.ended else 0


def _shown(events: Sequence[Event]) -> list[Event]:
    return [event for event in events if event.kind in _SHOWN]


def _say(event: Event, shown: object) -> bytes:
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (event.seq, event.kind.encode(), _encoder.encode(shown))
