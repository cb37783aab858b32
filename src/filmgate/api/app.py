"""The ASGI application: one thin layer between the server and the dialects' handlers."""

import asyncio
import contextlib
import random
from collections.abc import Sequence

import structlog
from starlette.routing import BaseRoute, Match
from starlette.types import Message, Receive, Scope, Send

from filmgate.api import cors, estimate, files, openapi, published, sse
from filmgate.api.answer import Answer, Feed, Headers, Stream
from filmgate.api.auth import Keys
from filmgate.api.call import Call
from filmgate.api.dialect import Dialect, Owners, find_dialects
from filmgate.api.routing import Table
from filmgate.api.status import headers_of, public, status_of
from filmgate.api.undelivered import Undelivered
from filmgate.api.web import Web
from filmgate.api.wire import Disconnected
from filmgate.core.errors import (
    Fault,
    FilmgateError,
    MethodNotAllowed,
    NotFound,
    StoreUnavailable,
    is_no_room,
)
from filmgate.ports import Ports

log = structlog.get_logger(__name__)


def create_app(ports: Ports, web: Web, *, extra_routes: Sequence[BaseRoute] = ()) -> "App":
    """Return the service over `ports`; `extra_routes` are asked for paths that no dialect knows."""
    return App(ports, web, extra_routes=extra_routes)


class App:
    """An ASGI application.

    `keys` remembers who asked: forget it when some key was changed. Close `streams` before the end: they
    would go on for as long as their tasks.
    """

    def __init__(self, ports: Ports, web: Web, *, extra_routes: Sequence[BaseRoute] = ()) -> None:
        """Find the dialects and index their routes."""
        self.dialects = find_dialects()
        self.keys = Keys(ports, keep_s=web.key_cache_s)
        self.streams = sse.Streams(ports, self.keys, most=web.streams, most_per_key=web.streams_per_key)
        self._web = web
        self._undelivered = Undelivered()
        self._stopping = asyncio.Event()
        self._owners = Owners(self.dialects)
        self._extra = tuple(extra_routes)
        self.routes = (
            *(route for dialect in self.dialects[::-1] for route in dialect.routes(ports, web)),
            *estimate.routes(ports, web, self.dialects),
            *files.routes(ports, web),
            *published.routes(ports.store, self._document, welcome=not any(map(_takes_root, extra_routes))),
        )
        self._table = Table(self.routes)

    def stop(self) -> None:
        """Let go of those who only wait: streams end, and long polls are answered as things stand."""
        self._stopping.set()
        self.streams.close()

    def forget_keys(self) -> None:
        """Believe no key that was checked before: one was made, or revoked."""
        self.keys.forget()
        self.streams.look_again()

    def _document(self) -> openapi.Schema:
        return openapi.build(self.routes, self._owners.of, self.error_answer, public_url=self._web.public_url)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request: whatever happens, in the shape of the path's dialect."""
        if scope["type"] != "http":
            await _other(scope, receive, send)
            return
        trace_id = f"{random.getrandbits(128):032x}"
        reply = _Reply(receive, send, trace_id)
        structlog.contextvars.bind_contextvars(trace_id=trace_id)
        try:
            stream = await self._answer(scope, receive, reply)
            if stream is not None:  # run from here, so that nothing of its request is kept meanwhile
                await stream.run()
        except Disconnected:
            pass
        except FilmgateError as error:
            if isinstance(error, StoreUnavailable):  # it has said why itself; thousands may be told
                log.error("request refused", code=error.code, method=scope["method"], path=scope["path"])  # noqa: TRY400  (no traceback)
            elif error.fault is not Fault.CALLER:
                log.exception("request failed", code=error.code, method=scope["method"], path=scope["path"])
            await self._refuse(scope, reply, error)
        except Exception as error:
            log.exception("request failed", method=scope["method"], path=scope["path"])
            bug = FilmgateError("a bug")
            full = StoreUnavailable("there is no room for this at the moment; try again")
            await self._refuse(scope, reply, full if is_no_room(error) else bug)

    async def _answer(self, scope: Scope, receive: Receive, reply: "_Reply") -> sse.Stream | None:
        path: str = scope["path"]
        found = self._table.find(path[:-1] if len(path) > 1 and path[-1] == "/" else path)
        if found is None:
            await self._answer_elsewhere(scope, receive, reply)
            return None
        methods, params = found
        route = methods.get(scope["method"])
        if route is None:
            if (preflight := cors.preflight(scope, methods)) is not None:
                await reply.send(preflight)
                return None
            allowed = ", ".join(sorted(methods))
            error = MethodNotAllowed(f"{scope['method'][:20]} is not possible here, only {allowed}")
            await self._refuse(scope, reply, error, [(b"allow", allowed.encode())])
            return None
        key = None if route.open else await self.keys.of(scope["headers"])
        call = Call(
            scope,
            receive,
            self._web,
            trace_id=reply.trace_id,
            params=params,
            key=key,
            undelivered=self._undelivered,
            stopping=self._stopping,
        )
        answer = await route.handle(call)
        if call.if_undelivered is not None and await reply.has_nobody():
            call.if_undelivered()
        if isinstance(answer, Feed):
            return await self.streams.open(answer, call, reply)
        await reply.send(answer)
        return None

    async def _answer_elsewhere(self, scope: Scope, receive: Receive, reply: "_Reply") -> None:
        for route in self._extra:
            match, child_scope = route.matches(scope)
            if match is not Match.NONE:
                scope.update(child_scope)
                await route.handle(scope, receive, reply.pass_on)
                return
        raise NotFound(f"there is nothing at {scope['path'][:200]!r}")

    async def _refuse(
        self, scope: Scope, reply: "_Reply", error: FilmgateError, headers: Sequence[tuple[bytes, bytes]] = ()
    ) -> None:
        if reply.started:
            # Too late to say anything; the server closes the connection, which says enough.
            return
        answer = self.error_answer(self._owners.of(scope["path"]), error, reply.trace_id)
        answer.headers.extend(headers)
        with contextlib.suppress(OSError):
            await reply.send(answer)

    def error_answer(self, dialect: Dialect, error: FilmgateError, trace_id: str) -> Answer:
        """Return an error as `dialect` says it, or what of it is the caller's business."""
        error = public(error)
        status = next((dialect.http[kind] for kind in type(error).__mro__ if kind in dialect.http), None)
        status = status or status_of(error)
        return Answer(dialect.write_error(error, status, trace_id), status, headers_of(error, status))


