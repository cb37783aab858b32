"""What a submission would cost, in whatever words it is asked."""

from typing import Any

import pytest

from filmgate.core.generation import MediaKind
from filmgate.ports.provider import Capabilities
from tests.calls import clients
from tests.fakes import a_world

TASKS, VIDEOS = "/v1/tasks/estimate", "/v1/videos/estimate"
A_CLIP = "https://films.other.example/a.mp4"


@pytest.mark.parametrize("path", [TASKS, VIDEOS])
@pytest.mark.parametrize(
    ("fields", "cost", "size"),
    [
        ({"model": "studio", "params": {"prompt": "a", "duration_seconds": 7}}, 7, (1280, 720)),
        ({"model": "studio", "prompt": "a", "duration_seconds": 7, "resolution": "480p"}, 7, (854, 480)),
        ({"model": "studio", "prompt": "a", "seconds": "7", "size": "720x1280"}, 7, (720, 1280)),
        ({"model": "studio", "prompt": "a", "duration": 7, "generate_audio": False}, 7, (1280, 720)),
        (
            {"prompt": "a", "ratio": "9:16", "duration": "5", "functionMode": "omni_reference"},
            75,
            (720, 1280),
        ),
        ({"prompt": "a", "ratio": "9:16", "video_urls": [A_CLIP]}, 150, (720, 1280)),
        ({"model": "seedream-4", "params": {"prompt": "a", "n": 2}}, 1.5, (1024, 1024)),
    ],
)
async def test_a_submission_of_any_dialect_is_estimated(
    path: str,
    fields: dict[str, Any],
    cost: float,
    size: tuple[int, int],
) -> None:
    world = a_world(ada=0)
    (ada,) = clients(world, "ada")

    reply = await ada.post(path, fields)

    assert reply.status == 200, reply.body
    assert reply.json["estimated_credits"] == cost
    assert (reply.json["width"], reply.json["height"]) == size
    assert reply.json["provider"] == "studio"
    assert not world.store.rows
    assert world.store.books_["acct_ada"].held == 0


async def test_an_estimate_is_what_is_held() -> None:
    (ada,) = clients(a_world(), "ada")
    fields = {"model": "sora-2-pro", "prompt": "a", "duration_seconds": 12, "resolution": "1080p"}

    estimate = await ada.post(TASKS, fields)
    task = await ada.post("/v1/tasks/submit", fields)

    assert estimate.json["estimated_credits"] == task.json["estimated_credits"] == 69
    assert float(task.headers["x-filmgate-credits-held"]) == 69
    assert estimate.json["estimated_seconds"] == task.json["estimated_seconds"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": "studio", "params": {}}, "prompt"),
        ({"model": "studio", "prompt": "a", "duration_seconds": 99}, "duration_seconds"),
        ({"model": "nobody's", "prompt": "a"}, "model"),
        ({"model": "studio", "prompt": "a", "image_init": "ftp://x"}, "image_init"),
    ],
)
async def test_what_would_be_refused_is_refused(fields: dict[str, Any], param: str) -> None:
    (ada,) = clients(a_world(), "ada")

    reply = await ada.post(TASKS, fields)

    assert (reply.status, reply.json["error"]["param"]) == (400, param)


async def test_an_input_that_no_provider_here_can_use_is_named_by_its_field() -> None:
    (ada,) = clients(a_world(media=Capabilities(media=frozenset({MediaKind.VIDEO}))), "ada")

    reply = await ada.post(TASKS, {"model": "studio", "prompt": "a", "image_init": "https://x.example/a.png"})

    assert (reply.status, reply.json["error"]["param"]) == (400, "image_init")


async def test_a_form_with_a_file_is_estimated_where_forms_are_read() -> None:
    (ada,) = clients(a_world(), "ada")
    parts = [("model", "studio"), ("prompt", "a"), ("seconds", "3"), ("input_reference@", "PNG")]

    reply = await ada.post_form(VIDEOS, parts)

    assert (reply.status, reply.json["estimated_credits"]) == (200, 3)
