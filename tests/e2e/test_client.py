"""Our own client against a running service: what it promises, with nothing in between."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import aclosing, closing
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from typing import ClassVar

import pytest

from filmgate.client import (
    AsyncFilmgate,
    Filmgate,
    InsufficientCredits,
    InvalidRequest,
    NotFound,
    Status,
    TaskFailed,
    Unauthenticated,
    WaitTimeout,
    WebhookInvalid,
    verify_webhook,
)
from filmgate.providers.sandbox import CLIP, PICTURE
from tests.e2e.proxy import Proxy
from tests.e2e.service import Service, serving

SOON_S = 30.0


@pytest.fixture(name="service", scope="module")
def _service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("client") / "data") as service:
        yield service


@pytest.fixture(name="key", scope="module")
def _key(service: Service) -> str:
    return service.new_key(credits_=1_000)


@pytest.fixture(name="client")
def _client(service: Service, key: str) -> Iterator[Filmgate]:
    with Filmgate(service.url, key) as client:
        yield client


def test_a_film_comes_from_a_prompt_in_three_calls(client: Filmgate, tmp_path: Path) -> None:
    task = client.submit("a cat", model="sandbox", duration_s=4, size="640x360", seed=7, metadata={"a": "b"})
    task = client.wait(task, timeout_s=SOON_S)
    path = client.download(task, tmp_path / "cat.mp4")

    assert (task.status, task.progress, task.provider) == (Status.SUCCEEDED, 100, "sandbox")
    assert (task.duration_s, task.width, task.height, task.seed) == (4, 640, 360, 7)
    assert task.metadata == {"a": "b"}
    assert path.read_bytes() == CLIP.source.read_bytes()


async def test_the_awaiting_client_does_the_same(service: Service, key: str, tmp_path: Path) -> None:
    async with AsyncFilmgate(service.url, key) as client:
        tasks = await asyncio.gather(*(client.submit(f"cat {n}", model="sandbox") for n in range(3)))
        ended = await asyncio.gather(*(client.wait(task, timeout_s=SOON_S) for task in tasks))
        path = await client.download(ended[0], tmp_path / "cat.mp4")
        listed = [task.id async for task in client.list()]

    assert {task.id for task in tasks} <= set(listed)
    assert path.read_bytes() == CLIP.source.read_bytes()


def test_waiting_is_held_by_the_server_and_ends_when_the_task_does(client: Filmgate) -> None:
    task = client.submit("#slow=2", model="sandbox")

    with pytest.raises(WaitTimeout):
        client.wait(task, timeout_s=0.5)

    assert client.wait(task, timeout_s=SOON_S).status is Status.SUCCEEDED


@pytest.mark.parametrize(("prompt", "code"), [("#fail", "provider_failed"), ("#moderate", "moderated")])
def test_a_task_that_fails_raises_its_code(client: Filmgate, prompt: str, code: str) -> None:
    task = client.submit(prompt, model="sandbox")

    with pytest.raises(TaskFailed) as failure:
        client.wait(task, timeout_s=SOON_S)

    assert failure.value.code == code


def test_a_task_is_cancelled_and_deleted(client: Filmgate) -> None:
    task = client.submit("#stall", model="sandbox")

    cancelled = client.cancel(task)
    client.delete(task)

    assert cancelled.status is Status.CANCELLED
    with pytest.raises(NotFound):
        client.get(task)


def test_pictures_go_up_as_files_bytes_and_links(client: Filmgate, tmp_path: Path) -> None:
    first = tmp_path / "first.png"
    first.write_bytes(PICTURE.source.read_bytes())
    drawn = client.wait(client.submit("a cat", model="sandbox-image"), timeout_s=SOON_S)
    assert drawn.url is not None

    task = client.submit(
        "it comes alive", model="sandbox", image=first, last_frame=PICTURE.source.read_bytes()
    )
    from_link = client.submit("and another", model="sandbox", references=[drawn.url, str(first)])

    assert client.wait(task, timeout_s=SOON_S).raw["parameters"]["video_mode"] == "i2v_first_last_frame"
    assert client.wait(from_link, timeout_s=SOON_S).raw["parameters"]["video_mode"] == "reference"


def test_a_file_that_is_no_picture_is_refused_by_name(client: Filmgate) -> None:
    with pytest.raises(InvalidRequest) as refused:
        client.submit("a cat", model="sandbox", image=b"\x89PNG, or so it says")

    assert (refused.value.code, refused.value.param) == ("input_invalid", "input_reference")


def test_what_it_would_cost_is_known_before(client: Filmgate) -> None:
    before = len(list(client.list()))

    estimate = client.estimate("a cat", model="studio", duration_s=5)

    assert (estimate.credits, estimate.provider) == (5, "studio")
    assert len(list(client.list())) == before


def test_models_say_what_they_make(client: Filmgate) -> None:
    kinds = {model.id: model.kind for model in client.models()}

    assert (kinds["sandbox"], kinds["sandbox-image"]) == ("video", "image")


def test_refusals_are_errors_that_say_what_to_change(service: Service, client: Filmgate) -> None:
    with pytest.raises(InvalidRequest) as refused:
        client.submit("a cat", model="sandbox", duration_s=9_999)
    with pytest.raises(Unauthenticated), Filmgate(service.url, "fg_test_nobody") as nobody:
        nobody.get("task_1")
    with (
        pytest.raises(InsufficientCredits),
        Filmgate(service.url, service.new_key(credits_=0)) as poor,
    ):
        poor.submit("a cat", model="studio")

    assert (refused.value.code, refused.value.param) == ("invalid_request", "duration")
    assert refused.value.request_id is not None


# --- streams ------------------------------------------------------------------------------------


def test_a_stream_shows_every_step_until_the_end(client: Filmgate) -> None:
    task = client.submit("#slow=2", model="sandbox")

    events = list(client.stream(task))

    progress = [event.task.progress for event in events]
    statuses = [event.task.status for event in events]
    assert progress == sorted(progress)
    assert set(progress) >= {0, 50, 100}
    assert statuses[0] is Status.QUEUED
    assert statuses[-1] is Status.SUCCEEDED
    assert [int(event.id) for event in events] == sorted({int(event.id) for event in events})
    assert events[-1].task.url is not None


def test_a_stream_that_is_cut_misses_nothing(service: Service, key: str) -> None:
    with Filmgate(service.url, key) as direct:
        task = direct.submit("#slow=3", model="sandbox")
        with (
            Proxy(service.port) as proxy,
            Filmgate(proxy.url, key) as client,
            closing(client.stream(task)) as events,
        ):
            seen = []
            for event in events:
                seen.append(event.id)
                if len(seen) == 3:
                    proxy.cut()
        whole = [event.id for event in direct.stream(task)]

    assert proxy.connections > 1
    assert seen == whole


def test_a_stream_outlives_its_server(tmp_path: Path) -> None:
    service = Service(tmp_path / "data")
    service.start()
    with Filmgate(service.url, service.new_key(credits_=10)) as client:
        task = client.submit("#slow=3", model="sandbox")
        ids = []
        with closing(client.stream(task)) as events:
            for event in events:
                ids.append(int(event.id))
                if len(ids) == 2:
                    service.kill()
                    service.start()
            last = event

    assert service.stop() == 0
    assert last.task.status is Status.SUCCEEDED
    assert ids == sorted(set(ids))


async def test_who_leaves_a_stream_early_leaves_nothing_behind(service: Service, key: str) -> None:
    async with AsyncFilmgate(service.url, key) as client:
        task = await client.submit("#stall", model="sandbox")
        async with aclosing(client.stream(task)) as events:
            first = await anext(events)
        await client.cancel(task)

    assert first.task.id == task.id


# --- webhooks -----------------------------------------------------------------------------------


class Receiver(BaseHTTPRequestHandler):
    """Keeps what it is sent."""

    sent: ClassVar["Queue[tuple[bytes, Message]]"]

    def do_POST(self) -> None:
        self.sent.put((self.rfile.read(int(self.headers["content-length"])), self.headers))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(name="receiver")
def _receiver() -> Iterator[tuple[str, "Queue[tuple[bytes, Message]]"]]:
    Receiver.sent = Queue()
    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}", Receiver.sent
        server.shutdown()


def test_a_webhook_says_how_the_task_ended_and_is_believed_by_its_secret_alone(
    tmp_path: Path, receiver: tuple[str, "Queue[tuple[bytes, Message]]"]
) -> None:
    address, sent = receiver
    service = Service(tmp_path / "data", fetch_allow=address)
    service.start()
    with Filmgate(service.url, service.new_key(credits_=1)) as client:
        task = client.submit("#moderate", model="sandbox", callback_url=f"http://{address}/hook")

        body, headers = sent.get(timeout=SOON_S)

    secret = service.run("webhooks", "secret").stdout.strip()
    assert service.stop() == 0
    hook = verify_webhook(body, headers, secret)
    assert (hook.type, hook.task.id, hook.task.status) == ("video.failed", task.id, Status.FAILED)
    assert hook.task.error is not None
    assert hook.task.error.code == "moderated"
    with pytest.raises(WebhookInvalid):
        verify_webhook(body.replace(b"moderated", b"succeeded"), headers, secret)
