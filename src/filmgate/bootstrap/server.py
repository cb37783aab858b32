"""The HTTP server: from a listening socket to the last open request."""

import asyncio
import gc
import os
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from itertools import repeat
from typing import Any

import structlog
import uvicorn
import uvloop

from filmgate.api.app import App, create_app
from filmgate.api.limits import DeadlineProtocol
from filmgate.api.web import Web
from filmgate.bootstrap.service import Service, running
from filmgate.bootstrap.supervisor import Ready, Role, supervise
from filmgate.bootstrap.webhooks import delivering
from filmgate.bootstrap.worker import work_here
from filmgate.core.errors import InvalidSettings
from filmgate.ports.signals import KEYS
from filmgate.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """What there is to tell at start: `url` is for clients, `listening` for whoever is beside us."""

    url: str
    listening: str
    keys: int


Announce = Callable[[Serving], None]

log = structlog.get_logger("filmgate")

KEEP_ALIVE_S = 75  # longer than pollers pause, and than the proxies in front of us keep a connection
AT_ONCE_S = 2.0  # for the second signal: what has not let go by then is left where it is
STOPS = (signal.SIGTERM, signal.SIGINT)


def serve(settings: Settings, announce: Announce) -> None:
    """Serve until SIGTERM or SIGINT; `announce` is called once connections are accepted."""
    settings.check_exposure()
    settings.check_sharing()
    if settings.studio_fallback == "auto" and not (settings.fallback or settings.has_provider):
        log.warning("only built-in models run: no provider is configured, and studio_fallback is not on")
    listener = listen(settings.host, settings.port)
    try:
        if settings.processes == 1:
            serve_here(settings, listener, announce)
        else:
            serve_in_many(settings, listener, announce)
    finally:
        listener.close()
    log.info("stopped")


def serve_here(settings: Settings, listener: socket.socket, announce: Announce) -> None:
    """Serve in this process what comes in by `listener`."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, listener, announce))


def serve_in_many(settings: Settings, listener: socket.socket, announce: Announce) -> None:
    """Serve in `settings.processes` processes, all from one listener; tasks run in one more."""

    def serve_one(ready: Ready) -> None:
        alone = settings.model_copy(update={"processes": 1, "run": False})
        serve_here(alone, listener, lambda serving: ready(asdict(serving)))

    def run_tasks(ready: Ready) -> None:
        work_here(settings, lambda: ready({}))

    roles: list[Role] = [*repeat(serve_one, settings.processes), *repeat(run_tasks, settings.run)]

    def all_ready(said: dict[str, Any]) -> None:
        announce(Serving(**said))

    supervise(roles, all_ready)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens, so that the address is known before anything else is begun."""
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host.strip("[]") or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server(address, family=family, backlog=2048)
    except OSError as error:
        # Python adds the address to the system's words; the errno alone has just them.
        reason = error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
        raise InvalidSettings(f"cannot listen on {host}:{port}: {reason}") from error


def url_of(host: str, listener: socket.socket) -> str:
    """Return the URL of what listens there, called as the operator calls it."""
    name = host.strip("[]")
    return f"http://{f'[{name}]' if ':' in name else name}:{listener.getsockname()[1]}"


async def _serve(settings: Settings, listener: socket.socket, announce: Announce) -> None:
    server = _Server(
        uvicorn.Config(
            _not_yet,
            http=DeadlineProtocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=settings.graceful_shutdown_s,
        )
    )
    loop = asyncio.get_running_loop()
    for stop in STOPS:  # from now until the last child is gone, a signal only asks
        loop.add_signal_handler(stop, server.ask_to_stop)
    listening = url_of(settings.host, listener)
    public_url = settings.public_url or listening
    _collect_rarely()
    async with running(settings) as service:
        ports = service.ports
        web = await web_of(settings, service, public_url)
        server.config.app = app = create_app(ports, web)
        server.app = app
        forget = ports.signals.watch(KEYS, app.forget_keys)
        serving = Serving(url=public_url, listening=listening, keys=len(await ports.store.keys()))
        server.announce = lambda: announce(serving)
        async with delivering(service, web):
            await server.serve(sockets=[listener])
        forget()


def _collect_rarely() -> None:
    """Let cyclic garbage wait: to look for it among the objects of a thousand streams takes 50 ms.

    Nearly all that is made here goes by its reference count, as soon as it is let go of.
    """
    gc.freeze()  # what was imported stays
    gc.set_threshold(100_000, 50, 100)


class _Server(uvicorn.Server):
    """Uvicorn's server, told of signals by us: its own way ends the process before we are done."""

    announce: Callable[[], None]
    app: App | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.announce()

    def ask_to_stop(self) -> None:
        """Stop; asked a second time, at once: being killed is safe."""
        if self.should_exit:
            self.force_exit = True
            hard = threading.Timer(AT_ONCE_S, os._exit, args=(1,))
            hard.daemon = True
            hard.start()
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self.app is not None:
            self.app.stop()  # who only waits would use up the time that others have to end
        await super().shutdown(sockets)

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        return nullcontext()


async def _not_yet(*_: object) -> None:
    raise AssertionError("no connection is accepted before the application is there")


async def web_of(settings: Settings, service: Service, public_url: str) -> Web:
    """Return what the HTTP edge and the links in webhooks go by."""
    return Web(
        public_url=public_url,
        signing_key=await service.ports.store.secret("link-signing"),
        spool=service.spool,
        link_lifetime_s=settings.link_lifetime_s,
        streams=settings.streams,
        streams_per_key=settings.streams_per_key,
    )
