"""The embedded dispatch on its own: it can always be stopped."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from filmgate.dispatch.embedded import EmbeddedDispatch
from filmgate.ports import Ports


async def _nothing(*_: Any) -> tuple[()]:  # noqa: ANN401
    return ()


async def test_a_stop_in_the_moment_in_which_a_slot_becomes_free_is_not_lost() -> None:
    store = SimpleNamespace(take_over=_nothing, admit=_nothing)
    ports = cast("Ports", SimpleNamespace(store=store, clock=SimpleNamespace(now=lambda: None)))
    dispatch = EmbeddedDispatch()
    running = asyncio.create_task(dispatch.run(ports))
    for _ in range(10):
        await asyncio.sleep(0)

    dispatch.freed()
    # The wait for a slot is over now, and its task has not gone on yet.
    await asyncio.sleep(0)
    running.cancel()

    done, _ = await asyncio.wait({running}, timeout=0.5)
    assert done, "the cancellation was swallowed: the dispatch goes on for ever"
