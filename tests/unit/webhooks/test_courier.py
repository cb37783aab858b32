"""The courier: who is sent out when, and who has to wait for whom."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import pytest

from filmgate.api.presenter import DialectPresenter
from filmgate.core.change import advance, submission, tidying
from filmgate.core.delivery import DeliveryState
from filmgate.core.errors import StoreUnavailable
from filmgate.core.task import Status, Task
from filmgate.dispatch.hub import Hub
from filmgate.ports import Ports
from filmgate.ports.sender import Answered, Unanswered
from filmgate.ports.store import DeliveryQuery
from filmgate.service.save import save
from filmgate.webhooks import courier as module
from filmgate.webhooks.courier import Courier
from tests.calls import WEB
from tests.fakes import MemorySender, World, a_task, a_world

PATIENCE_S = 5.0


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAGE", 20)
    monkeypatch.setattr(module, "STOP_S", 0.01)


class Receivers(MemorySender):
    """Hosts of which some never answer; notes how many are asked at a time."""

    def __init__(self, *holes: str) -> None:
        super().__init__()
        self.holes = holes
        self.open: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.arrived = asyncio.Condition()

    async def post(self, url: str, *, headers: Mapping[str, str], body: bytes) -> Answered | Unanswered:
        host = url.split("/")[2]
        self.open[host] += 1
        self.most[host] = max(self.most[host], self.open[host])
        self.most["all"] = max(self.most["all"], self.open.total())
        try:
            answer = await super().post(url, headers=headers, body=body)
            async with self.arrived:
                self.arrived.notify_all()
            if host in self.holes:
                await asyncio.Event().wait()
            return answer
        finally:
            self.open[host] -= 1

    async def until(self, count: int) -> None:
        """Wait until so many posts have come."""
        async with asyncio.timeout(PATIENCE_S), self.arrived:
            await self.arrived.wait_for(lambda: len(self.posts) >= count)


def a_place(*holes: str) -> tuple[World, Ports, Receivers]:
    """Return a world with these receivers."""
    world, receivers = a_world(ada=1_000_000), Receivers(*holes)
    return world, replace(world.ports, sender=receivers, signals=Hub()), receivers


def a_courier(ports: Ports, *, most: int = 64, most_per_host: int = 4) -> Courier:
    return Courier(ports, DialectPresenter(ports, WEB), most=most, most_per_host=most_per_host)


async def tell(ports: Ports, n: int, host: str = "ada.example") -> Task:
    """End a task whose owner wants to know."""
    task = a_task(n=n, callback_url=f"https://{host}/{n}")
    await save(ports, submission(task))
    cancelled = task.to(Status.CANCELLED, at=ports.clock.now())
    await save(ports, advance(task, cancelled))
    return cancelled


async def states(ports: Ports) -> Counter[DeliveryState]:
    return Counter(one.state for one in await ports.store.deliveries(DeliveryQuery(limit=10_000)))


async def test_all_that_is_due_is_delivered_and_what_is_not_waits() -> None:
    world, ports, receivers = a_place()
    receivers.answers = [Answered(status=500)]
    for n in range(5):
        await tell(ports, n)
    courier = a_courier(ports)

    await courier.run_once()
    at_first = await states(ports)
    await courier.run_once()
    asked_again = len(receivers.posts)
    world.clock.advance(6)
    await courier.run_once()

    assert at_first == {DeliveryState.DELIVERED: 4, DeliveryState.PENDING: 1}
    assert asked_again == 5, "five seconds have not passed"
    assert await states(ports) == {DeliveryState.DELIVERED: 5}


async def test_a_host_is_asked_four_times_at_once_and_all_together_no_more_than_agreed() -> None:
    _, ports, receivers = a_place()
    for n in range(40):
        await tell(ports, n, host=f"host{n % 4}.example")
    courier = a_courier(ports, most=10)

    await courier.run_once()

    assert len(receivers.posts) == 40
    assert receivers.most["all"] == 10
    assert max(receivers.most[f"host{n}.example"] for n in range(4)) <= 4


async def test_a_black_hole_with_a_long_queue_keeps_nobody_else_waiting() -> None:
    _, ports, receivers = a_place("hole.example")
    for n in range(100):  # more than are read at a time
        await tell(ports, n, host="hole.example")
    for n in range(100, 110):
        await tell(ports, n, host=f"good{n}.example")
    running = asyncio.create_task(a_courier(ports).run())

    await receivers.until(14)
    asked = Counter(post.url.split("/")[2] for post in receivers.posts)
    await tell(ports, 200, host="late.example")
    await receivers.until(15)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert asked["hole.example"] == 4
    assert asked.total() == 14
    assert receivers.posts[-1].url == "https://late.example/200"


async def test_one_host_among_many_has_its_turn() -> None:
    _, ports, receivers = a_place()
    for n in range(30):
        await tell(ports, n, host="busy.example")
    await tell(ports, 30, host="lone.example")

    await a_courier(ports, most=1).run_once()

    order = [post.url.split("/")[2] for post in receivers.posts]
    assert order.index("lone.example") <= 1


async def test_a_hint_brings_a_new_webhook_out_at_once() -> None:
    _, ports, receivers = a_place()
    running = asyncio.create_task(a_courier(ports).run())

    for n in range(3):
        await asyncio.sleep(0.03)  # it has looked, and found nothing
        await tell(ports, n)
        await receivers.until(n + 1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert len(receivers.posts) == 3


async def test_what_was_left_by_the_last_process_is_delivered_by_the_next() -> None:
    _, ports, receivers = a_place()
    receivers.holes = ("ada.example",)
    await tell(ports, 1)
    first = asyncio.create_task(a_courier(ports).run())
    await receivers.until(1)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    receivers.holes = ()

    await a_courier(ports).run_once()

    one, other = receivers.posts
    assert one.headers["webhook-id"] == other.headers["webhook-id"]
    assert await states(ports) == {DeliveryState.DELIVERED: 1}


async def test_a_task_that_is_deleted_while_its_webhook_waits_is_not_told() -> None:
    world, ports, receivers = a_place("ada.example")
    tasks = {task.callback_url: task for task in [await tell(ports, n) for n in range(5)]}
    running = asyncio.create_task(a_courier(ports, most_per_host=4).run())
    await receivers.until(4)
    (waits,) = tasks.keys() - {post.url for post in receivers.posts}

    await save(ports, tidying(tasks[waits], tasks[waits].erased(at=world.clock.now())))
    receivers.holes = ()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await a_courier(ports).run_once()

    told = {post.url for post in receivers.posts}
    assert told == tasks.keys() - {waits}
    assert len(await ports.store.deliveries(DeliveryQuery())) == 4


async def test_trouble_of_ours_is_no_storm_for_the_receiver() -> None:
    world, ports, receivers = a_place()
    await tell(ports, 1)
    courier = a_courier(ports)
    world.store.fails = StoreUnavailable("the disk is full")

    for _ in range(5):
        await courier.run_once()

    assert len(receivers.posts) == 1
    world.store.fails = None
    courier._known.clear()  # as after half a minute
    world.clock.advance(61)
    await courier.run_once()
    assert await states(ports) == {DeliveryState.DELIVERED: 1}


async def test_a_replay_by_another_process_is_found() -> None:
    world, ports, receivers = a_place()
    await tell(ports, 1)
    courier = a_courier(ports)
    await courier.run_once()
    world.clock.advance(30)
    (delivered,) = await ports.store.deliveries(DeliveryQuery())

    world.store.outbox[delivered.id] = delivered.again(at=world.clock.now())
    await courier.run_once()

    assert len(receivers.posts) == 2
