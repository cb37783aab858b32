"""What webhooks carry: the task in the words of its own dialect, and never more than 20 kB."""

import json
from dataclasses import replace
from typing import Any

import pytest

from filmgate.api.dialect import find_dialects
from filmgate.api.presenter import MOST_BYTES, DialectPresenter
from filmgate.core.delivery import Delivery, event_id
from filmgate.core.task import TERMINAL, Status, Task, TaskError
from tests.calls import WEB
from tests.fakes import a_task, a_world, an_output

DIALECTS = [dialect.name for dialect in find_dialects()]
PRESENTER = DialectPresenter(a_world().ports, WEB)


def a_delivery(task: Task) -> Delivery:
    """Return the delivery of a task's end."""
    return Delivery(
        id=event_id(task.id, task.version),
        task_id=task.id,
        account_id=task.account_id,
        url="https://ada.example/hook",
        created_at=task.updated_at,
        next_at=task.updated_at,
    )


def told(task: Task) -> Any:  # noqa: ANN401
    """Return what a webhook says of a task."""
    return json.loads(PRESENTER.event(task, a_delivery(task)))


@pytest.mark.parametrize("status", sorted(TERMINAL))
@pytest.mark.parametrize("name", DIALECTS)
def test_every_end_has_a_name_in_every_dialect(name: str, status: Status) -> None:
    task = a_task(status, dialect=name)

    body = told(task)

    kind, _, word = body["type"].partition(".")
    assert kind == ("video" if name == "openai" else "task")
    assert word in {"succeeded", "completed", "failed", "cancelled"}
    assert body["timestamp"] == "2026-11-20T12:00:30.000Z"
    assert body["data"]["status"] in {"succeeded", "completed", "failed", "cancelled"}


def test_loovas_task_is_what_its_query_has_in_data() -> None:
    body = told(a_task(Status.SUCCEEDED, dialect="loova"))

    assert set(body) == {"type", "timestamp", "data"}
    assert body["type"] == "task.succeeded"
    assert body["data"]["result"]["video_url"].startswith("https://films.example/files/")


def test_bytespikes_task_is_what_its_query_answers() -> None:
    body = told(a_task(Status.CANCELLED, dialect="bytespike", out_task_id="order-17"))

    assert set(body) == {"type", "timestamp", "data"}
    assert body["type"] == "task.cancelled"
    assert body["data"]["out_task_id"] == "order-17"


def test_a_video_comes_in_openais_envelope_with_token360s_request_id() -> None:
    task = a_task(Status.FAILED, request_id="r-1")

    body = told(task)

    assert body["id"] == event_id(task.id, task.version)
    assert (body["object"], body["type"], body["created_at"]) == ("event", "video.failed", 1_795_176_030)
    assert body["request_id"] == "r-1"
    assert body["data"]["error"]["code"] == "moderated"
    assert "request_id" not in told(a_task(Status.FAILED))


def test_a_dialect_that_is_no_more_is_told_in_the_neutral_one() -> None:
    assert told(a_task(Status.SUCCEEDED, dialect="acme_v0"))["type"] == "video.completed"


@pytest.mark.parametrize("name", DIALECTS)
@pytest.mark.parametrize(
    "prompt",
    ["x" * 32_000, "🎬" * 32_000, '"\\\n' * 10_000, "\x01" * 32_000],
    ids=["x", "film", "escapes", "controls"],
)
def test_what_is_too_long_stays_out_by_name_and_the_rest_is_whole(name: str, prompt: str) -> None:
    task = a_task(Status.SUCCEEDED, dialect=name)
    long = replace(
        task,
        generation=replace(task.generation, prompt=prompt),
        metadata={"order": "y" * 16_000},
        error=TaskError(code="failed", message="z" * 30_000),
    )

    raw = PRESENTER.event(long, a_delivery(long))

    body = json.loads(raw)
    assert len(raw) <= MOST_BYTES
    assert set(body.get("omitted", ())).isdisjoint(body["data"])
    if name == "openai":
        assert body["omitted"][0] == "prompt"
        assert body["data"]["id"] == task.id
        assert body["data"]["url"]


def test_metadata_stays_where_there_is_room_for_it() -> None:
    task = a_task(Status.SUCCEEDED, metadata={"order": "y" * 15_000})
    long = replace(task, generation=replace(task.generation, prompt="x" * 30_000))

    assert told(task)["data"]["metadata"] == task.metadata
    assert told(long)["omitted"] == ["prompt"]
    assert told(long)["data"]["metadata"] == task.metadata


@pytest.mark.parametrize("name", DIALECTS)
def test_as_many_pictures_as_a_model_makes_have_room(name: str) -> None:
    pictures = tuple(an_output(content=bytes([n])) for n in range(10))
    task = a_task(Status.SUCCEEDED, dialect=name, outputs=pictures)

    assert "omitted" not in told(task)
