"""ByteSpike's names, its three spellings, and its own task ids."""

import asyncio
import random
from datetime import timedelta
from typing import Any

import pytest

from filmgate.core.generation import Generation
from filmgate.core.task import Status
from tests.calls import Client, clients
from tests.fakes import NOON, World, a_task, a_world

SUBMIT = "/v1/tasks/submit"
QUERY = "/v1/tasks/query"
CANCEL = "/v1/tasks/cancel"
NESTED: dict[str, Any] = {"model": "studio", "params": {"prompt": "a", "duration_seconds": 5}}
FLAT: dict[str, Any] = {"model": "studio", "prompt": "a", "duration_seconds": 5}


def bytespike() -> tuple[World, Client]:
    world = a_world(ada=100, bob=100)
    (ada, _) = clients(world, "ada", "bob")
    return world, ada


async def test_nested_and_flat_mean_the_same() -> None:
    world, ada = bytespike()

    await ada.post(SUBMIT, NESTED | {"out_task_id": "x"})
    reply = await ada.post(SUBMIT, FLAT | {"out_task_id": "x"})

    assert reply.status == 200
    assert reply.headers["idempotent-replayed"] == "true"
    assert len(world.store.rows) == 1


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({}, "model", "invalid_param"),
        ({"model": "studio"}, "prompt", "invalid_param"),
        ({"model": "studio", "params": []}, "params", "invalid_param"),
        ({"model": "studio", "params": "{}"}, "params", "invalid_param"),
        (NESTED | {"prompt": "another"}, "prompt", "invalid_param"),
        (FLAT | {"duration_seconds": 21}, "duration_seconds", "invalid_param"),
        (FLAT | {"duration_seconds": "five"}, "duration_seconds", "invalid_param"),
        ({"model": "studio", "prompt": "a", "duration": 21}, "duration", "invalid_param"),
        (FLAT | {"size": "huge"}, "size", "invalid_param"),
        (FLAT | {"n": 2}, "n", "invalid_param"),
        (FLAT | {"out_task_id": "with space"}, "out_task_id", "invalid_param"),
        (FLAT | {"out_task_id": "x" * 129}, "out_task_id", "invalid_param"),
        (FLAT | {"out_task_id": ""}, "out_task_id", "invalid_param"),
        (FLAT | {"out_task_id": 7}, "out_task_id", "invalid_param"),
        (FLAT | {"callback_url": "https://u:p@x.example"}, "callback_url", "invalid_param"),
        (FLAT | {"image_init": "asset://ta_1"}, "image_init", "invalid_param"),
        (FLAT | {"model": "gpt-7"}, "model", "model_not_found"),
        ({"model": "studio-image", "prompt": "a", "duration": 5}, "duration", "invalid_param"),
    ],
)
async def test_a_request_that_is_wrong_names_its_field(body: dict[str, Any], param: str, code: str) -> None:
    world, ada = bytespike()

    reply = await ada.post(SUBMIT, body)

    assert reply.status == 400
    assert reply.json["error"]["param"] == param, reply.json
    assert reply.json["error"]["code"] == code
    assert reply.json["error"]["message"]
    assert not world.store.rows


async def test_the_same_id_for_something_else_is_409() -> None:
    world, ada = bytespike()
    await ada.post(SUBMIT, NESTED | {"out_task_id": "x"})

    reply = await ada.post(SUBMIT, NESTED | {"out_task_id": "x", "model": "sandbox"})

    assert reply.status == 409
    assert reply.json["error"]["code"] == "duplicate_out_task_id"
    assert reply.headers["x-should-retry"] == "false"
    assert len(world.store.rows) == 1


async def test_the_callback_is_no_part_of_what_is_compared() -> None:
    _, ada = bytespike()
    await ada.post(SUBMIT, NESTED | {"out_task_id": "x"})

    reply = await ada.post(SUBMIT, NESTED | {"out_task_id": "x", "callback_url": "https://x.example"})

    assert reply.status == 200


async def test_twenty_at_once_are_one_task() -> None:
    world, ada = bytespike()

    replies = await asyncio.gather(*(ada.post(SUBMIT, NESTED | {"out_task_id": "x"}) for _ in range(20)))

    assert len({reply.json["task_id"] for reply in replies}) == 1
    assert world.store.books_["acct_ada"].held == 5_000_000


async def test_two_keys_may_use_the_same_id() -> None:
    world = a_world(ada=100, bob=100)
    ada, bob = clients(world, "ada", "bob")

    first = await ada.post(SUBMIT, NESTED | {"out_task_id": "x"})
    second = await bob.post(SUBMIT, NESTED | {"out_task_id": "x"})
    read = await bob.get(f"{QUERY}?out_task_id=x")

    assert first.json["task_id"] != second.json["task_id"] == read.json["task_id"]


