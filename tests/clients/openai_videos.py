"""What a user of the stock `openai` client does with videos: one script for every version of it.

It is run by `tests/e2e/test_openai_sdk.py` with the version on its path, and knows nothing of ours but
an address, a key and the sandbox's magic words. Each step is a function; its name is printed when it
has passed.
"""

import functools
import json
import os
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import openai
from openai.types import Video

# mypy: disable-error-code="deprecated"
E = TypeVar("E", bound=openai.APIStatusError)

# The client tells everyone that OpenAI's own service is gone, at each call.
warnings.filterwarnings("ignore", category=DeprecationWarning)

client = openai.OpenAI(api_key=os.environ["KEY"], base_url=os.environ["BASE_URL"])
broke = openai.OpenAI(api_key=os.environ["EMPTY_KEY"], base_url=os.environ["BASE_URL"])
PICTURE = Path(os.environ["PICTURE"])


def create_answers_with_a_queued_video() -> None:
    video = client.videos.create(prompt="a lighthouse at dusk", model="sandbox", seconds="8", size="720x1280")
    assert (video.object, video.status) == ("video", "queued"), video
    assert (video.model, video.prompt) == ("sandbox", "a lighthouse at dusk")
    assert (video.seconds, video.size, video.progress, video.error) == ("8", "720x1280", 0, None)
    assert video.created_at > 1_790_000_000


def create_and_poll_ends_with_a_film() -> None:
    video = client.videos.create_and_poll(prompt="a cat", model="sandbox", seconds="4")
    assert (video.status, video.progress, video.error) == ("completed", 100, None), video
    assert video.completed_at is not None
    assert video.completed_at >= video.created_at


def poll_obeys_the_server() -> None:
    video = client.videos.create(prompt="a cat", model="sandbox")
    raw = client.videos.with_raw_response.retrieve(video.id)
    assert 0 < int(raw.headers["openai-poll-after-ms"]) <= 5_000
    assert client.videos.poll(video.id).status == "completed"
    assert client.videos.poll(video.id, poll_interval_ms=10).status == "completed"


def retrieve_finds_it_again() -> None:
    made = client.videos.create(prompt="a cat", model="sandbox")
    found = client.videos.retrieve(made.id)
    assert (found.id, found.created_at, found.prompt) == (made.id, made.created_at, "a cat")


def a_file_goes_in() -> None:
    video = client.videos.create_and_poll(prompt="it comes alive", model="sandbox", input_reference=PICTURE)
    assert video.status == "completed", video.error
    assert extra(video)["parameters"]["video_mode"] == "i2v_first_frame"
    with PICTURE.open("rb") as file:
        named = ("picture.png", file, "image/png")
        assert client.videos.create(prompt="a", model="sandbox", input_reference=named).id


def extra_body_is_understood_in_this_versions_wire_form() -> None:
    data = os.environ["DATA_URI"]
    video = client.videos.create(
        prompt="it comes alive",
        model="sandbox",
        seconds="8",
        size="1792x1024",
        extra_body={
            "seed": 7,
            "generate_audio": False,
            "input_reference": {"image_url": data},
            "metadata": {"order": "7"},
        },
    )
    assert (video.seconds, video.size) == ("8", "1792x1024")
    chosen = extra(video)["parameters"]
    assert (chosen["seed"], chosen["audio"], chosen["video_mode"]) == (7, False, "i2v_first_frame"), chosen
    assert extra(video)["metadata"] == {"order": "7"}
    pair = [
        {"type": "image_url", "frame_type": frame, "image_url": {"url": data}}
        for frame in ("first_frame", "last_frame")
    ]
    video = client.videos.create(prompt="a", model="sandbox", extra_body={"frame_images": pair})
    assert extra(video)["parameters"]["video_mode"] == "i2v_first_last_frame"


def the_pager_turns_all_pages() -> None:
    known = {video.id for video in client.videos.list(limit=100)}
    made = [client.videos.create(prompt=f"number {n}", model="sandbox").id for n in range(5)]
    newest_first = [video.id for video in client.videos.list(limit=2) if video.id not in known]
    oldest_first = [video.id for video in client.videos.list(limit=2, order="asc") if video.id not in known]
    assert sorted(newest_first) == sorted(made)
    assert oldest_first == newest_first[::-1] == sorted(made)


def a_remix_is_a_video_of_its_own() -> None:
    source = client.videos.create_and_poll(prompt="a cat", model="sandbox", seconds="8", size="720x1280")
    remix = client.videos.remix(source.id, prompt="a dog")
    assert (remix.remixed_from_video_id, remix.prompt) == (source.id, "a dog")
    assert (remix.seconds, remix.size, remix.model) == ("8", "720x1280", "sandbox")
    assert client.videos.poll(remix.id).status == "completed"


def what_is_not_finished_is_not_remixed() -> None:
    video = client.videos.create(prompt="#stall", model="sandbox")
    error = refused(openai.BadRequestError, lambda: client.videos.remix(video.id, prompt="a dog"))
    assert "not completed" in error.message
    client.videos.delete(video.id)


def content_downloads_whole() -> None:
    video = client.videos.create_and_poll(prompt="a cat", model="sandbox")
    content = client.videos.download_content(video.id)
    assert content.response.headers["content-type"] == "video/mp4"
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "cat.mp4"
        content.write_to_file(path)
        assert path.read_bytes() == Path(os.environ["CLIP"]).read_bytes()
    assert client.videos.download_content(video.id, variant="video").read()[4:8] == b"ftyp"
    # The sandbox makes a film, and nothing beside it.
    refused(openai.NotFoundError, lambda: client.videos.download_content(video.id, variant="thumbnail"))
    made = client.videos.create_and_poll(
        prompt="a lighthouse", model="studio", seconds="4", extra_body={"size": "320x180"}
    )
    for variant in ("thumbnail", "spritesheet"):
        picture = client.videos.download_content(made.id, variant=variant)
        assert picture.response.headers["content-type"] == "image/webp"
        assert picture.read()[8:12] == b"WEBP"