class _Reply:
    """Sends the one answer of a request, with its trace id, and knows whether it has begun."""

    __slots__ = ("_receive", "_send", "started", "trace_id")

    def __init__(self, receive: Receive, send: Send, trace_id: str) -> None:
        self._receive = receive
        self._send = send
        self.trace_id = trace_id
        self.started = False

    async def send(self, answer: Answer | Stream) -> None:
        await self.begin(answer.status, answer.headers)
        if isinstance(answer, Answer):
            await self._send({"type": "http.response.body", "body": answer.body})
        else:
            await self._stream(answer)

    async def begin(self, status: int, headers: Headers) -> None:
        self.started = True
        headers.append((b"x-request-id", self.trace_id.encode()))
        headers += cors.OPEN
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def write(self, piece: bytes) -> None:
        await self._send({"type": "http.response.body", "body": piece, "more_body": True})

    async def end(self) -> None:
        await self._send({"type": "http.response.body", "body": b""})

    async def gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def has_nobody(self) -> bool:
        """Return whether the client has gone: the server takes answers for it all the same.

        What was sent and lost after this nobody can know: the operating system took it.
        """
        while True:
            message = asyncio.ensure_future(self._receive())
            await asyncio.sleep(0)  # the server has an answer at once, or none
            if not message.done():
                message.cancel()
                return False
            if message.result()["type"] == "http.disconnect":
                return True

    async def pass_on(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            message["headers"] = [*message.get("headers", ()), (b"x-request-id", self.trace_id.encode())]
        await self._send(message)

    async def _stream(self, answer: Stream) -> None:
        # The server takes pieces for a client that has gone as gladly as for one that listens.
        gone = asyncio.create_task(self.gone())
        try:
            async with contextlib.aclosing(answer.pieces) as pieces:
                async for piece in pieces:
                    await self.write(piece)
                    if gone.done():
                        return
            await self.end()
        finally:
            gone.cancel()


def _takes_root(route: BaseRoute) -> bool:
    return getattr(route, "path", None) == "/"


async def _other(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer the server's start and stop; nothing of ours hangs on them. There are no web sockets."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1000})
        return
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
