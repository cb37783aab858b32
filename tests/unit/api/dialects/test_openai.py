"""Videos: lists, content, and what OpenAI's and Token360's clients expect."""

from base64 import b64encode
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest

from filmgate.core.generation import Generation, MediaKind, MediaRole, OutputKind
from filmgate.core.task import Output, Status
from tests.calls import WEB, Client, clients
from tests.fakes import World, a_task, a_world, an_output

VIDEOS = "/v1/videos"
A, B = "https://pictures.example/a.png", "https://pictures.example/b.png"


def videos(n: int = 0) -> tuple[World, Client]:
    world = a_world(ada=100, bob=100)
    ada, _ = clients(world, "ada", "bob")
    for number in range(1, n + 1):
        world.put(a_task(n=number))
    return world, ada


def frame(kind: str, url: str = A) -> dict[str, Any]:
    return {"type": "image_url", "frame_type": kind, "image_url": {"url": url}}


# --- create -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": ""}, "prompt"),
        ({"model": "nobody's"}, "model"),
        ({"seconds": "eight"}, "seconds"),
        ({"seconds": "21"}, "seconds"),
        ({"duration": 0}, "duration"),
        ({"size": "1280"}, "size"),
        ({"size": "1281x720"}, "size"),
        ({"size": "8000x8000"}, "size"),
        ({"resolution": "8K"}, "resolution"),
        ({"aspect_ratio": "5:1"}, "aspect_ratio"),
        ({"generate_audio": "loud"}, "generate_audio"),
        ({"metadata": "x"}, "metadata"),
        ({"input_reference": {"file_id": "file_1"}}, "input_reference"),
        ({"input_reference": {"nothing": 1}}, "input_reference"),
        ({"input_reference": {"image_url": "data:image/png;base64,AA"}}, "input_reference"),
        ({"input_references": [{"type": "image_url"}]}, "input_references[0].url"),
        ({"input_references": [{"type": "text", "text": "a"}]}, "input_references[0].type"),
        ({"input_references": [7]}, "input_references[0]"),
        ({"frame_images": [frame("middle_frame")]}, "frame_images[0].frame_type"),
        ({"seed": 2**32}, "seed"),
        ({"fps": 1000}, "fps"),
        ({"safety_identifier": "x" * 65}, "safety_identifier"),
    ],
)
async def test_a_request_that_is_wrong_names_its_field(fields: dict[str, Any], param: str) -> None:
    world, ada = videos()

    reply = await ada.post(VIDEOS, {"model": "studio", "prompt": "a", **fields})

    assert reply.status == (404 if param == "model" else 400)
    assert reply.json["error"]["param"] == param, reply.json
    assert not world.store.rows


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"frame_images": [frame("last_frame")]}, "frame_images: a last frame needs a first one"),
        ({"frame_images": [frame("first_frame"), frame("first_frame")]}, "frame_images: each frame may"),
        ({"frame_images": [frame("first_frame")], "input_reference": A}, "first_frame: is given twice"),
        ({"first_frame": A, "input_reference": B}, "first_frame: is given twice"),
        ({"frame_images": [frame("first_frame")], "first_frame": B}, "first_frame: is given twice"),
        ({"last_frame": A}, "last_frame: a last frame needs a first one"),
        (
            {"frame_images": [frame("first_frame"), frame("last_frame")], "last_frame": B},
            "last_frame: frame_images has a last frame already",
        ),
        ({"mode": "extend"}, "mode: extending a video is not available"),
        ({"metadata": {"a": "x" * 20_000}}, "metadata: is larger than"),
    ],
)
async def test_fields_that_do_not_go_together_are_told(fields: dict[str, Any], message: str) -> None:
    _, ada = videos()

    reply = await ada.post(VIDEOS, {"model": "studio", "prompt": "a", **fields})

    assert reply.status == 400
    assert reply.json["error"]["message"].startswith(message)


async def test_all_mistakes_are_told_at_once() -> None:
    _, ada = videos()

    reply = await ada.post(VIDEOS, {"prompt": 1, "seconds": "x", "seed": "y", "watermark": "z"})

    message = reply.json["error"]["message"]
    assert [part.partition(":")[0] for part in message.split("; ")] == [
        "prompt",
        "seconds",
        "seed",
        "watermark",
    ]


async def test_json_and_multipart_mean_the_same() -> None:
    world, ada = videos()
    key = {"idempotency-key": "k"}
    await ada.post(VIDEOS, {"model": "studio", "prompt": "a", "seconds": 4, "generate_audio": False}, key)
    form = [("model", "studio"), ("prompt", "a"), ("seconds", "4"), ("generate_audio", "false")]

    reply = await replace(ada).post_form(VIDEOS, form)

    generations = [row.task.generation for row in world.store.rows.values()]
    assert reply.status == 200
    assert len(generations) == 2
    assert replace(generations[0], seed=0) == replace(generations[1], seed=0)


