"""Long polls: who answers when."""

import asyncio
from dataclasses import replace

import pytest

from filmgate.api import waiting
from filmgate.core.task import Status
from filmgate.dispatch.hub import Hub
from filmgate.service.cancel_task import cancel_task
from filmgate.service.delete_task import delete_task
from tests.calls import Client, clients
from tests.fakes import World, a_task, a_world

READS = [
    "/v1/videos/{}",
    "/v1/videos/tasks/{}",
    "/v1/tasks/query?task_id={}",
    "/v1/tasks?task_id={}",
    "/api/v1/tasks?task_id={}",
    "/v1/video_item?task_id={}",
]


class WatchedHub(Hub):
    """A hub that says when somebody waits."""

    def __init__(self) -> None:
        super().__init__()
        self.waited_for = asyncio.Event()

    async def wait(self, task_id: str, *, timeout_s: float) -> bool:
        self.waited_for.set()
        return await super().wait(task_id, timeout_s=timeout_s)


def waiting_world() -> tuple[World, Client, WatchedHub]:
    world, hub = a_world(), WatchedHub()
    world = replace(world, ports=replace(world.ports, signals=hub))
    (ada,) = clients(world, "ada")
    return world, ada, hub


async def submitted(ada: Client) -> str:
    reply = await ada.post("/v1/videos", {"model": "studio", "prompt": "a"})
    task_id: str = reply.json["id"]
    return task_id


def with_wait(path: str, wait: str) -> str:
    return f"{path}{'&' if '?' in path else '?'}wait={wait}"


@pytest.mark.parametrize("path", READS)
async def test_every_way_to_read_a_task_answers_when_it_ends(path: str) -> None:
    world, ada, hub = waiting_world()
    task_id = await submitted(ada)
    poll = asyncio.create_task(ada.get(with_wait(path.format(task_id), "60")))
    await hub.waited_for.wait()
    assert not poll.done()

    await cancel_task(world.ports, world.store.rows[task_id].task)
    async with asyncio.timeout(5):
        reply = await poll

    assert b"cancelled" in reply.body
    assert reply.headers["x-filmgate-credits-charged"] == "0"
    assert "preference-applied" not in reply.headers


async def test_a_post_and_a_preference_wait_too() -> None:
    world, ada, hub = waiting_world()
    task_id = await submitted(ada)
    poll = asyncio.create_task(ada.post("/v1/tasks/query", {"task_id": task_id}, {"prefer": "wait=60"}))
    await hub.waited_for.wait()

    await cancel_task(world.ports, world.store.rows[task_id].task)
    async with asyncio.timeout(5):
        reply = await poll

    assert reply.json["status"] == "cancelled"
    assert reply.headers["preference-applied"] == "wait=60"


async def test_when_the_time_is_over_the_task_is_shown_as_it_is() -> None:
    _, ada, _ = waiting_world()
    task_id = await submitted(ada)

    async with asyncio.timeout(5):
        reply = await ada.get(f"/v1/videos/{task_id}?wait=1")

    assert (reply.status, reply.json["status"]) == (200, "queued")
    assert reply.headers["x-filmgate-credits-held"] == "5"


@pytest.mark.parametrize("status", [Status.SUCCEEDED, Status.FAILED, Status.CANCELLED])
async def test_what_has_ended_is_answered_at_once(status: Status) -> None:
    world, ada, _ = waiting_world()
    task = world.put(a_task(status))

    async with asyncio.timeout(5):
        reply = await ada.get(f"/v1/videos/{task.id}?wait=60")

    assert reply.status == 200


async def test_a_lost_hint_costs_only_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "LOOK_EVERY_S", 0.01)
    world, ada, hub = waiting_world()
    task_id = await submitted(ada)
    poll = asyncio.create_task(ada.get(f"/v1/videos/{task_id}?wait=60"))
    await hub.waited_for.wait()

    row = world.store.rows[task_id]  # nobody is told
    row.task = row.task.to(Status.CANCELLED, at=world.clock.now())
    async with asyncio.timeout(5):
        reply = await poll

    assert reply.json["error"]["code"] == "cancelled"


async def test_a_task_that_is_deleted_meanwhile_is_not_there() -> None:
    world, ada, hub = waiting_world()
    task_id = await submitted(ada)
    poll = asyncio.create_task(ada.get(f"/v1/videos/{task_id}?wait=60"))
    await hub.waited_for.wait()

    await delete_task(world.ports, world.store.rows[task_id].task)
    async with asyncio.timeout(5):
        reply = await poll

    assert reply.status == 404


@pytest.mark.parametrize("wait", ["x", "-1", "1.5", "1e3", "%D9%A3", "9" * 20])
async def test_a_wait_that_is_no_number_is_400(wait: str) -> None:
    world, ada, _ = waiting_world()
    task = world.put(a_task())

    reply = await ada.get(f"/v1/videos/{task.id}?wait={wait}")

    assert (reply.status, reply.json["error"]["param"]) == (400, "wait")


@pytest.mark.parametrize("prefer", ["wait=x", "respond-async", "", "wait", "wait=0", "Wait=-3"])
async def test_a_preference_that_is_not_understood_is_ignored(prefer: str) -> None:
    world, ada, _ = waiting_world()
    task = world.put(a_task())

    async with asyncio.timeout(5):
        reply = await ada.get(f"/v1/videos/{task.id}", {"prefer": prefer})

    assert reply.status == 200


@pytest.mark.parametrize("asked", ["61", "86400"])
async def test_nobody_waits_longer_than_a_minute(asked: str) -> None:
    world, ada, _ = waiting_world()
    task = world.put(a_task(Status.SUCCEEDED))

    reply = await ada.get(f"/v1/videos/{task.id}", {"prefer": f"respond-async, wait={asked}"})

    assert reply.headers["preference-applied"] == "wait=60"
