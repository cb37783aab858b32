"""What a handler gives back: an answer in one piece, or one that is streamed."""

from collections.abc import AsyncGenerator, Iterable
from typing import Final

import msgspec

Headers = list[tuple[bytes, bytes]]

_encoder: Final = msgspec.json.Encoder()
_JSON: Final = (b"content-type", b"application/json")
# An answer is about one key's tasks at one moment: nobody may keep it for somebody else.
_FRESH: Final = (b"cache-control", b"no-store")


class Answer:
    """A JSON answer in one piece."""

    __slots__ = ("body", "headers", "status")

    def __init__(
        self, content: object, status: int = 200, headers: Iterable[tuple[bytes, bytes]] = ()
    ) -> None:
        """Encode `content` now: what cannot be said is a bug of ours and fails before anything is sent."""
        self.body = b"" if content is None else _encoder.encode(content)
        self.status = status
        self.headers: Headers = [
            _JSON,
            _FRESH,
            (b"content-length", str(len(self.body)).encode()),
            *headers,
        ]


class Stream:
    """An answer whose body comes piece by piece; `headers` say how long it will be."""

    __slots__ = ("headers", "pieces", "status")

    def __init__(self, pieces: AsyncGenerator[bytes], status: int, headers: Headers) -> None:
        """Take what yields the body; it is closed whatever happens."""
        self.pieces = pieces
        self.status = status
        self.headers = headers
