"""The hub: hints arrive, time runs out, and nothing stays behind."""

import asyncio
from collections.abc import Callable

import pytest

from filmgate.dispatch.hub import Hub

LONG_S = 60.0


async def waiting(hub: Hub, *task_ids: str) -> list[asyncio.Task[bool]]:
    """Start a waiter for each of the tasks and return them once they wait."""
    waiters = [asyncio.create_task(hub.wait(task_id, timeout_s=LONG_S)) for task_id in task_ids]
    await asyncio.sleep(0)
    return waiters


async def test_a_hint_wakes_everyone_who_waits_for_that_task_and_nobody_else() -> None:
    hub = Hub()
    first, second, other = await waiting(hub, "a", "a", "b")

    hub.tell("a")

    assert all(await asyncio.gather(first, second))
    assert not other.done()
    other.cancel()


async def test_a_hint_with_nobody_waiting_is_fine_and_not_remembered() -> None:
    hub = Hub()

    hub.tell("a")

    assert not await hub.wait("a", timeout_s=0)


async def test_a_wait_ends_when_its_time_is_over() -> None:
    hub = Hub()

    assert not await hub.wait("a", timeout_s=0.001)

    assert not hub._watching


async def test_a_cancelled_wait_leaves_nothing_behind_and_harms_no_other() -> None:
    hub = Hub()
    leaver, stayer = await waiting(hub, "a", "a")

    leaver.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaver
    hub.tell("a")

    assert await stayer
    assert not hub._watching


async def test_a_hint_and_a_cancellation_in_the_same_breath_are_fine() -> None:
    hub = Hub()
    (waiter,) = await waiting(hub, "a")

    waiter.cancel()
    hub.tell("a")
    with pytest.raises(asyncio.CancelledError):
        await waiter

    assert not hub._watching


async def test_whoever_waits_again_after_a_hint_waits_for_the_next_one() -> None:
    hub = Hub()
    (first,) = await waiting(hub, "a")
    hub.tell("a")
    (second,) = await waiting(hub, "a")

    assert await first
    assert not second.done()
    hub.tell("a")
    assert await second


async def test_everyone_can_be_woken_at_once() -> None:
    hub = Hub()
    waiters = await waiting(hub, "a", "b", "c")

    hub.tell_everyone()

    assert await asyncio.gather(*waiters) == [True] * 3


async def test_ten_thousand_waiters_come_and_go_without_a_trace() -> None:
    hub = Hub()
    waiters = await waiting(hub, *(f"task {n % 100}" for n in range(10_000)))

    for n in range(0, 100, 2):
        hub.tell(f"task {n}")
    for waiter in waiters[1::2]:
        waiter.cancel()
    answers = await asyncio.gather(*waiters, return_exceptions=True)

    assert answers[::2] == [True] * 5_000
    assert all(isinstance(answer, asyncio.CancelledError) for answer in answers[1::2])
    assert not hub._watching


async def test_a_watcher_hears_every_hint_until_it_leaves() -> None:
    hub = Hub()
    heard: list[str] = []
    leave = hub.watch("a", lambda: heard.append("a"))

    hub.tell("a")
    hub.tell("b")
    hub.tell("a")
    leave()
    leave()  # twice is fine
    hub.tell("a")

    assert heard == ["a", "a"]
    assert not hub._watching


async def test_a_watcher_may_leave_while_it_is_told() -> None:
    hub = Hub()
    leaves: list[Callable[[], None]] = []

    def leave() -> None:
        leaves.pop()()

    leaves += [hub.watch("a", leave), hub.watch("a", lambda: None)]
    hub.tell("a")

    assert len(hub._watching["a"]) == 1
