"""The awaiting client: the same methods as the blocking one, for asyncio."""

import asyncio
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, closing
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

import httpx2

from filmgate.client.answers import Estimate, Event, Model, Task, id_of
from filmgate.client.flows import Flows, Order, Variant
from filmgate.client.http import Server, heard_of, reply_to
from filmgate.client.order import Wish
from filmgate.client.steps import (
    Do,
    Emit,
    Flow,
    Listen,
    Now,
    Open,
    Read,
    Reply,
    Request,
    Send,
    Sleep,
    Step,
    emitted,
)

T = TypeVar("T")


class AsyncFilmgate:
    """`Filmgate` for asyncio: what returns there is awaited here, what yields is iterated by `async for`.

    Who leaves such a loop early closes its connection with `contextlib.aclosing`.
    """

    def __init__(
        self,
        base_url: str | None = None,
        api_key: str | None = None,
        *,
        timeout_s: float = 30.0,
        retries: int = 5,
        http: httpx2.AsyncClient | None = None,
    ) -> None:
        """Connect to nothing yet; the arguments are those of `Filmgate`."""
        self._server = Server.of(base_url, api_key)
        self._flows = Flows(timeout_s=timeout_s, retries=retries)
        self._http = http or httpx2.AsyncClient()
        self._owned = http is None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        if self._owned:
            await self._http.aclose()

    async def submit(self, prompt: str, **wish: Unpack[Wish]) -> Task:
        """Submit a task; `Wish` says what can be asked for."""
        return await self._run(self._flows.submit(prompt, wish))

    async def estimate(self, prompt: str, **wish: Unpack[Wish]) -> Estimate:
        """Return what a submission would cost; nothing is made or kept."""
        return await self._run(self._flows.estimate(prompt, wish))

    async def get(self, task: Task | str) -> Task:
        """Return the task as it stands now."""
        return await self._run(self._flows.get(id_of(task)))

    async def wait(self, task: Task | str, *, timeout_s: float = 3_600.0) -> Task:
        """Return the task once it has succeeded; raise TaskFailed if it did not, WaitTimeout if it lasts."""
        return await self._run(self._flows.wait(id_of(task), timeout_s))

    def stream(self, task: Task | str) -> AsyncGenerator[Event]:
        """Yield what happens to the task, from how it stands now until it has ended.

        A lost connection is taken up again where it broke off.
        """
        return self._iterate(self._flows.stream(id_of(task)))

    async def cancel(self, task: Task | str) -> Task:
        """Cancel the task and return it; one that has ended stays as it is."""
        return await self._run(self._flows.cancel(id_of(task)))

    async def delete(self, task: Task | str) -> None:
        """Delete the task and its files; one that has not ended is cancelled."""
        await self._run(self._flows.delete(id_of(task)))

    def list(self, *, order: Order = "desc") -> AsyncGenerator[Task]:
        """Yield all of this key's tasks, newest first, or oldest first if `order` is "asc"."""
        return self._iterate(self._flows.list(order))

    async def models(self) -> tuple[Model, ...]:
        """Return the models that can run on this server."""
        return await self._run(self._flows.models())

    async def download(
        self, task: Task | str, path: str | os.PathLike[str], *, variant: Variant = "video"
    ) -> Path:
        """Write what was made to `path`, which appears whole or not at all, and return it.

        What breaks off is continued, even by another process; its part stays beside `path` meanwhile.
        """
        return await self._run(self._flows.download(id_of(task), path, variant))

    async def _run(self, flow: Flow[T]) -> T:
        async with aclosing(self._iterate(emitted(flow))) as results:
            result: T = await anext(results)
            return result

    async def _iterate(self, flow: Flow[None]) -> AsyncGenerator[Any]:
        line = _Line(self._server, self._http, self._flows.timeout_s)
        with closing(flow):
            try:
                step = next(flow)
                while True:
                    if isinstance(step, Emit):
                        yield step.value
                        step = next(flow)
                        continue
                    try:
                        outcome = await line.take(step)
                    except httpx2.RequestError as error:
                        step = flow.throw(self._server.unreachable(error))
                    else:
                        step = flow.send(outcome)
            except StopIteration:
                return
            finally:
                await line.close()


class _Line:
    """Takes the steps of one flow."""

    def __init__(self, server: Server, http: httpx2.AsyncClient, timeout_s: float) -> None:
        self._server = server
        self._http = http
        self._timeout_s = timeout_s
        self._open: httpx2.Response | None = None
        self._pieces: AsyncIterator[bytes] | None = None
        self._events: AsyncIterator[httpx2.ServerSentEvent] | None = None

    async def take(self, step: Step) -> object:
        match step:
            case Send(request):
                return reply_to(await self._http.send(self._message(request)), whole=True)
            case Open(request):
                return await self._start(request)
            case Read():
                assert self._pieces is not None, "something is open"
                return await anext(self._pieces, None)
            case Listen():
                assert self._events is not None, "something is open"
                event = await anext(self._events, None)
                return event and heard_of(event)
            case Sleep(seconds):
                await asyncio.sleep(seconds)
                return None
            case Now():
                return time.monotonic()
            case Do(call):
                return await asyncio.to_thread(call)
            case Emit():
                raise AssertionError("that is for whoever iterates")

    async def close(self) -> None:
        if self._open is not None:
            await self._open.aclose()

    async def _start(self, request: Request) -> Reply:
        await self.close()
        self._open = response = await self._http.send(
            self._message(request), stream=True, follow_redirects=True
        )
        self._pieces = response.aiter_raw()
        self._events = aiter(httpx2.EventSource(response))
        if response.is_error:
            await response.aread()
        return reply_to(response, whole=response.is_error)

    def _message(self, request: Request) -> httpx2.Request:
        return self._server.message(self._http, request, self._timeout_s)