async def test_the_first_answer_says_how_often_to_ask() -> None:
    _, ada = videos()

    created = await ada.post(VIDEOS, {"model": "studio", "prompt": "a"})
    read = await ada.get(f"{VIDEOS}/{created.json['id']}")

    assert created.headers["openai-poll-after-ms"] == read.headers["openai-poll-after-ms"] == "400"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/videos/edits"),
        ("POST", "/v1/videos/extensions"),
        ("POST", "/v1/videos/characters"),
        ("GET", "/v1/videos/characters/char_1"),
    ],
)
async def test_what_does_not_exist_yet_says_so(method: str, path: str) -> None:
    _, ada = videos()

    reply = await ada.ask(method, path, [b"{}"])

    assert reply.status == 400
    assert "not available in this version" in reply.json["error"]["message"]


# --- frames, files ------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["input_reference", "first_frame"])
async def test_a_first_and_a_last_frame_go_in(first: str) -> None:
    world, ada = videos()
    parts = [("model", "studio"), ("prompt", "a"), (f"{first}@", "dusk"), ("last_frame", B)]

    reply = await ada.post_form(VIDEOS, parts)

    (row,) = world.store.rows.values()
    media = row.task.generation.media
    assert [one.role for one in media] == [MediaRole.FIRST_FRAME, MediaRole.LAST_FRAME]
    assert [one.blob is None for one in media] == [False, True]
    assert reply.json["parameters"]["video_mode"] == "i2v_first_last_frame"


async def test_adaptive_is_the_shape_of_the_first_picture() -> None:
    _, ada = videos()
    picture = "data:image/png;base64," + b64encode(PNG).decode()
    fields = {"model": "studio", "prompt": "a", "aspect_ratio": "adaptive", "input_reference": picture}

    reply = await ada.post(VIDEOS, fields)

    assert (reply.json["size"], reply.json["parameters"]["aspect_ratio"]) == ("720x1280", "adaptive")


PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x09\0\0\0\x10"  # 9 x 16


# --- remix, cancel, delete ----------------------------------------------------------------------


@pytest.mark.parametrize("form", [False, True])
async def test_a_remix_is_the_same_film_with_another_prompt(form: bool) -> None:  # noqa: FBT001
    world, ada = videos()
    source = world.put(a_task(Status.SUCCEEDED, model="sora-2", model_id="sora-2"))
    world.blobs.put(b"film")
    path = f"{VIDEOS}/{source.id}/remix"

    reply = await (
        ada.post_form(path, [("prompt", "in rain")]) if form else ada.post(path, {"prompt": "in rain"})
    )

    assert reply.status == 200, reply.body
    made = world.store.rows[reply.json["id"]].task
    (clip,) = made.generation.media
    assert (clip.kind, clip.role, clip.blob) == (MediaKind.VIDEO, MediaRole.SOURCE, source.outputs[0].blob)
    assert reply.json["remixed_from_video_id"] == made.remixed_from == source.id
    shown = ("model", "seconds", "size", "prompt")
    assert [reply.json[name] for name in shown] == ["sora-2", "5", "1280x720", "in rain"]
    assert made.quote.amount > 0


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.SUCCEEDED])
async def test_what_is_not_completed_is_not_remixed(status: Status) -> None:
    world, ada = videos()
    source = world.put(a_task(status))

    reply = await ada.post(f"{VIDEOS}/{source.id}/remix", {"prompt": "in rain"})

    assert (reply.status, reply.json["error"]["param"]) == (400, "video_id")
    assert len(world.store.rows) == 1


@pytest.mark.parametrize("fields", [{}, {"prompt": ""}, {"prompt": " "}, {"prompt": 7}])
async def test_a_remix_needs_a_prompt(fields: dict[str, Any]) -> None:
    world, ada = videos()
    source = world.put(a_task(Status.SUCCEEDED))

    reply = await ada.post(f"{VIDEOS}/{source.id}/remix", fields)

    assert (reply.status, reply.json["error"]["param"]) == (400, "prompt")


async def test_pictures_are_not_remixed() -> None:
    world, ada = videos()
    picture = Generation(prompt="a", width=64, height=64)
    source = world.put(a_task(Status.SUCCEEDED, generation=picture, outputs=(an_output(OutputKind.IMAGE),)))

    assert (await ada.post(f"{VIDEOS}/{source.id}/remix", {"prompt": "a"})).status == 400