async def test_a_query_by_any_name_and_method_reads_the_same() -> None:
    world, ada = bytespike()
    task_id = (await ada.post(SUBMIT, NESTED | {"out_task_id": "x"})).json["task_id"]

    bodies = [
        (await ada.get(f"{QUERY}?task_id={task_id}")).body,
        (await ada.get(f"{QUERY}?out_task_id=x")).body,
        (await ada.post(QUERY, {"task_id": task_id})).body,
        (await ada.post(QUERY, {"out_task_id": "x"})).body,
    ]

    assert len(set(bodies)) == 1
    assert world.store.rows


@pytest.mark.parametrize("names", [{}, {"task_id": "x", "out_task_id": "y"}, {"task_id": None}, {"id": "x"}])
@pytest.mark.parametrize("path", [QUERY, CANCEL])
async def test_exactly_one_name_is_needed(path: str, names: dict[str, Any]) -> None:
    _, ada = bytespike()

    reply = await ada.post(path, names)

    assert (reply.status, reply.json["error"]["code"]) == (400, "invalid_param")


async def test_an_unknown_name_is_404() -> None:
    _, ada = bytespike()

    for names in ({"task_id": "task_" + "0" * 26}, {"out_task_id": "nobody"}):
        reply = await ada.post(QUERY, names)
        assert (reply.status, reply.json["error"]["code"]) == (404, "task_not_found")


@pytest.mark.parametrize("how", ["path", "body", "own id", "path with another body"])
async def test_cancelling_frees_the_credits(how: str) -> None:
    world, ada = bytespike()
    task_id = (await ada.post(SUBMIT, NESTED | {"out_task_id": "x"})).json["task_id"]

    reply = await {
        "path": lambda: ada.ask("POST", f"{CANCEL}/{task_id}"),
        "body": lambda: ada.post(CANCEL, {"task_id": task_id}),
        "own id": lambda: ada.post(CANCEL, {"out_task_id": "x"}),
        "path with another body": lambda: ada.post(f"{CANCEL}/{task_id}", {"task_id": "task_other"}),
    }[how]()

    assert (reply.status, reply.json["status"]) == (200, "cancelled")
    assert reply.json["estimated_credits"] == 5
    assert "credits_used" not in reply.json
    assert world.store.books_["acct_ada"].held == 0


@pytest.mark.parametrize("status", [Status.SUCCEEDED, Status.FAILED, Status.CANCELLED])
async def test_cancelling_what_has_ended_changes_nothing(status: Status) -> None:
    world, ada = bytespike()
    task = world.put(a_task(status))
    before = (await ada.get(f"{QUERY}?task_id={task.id}")).body

    reply = await ada.ask("POST", f"{CANCEL}/{task.id}")

    assert (reply.status, reply.body) == (200, before)
    assert world.store.rows[task.id].task == task


async def test_nobody_cancels_somebody_elses_task() -> None:
    world = a_world(ada=1, bob=1)
    _, bob = clients(world, "ada", "bob")
    task = world.put(a_task(Status.RUNNING))

    reply = await bob.ask("POST", f"{CANCEL}/{task.id}")

    assert reply.status == 404
    assert world.store.rows[task.id].task.status is Status.RUNNING


@pytest.mark.parametrize("status", Status)
async def test_each_field_is_there_only_when_it_is_due(status: Status) -> None:
    world, ada = bytespike()
    task = world.put(a_task(status))

    body = (await ada.get(f"{QUERY}?task_id={task.id}")).json

    done = status is Status.SUCCEEDED
    assert ("credits_used" in body) is ("output" in body) is ("completed_at" in body) is done
    assert ("estimated_credits" in body) is not done
    assert ("error_code" in body) is ("error_message" in body) is (status is Status.FAILED)
    assert "out_task_id" not in body


async def test_the_oldest_form_has_its_result_in_one_field() -> None:
    world, ada = bytespike()
    task = world.put(a_task(Status.SUCCEEDED))

    body = (await ada.get(f"/v1/videos/tasks/{task.id}")).json

    assert body["result_url"] == body["output"][0]["url"] == body["result"]["video_url"]


