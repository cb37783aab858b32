"""A process that only runs tasks: no socket listens, and nothing but the database and the blobs is shared."""

import asyncio
import signal
from collections.abc import Callable

import structlog
import uvloop

from filmgate.bootstrap.service import running
from filmgate.settings import Settings

log = structlog.get_logger("filmgate")


def work(settings: Settings, announce: Callable[[], None]) -> None:
    """Run tasks until SIGTERM or SIGINT; `announce` is called once that has begun."""
    settings.check_sharing(shared=True)
    work_here(settings, announce)
    log.info("stopped")


def work_here(settings: Settings, announce: Callable[[], None]) -> None:
    """Run tasks in this process."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_work(settings, announce))


async def _work(settings: Settings, announce: Callable[[], None]) -> None:
    loop, stopping = asyncio.get_running_loop(), asyncio.Event()
    for stop in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(stop, stopping.set)
    async with running(settings):
        announce()
        await stopping.wait()
