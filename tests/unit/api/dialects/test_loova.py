"""Loova's rules across fields, and what its clients trip over."""

from dataclasses import replace
from typing import Any

import pytest

from filmgate.core.errors import ProviderUnavailable
from filmgate.core.generation import MediaKind
from filmgate.core.task import Status
from filmgate.ports.provider import Capabilities
from tests.calls import Client, clients
from tests.fakes import a_task, a_world

PATH = "/api/v1/video/seedance-2"
A, B, C = (f"https://pictures.example/{name}.png" for name in "abc")


def loova() -> Client:
    (ada,) = clients(a_world(), "ada")
    return ada


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "prompt: is required"),
        ({"prompt": None}, "prompt: is required"),
        ({"prompt": "a", "duration": 3}, "duration: seedance_2_0 makes clips of 4 to 15 seconds"),
        ({"prompt": "a", "duration": 16}, "duration: seedance_2_0 makes clips of 4 to 15 seconds"),
        ({"prompt": "a", "duration": "16"}, "duration: seedance_2_0 makes clips of 4 to 15 seconds"),
        ({"prompt": "a", "duration": 5.5}, "duration: must be a whole number"),
        ({"prompt": "a", "ratio": "2:1"}, "ratio: must be one of "),
        ({"prompt": "a", "aspect_ratio": "2:1"}, "aspect_ratio: must be one of "),
        (
            {"prompt": "a", "functionMode": "magic"},
            "functionMode: must be 'omni_reference' or 'first_last_frames'",
        ),
        ({"prompt": "a", "function_mode": "first_last_frames"}, "image_urls: first_last_frames takes"),
        ({"prompt": "a", "function_mode": "first_last_frames", "image_urls": [A, B, C]}, "image_urls: "),
        (
            {"prompt": "a", "function_mode": "first_last_frames", "image_urls": [A], "video_urls": [B]},
            "function_mode: first_last_frames takes images only",
        ),
        ({"prompt": "a", "audio_urls": [A]}, "audio_urls: audio needs at least one image or video"),
        ({"prompt": "a", "image_urls": [A] * 10}, "image_urls: "),
        ({"prompt": "a", "video_urls": [A] * 4}, "video_urls: "),
        ({"prompt": "a", "image_urls": ["ftp://x.example/a"]}, "image_urls[0]: must be an http(s) URL"),
        ({"prompt": "a", "image_urls": [A, 7]}, "image_urls[1]: must be a valid string"),
        ({"prompt": "a", "image_urls": "not a url"}, "image_urls[0]: must be an http(s) URL"),
        ({"prompt": "a", "image_urls": {"a": A}}, "image_urls: "),
        ({"prompt": 7, "duration": "x"}, "prompt: must be a valid string; duration: must be a whole number"),
    ],
)
async def test_a_request_that_is_wrong_is_told_why(fields: dict[str, Any], message: str) -> None:
    reply = await loova().post(PATH, fields)

    assert reply.status == reply.json["code"] == 400
    assert reply.json["message"].startswith(message), reply.json["message"]
    assert reply.json["data"] is None


@pytest.mark.parametrize(("seconds", "credits"), [(4, 60), (5, 75), (15, 225)])
@pytest.mark.parametrize("spelt", [int, str, float])
async def test_a_second_costs_fifteen_credits(seconds: int, credits: int, spelt: type) -> None:  # noqa: A002
    reply = await loova().post(PATH, {"prompt": "a", "duration": spelt(seconds)})

    assert reply.json["data"]["credits_cost"] == credits


@pytest.mark.parametrize(("model", "credits"), [("seedance_2_0", 150), ("seedance_2_0_fast", 100)])
async def test_a_video_reference_doubles_the_price(model: str, credits: int) -> None:  # noqa: A002
    reply = await loova().post(PATH, {"model": model, "prompt": "a", "video_urls": [A]})

    assert reply.json["data"]["credits_cost"] == credits


async def test_snake_case_wins_over_what_scripts_send() -> None:
    fields = {
        "prompt": "a",
        "ratio": "1:1",
        "aspect_ratio": "nonsense",
        "function_mode": "omni_reference",
        "functionMode": "nonsense",
    }

    assert (await loova().post(PATH, fields)).status == 200


@pytest.mark.parametrize(
    ("status", "message", "cost"),
    [
        (Status.QUEUED, None, 5),
        (Status.RUNNING, None, 5),
        (Status.SUCCEEDED, None, 4),
        (Status.FAILED, "The prompt was refused.", 0),
        (Status.CANCELLED, "cancelled", 0),
    ],
)
async def test_a_task_that_failed_says_so_with_200(status: Status, message: str | None, cost: int) -> None:
    world = a_world()
    (ada,) = clients(world, "ada")
    charged = 4_000_000 if status is Status.SUCCEEDED else 0
    task = world.put(a_task(status, charged=charged))

    reply = await ada.get(f"/v1/tasks?task_id={task.id}")

    assert (reply.status, reply.json["code"]) == (200, 200)
    assert reply.json["message"] == message
    data = reply.json["data"]
    assert data["credits_cost"] == cost
    assert (data["result"] is None) is (not task.ended)
    if data["result"]:
        assert data["result"]["status"] == data["status"]
        assert data["result"]["error_message"] == message


@pytest.mark.parametrize("path", ["/api/v1/tasks", "/v1/tasks", "/api/tasks", "/v1/video_item"])
async def test_every_base_path_reads_the_same(path: str) -> None:
    world = a_world()
    (ada,) = clients(world, "ada")
    task = world.put(a_task(Status.SUCCEEDED))

    reply = await ada.get(f"{path}?task_id={task.id}")

    assert reply.json["data"]["task_id"] == task.id


