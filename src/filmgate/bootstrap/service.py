"""The service itself: tasks run for as long as it is open."""

import asyncio
import fcntl
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from filmgate.blobs.local import LocalBlobs
from filmgate.bootstrap import Outside, SystemClock, limits, open_store, wire
from filmgate.dispatch.broadcast import Broadcast
from filmgate.dispatch.duty import on_duty
from filmgate.dispatch.embedded import EmbeddedDispatch
from filmgate.dispatch.hub import Hub
from filmgate.dispatch.janitor import Janitor
from filmgate.dispatch.shared import SharedDispatch
from filmgate.media.intake import SafeIntake
from filmgate.net.addresses import Fence
from filmgate.net.client import SafeClient
from filmgate.ports import Backend, Ports
from filmgate.ports.blobs import GRACE
from filmgate.ports.cluster import Cluster
from filmgate.ports.dispatch import Dispatch
from filmgate.ports.signals import Signals
from filmgate.providers import registry
from filmgate.settings import Settings
from filmgate.store.sqlite import SqliteStore
from filmgate.webhooks.sender import SafeSender

WORK: Final = "work"  # a directory for each process, gone with it
LOCK: Final = "lock"
NAME: Final = "name"  # what those who share a database call the process
SPOOL: Final = "spool"
ALIVE: Final = "alive"  # a file that is touched for as long as the process does anything
ALIVE_EVERY_S: Final = 5.0
THREADS: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A running service: its ports, a directory of its own, and how it shares duties with others."""

    ports: Ports
    spool: Path
    on_duty: Callable[[str, Callable[[], Coroutine[Any, Any, None]]], Coroutine[Any, Any, None]]


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Service]:
    """Open the data and run tasks, as far as the settings say so, until the end.

    On SQLite this is the one service of its data: AlreadyServing if there is one. What was started is
    stopped in the opposite order: the janitor, the dispatch, the probes of inputs, the providers, the store.
    """
    async with AsyncExitStack() as stack:
        # Most threads wait for a disk or an object store, which may take its time.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS, "filmgate-io"))
        opened = await open_store(settings, serving=True)
        stack.push_async_callback(opened.store.close)
        dead = _swept(settings.data / WORK)
        own = stack.enter_context(_own_directory(settings.data / WORK))
        await stack.enter_async_context(meanwhile(_show_life(own / ALIVE), name="life"))
        providers = _build_providers(settings, own / "scratch")
        runs = settings.runs
        for name, backend in providers.items():
            if name in runs:
                stack.push_async_callback(backend.provider.close)
                await backend.provider.start()
        (own / SPOOL).mkdir()
        fetcher = SafeClient(Fence(settings.fetch_allow))
        media = SafeIntake(fetcher, own / SPOOL, fetch_s=settings.fetch_timeout_s)
        stack.push_async_callback(media.close)
        clock = SystemClock()
        sender = SafeSender(SafeClient(Fence(settings.fetch_allow, https_only=True)), clock)

        def wired(signals: Signals, dispatch: Dispatch) -> Ports:
            outside = Outside(dispatch=dispatch, media=media, sender=sender, providers=providers)
            return wire(settings, opened.store, signals, clock, outside)

        if opened.cluster is None:
            assert isinstance(opened.store, SqliteStore), "only SQLite is for one process"
            service = await _alone(stack, opened.store, wired, own)
        else:
            slots = {name: limits(settings).provider_slots[name] for name in runs}
            for name in dead:  # so that nobody waits until its lease is over
                await opened.cluster.leave(name)
            service = await _among_others(stack, opened.cluster, slots, wired, own)
        tidying = service.on_duty("janitor", lambda: Janitor(service.ports).run())
        await stack.enter_async_context(meanwhile(tidying, name="janitor"))
        yield service


Wired = Callable[[Signals, Dispatch], Ports]


async def _alone(stack: AsyncExitStack, store: SqliteStore, wired: Wired, own: Path) -> Service:
    """Be the one process that serves: what another has changed, a command, is told by the file."""
    hub, dispatch = Hub(), EmbeddedDispatch()
    ports = wired(hub, dispatch)
    if isinstance(ports.blobs, LocalBlobs):
        ports.blobs.sweep(untouched_for=timedelta())  # the store's lock says that nobody else is at them

    def wake() -> None:
        hub.tell_everyone()
        dispatch.freed()

    store.watch(wake)
    stack.push_async_callback(dispatch.stop)
    await stack.enter_async_context(meanwhile(dispatch.run(ports), name="dispatch"))
    return Service(ports=ports, spool=own / SPOOL, on_duty=lambda _, work: work())


async def _among_others(
    stack: AsyncExitStack, cluster: Cluster, slots: Mapping[str, int], wired: Wired, own: Path
) -> Service:
    """Be one of several processes that share a database."""
    signals = Broadcast(cluster, Hub())
    dispatch = SharedDispatch(cluster, slots=slots)
    (own / NAME).write_text(dispatch.born_as)
    ports = wired(signals, dispatch)
    if isinstance(ports.blobs, LocalBlobs):
        ports.blobs.sweep(untouched_for=GRACE)
    await stack.enter_async_context(meanwhile(signals.run(), name="signals"))
    stack.push_async_callback(dispatch.stop)
    await stack.enter_async_context(meanwhile(dispatch.run(ports), name="dispatch"))
    who = dispatch.born_as
    return Service(
        ports=ports, spool=own / SPOOL, on_duty=lambda duty, work: on_duty(cluster, duty, who, work)
    )


async def _show_life(file: Path) -> None:
    """Say that the event loop turns, to whoever looks after a process that listens nowhere."""
    while True:
        with suppress(OSError):  # a full disk is not death
            file.touch()  # noqa: ASYNC240  (microseconds; a thread would say nothing of this loop)
        await asyncio.sleep(ALIVE_EVERY_S)


@asynccontextmanager
async def meanwhile(work: Coroutine[Any, Any, None], *, name: str) -> AsyncIterator[None]:
    """Do `work` beside what is done; should it die, what is done is cancelled and raises why."""
    here = asyncio.current_task()
    assert here is not None

    def fall_with(dead: asyncio.Task[None]) -> None:
        if not dead.cancelled() and dead.exception() is not None:
            here.cancel()

    worker = asyncio.create_task(work, name=name)
    worker.add_done_callback(fall_with)
    try:
        yield
    finally:
        worker.cancel()
        with suppress(asyncio.CancelledError):
            await worker


def _swept(parent: Path) -> list[str]:
    """Remove the directories of processes that have died, and return what they were called."""
    names = []
    for left in parent.glob("[!.]*"):
        with suppress(OSError), (left / LOCK).open("r+b") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if (left / NAME).exists():
                names.append((left / NAME).read_text())
            shutil.rmtree(left, ignore_errors=True)
    return names


@contextmanager
def _own_directory(parent: Path) -> Iterator[Path]:
    """Give this process a directory of its own."""
    parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=f".{os.getpid()}-", dir=parent))
    with (new / LOCK).open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        own = new.rename(parent / new.name[1:])  # seen by others only now that its lock is held
        try:
            yield own
        finally:
            shutil.rmtree(own, ignore_errors=True)


def _build_providers(settings: Settings, scratch: Path) -> dict[str, Backend]:
    specs = registry()
    return {
        name: Backend(
            provider=specs[name].build(provider.config, scratch=scratch / name),
            capabilities=specs[name].capabilities,
        )
        for name, provider in settings.providers.items()
    }
