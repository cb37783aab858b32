"""Streams and webhooks of a running service: followed, received, verified, and ended in order."""

import json
import re
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import httpx2
import pytest
from openai import InvalidWebhookSignatureError, OpenAI
from standardwebhooks import Webhook, WebhookVerificationError

from tests.e2e.receiver import Receiver, receiving
from tests.e2e.service import Service, serving

PATIENCE_S: Final = 20


@pytest.fixture(name="receiver")
def _receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture(name="service", scope="module")
def _service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("push") / "data", fetch_allow="127.0.0.0/8") as service:
        yield service


@pytest.fixture(name="ada", scope="module")
def _ada(service: Service) -> Iterator[httpx2.Client]:
    key = service.new_key(credits_=1_000)
    with httpx2.Client(base_url=service.url, headers={"x-api-key": key}) as client:
        yield client


@pytest.fixture(name="secret", scope="module")
def _secret(service: Service, ada: httpx2.Client) -> str:
    shown = service.run("webhooks", "secret")
    assert shown.returncode == 0, shown.stderr
    return shown.stdout.strip()


def loova(ada: httpx2.Client, prompt: str, **more: str) -> str:
    reply = ada.post("/api/v1/video/seedance-2", json={"model": "sandbox", "prompt": prompt, **more})
    task_id: str = reply.json()["data"]["task_id"]
    return task_id


def bytespike(ada: httpx2.Client, prompt: str, **more: str) -> str:
    reply = ada.post("/v1/tasks/submit", json={"model": "sandbox", "params": {"prompt": prompt}, **more})
    task_id: str = reply.json()["task_id"]
    return task_id


def openai(ada: httpx2.Client, prompt: str, **more: str) -> str:
    reply = ada.post("/v1/videos", data={"model": "sandbox", "prompt": prompt, **more})
    task_id: str = reply.json()["id"]
    return task_id


def polled(ada: httpx2.Client, submit: Callable[..., str], task_id: str) -> Any:  # noqa: ANN401
    """Return the task as its own dialect's query shows it."""
    if submit is loova:
        return ada.get("/v1/tasks", params={"task_id": task_id}).json()["data"]
    if submit is bytespike:
        return ada.get("/v1/tasks/query", params={"task_id": task_id}).json()
    return ada.get(f"/v1/videos/{task_id}").json()


# --- webhooks -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("submit", "prompt", "name"),
    [
        (loova, "a lighthouse", "task.succeeded"),
        (loova, "#fail", "task.failed"),
        (bytespike, "a lighthouse", "task.succeeded"),
        (bytespike, "#moderate", "task.failed"),
        (openai, "a lighthouse", "video.completed"),
        (openai, "#fail", "video.failed"),
    ],
)
def test_each_dialect_tells_the_end_in_its_own_words(
    ada: httpx2.Client, receiver: Receiver, secret: str, submit: Callable[..., str], prompt: str, name: str
) -> None:
    task_id = submit(ada, prompt, callback_url=f"{receiver.url}/hook")

    headers, body = receiver.wait("/hook")

    said = Webhook(secret).verify(body, headers)
    assert said["type"] == name
    assert re.fullmatch(r"filmgate/[0-9.]+\w*", headers["user-agent"])
    shown = polled(ada, submit, task_id)
    assert said["data"] == shown
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body + b" ", headers)


def test_cancelling_is_told_too(ada: httpx2.Client, receiver: Receiver, secret: str) -> None:
    task_id = bytespike(ada, "#stall", callback_url=f"{receiver.url}/hook")
    ada.post(f"/v1/tasks/cancel/{task_id}")

    headers, body = receiver.wait("/hook")

    assert Webhook(secret).verify(body, headers)["type"] == "task.cancelled"


def test_openais_own_client_unwraps_what_we_send(ada: httpx2.Client, receiver: Receiver, secret: str) -> None:
    task_id = openai(ada, "a lighthouse", callback_url=f"{receiver.url}/hook", request_id="r-17")
    headers, body = receiver.wait("/hook")

    with OpenAI(api_key="none", webhook_secret=secret) as client:
        event = client.webhooks.unwrap(body, headers)
        with pytest.raises(InvalidWebhookSignatureError):
            client.webhooks.unwrap(body.replace(b"completed", b"complete_"), headers)

    # The newest client has no class for it any more, and hands it over all the same.
    told: Any = event
    assert (told.type, told.id, told.data.id) == ("video.completed", headers["webhook-id"], task_id)
    assert json.loads(body)["request_id"] == "r-17"