@pytest.mark.parametrize("query", ["", "?task_id=", "?taskid=x"])
async def test_a_poll_without_an_id_is_400(query: str) -> None:
    reply = await loova().get(f"/api/v1/tasks{query}")

    assert (reply.status, reply.json["message"]) == (400, "task_id: is required")


async def media_of(*parts: tuple[str, str], path: str = PATH) -> list[tuple[MediaKind, bool]]:
    """Return the kind of each input that a form brings, and whether it came as a file."""
    world = a_world()
    (ada,) = clients(world, "ada")
    reply = await ada.post_form(path, [("prompt", "a"), *parts])
    assert reply.status == 200, reply.body
    (row,) = world.store.rows.values()
    return [(media.kind, media.blob is not None) for media in row.task.generation.media]


async def test_files_are_sorted_by_their_types() -> None:
    parts = [("files@audio/mpeg", "ID3 a"), ("files@video/mp4", "\0\0\0\x18ftyp"), ("files@image/webp", "a")]

    assert await media_of(*parts) == [(kind, True) for kind in MediaKind]


async def test_addresses_beat_files_of_the_same_kind_alone() -> None:
    parts = [
        ("files@image/png", "dropped"),
        ("files@audio/wav", "RIFF"),
        ("image_urls", A),
        ("image_urls", B),
    ]

    assert await media_of(*parts) == [
        (MediaKind.IMAGE, False),
        (MediaKind.IMAGE, False),
        (MediaKind.AUDIO, True),
    ]


async def test_the_older_form_takes_files_too() -> None:
    world = a_world()
    (ada,) = clients(world, "ada")
    params = '{"prompt": "a", "file_paths": ["https://x.example/b.mp4"]}'

    await ada.post_form("/v1/img2vid", [("params", params), ("files@", "PNG")])

    (row,) = world.store.rows.values()
    kinds = [(media.kind, media.blob is not None) for media in row.task.generation.media]
    assert kinds == [(MediaKind.IMAGE, True), (MediaKind.VIDEO, False)]


@pytest.mark.parametrize("part", [("files@text/plain", "a"), ("files", "a.png"), ("files[]", "7")])
async def test_a_file_of_no_kind_is_refused_and_not_left_out_in_silence(part: tuple[str, str]) -> None:
    world = a_world()
    (ada,) = clients(world, "ada")

    reply = await ada.post_form(PATH, [("prompt", "a"), part])

    assert reply.status == 400
    assert reply.json["message"].startswith("files: each must be a part of the form")
    assert not world.store.rows


async def test_a_tenth_picture_is_one_too_many() -> None:
    reply = await loova().post_form(PATH, [("prompt", "a"), *[("files@", "PNG")] * 10])

    assert reply.status == 400
    assert reply.json["message"].startswith("image_urls: ")


@pytest.mark.parametrize("prompt", ["@Image1 and @Image9", "@Video1", "@", "@image_1", "mail a@b.example"])
async def test_a_reference_in_the_prompt_is_words_to_us(prompt: str) -> None:
    reply = await loova().post(PATH, {"prompt": prompt, "image_urls": [A]})

    assert reply.status == 200


async def test_an_input_that_no_provider_here_can_use_is_named_by_its_field() -> None:
    (ada,) = clients(a_world(media=Capabilities(media=frozenset({MediaKind.VIDEO}))), "ada")

    reply = await ada.post(PATH, {"prompt": "a", "image_urls": [A]})

    assert reply.status == 400
    assert reply.json["message"].startswith("image_urls: 'studio', which runs")


async def test_a_seventh_task_waits() -> None:
    world = a_world()
    (ada,) = clients(world, "ada")

    replies = [await ada.post(PATH, {"prompt": "a"}) for _ in range(7)]

    assert {reply.json["data"]["status"] for reply in replies} == {"running"}
    assert len(world.store.rows) == 7


async def test_what_goes_wrong_upstream_is_no_request_error_of_ours() -> None:
    (ada,) = clients(a_world(), "ada")
    dialect = next(dialect for dialect in ada.app.dialects if dialect.name == "loova")

    answer = ada.app.error_answer(dialect, ProviderUnavailable("down"), "0" * 32)

    assert answer.status == 502


async def test_the_older_form_reads_mixed_media_by_their_endings() -> None:
    world = a_world()
    (ada,) = clients(world, "ada")
    params = {"prompt": "a", "file_paths": [A, "https://x.example/b.MP4?x=.png", "https://x.example/c.wav#t"]}

    reply = await ada.post("/v1/img2vid", {"model": "seedance_2_0", "params": params})

    assert reply.status == 200, reply.body
    (row,) = world.store.rows.values()
    kinds = [media.kind for media in row.task.generation.media]
    assert kinds == [MediaKind.IMAGE, MediaKind.VIDEO, MediaKind.AUDIO]


@pytest.mark.parametrize("params", [None, "not json", "[1]", '{"prompt": "a", "prompt": "b"}', 7, []])
async def test_the_older_form_needs_its_parameters(params: object) -> None:
    reply = await loova().post("/v1/img2vid", {"model": "seedance_2_0", "params": params})

    assert reply.status == 400
    assert reply.json["message"].startswith("params: ")


async def test_an_error_of_a_failed_task_without_words_is_still_one() -> None:
    world = a_world()
    (ada,) = clients(world, "ada")
    task = world.put(replace(a_task(Status.FAILED), error=None))

    assert (await ada.get(f"/v1/tasks?task_id={task.id}")).json["message"] == "failed"
