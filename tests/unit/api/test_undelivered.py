"""A stock client that retries a submit whose answer it never got means the same task."""

import asyncio
import json
from typing import Any

import pytest
from starlette.types import Message

from filmgate.api.undelivered import Undelivered
from tests.calls import Client, clients
from tests.fakes import World, a_world

A_VIDEO = {"model": "studio", "prompt": "a lighthouse"}
RETRY = {"x-stainless-retry-count": "1"}


def videos() -> tuple[World, Client]:
    world = a_world(ada=100, bob=100)
    (ada,) = clients(world, "ada")
    return world, ada


async def submit_and_leave(client: Client, fields: dict[str, Any], *headers: tuple[bytes, bytes]) -> None:
    """Submit, and be gone when the answer comes."""
    body = json.dumps(fields).encode()
    messages: list[Message] = [{"type": "http.request", "body": body}, {"type": "http.disconnect"}]
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/videos",
        "raw_path": b"/v1/videos",
        "query_string": b"",
        "headers": [(b"authorization", f"Bearer {client.key}".encode()), *headers],
    }

    async def receive() -> Message:
        return messages.pop(0) if len(messages) > 1 else messages[0]

    async def send(message: Message) -> None:
        """Nobody is there."""

    await client.app(scope, receive, send)


async def test_the_retry_of_a_submit_that_nobody_heard_of_is_the_same_task() -> None:
    world, ada = videos()
    await submit_and_leave(ada, A_VIDEO)

    reply = await ada.post("/v1/videos", A_VIDEO, RETRY)

    assert list(world.store.rows) == [reply.json["id"]]
    assert reply.headers["idempotent-replayed"] == "true"
    assert world.store.books_["acct_ada"].held == 5_000_000


async def test_the_retry_of_a_submit_that_was_answered_is_another_task() -> None:
    world, ada = videos()
    await ada.post("/v1/videos", A_VIDEO)

    reply = await ada.post("/v1/videos", A_VIDEO, RETRY)

    assert len(world.store.rows) == 2
    assert "idempotent-replayed" not in reply.headers


@pytest.mark.parametrize("headers", [{}, {"x-stainless-retry-count": "0"}, {"x-stainless-retry-count": "x"}])
async def test_an_equal_wish_is_no_retry(headers: dict[str, str]) -> None:
    world, ada = videos()
    await submit_and_leave(ada, A_VIDEO)

    await ada.post("/v1/videos", A_VIDEO, headers)

    assert len(world.store.rows) == 2


async def test_another_wish_is_no_retry() -> None:
    world, ada = videos()
    await submit_and_leave(ada, A_VIDEO)

    await ada.post("/v1/videos", A_VIDEO | {"seconds": "6"}, RETRY)

    assert len(world.store.rows) == 2


async def test_what_nobody_heard_of_is_replayed_once_each() -> None:
    world, ada = videos()
    await submit_and_leave(ada, A_VIDEO)
    await submit_and_leave(ada, A_VIDEO)

    replies = [await ada.post("/v1/videos", A_VIDEO, RETRY) for _ in range(3)]

    assert len({reply.json["id"] for reply in replies}) == 3
    assert len(world.store.rows) == 3


async def test_a_retry_that_is_lost_as_well_can_be_retried() -> None:
    world, ada = videos()
    await submit_and_leave(ada, A_VIDEO)
    await submit_and_leave(ada, A_VIDEO, (b"x-stainless-retry-count", b"1"))

    reply = await ada.post("/v1/videos", A_VIDEO, {"x-stainless-retry-count": "2"})

    assert list(world.store.rows) == [reply.json["id"]]


async def test_another_key_hears_nothing_of_it() -> None:
    world, ada = videos()
    await submit_and_leave(ada, A_VIDEO)
    bob = Client(ada.app, world.keys["bob"])

    reply = await bob.post("/v1/videos", A_VIDEO, RETRY)

    assert len(world.store.rows) == 2
    assert world.store.rows[reply.json["id"]].task.key_id == "key_bob"


async def test_a_key_of_the_callers_own_is_what_counts() -> None:
    world, ada = videos()
    await submit_and_leave(ada, A_VIDEO)

    await ada.post("/v1/videos", A_VIDEO, RETRY | {"idempotency-key": "k"})

    assert len(world.store.rows) == 2


async def test_a_client_that_still_listens_is_told_and_nothing_is_noted() -> None:
    world, ada = videos()

    replies = await asyncio.gather(*(ada.post("/v1/videos", A_VIDEO) for _ in range(3)))

    assert {reply.status for reply in replies} == {200}
    assert (
        ada.app._undelivered.take("key_ada", next(iter(world.store.rows.values())).task.fingerprint) is None
    )


def test_after_ten_minutes_it_is_forgotten() -> None:
    now = [0.0]
    notes = Undelivered(monotonic=lambda: now[0])
    notes.note("key", "print", "task")

    now[0] = 600.0

    assert notes.take("key", "print") is None


def test_of_too_many_the_oldest_are_forgotten() -> None:
    notes = Undelivered(most=2)
    for n in range(3):
        notes.note("key", f"print-{n}", f"task-{n}")

    assert [notes.take("key", f"print-{n}") for n in range(3)] == [None, "task-1", "task-2"]
