"""The janitor goes on, whatever goes wrong, and never in step with the clock on the wall."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from filmgate.core.errors import StoreUnavailable
from filmgate.dispatch.janitor import Chore, Janitor, again_and_again
from tests.fakes import a_world


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[EventDict]]:
    """Keep what is logged out of the way, and return it."""
    with capture_logs() as logs:
        yield logs


def a_chore(do: Callable[[], Awaitable[int]]) -> Chore:
    """Return a chore that is always due."""
    return Chore(name="sweep", every_s=0, first_s=0, do=do)


@pytest.mark.parametrize(
    ("trouble", "told"),
    [
        (StoreUnavailable("the disk is full"), "chore_waits_for_the_store"),
        (OSError("gone"), "chore_failed"),
        (ValueError("a bug"), "chore_failed"),
    ],
)
async def test_trouble_with_a_chore_is_told_and_it_is_done_again(
    logs: list[EventDict], trouble: Exception, told: str
) -> None:
    done = asyncio.Event()
    tries = 0

    async def sweep() -> int:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise trouble
        done.set()
        return 2

    working = asyncio.create_task(again_and_again(a_chore(sweep)))
    async with asyncio.timeout(10):
        await done.wait()
    await asyncio.sleep(0)
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)

    assert [entry["event"] for entry in logs[:2]] == [told, told]
    assert {entry["chore"] for entry in logs} == {"sweep"}
    assert logs[2]["event"] == "chore_done"
    assert logs[2]["count"] == 2


async def test_a_chore_with_nothing_to_do_says_nothing(logs: list[EventDict]) -> None:
    done = asyncio.Event()

    async def sweep() -> int:
        done.set()
        return 0

    working = asyncio.create_task(again_and_again(a_chore(sweep)))
    async with asyncio.timeout(10):
        await done.wait()
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)

    assert not logs


async def test_the_janitor_stops_when_it_is_told_to() -> None:
    working = asyncio.create_task(Janitor(a_world().ports).run())
    await asyncio.sleep(0.01)
    assert not working.done()

    working.cancel()
    async with asyncio.timeout(10):
        await asyncio.gather(working, return_exceptions=True)

    assert working.cancelled()