async def test_a_thousand_hostile_idempotency_keys_are_refused_and_leave_no_trace() -> None:
    # I-6: NUL, ten kilobytes, percent signs, SQL and the rest of Unicode, mixed by chance.
    chance = random.Random(20261121)
    pieces = [
        "\0",
        "x" * 10_000,
        "%00",
        "' OR 1=1; --",
        "é",
        "🎬",
        "\u202e",
        " ",
        "\n",
        "\t",
        "/",
        "'",
        '"',
        "{",
        "\x7f",
    ]
    world, ada = bytespike()

    for _ in range(1_000):
        words = chance.choices(pieces, k=chance.randint(1, 4)) + ["a"] * chance.randint(0, 3)
        chance.shuffle(words)
        reply = await ada.post(SUBMIT, NESTED | {"out_task_id": "".join(words)})
        assert reply.status == 400, words
        assert reply.json["error"]["code"] == "invalid_param"

    assert not world.store.rows


# --- pictures, first frames ---------------------------------------------------------------------


@pytest.mark.parametrize("model", ["seedream-v4", "seedream-4.5", "nano-banana-pro", "gpt-image-2"])
async def test_picture_models_are_on_the_same_queue(model: str) -> None:
    world, ada = bytespike()

    reply = await ada.post(SUBMIT, {"model": model, "params": {"prompt": "a", "n": 2, "size": "1024x1024"}})

    (row,) = world.store.rows.values()
    assert (reply.status, reply.json["provider"]) == (200, "studio")
    assert (row.task.generation.n, row.task.generation.duration_s) == (2, 0)


@pytest.mark.parametrize(
    ("size", "pixels"), [("1k", (1024, 1024)), ("1K", (1024, 1024)), ("720p", (960, 960))]
)
async def test_a_size_may_be_a_resolution(size: str, pixels: tuple[int, int]) -> None:
    world, ada = bytespike()

    await ada.post(SUBMIT, {"model": "studio-image", "prompt": "a", "size": size})

    (row,) = world.store.rows.values()
    assert (row.task.generation.width, row.task.generation.height) == pixels


async def test_a_first_frame_may_be_written_out_in_small() -> None:
    world, ada = bytespike()
    params = {"prompt": "a", "image_init": "data:image/png;base64,AAAA"}

    reply = await ada.post(SUBMIT, {"model": "studio", "params": params})

    (row,) = world.store.rows.values()
    assert reply.status == 200
    assert row.task.generation.media[0].blob is not None


async def test_a_body_of_more_than_a_mebibyte_is_413() -> None:
    world, ada = bytespike()
    params = {"prompt": "a", "image_init": "data:image/png;base64," + "A" * 2**20}

    reply = await ada.post(SUBMIT, {"model": "studio", "params": params})

    assert (reply.status, reply.json["error"]["code"]) == (413, "body_too_large")
    assert not world.store.rows


# --- our list -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", [5, 4, 3, 2, 1]),
        ("order=asc", [1, 2, 3, 4, 5]),
        ("status=completed", [2]),
        ("status=pending&kind=video", [5, 4, 1]),
        ("kind=image", [3]),
        ("model=sora2", [4]),
        ("dialect=loova", [5]),
        ("dialect=nobody", []),
        ("created_after=2026-11-20T12:00:01Z", [5, 4]),
        ("created_before=1795176001", [3, 2, 1]),
        ("created_after=1795176001&created_before=1795176002", [4]),
        ("limit=2", [5, 4]),
        ("limit=2&before={1}", [3, 2]),
        ("limit=2&after={4}", [3, 2]),
    ],
)
async def test_tasks_are_listed_by_what_they_are(query: str, found: list[int]) -> None:
    world, ada = bytespike()
    a_picture = Generation(prompt="a", width=64, height=64)
    tasks = [
        a_task(n=1),
        a_task(Status.SUCCEEDED, n=2),
        a_task(Status.RUNNING, n=3, generation=a_picture),
        a_task(n=4, model="sora2", model_id="sora-2", created_at=NOON + timedelta(seconds=1)),
        a_task(n=5, dialect="loova", created_at=NOON + timedelta(seconds=2)),
    ]
    ids = {n: world.put(task).id for n, task in enumerate(tasks, 1)}
    world.put(a_task(n=9, key_id="key_bob"))
    for n, task_id in ids.items():
        query = query.replace(f"{{{n}}}", task_id)

    page = (await ada.get(f"/v1/tasks/list?{query}")).json

    assert [task["task_id"] for task in page["data"]] == [ids[n] for n in found]


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("status=queued", "status"),
        ("kind=tape", "kind"),
        ("model=nobody", "model"),
        ("created_after=yesterday", "created_after"),
        ("created_after=2026-11-20T12:00:00", "created_after"),
        ("after=x", "after"),
    ],
)
async def test_a_list_that_cannot_be_names_its_parameter(query: str, param: str) -> None:
    _, ada = bytespike()

    reply = await ada.get(f"/v1/tasks/list?{query}")

    assert (reply.status, reply.json["error"]["param"]) == (400, param)