@pytest.mark.parametrize(("outputs", "status"), [((an_output(),), 404), ((), 410)])
async def test_a_film_that_is_no_longer_kept_is_neither_remixed_nor_sent(
    outputs: tuple[Output, ...], status: int
) -> None:
    world, ada = videos()
    source = world.put(a_task(Status.SUCCEEDED, outputs=outputs))

    remix = await ada.post(f"{VIDEOS}/{source.id}/remix", {"prompt": "a"})
    content = await ada.get(f"{VIDEOS}/{source.id}/content?format=binary")

    assert (remix.status, content.status) == (400, status)
    assert "no longer kept" in remix.json["error"]["message"]


async def test_a_cancelled_video_has_failed_and_costs_nothing() -> None:
    world, ada = videos()
    made = await ada.post(VIDEOS, {"model": "studio", "prompt": "a"})

    reply = await ada.post(f"{VIDEOS}/{made.json['id']}/cancel", {})
    again = await ada.post(f"{VIDEOS}/{made.json['id']}/cancel", {})

    assert (reply.json["status"], reply.json["error"]["code"]) == ("failed", "cancelled")
    assert again.json == reply.json
    assert reply.headers["x-filmgate-credits-charged"] == "0"
    assert world.store.books_["acct_ada"].held == 0


async def test_a_deleted_video_is_gone_and_its_hold_with_it() -> None:
    world, ada = videos()
    made = await ada.post(VIDEOS, {"model": "studio", "prompt": "a"})
    path = f"{VIDEOS}/{made.json['id']}"

    deleted = await ada.ask("DELETE", path)

    assert deleted.json == {"id": made.json["id"], "object": "video.deleted", "deleted": True}
    assert [(await ada.ask(method, path)).status for method in ("GET", "DELETE")] == [404, 404]
    assert (await ada.get(VIDEOS)).json["data"] == []
    assert (await ada.get(f"/v1/tasks/query?task_id={made.json['id']}")).status == 404
    assert world.store.books_["acct_ada"].held == 0


@pytest.mark.parametrize(
    ("method", "rest"), [("DELETE", ""), ("POST", "/cancel"), ("POST", "/remix"), ("GET", "/content")]
)
async def test_what_is_somebody_elses_is_not_touched(method: str, rest: str) -> None:
    world = a_world(ada=1, bob=1)
    _, bob = clients(world, "ada", "bob")
    task = world.put(a_task())

    reply = await bob.ask(method, f"{VIDEOS}/{task.id}{rest}", [b'{"prompt": "a"}'])

    assert reply.status == 404
    assert world.store.rows[task.id].task == task


# --- list ---------------------------------------------------------------------------------------


async def test_an_empty_list_has_no_ends() -> None:
    _, ada = videos()

    reply = await ada.get(VIDEOS)

    assert reply.json == {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
async def test_pages_forward_are_the_whole_list_once(order: str, limit: int) -> None:
    world, ada = videos(7)
    seen: list[str] = []
    after = ""

    while True:
        page = (await ada.get(f"{VIDEOS}?limit={limit}&order={order}{after}")).json
        seen += [video["id"] for video in page["data"]]
        assert (page["first_id"], page["last_id"]) == (page["data"][0]["id"], page["data"][-1]["id"])
        if not page["has_more"]:
            break
        after = f"&after={page['last_id']}"

    assert seen == sorted(world.store.rows, reverse=order == "desc")


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_the_page_before_is_the_one_that_ends_there(order: str) -> None:
    world, ada = videos(7)
    ids = sorted(world.store.rows, reverse=order == "desc")

    page = (await ada.get(f"{VIDEOS}?limit=2&order={order}&before={ids[5]}")).json
    first = (await ada.get(f"{VIDEOS}?limit=2&order={order}&before={ids[1]}")).json

    assert ([video["id"] for video in page["data"]], page["has_more"]) == (ids[3:5], True)
    assert ([video["id"] for video in first["data"]], first["has_more"]) == (ids[:1], False)


async def test_a_page_between_two_videos_has_what_lies_between() -> None:
    world, ada = videos(7)
    ids = sorted(world.store.rows, reverse=True)

    page = (await ada.get(f"{VIDEOS}?after={ids[1]}&before={ids[5]}")).json

    assert [video["id"] for video in page["data"]] == ids[2:5]


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=101", "limit=x", "limit=-1", "order=up", "after=x", "before=task_1", "limit=1.5"],
)
async def test_a_page_that_cannot_be_is_400(query: str) -> None:
    _, ada = videos(1)

    assert (await ada.get(f"{VIDEOS}?{query}")).status == 400


async def test_a_list_holds_only_ones_own_videos() -> None:
    world, ada = videos(2)
    world.put(a_task(n=3, key_id="key_bob"))
    world.put(a_task(n=4, generation=Generation(prompt="a picture", width=64, height=64)))

    page = (await ada.get(VIDEOS)).json

    assert len(page["data"]) == 2


# --- content ------------------------------------------------------------------------------------

FILM = b"film" * 1_000


