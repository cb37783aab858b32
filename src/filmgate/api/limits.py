"""How long a connection may take to say what it wants: uvicorn itself would wait for ever."""

import contextlib
import json
import socket
from asyncio import BaseTransport, TimerHandle, Transport
from http import HTTPStatus
from typing import Any, ClassVar, Final, cast

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

NARROW: Final = "filmgate.narrow"  # in the scope: `DeadlineProtocol.narrow` of this connection
STREAM_BUFFER_BYTES: Final = 64 * 1024
VANISHED_MS: Final = 30_000

_SHAPE: Final = "invalid_request_error"


class DeadlineProtocol(HttpToolsProtocol):
    """uvicorn's protocol, with three limits that it has not got.

    A request's header is complete within `header_s` of its first byte, and of the connection's
    beginning, and no larger than `header_bytes`. A client takes what it is sent: one whose buffers
    stay full for `stalled_s`, or for `stream_stalled_s` if it is sent a stream, is cut off. The same
    timer bounds what is left of a body after its request was answered. The body of a request that is
    still being answered is the application's.
    """

    # Beside uvicorn's own in its dictionary, these would make that a kilobyte larger.
    __slots__ = (
        "_header_size",
        "_header_timer",
        "_in_header",
        "_patience_s",
        "_received",
        "_refused",
        "_stall_timer",
    )

    header_s: ClassVar[float] = 10.0
    header_bytes: ClassVar[int] = 16 * 1024
    stalled_s: ClassVar[float] = 60.0
    stream_stalled_s: ClassVar[float] = 10.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  (whatever uvicorn passes)
        """Start with no timer."""
        super().__init__(*args, **kwargs)
        self._header_timer: TimerHandle | None = None
        self._stall_timer: TimerHandle | None = None
        self._received = 0
        self._header_size = 0
        self._in_header = True
        self._refused = False
        self._patience_s = self.stalled_s

    # --- the connection -------------------------------------------------------------------------

    def connection_made(self, transport: BaseTransport) -> None:
        """Begin to wait for the first request."""
        super().connection_made(cast("Transport", transport))
        self._expect_header()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop all timers."""
        _cancel(self._header_timer)
        self._header_timer = None
        _cancel(self._stall_timer)
        self._stall_timer = None
        if self.scope is not None:
            cast("Scope", self.scope).pop(NARROW, None)  # which holds us, as we hold the scope
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came; between requests, every byte belongs to a header that must end soon."""
        if self._refused or self.transport.is_closing():
            return
        if self._idle():
            self._expect_header()
        if self._in_header:
            self._received += len(data)
        super().data_received(data)
        if self._in_header and self._received > self.header_bytes:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the request's header is too large")

    def pause_writing(self) -> None:
        """Give a client that does not read a while, then cut it off."""
        super().pause_writing()
        if self._stall_timer is None:
            self._stall_timer = self.loop.call_later(self._patience_s, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on: the client reads."""
        _cancel(self._stall_timer)
        self._stall_timer = None
        super().resume_writing()

    def narrow(self) -> None:
        """Keep little for this client from now on: a stream is told again what did not get through.

        The kernel alone would take megabytes for one that does not read, and keep for a quarter of an
        hour what one that has vanished does not acknowledge.
        """
        self._patience_s = self.stream_stalled_s
        self.transport.set_write_buffer_limits(high=STREAM_BUFFER_BYTES)
        with contextlib.suppress(OSError):  # a socket of another kind, or one that is gone
            there = self.transport.get_extra_info("socket")
            there.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, STREAM_BUFFER_BYTES)
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                there.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, VANISHED_MS)

    # --- the parser -----------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Count a new header from here."""
        super().on_message_begin()
        self._in_header = True
        self._header_size = 0
        self._expect_header()

    def on_url(self, url: bytes) -> None:
        """Count the request line."""
        self._header_size += len(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a line."""
        self._header_size += len(name) + len(value) + 4
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start the request, unless its header was too large."""
        self._in_header = False
        self._received = 0
        _cancel(self._header_timer)
        self._header_timer = None
        if self._header_size > self.header_bytes:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the request's header is too large")
        if not self._refused:
            cast("Scope", self.scope)[NARROW] = self.narrow
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Pass the body on, unless its request was refused."""
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Pass the end on, unless its request was refused."""
        if not self._refused:
            super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Say that this is not HTTP, in the shape of everyone's errors."""
        self._refuse(HTTPStatus.BAD_REQUEST, msg)

    # --- ours -----------------------------------------------------------------------------------

    def _idle(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is None or cycle.response_complete

    def _expect_header(self) -> None:
        if self._header_timer is None:
            self._header_timer = self.loop.call_later(self.header_s, self._too_slow)

    def _too_slow(self) -> None:
        self._header_timer = None
        if not self._idle():
            # The beginning of the next request came while this one is being answered: that goes first.
            self._expect_header()
            return
        # Closed without a word: half a request has no one who would understand an answer.
        self.transport.close()

    def _refuse(self, status: HTTPStatus, message: str) -> None:
        if self._refused:
            return
        self._refused = True
        error = {"message": message, "type": _SHAPE, "param": None, "code": str(status.value)}
        body = json.dumps({"error": error}).encode()
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()


def _cancel(timer: TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
