"""What a handler gives back: an answer in one piece, a file that is streamed, or a feed of events."""

from collections.abc import AsyncGenerator, Callable, Iterable
from typing import Final

import msgspec

from filmgate.core.task import Task

Headers = list[tuple[bytes, bytes]]

_encoder: Final = msgspec.json.Encoder()
_JSON: Final = (b"content-type", b"application/json")
# An answer is about one key's tasks at one moment: nobody may keep it for somebody else.
_FRESH: Final = (b"cache-control", b"no-store")


class Answer:
    """An answer in one piece, JSON as a rule."""

    __slots__ = ("body", "headers", "status")

    def __init__(
        self, content: object, status: int = 200, headers: Iterable[tuple[bytes, bytes]] = ()
    ) -> None:
        """Encode `content` now: what cannot be said is a bug of ours and fails before anything is sent."""
        self.body = b"" if content is None else _encoder.encode(content)
        self.status = status
        self.headers: Headers = [_FRESH, *headers]
        if status != 204:  # noqa: PLR2004  (which says that there is no body)
            self.headers += _JSON, (b"content-length", str(len(self.body)).encode())

    @classmethod
    def of(cls, body: bytes, media_type: str, *, headers: Iterable[tuple[bytes, bytes]] = ()) -> "Answer":
        """Return an answer that is not JSON, or is encoded already."""
        answer = cls(None)
        answer.body = body
        answer.headers = [
            (b"content-type", media_type.encode()),
            (b"content-length", str(len(body)).encode()),
            *headers,
        ]
        return answer


class Stream:
    """An answer whose body comes piece by piece; `headers` say how long it will be."""

    __slots__ = ("headers", "pieces", "status")

    def __init__(self, pieces: AsyncGenerator[bytes], status: int, headers: Headers) -> None:
        """Take what yields the body; it is closed whatever happens."""
        self.pieces = pieces
        self.status = status
        self.headers = headers


class Feed:
    """An answer that goes on: each thing that happens to a task, with the task then, as `write` shows it.

    Of the task it keeps no more than it needs: there may be ten thousand of these.
    """

    __slots__ = ("ended", "task_id", "version", "write")

    def __init__(self, task: Task, write: Callable[[Task], object]) -> None:
        """Take a task that the caller may see."""
        self.task_id = task.id
        self.version = task.version
        self.ended = task.ended
        self.write = write
