"""The service itself: tasks run for as long as it is open."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Final

from filmgate.blobs.local import LocalBlobs
from filmgate.bootstrap import BLOBS, open_store, wire
from filmgate.dispatch.embedded import EmbeddedDispatch
from filmgate.dispatch.hub import Hub
from filmgate.ports import Backend, Ports
from filmgate.providers import registry
from filmgate.settings import Settings

SCRATCH: Final = "scratch"


@asynccontextmanager
async def running(
    settings: Settings, *, another_wrote: Callable[[], None] = lambda: None
) -> AsyncIterator[Ports]:
    """Open the data as its one service, and run tasks until the end; AlreadyServing if there is one.

    `another_wrote` is called when another process has changed the data. What was started is stopped
    in the opposite order: the dispatch, the providers, the store.
    """
    async with AsyncExitStack() as stack:
        store = open_store(settings, serving=True)
        stack.push_async_callback(store.close)
        LocalBlobs(settings.data / BLOBS).sweep()  # the store's lock says that nobody else is at them
        hub, dispatch = Hub(), EmbeddedDispatch()
        providers = _build_providers(settings)
        for backend in providers.values():
            stack.push_async_callback(backend.provider.close)
            await backend.provider.start()
        ports = wire(settings, store, hub, dispatch, providers)

        def wake() -> None:
            another_wrote()
            hub.tell_everyone()
            dispatch.freed()

        store.watch(wake)
        await stack.enter_async_context(_dispatching(dispatch, ports))
        yield ports


@asynccontextmanager
async def _dispatching(dispatch: EmbeddedDispatch, ports: Ports) -> AsyncIterator[None]:
    """Run the dispatch meanwhile; should it die, what is done meanwhile is cancelled and raises why."""
    meanwhile = asyncio.current_task()
    assert meanwhile is not None

    def fall_with(dead: asyncio.Task[None]) -> None:
        if not dead.cancelled() and dead.exception() is not None:
            meanwhile.cancel()

    worker = asyncio.create_task(dispatch.run(ports), name="dispatch")
    worker.add_done_callback(fall_with)
    try:
        yield
    finally:
        worker.cancel()
        try:
            with suppress(asyncio.CancelledError):
                await worker
        finally:
            await dispatch.stop()


def _build_providers(settings: Settings) -> dict[str, Backend]:
    specs = registry()
    return {
        name: Backend(
            provider=specs[name].build(provider.config, scratch=settings.data / SCRATCH / name),
            capabilities=specs[name].capabilities,
        )
        for name, provider in settings.providers.items()
    }