def finished() -> tuple[World, Client, str]:
    world, ada = videos()
    world.blobs.put(FILM)
    world.blobs.put(b"thumb")
    outputs = (an_output(content=FILM), an_output(OutputKind.THUMBNAIL, content=b"thumb"))
    task = world.put(a_task(Status.SUCCEEDED, outputs=outputs))
    return world, ada, f"{VIDEOS}/{task.id}/content"


async def test_openai_gets_bytes() -> None:
    _, ada, path = finished()

    reply = await ada.get(path, {"accept": "application/binary"})

    assert (reply.status, reply.body) == (200, FILM)
    assert reply.headers["content-type"] == "video/mp4"
    assert reply.headers["content-disposition"].startswith('attachment; filename="task_')


async def test_content_comes_in_ranges() -> None:
    _, ada, path = finished()

    reply = await ada.get(f"{path}?format=binary", {"range": "bytes=4-7"})

    assert (reply.status, reply.body) == (206, b"film")


async def test_token360_is_sent_elsewhere_and_finds_it() -> None:
    _, ada, path = finished()

    redirect = await ada.get(path)
    url = urlsplit(redirect.headers["location"])
    file = await replace(ada, key=None).get(f"{url.path}?{url.query}")

    assert redirect.status == 302
    assert f"{url.scheme}://{url.netloc}" == WEB.public_url
    assert file.body == FILM


async def test_a_link_says_how_long_it_works() -> None:
    world, ada, path = finished()

    reply = await ada.get(f"{path}?format=url")
    url = urlsplit(reply.json["url"])
    world.clock.advance(reply.json["expires_in"])
    late = await replace(ada, key=None).get(f"{url.path}?{url.query}")

    assert (reply.json["expires_in"], late.status) == (3600, 403)


async def test_a_thumbnail_is_content_too() -> None:
    _, ada, path = finished()

    reply = await ada.get(f"{path}?variant=thumbnail&format=binary")

    assert (reply.body, reply.headers["content-type"]) == (b"thumb", "image/png")


@pytest.mark.parametrize(
    ("query", "status"), [("variant=spritesheet", 404), ("variant=poster", 400), ("format=tape", 400)]
)
async def test_content_there_is_not_is_refused(query: str, status: int) -> None:
    _, ada, path = finished()

    assert (await ada.get(f"{path}?{query}")).status == status


@pytest.mark.parametrize(
    ("status", "word"),
    [(Status.QUEUED, "queued"), (Status.RUNNING, "in_progress"), (Status.FAILED, "failed")],
)
async def test_content_that_is_not_ready_says_how_it_stands(status: Status, word: str) -> None:
    world, ada = videos()
    task = world.put(a_task(status))

    reply = await ada.get(f"{VIDEOS}/{task.id}/content")

    assert reply.status == 400
    assert reply.json["error"]["type"] == "invalid_request_error"
    assert f"is {word}" in reply.json["error"]["message"]


async def test_content_is_not_for_others() -> None:
    world = a_world(ada=1, bob=1)
    _, bob = clients(world, "ada", "bob")
    task = world.put(a_task(Status.SUCCEEDED))

    assert (await bob.get(f"{VIDEOS}/{task.id}/content?format=binary")).status == 404


# --- models -------------------------------------------------------------------------------------


async def test_models_are_listed_with_what_they_take_and_cost() -> None:
    _, ada = videos()

    found = {model["id"]: model for model in (await ada.get("/v1/models")).json["data"]}

    assert found["seedance_2_0"]["price"] == {"credits_per_second": 15, "credits_per_second_with_video": 30}
    assert found["studio-image"]["capabilities"] == ["image_generation"]
    assert all(model["object"] == "model" and model["provider"] for model in found.values())


async def test_models_nobody_runs_here_are_not_listed() -> None:
    (ada,) = clients(a_world(fallback=False), "ada")

    listed = {model["id"] for model in (await ada.get("/v1/models")).json["data"]}
    one = await ada.get("/v1/models/sora2")

    assert listed == {"studio", "studio-image", "sandbox", "sandbox-image"}
    assert (one.json["id"], one.json["available"]) == ("sora-2", False)
    refused = await ada.post(VIDEOS, {"model": "sora-2", "prompt": "a"})
    assert refused.headers["x-filmgate-error"] == "model_unavailable"


async def test_models_are_filtered() -> None:
    _, ada = videos()

    images = (await ada.get("/v1/models?capability=image_generation")).json["data"]
    families = (await ada.get("/v1/models?family=google&family=openai")).json["data"]

    assert {"studio-image", "sandbox-image", "seedream-4"} <= {model["id"] for model in images}
    assert {modality for model in images for modality in model["output_modalities"]} == {"image"}
    assert {model["family"] for model in families} == {"google", "openai"}


async def test_an_unknown_model_is_404() -> None:
    _, ada = videos()

    assert (await ada.get("/v1/models/nobody")).status == 404
