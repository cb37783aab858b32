"""The blocking client."""

import os
import time
from collections.abc import Generator, Iterator
from contextlib import closing
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


class Filmgate:
    """A client of one server, with one key; safe to use from several threads.

    `base_url` and `api_key` come from FILMGATE_URL and FILMGATE_API_KEY where they are not given. An
    answer may take `timeout_s`; what was refused for a moment, or lost, is sent again `retries` times.
    `http` brings proxies, certificates or a transport of your own, and stays yours to close.
    """

    def __init__(
        self,
        base_url: str | None = None,
        api_key: str | None = None,
        *,
        timeout_s: float = 30.0,
        retries: int = 5,
        http: httpx2.Client | None = None,
    ) -> None:
        """Connect to nothing yet."""
        self._server = Server.of(base_url, api_key)
        self._flows = Flows(timeout_s=timeout_s, retries=retries)
        self._http = http or httpx2.Client()
        self._owned = http is None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        if self._owned:
            self._http.close()

    def submit(self, prompt: str, **wish: Unpack[Wish]) -> Task:
        """Submit a task; `Wish` says what can be asked for."""
        return self._run(self._flows.submit(prompt, wish))

    def estimate(self, prompt: str, **wish: Unpack[Wish]) -> Estimate:
        """Return what a submission would cost; nothing is made or kept."""
        return self._run(self._flows.estimate(prompt, wish))

    def get(self, task: Task | str) -> Task:
        """Return the task as it stands now."""
        return self._run(self._flows.get(id_of(task)))

    def wait(self, task: Task | str, *, timeout_s: float = 3_600.0) -> Task:
        """Return the task once it has succeeded; raise TaskFailed if it did not, WaitTimeout if it lasts."""
        return self._run(self._flows.wait(id_of(task), timeout_s))

    def stream(self, task: Task | str) -> Generator[Event]:
        """Yield what happens to the task, from how it stands now until it has ended.

        A lost connection is taken up again where it broke off.
        """
        return self._iterate(self._flows.stream(id_of(task)))

    def cancel(self, task: Task | str) -> Task:
        """Cancel the task and return it; one that has ended stays as it is."""
        return self._run(self._flows.cancel(id_of(task)))

    def delete(self, task: Task | str) -> None:
        """Delete the task and its files; one that has not ended is cancelled."""
        self._run(self._flows.delete(id_of(task)))

    def list(self, *, order: Order = "desc") -> Iterator[Task]:
        """Yield all of this key's tasks, newest first, or oldest first if `order` is "asc"."""
        return self._iterate(self._flows.list(order))

    def models(self) -> tuple[Model, ...]:
        """Return the models that can run on this server."""
        return self._run(self._flows.models())

    def download(self, task: Task | str, path: str | os.PathLike[str], *, variant: Variant = "video") -> Path:
        """Write what was made to `path`, which appears whole or not at all, and return it.

        What breaks off is continued, even by another process; its part stays beside `path` meanwhile.
        """
        return self._run(self._flows.download(id_of(task), path, variant))

    def _run(self, flow: Flow[T]) -> T:
        with closing(self._iterate(emitted(flow))) as results:
            result: T = next(results)
            return result

    def _iterate(self, flow: Flow[None]) -> Generator[Any]:
        with closing(flow), closing(_Line(self._server, self._http, self._flows.timeout_s)) as line:
            try:
                step = next(flow)
                while True:
                    if isinstance(step, Emit):
                        yield step.value
                        step = next(flow)
                        continue
                    try:
                        outcome = line.take(step)
                    except httpx2.RequestError as error:
                        step = flow.throw(self._server.unreachable(error))
                    else:
                        step = flow.send(outcome)
            except StopIteration:
                return


class _Line:
    """Takes the steps of one flow."""

    def __init__(self, server: Server, http: httpx2.Client, timeout_s: float) -> None:
        self._server = server
        self._http = http
        self._timeout_s = timeout_s
        self._open: httpx2.Response | None = None
        self._pieces: Iterator[bytes] = iter(())
        self._events: Iterator[httpx2.ServerSentEvent] = iter(())

    def take(self, step: Step) -> object:
        match step:
            case Send(request):
                return reply_to(self._http.send(self._message(request)), whole=True)
            case Open(request):
                return self._start(request)
            case Read():
                return next(self._pieces, None)
            case Listen():
                event = next(self._events, None)
                return event and heard_of(event)
            case Sleep(seconds):
                time.sleep(seconds)
                return None
            case Now():
                return time.monotonic()
            case Do(call):
                return call()
            case Emit():
                raise AssertionError("that is for whoever iterates")

    def close(self) -> None:
        if self._open is not None:
            self._open.close()

    def _start(self, request: Request) -> Reply:
        self.close()
        self._open = response = self._http.send(self._message(request), stream=True, follow_redirects=True)
        self._pieces = response.iter_raw()
        self._events = iter(httpx2.EventSource(response))
        if response.is_error:
            response.read()
        return reply_to(response, whole=response.is_error)

    def _message(self, request: Request) -> httpx2.Request:
        return self._server.message(self._http, request, self._timeout_s)