def content_that_is_not_there_says_how_the_video_stands() -> None:
    video = client.videos.create(prompt="#stall", model="sandbox")
    error = refused(openai.BadRequestError, lambda: client.videos.download_content(video.id))
    assert "queued" in error.message or "in_progress" in error.message
    client.videos.delete(video.id)


def what_there_is_not_says_so() -> None:
    film = Path(os.environ["CLIP"]).read_bytes()
    for ask in ("edit", "extend"):
        if hasattr(client.videos, ask):  # the old client knows neither
            more: dict[str, Any] = {"seconds": "4"} if ask == "extend" else {}
            call = functools.partial(getattr(client.videos, ask), prompt="a dog", video=film, **more)
            assert "not available in this version" in refused(openai.BadRequestError, call).message


def a_deleted_video_is_gone() -> None:
    video = client.videos.create_and_poll(prompt="a cat", model="sandbox")
    deleted = client.videos.delete(video.id)
    assert (deleted.id, deleted.object, deleted.deleted) == (video.id, "video.deleted", True)
    refused(openai.NotFoundError, lambda: client.videos.retrieve(video.id))
    refused(openai.NotFoundError, lambda: client.videos.download_content(video.id))
    assert video.id not in {one.id for one in client.videos.list()}


def a_film_that_fails_says_why() -> None:
    video = client.videos.create_and_poll(prompt="#moderate nothing to see", model="sandbox")
    assert video.status == "failed"
    assert video.error is not None
    assert video.error.code == "moderated"


def errors_are_of_the_right_class() -> None:
    stranger = openai.OpenAI(api_key="sk-nonsense", base_url=os.environ["BASE_URL"])
    wrong_key = refused(openai.AuthenticationError, lambda: stranger.videos.retrieve("task_x"))
    assert wrong_key.type == "invalid_api_key"
    assert len(wrong_key.request_id or "") == 32
    refused(openai.NotFoundError, lambda: client.videos.retrieve("video_nobody"))
    unknown = refused(openai.NotFoundError, lambda: client.videos.create(prompt="a", model="nobody's"))
    assert (unknown.type, unknown.param) == ("model_not_found", "model")
    size: Any = "13x13"
    odd = refused(
        openai.BadRequestError, lambda: client.videos.create(prompt="a", model="sandbox", size=size)
    )
    assert odd.param == "size"
    poor = refused(openai.APIStatusError, lambda: broke.videos.create(prompt="a", model="studio"))
    assert (poor.status_code, poor.type) == (402, "insufficient_balance")
    assert not list(broke.videos.list())


def a_retry_with_a_key_is_the_same_video() -> None:
    keyed = {"Idempotency-Key": "order-7"}
    first, second = (
        client.videos.with_raw_response.create(prompt="a cat", model="sandbox", extra_headers=keyed)
        for _ in range(2)
    )
    assert first.parse().id == second.parse().id
    assert "idempotent-replayed" not in first.headers
    assert second.headers["idempotent-replayed"] == "true"
    other = refused(
        openai.UnprocessableEntityError,
        lambda: client.videos.create(prompt="a dog", model="sandbox", extra_headers=keyed),
    )
    assert other.status_code == 422


def models_are_listed() -> None:
    assert {"studio", "sandbox", "sora-2"} <= {model.id for model in client.models.list()}
    assert client.models.retrieve("sora2").id == "sora-2"


def a_webhook_unwraps() -> None:
    delivery = json.loads(os.environ["DELIVERY"])
    event = client.webhooks.unwrap(delivery["body"], delivery["headers"], secret=delivery["secret"])
    # This client has no class for it any more: who branches on the type is right in every version.
    data: Any = event.data
    assert (str(event.type), data.id) == ("video.completed", "task_x")
    forged = delivery["body"].replace("task_x", "task_y")
    try:
        client.webhooks.unwrap(forged, delivery["headers"], secret=delivery["secret"])
    except openai.InvalidWebhookSignatureError:
        return
    raise AssertionError("a forged webhook was taken")


def extra(video: Video) -> dict[str, Any]:
    """Return what the server said beside what the client knows."""
    assert video.model_extra is not None
    return video.model_extra


def refused(kind: type[E], ask: Callable[[], object]) -> E:
    """Return the error of `kind` that `ask` raises."""
    try:
        ask()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}")


STEPS = (
    create_answers_with_a_queued_video,
    create_and_poll_ends_with_a_film,
    poll_obeys_the_server,
    retrieve_finds_it_again,
    a_file_goes_in,
    extra_body_is_understood_in_this_versions_wire_form,
    the_pager_turns_all_pages,
    a_remix_is_a_video_of_its_own,
    what_is_not_finished_is_not_remixed,
    content_downloads_whole,
    content_that_is_not_there_says_how_the_video_stands,
    what_there_is_not_says_so,
    a_deleted_video_is_gone,
    a_film_that_fails_says_why,
    errors_are_of_the_right_class,
    a_retry_with_a_key_is_the_same_video,
    models_are_listed,
    a_webhook_unwraps,
)


if __name__ == "__main__":
    print(openai.__version__, flush=True)
    failed = 0
    for step in STEPS:
        try:
            step()
        except Exception as error:  # noqa: BLE001  (the rest is worth knowing too)
            failed += 1
            print(f"FAILED {step.__name__}: {error!r}", flush=True)
        else:
            print(step.__name__, flush=True)
    sys.exit(min(failed, 1))
