"""The service inside this process, asked over HTTP without a network: answers come as they are made."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, MutableMapping
from contextlib import suppress
from typing import Any

import httpx2

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Coroutine[Any, Any, None]]


class Inside(httpx2.AsyncBaseTransport):
    """Hands requests to an ASGI application. httpx2's own transport gives no answer before its end."""

    def __init__(self, app: Application) -> None:
        """Start nothing."""
        self._app = app

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Return an answer once it has begun."""
        call = _Call(self._app, request)
        start = await call.next()
        assert start is not None, "an application answers every request"
        return httpx2.Response(start["status"], headers=start["headers"], stream=_Body(call))


class _Call:
    """One request: the application runs as far as somebody reads its answer."""

    def __init__(self, app: Application, request: httpx2.Request) -> None:
        assert isinstance(request.stream, httpx2.AsyncByteStream), "the client that awaits sends it"
        self._pieces = aiter(request.stream)
        self._messages: asyncio.Queue[Message] = asyncio.Queue(maxsize=1)
        scope: Message = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": request.url.scheme,
            "path": request.url.path,
            "raw_path": request.url.raw_path.partition(b"?")[0],
            "query_string": request.url.query,
            "root_path": "",
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "client": ("inside", 0),
            "server": (request.url.host, request.url.port),
        }
        self._read = False
        self._app = asyncio.create_task(app(scope, self._receive, self._messages.put))

    async def next(self) -> Message | None:
        """Return what the application says next, None once it has ended; raise what it raised."""
        said = asyncio.create_task(self._messages.get())
        try:
            await asyncio.wait({said, self._app}, return_when=asyncio.FIRST_COMPLETED)
            if said.done():
                return said.result()
            await self._app
            return None if self._messages.empty() else self._messages.get_nowait()
        finally:
            said.cancel()

    async def close(self) -> None:
        """Let go of the application, wherever it is."""
        self._app.cancel()
        with suppress(asyncio.CancelledError):
            await self._app

    async def _receive(self) -> Message:
        if self._read:
            await asyncio.Event().wait()  # we go by cancelling it
        piece = await anext(self._pieces, None)
        self._read = piece is None
        return {"type": "http.request", "body": piece or b"", "more_body": piece is not None}


class _Body(httpx2.AsyncByteStream):
    """The body of an answer."""

    def __init__(self, call: _Call) -> None:
        self._call = call

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while message := await self._call.next():
            yield message.get("body", b"")

    async def aclose(self) -> None:
        await self._call.close()