def test_a_callback_that_cannot_be_is_refused_at_submit(ada: httpx2.Client) -> None:
    for url in (
        "http://93.184.216.34/",
        "https://10.0.0.1/",
        "https://[::1]/",
        "ftp://x.example/",
        "nowhere",
    ):
        reply = ada.post("/v1/videos", data={"model": "sandbox", "prompt": "a", "callback_url": url})
        assert reply.status_code == 400, url
        assert reply.json()["error"]["param"] == "callback_url"


def test_an_operator_sees_a_failure_and_has_it_delivered_again(
    service: Service, ada: httpx2.Client, receiver: Receiver, secret: str
) -> None:
    receiver.fails = True
    task_id = bytespike(ada, "a lighthouse", callback_url=f"{receiver.url}/again")
    headers, _ = receiver.wait("/again")
    event = headers["webhook-id"]
    receiver.fails = False

    before = json.loads(service.run("webhooks", "show", event, "--json").stdout)
    replayed = service.run("webhooks", "replay", event)
    again, body = receiver.wait("/again", times=2)
    listed = _until_delivered(service, event)

    assert before["task"] == task_id
    assert before["tries"][0]["status"] == 500
    assert before["state"] == "pending"
    assert replayed.returncode == 0, replayed.stderr
    assert again["webhook-id"] == event
    assert Webhook(secret).verify(body, again)["data"]["task_id"] == task_id
    # On a busy machine its own time may have come before the operator's command.
    statuses = [this["status"] for this in listed["tries"]]
    assert statuses[0] == 500
    assert set(statuses[1:]) == {200}


def _until_delivered(service: Service, event: str) -> Any:  # noqa: ANN401
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        listed = json.loads(service.run("webhooks", "list", "--state", "delivered", "--json").stdout)
        if found := [one for one in listed if one["id"] == event]:
            return found[0]
        time.sleep(0.1)
    raise AssertionError(f"{event} was not delivered")


def test_commands_about_what_is_not_there_say_so(service: Service, ada: httpx2.Client) -> None:
    for arguments in (
        ["show", "evt_x"],
        ["replay", "evt_x"],
        ["replay"],
        ["replay", "evt_x", "--dead"],
        ["secret", "--account", "acct_x"],
    ):
        done = service.run("webhooks", *arguments)
        assert done.returncode == 1, arguments
        assert done.stderr.startswith("filmgate: "), done.stderr
    nothing = service.run("webhooks", "replay", "--dead")
    assert (nothing.returncode, nothing.stderr) == (0, "0 webhooks to be delivered again\n")


# --- streams ------------------------------------------------------------------------------------


def events(lines: Iterator[str]) -> Iterator[tuple[str, Any]]:
    """Yield name and data of a stream's events."""
    name = ""
    for line in lines:
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


@pytest.mark.parametrize(
    "path", ["/v1/tasks/stream/{}", "/v1/tasks/events?task_id={}", "/v1/videos/{}/events"]
)
def test_a_stream_follows_a_task_to_its_end(ada: httpx2.Client, path: str) -> None:
    task_id = openai(ada, "#slow=2")

    with ada.stream("GET", path.format(task_id)) as response:
        said = list(events(response.iter_lines()))

    words = [data["status"] for _, data in said]
    progress = [data["progress"] for _, data in said]
    assert response.headers["content-type"] == "text/event-stream"
    assert words[0] in {"pending", "queued"}
    assert words[-1] == "completed"
    assert progress == sorted(progress)
    assert "progress" in {name for name, _ in said}


def test_a_revoked_key_ends_its_streams(service: Service) -> None:
    key = service.new_key(credits_=10)
    with httpx2.Client(base_url=service.url, headers={"x-api-key": key}) as bob:
        task_id = bytespike(bob, "#stall")
        with bob.stream("GET", f"/v1/tasks/stream/{task_id}") as response:
            lines = response.iter_lines()
            next(events(lines))
            began = time.monotonic()
            assert service.run("keys", "revoke", key).returncode == 0
            rest = list(lines)
            took_s = time.monotonic() - began
        after = bob.get(f"/v1/tasks/stream/{task_id}")

    assert not any("bye" in line for line in rest)
    assert took_s < 10
    assert after.status_code == 401


def test_open_streams_say_goodbye_and_do_not_hold_up_the_end(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    service = Service(tmp_path_factory.mktemp("bye") / "data", graceful_shutdown_s=20)
    service.start()
    key = service.new_key(credits_=10)
    with httpx2.Client(base_url=service.url, headers={"x-api-key": key}) as ada:
        task_id = bytespike(ada, "#stall")
        with ada.stream("GET", f"/v1/tasks/stream/{task_id}") as response:
            lines = response.iter_lines()
            next(events(lines))
            began = time.monotonic()
            assert service.stop() == 0
            took_s = time.monotonic() - began
            rest = list(lines)

    assert rest[-4:-1] == ["event: bye", "retry: 1000", "data: {}"]
    assert took_s < 5
