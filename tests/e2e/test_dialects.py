"""One task in all dialects, against a running service: submitted in one, read and fetched in the others."""

import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import httpx2
import pytest

from filmgate.providers.sandbox import CLIP
from tests.e2e.service import Service, serving

FINISHED: Final = {"succeeded", "completed", "failed", "cancelled"}
PATIENCE_S: Final = 20


@pytest.fixture(name="service", scope="module")
def _service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("dialects") / "data") as service:
        yield service


@pytest.fixture(name="ada", scope="module")
def _ada(service: Service) -> Iterator[httpx2.Client]:
    key = service.new_key(credits_=1_000)
    with httpx2.Client(base_url=service.url, headers={"x-api-key": key}) as client:
        yield client


def loova(ada: httpx2.Client, prompt: str) -> str:
    reply = ada.post("/api/v1/video/seedance-2", json={"model": "sandbox", "prompt": prompt})
    task_id: str = reply.json()["data"]["task_id"]
    return task_id


def bytespike(ada: httpx2.Client, prompt: str) -> str:
    reply = ada.post("/v1/tasks/submit", json={"model": "sandbox", "params": {"prompt": prompt}})
    task_id: str = reply.json()["task_id"]
    return task_id


def openai(ada: httpx2.Client, prompt: str) -> str:
    reply = ada.post("/v1/videos", data={"model": "sandbox", "prompt": prompt})
    task_id: str = reply.json()["id"]
    return task_id


def read_everywhere(ada: httpx2.Client, task_id: str) -> tuple[Any, Any, Any]:
    """Return the task as each dialect shows it."""
    return (
        ada.get("/v1/tasks", params={"task_id": task_id}).json()["data"],
        ada.get("/v1/tasks/query", params={"task_id": task_id}).json(),
        ada.get(f"/v1/videos/{task_id}").json(),
    )


def finished_everywhere(ada: httpx2.Client, task_id: str) -> tuple[Any, Any, Any]:
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        shown = read_everywhere(ada, task_id)
        if all(one["status"] in FINISHED for one in shown):
            return shown
        time.sleep(0.02)  # as a client that polls
    raise AssertionError(f"{task_id} did not end: {read_everywhere(ada, task_id)}")


each_dialect = pytest.mark.parametrize("submit", [loova, bytespike, openai])


@each_dialect
def test_a_film_made_in_one_dialect_is_had_in_all(
    ada: httpx2.Client, submit: Callable[[httpx2.Client, str], str]
) -> None:
    task_id = submit(ada, "a lighthouse at dusk")

    in_loova, in_bytespike, in_openai = finished_everywhere(ada, task_id)

    links = {in_loova["result"]["video_url"], in_bytespike["output"][0]["url"], in_openai["url"]}
    assert len(links) == 1
    link = links.pop()
    film = CLIP.source.read_bytes()
    # Without a key: the link is enough.
    assert httpx2.get(link).content == film
    part = httpx2.get(link, headers={"range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, film[100:200])
    assert httpx2.get(link[:-1] + ("0" if link[-1] != "0" else "1")).status_code == 403


@each_dialect
def test_a_film_that_fails_in_one_dialect_fails_in_all(
    ada: httpx2.Client, submit: Callable[[httpx2.Client, str], str]
) -> None:
    task_id = submit(ada, "#moderate")

    in_loova, in_bytespike, in_openai = finished_everywhere(ada, task_id)

    assert in_loova["status"] == in_bytespike["status"] == in_openai["status"] == "failed"
    assert (
        in_loova["result"]["error_message"] == in_bytespike["error_message"] == in_openai["error"]["message"]
    )
    assert in_bytespike["error_code"] == in_openai["error"]["code"] == "moderated"


@each_dialect
def test_what_is_cancelled_is_cancelled_in_all(
    ada: httpx2.Client, submit: Callable[[httpx2.Client, str], str]
) -> None:
    task_id = submit(ada, "#stall")

    cancelled = ada.post(f"/v1/tasks/cancel/{task_id}")
    in_loova, in_bytespike, in_openai = read_everywhere(ada, task_id)

    assert cancelled.json() == in_bytespike
    assert in_bytespike["status"] == "cancelled"
    assert in_loova["result"]["error_message"] == in_openai["error"]["code"] == "cancelled"


def test_a_key_that_is_revoked_beside_the_service_stops_working(service: Service) -> None:
    key = service.new_key(credits_=1)
    with httpx2.Client(base_url=service.url, headers={"authorization": f"Bearer {key}"}) as client:
        assert client.get("/v1/models").status_code == 200

        revoked = service.run("keys", "revoke", key.split("_")[2])
        assert revoked.returncode == 0, revoked.stderr
        until = time.monotonic() + 5
        while (status := client.get("/v1/models").status_code) == 200 and time.monotonic() < until:
            time.sleep(0.02)  # as a client that polls

    assert status == 401
