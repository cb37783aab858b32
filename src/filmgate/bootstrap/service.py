"""The service itself: tasks run for as long as it is open."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

from filmgate.blobs.local import LocalBlobs
from filmgate.bootstrap import BLOBS, SPOOL, Outside, SystemClock, open_store, wire
from filmgate.dispatch.embedded import EmbeddedDispatch
from filmgate.dispatch.hub import Hub
from filmgate.dispatch.janitor import Janitor
from filmgate.media.intake import SafeIntake
from filmgate.net.addresses import Fence
from filmgate.net.client import SafeClient
from filmgate.ports import Backend, Ports
from filmgate.providers import registry
from filmgate.settings import Settings
from filmgate.webhooks.sender import SafeSender

SCRATCH: Final = "scratch"


@asynccontextmanager
async def running(
    settings: Settings, *, another_wrote: Callable[[], None] = lambda: None
) -> AsyncIterator[Ports]:
    """Open the data as its one service, and run tasks until the end; AlreadyServing if there is one.

    `another_wrote` is called when another process has changed the data. What was started is stopped
    in the opposite order: the janitor, the dispatch, the probes of inputs, the providers, the store.
    """
    async with AsyncExitStack() as stack:
        store = open_store(settings, serving=True)
        stack.push_async_callback(store.close)
        LocalBlobs(settings.data / BLOBS).sweep()  # the store's lock says that nobody else is at them
        _empty(settings.data / SPOOL)
        hub, dispatch = Hub(), EmbeddedDispatch()
        providers = _build_providers(settings)
        for backend in providers.values():
            stack.push_async_callback(backend.provider.close)
            await backend.provider.start()
        media, clock = _intake(settings), SystemClock()
        stack.push_async_callback(media.close)
        sender = SafeSender(SafeClient(Fence(settings.fetch_allow, https_only=True)), clock)
        outside = Outside(dispatch=dispatch, media=media, sender=sender, providers=providers)
        ports = wire(settings, store, hub, clock, outside)

        def wake() -> None:
            another_wrote()
            hub.tell_everyone()
            dispatch.freed()

        store.watch(wake)
        stack.push_async_callback(dispatch.stop)
        await stack.enter_async_context(meanwhile(dispatch.run(ports), name="dispatch"))
        await stack.enter_async_context(meanwhile(Janitor(ports).run(), name="janitor"))
        yield ports


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


def _intake(settings: Settings) -> SafeIntake:
    client = SafeClient(Fence(settings.fetch_allow))
    return SafeIntake(client, settings.data / SPOOL, fetch_s=settings.fetch_timeout_s)


def _empty(directory: Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(mode=0o700)


def _build_providers(settings: Settings) -> dict[str, Backend]:
    specs = registry()
    return {
        name: Backend(
            provider=specs[name].build(provider.config, scratch=settings.data / SCRATCH / name),
            capabilities=specs[name].capabilities,
        )
        for name, provider in settings.providers.items()
    }
