"""What one process does for all: whoever has the duty does it, and another one takes it over."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any, Final

import structlog

from filmgate.core.errors import StoreUnavailable
from filmgate.ports.cluster import BEAT_S, LEASE_S, Cluster

# Without word from the store for so long, another may have it by now.
UNSURE_S: Final = LEASE_S - BEAT_S

_log = structlog.get_logger(__name__)


async def on_duty(
    cluster: Cluster, duty: str, worker: str, work: Callable[[], Coroutine[Any, Any, None]]
) -> None:
    """Do `work` whenever `worker` has the duty, for as long as this is not cancelled.

    For a moment two may do it: whatever it is must stand that.
    """
    loop = asyncio.get_running_loop()
    doing: asyncio.Task[None] | None = None
    sure_at = loop.time()
    try:
        while True:
            try:
                async with asyncio.timeout(BEAT_S):
                    mine = await cluster.hold_duty(duty, worker)
                sure_at = loop.time()
            except (StoreUnavailable, TimeoutError):
                mine = doing is not None and loop.time() - sure_at < UNSURE_S
            if mine and (doing is None or doing.done()):
                if doing is not None:
                    doing.result()  # it ends only by a bug: say so
                _log.info("on_duty", duty=duty)
                doing = asyncio.create_task(work(), name=duty)
            elif not mine and doing is not None:
                _log.info("off_duty", duty=duty)
                await _stop(doing)
                doing = None
            await asyncio.sleep(BEAT_S)
    finally:
        if doing is not None:
            await _stop(doing)


async def _stop(doing: asyncio.Task[None]) -> None:
    doing.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await doing
