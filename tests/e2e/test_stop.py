"""SIGTERM: who waits is told, who is at work may end, and after the next start the work goes on."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.e2e.service import Service, processes_of

GRACEFUL_S = 3
FILM = {"model": "studio", "prompt": "a lighthouse in the rain", "seconds": "12", "size": "1280x720"}
ENDS = {"completed", "failed"}


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """Return a service that has started, and see that nothing of it is left."""
    service = Service(tmp_path / "data", graceful_shutdown_s=GRACEFUL_S)
    service.start()
    yield service
    with contextlib.suppress(ProcessLookupError):
        service.kill()
    assert not processes_of(tmp_path)


@pytest.fixture
async def http(service: Service) -> AsyncIterator[httpx2.AsyncClient]:
    """Return a client with a key."""
    key = service.new_key(credits_=1_000)
    async with httpx2.AsyncClient(
        base_url=service.url, headers={"Authorization": f"Bearer {key}"}, timeout=30
    ) as http:
        yield http


async def test_sigterm_ends_streams_and_long_polls_at_once_and_the_next_start_goes_on(
    service: Service, http: httpx2.AsyncClient, tmp_path: Path
) -> None:
    film = await submitted(http, FILM)
    stalled = await submitted(http, {"model": "sandbox", "prompt": "#slow=4 a glacier"})
    await until_status(http, film, {"in_progress"})
    flowing = asyncio.Event()
    streaming = asyncio.create_task(stream_of(http, film, flowing))
    polling = asyncio.create_task(http.get(f"/v1/videos/{stalled}?wait=60"))
    await flowing.wait()
    await asyncio.sleep(0.3)  # nothing tells when a server has read a request that it does not answer

    began = time.monotonic()
    service.ask_to_stop()
    status = await asyncio.to_thread(service.wait, 30)
    took_s = time.monotonic() - began

    polled, streamed = await polling, await streaming
    assert status == 0, service.log.read_text()[-3000:]
    assert took_s < GRACEFUL_S, "nobody had to be waited for"
    assert (polled.status_code, polled.json()["id"]) == (200, stalled)
    assert polled.json()["status"] in {"queued", "in_progress"}
    assert "event: bye\n" in streamed, "a stream says that it is to be opened again"
    assert streamed.endswith("\n\n"), "no event is cut in two"
    assert not processes_of(tmp_path), "render processes end with the service"
    assert not list((tmp_path / "data" / "work").rglob("*.mp4"))

    await asyncio.to_thread(service.start)
    for task in (film, stalled):
        assert await until_status(http, task, ENDS) == "completed"
    assert service.run("ledger", "verify").returncode == 0
    print(f"stopped in {took_s:.2f} s")


async def test_an_upload_may_end_and_one_that_does_not_is_cut_off_in_time(
    service: Service, http: httpx2.AsyncClient, tmp_path: Path
) -> None:
    quick, slow = await half_an_upload(http), await half_an_upload(http)

    began = time.monotonic()
    service.ask_to_stop()
    await asyncio.sleep(0.5)
    reader, writer = quick
    writer.write(b"}")  # of two bodies, one comes to its end
    answer = await reader.read()
    status = await asyncio.to_thread(service.wait, 30)
    took_s = time.monotonic() - began

    assert answer.startswith(b"HTTP/1.1 200 "), answer
    assert status == 0, service.log.read_text()[-3000:]
    assert GRACEFUL_S - 0.5 < took_s < GRACEFUL_S + 3
    slow[1].close()
    writer.close()
    await asyncio.to_thread(service.start)
    listed = (await http.get("/v1/videos")).json()["data"]
    assert len(listed) == 1, "what was answered is there, and what was cut off is not"
    assert await until_status(http, listed[0]["id"], ENDS) == "completed"
    assert not list((tmp_path / "data" / "work").glob("*/spool/*"))


async def test_a_second_sigterm_stops_at_once(tmp_path: Path) -> None:
    service = Service(tmp_path / "data", graceful_shutdown_s=600)
    service.start()
    key = service.new_key(credits_=10)
    async with httpx2.AsyncClient(base_url=service.url, headers={"Authorization": f"Bearer {key}"}) as http:
        _, writer = await half_an_upload(http)
        service.ask_to_stop()
        await asyncio.sleep(0.5)
        assert processes_of(tmp_path), "it waits for the upload"

        began = time.monotonic()
        service.ask_to_stop()
        await asyncio.to_thread(service.wait, 30)

        assert time.monotonic() - began < 4
        writer.close()
    service.start()
    assert service.stop() == 0
    assert not processes_of(tmp_path)


async def test_a_full_disk_loses_nothing_that_was_accepted(
    service: Service, http: httpx2.AsyncClient
) -> None:
    film = await submitted(http, {**FILM, "seconds": "2", "size": "640x360"})
    slow = [await submitted(http, {"model": "sandbox", "prompt": f"#slow=1 cat {n}"}) for n in range(4)]

    service.limit_files(1)
    refused = await http.post("/v1/videos", json={"model": "sandbox", "prompt": "one more"})
    await asyncio.sleep(3)  # the tasks come to their ends, which cannot be stored
    read = await http.get(f"/v1/videos/{film}")
    service.limit_files(-1)

    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert read.status_code == 200
    for task in (film, *slow):
        assert await until_status(http, task, ENDS) == "completed"
    content = await http.get(f"/v1/videos/{film}/content?format=binary")
    assert content.content[4:8] == b"ftyp"
    assert len((await http.get("/v1/videos")).json()["data"]) == 5
    assert service.run("ledger", "verify").returncode == 0
    assert service.run("doctor", "--deep").returncode == 0


# --- clients ------------------------------------------------------------------------------------


async def submitted(http: httpx2.AsyncClient, body: dict[str, Any]) -> str:
    """Submit, and return the task's id."""
    answer = await http.post("/v1/videos", json=body)
    assert answer.status_code == 200, answer.text
    task_id: str = answer.json()["id"]
    return task_id


async def until_status(http: httpx2.AsyncClient, task_id: str, wanted: set[str]) -> str:
    """Read a task until it stands so."""
    async with asyncio.timeout(90):
        while True:
            status: str = (await http.get(f"/v1/videos/{task_id}?wait=1")).json()["status"]
            if status in wanted:
                return status


async def stream_of(http: httpx2.AsyncClient, task_id: str, flowing: asyncio.Event) -> str:
    """Read a task's stream to its end; tell when it has begun."""
    read = ""
    async with http.stream("GET", f"/v1/videos/{task_id}/events") as answer:
        assert answer.status_code == 200
        async for text in answer.aiter_text():
            read += text
            flowing.set()
    return read


async def half_an_upload(
    http: httpx2.AsyncClient,
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Send all but the last byte of a submission, and return the connection."""
    body = json.dumps({"model": "sandbox", "prompt": "a cat"}).encode()
    reader, writer = await asyncio.open_connection(http.base_url.host, http.base_url.port)
    head = (
        f"POST /v1/videos HTTP/1.1\r\nHost: filmgate\r\nContent-Type: application/json\r\n"
        f"Authorization: {http.headers['authorization']}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body[:-1])
    await writer.drain()
    await asyncio.sleep(0.1)  # on its way: nothing tells when a server has read it
    return reader, writer
