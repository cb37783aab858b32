"""The stock OpenAI client against a running service: its API closed, its client code did not."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import openai
import pytest

from filmgate.providers.sandbox import CLIP
from tests.e2e.service import Service

# The client tells everyone that OpenAI's own service is gone, at each call: that is why this exists.
# mypy: disable-error-code="deprecated"
pytestmark = pytest.mark.filterwarnings("ignore:The Sora API:DeprecationWarning")


@pytest.fixture(name="service", scope="module")
def _service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    service = Service(tmp_path_factory.mktemp("openai") / "data")
    service.start()
    try:
        yield service
    finally:
        assert service.stop() == 0


@contextmanager
def client_of(service: Service, key: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key=key, base_url=f"{service.url}/v1") as client:
        yield client


@pytest.fixture(name="client", scope="module")
def _client(service: Service) -> Iterator[openai.OpenAI]:
    with client_of(service, service.new_key(credits_=1_000)) as client:
        yield client


def test_create_and_poll_ends_with_a_film(client: openai.OpenAI) -> None:
    video = client.videos.create_and_poll(prompt="a lighthouse at dusk", model="sandbox", seconds="4")

    assert (video.status, video.progress, video.error) == ("completed", 100, None)
    assert (video.seconds, video.size, video.prompt) == ("4", "1280x720", "a lighthouse at dusk")
    assert video.completed_at is not None
    assert video.created_at <= video.completed_at
    assert video.model_extra is not None
    assert video.model_extra["provider"] == "sandbox"


def test_the_film_downloads_whole(client: openai.OpenAI, tmp_path: Path) -> None:
    video = client.videos.create_and_poll(prompt="a cat", model="sandbox")

    content = client.videos.download_content(video.id)
    content.write_to_file(tmp_path / "cat.mp4")

    assert (tmp_path / "cat.mp4").read_bytes() == CLIP.source.read_bytes()
    assert content.response.headers["content-type"] == "video/mp4"


def test_what_is_asked_for_beside_is_understood(client: openai.OpenAI) -> None:
    video = client.videos.create(
        prompt="it comes alive",
        model="sandbox",
        seconds="8",
        size="1792x1024",
        extra_body={
            "seed": 7,
            "generate_audio": False,
            "input_reference": {"image_url": "https://pictures.example/a.png"},
            "metadata": {"order": "7"},
        },
    )

    assert (video.seconds, video.size) == ("8", "1792x1024")
    assert video.model_extra is not None
    chosen = video.model_extra["parameters"]
    assert (chosen["seed"], chosen["audio"], chosen["video_mode"]) == (7, False, "i2v_first_frame")
    assert video.model_extra["metadata"] == {"order": "7"}


def test_a_video_is_found_again(client: openai.OpenAI) -> None:
    made = client.videos.create(prompt="a cat", model="sandbox")

    found = client.videos.retrieve(made.id)

    assert (found.id, found.created_at) == (made.id, made.created_at)


def test_a_film_that_fails_says_why(client: openai.OpenAI) -> None:
    video = client.videos.create_and_poll(prompt="#moderate nothing to see", model="sandbox")

    assert video.status == "failed"
    assert video.error is not None
    assert video.error.code == "moderated"


def test_the_pager_turns_all_pages(service: Service) -> None:
    with client_of(service, service.new_key(credits_=10)) as client:
        made = [client.videos.create(prompt=f"number {n}", model="sandbox").id for n in range(5)]

        newest_first = [video.id for video in client.videos.list(limit=2)]
        oldest_first = [video.id for video in client.videos.list(limit=2, order="asc")]

    assert sorted(newest_first) == sorted(made)
    assert oldest_first == newest_first[::-1] == sorted(made)


def test_a_retry_with_a_key_is_the_same_video(client: openai.OpenAI) -> None:
    keyed = {"Idempotency-Key": "order-7"}

    first = client.videos.with_raw_response.create(prompt="a cat", model="sandbox", extra_headers=keyed)
    second = client.videos.with_raw_response.create(prompt="a cat", model="sandbox", extra_headers=keyed)

    assert first.parse().id == second.parse().id
    assert "idempotent-replayed" not in first.headers
    assert second.headers["idempotent-replayed"] == "true"


def test_models_are_listed(client: openai.OpenAI) -> None:
    names = {model.id for model in client.models.list()}

    assert {"studio", "sandbox", "sora-2"} <= names
    assert client.models.retrieve("sora2").id == "sora-2"


# --- errors -------------------------------------------------------------------------------------


def test_a_wrong_key_is_an_authentication_error(service: Service) -> None:
    with client_of(service, "sk-nonsense") as client, pytest.raises(openai.AuthenticationError) as refusal:
        client.videos.retrieve("task_x")

    assert refusal.value.type == "invalid_api_key"
    assert refusal.value.request_id is not None
    assert len(refusal.value.request_id) == 32


def test_another_keys_video_is_not_found(service: Service, client: openai.OpenAI) -> None:
    made = client.videos.create(prompt="a cat", model="sandbox")

    with client_of(service, service.new_key(credits_=1)) as other, pytest.raises(openai.NotFoundError):
        other.videos.retrieve(made.id)


def test_a_bad_request_names_its_field(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refusal:
        client.videos.create(prompt="a cat", model="sandbox", size="13x13")  # type: ignore[arg-type]

    assert refusal.value.param == "size"


def test_an_unknown_model_is_not_found(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as refusal:
        client.videos.create(prompt="a cat", model="nobody's")

    assert (refusal.value.type, refusal.value.param) == ("model_not_found", "model")


def test_nothing_is_made_for_nothing(service: Service) -> None:
    with client_of(service, service.new_key(credits_=0)) as client:
        with pytest.raises(openai.APIStatusError) as refusal:
            client.videos.create(prompt="a cat", model="studio")
        made = list(client.videos.list())

    assert (refusal.value.status_code, refusal.value.type) == (402, "insufficient_balance")
    assert made == []


def test_a_file_is_refused_by_name(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refusal:
        client.videos.create(prompt="a cat", model="sandbox", input_reference=b"PNG")

    assert refusal.value.param == "input_reference"


def test_content_that_is_not_there_yet_says_how_the_video_stands(client: openai.OpenAI) -> None:
    video = client.videos.create(prompt="#stall", model="sandbox")

    with pytest.raises(openai.BadRequestError, match=r"is (queued|in_progress)"):
        client.videos.download_content(video.id)


@pytest.mark.parametrize("what", ["delete", "remix", "edit", "extend"])
def test_what_does_not_exist_yet_says_so(client: openai.OpenAI, what: str) -> None:
    video = client.videos.create(prompt="a cat", model="sandbox")
    ask: Callable[[], object] = {
        "delete": lambda: client.videos.delete(video.id),
        "remix": lambda: client.videos.remix(video.id, prompt="a dog"),
        "edit": lambda: client.videos.edit(prompt="a dog", video=b"MP4"),
        "extend": lambda: client.videos.extend(prompt="a dog", seconds="4", video=b"MP4"),
    }[what]

    with pytest.raises(openai.BadRequestError, match="not available in this version"):
        ask()
