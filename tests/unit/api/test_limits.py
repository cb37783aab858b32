"""Connections that are slow to say what they want, over real sockets."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from filmgate.api.app import create_app
from filmgate.api.limits import DeadlineProtocol
from tests.calls import WEB
from tests.fakes import a_world

LIMIT_S = 0.2
PATIENCE_S = 10
GET = b"GET / HTTP/1.1\r\nhost: x\r\n"
POST = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n"


WORLD = a_world()
SENT = asyncio.Semaphore(0)  # one more whenever the application has sent all of far too much


class Impatient(DeadlineProtocol):
    """The same, with less time."""

    header_s = LIMIT_S
    stalled_s = LIMIT_S


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer at once, or after the body where the path says so, or with far too much."""
    body = b"hello"
    if scope["path"] == "/echo":
        body = b""
        while (message := await receive()).get("more_body"):
            body += message["body"]
        body += message.get("body", b"")
    if scope["path"] == "/much":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(1_000):
            await send({"type": "http.response.body", "body": b"x" * 100_000, "more_body": True})
        await send({"type": "http.response.body"})
        SENT.release()
        return
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def serving(app: ASGIApp = app) -> AsyncIterator[tuple[str, int]]:
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app,
        http=Impatient,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_keep_alive=1,
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server._serve([listener]))
    try:
        yield listener.getsockname()
    finally:
        server.should_exit = True
        async with asyncio.timeout(PATIENCE_S):
            await task
        listener.close()


async def until_closed(
    address: tuple[str, int], *said: bytes, then: bytes | None = None
) -> tuple[bytes, float]:
    """Say something, perhaps again and again, and return what came until the end, and after how long."""
    reader, writer = await asyncio.open_connection(*address)
    begun = time.monotonic()
    writer.write(b"".join(said))

    async def trickle() -> None:
        while then is not None:
            await asyncio.sleep(LIMIT_S / 10)
            writer.write(then)

    trickling = asyncio.create_task(trickle())
    try:
        async with asyncio.timeout(PATIENCE_S):
            answer = await reader.read()
    except ConnectionResetError:
        answer = b""
    finally:
        trickling.cancel()
        writer.close()
    return answer, time.monotonic() - begun


@pytest.mark.parametrize(
    ("said", "then"),
    [
        (b"", None),
        (b"\r\n\r\n", b"\r\n"),
        (b"G", None),
        (GET, None),
        (GET, b"a: b\r\n"),
        (GET + b"x: ", b"y"),
        (b"GET /" + b"a" * 100, b"a"),
    ],
    ids=[
        "nothing",
        "empty lines",
        "a letter",
        "half a header",
        "line by line",
        "letter by letter",
        "a long path",
    ],
)
async def test_a_request_that_is_not_said_in_time_is_cut_off(said: bytes, then: bytes | None) -> None:
    async with serving() as address:
        answer, seconds = await until_closed(address, said, then=then)

    assert answer == b""
    assert LIMIT_S * 0.9 < seconds < LIMIT_S + 2


async def test_after_an_answer_the_next_request_has_the_same_time() -> None:
    async with serving() as address:
        answer, seconds = await until_closed(address, GET + b"\r\n", GET)

    assert answer.endswith(b"hello")
    assert seconds < 0.9, "this was the keep-alive timer"


async def test_a_connection_may_rest_between_requests_but_not_for_ever() -> None:
    async with serving() as address:
        answer, seconds = await until_closed(address, GET + b"\r\n")

    assert answer.endswith(b"hello")
    assert 0.9 < seconds < 3


async def test_what_is_left_of_a_body_after_the_answer_is_not_read_for_ever() -> None:
    async with serving() as address:
        answer, seconds = await until_closed(address, POST, b"x", then=b"x")

    assert b"200 OK" in answer
    assert seconds < LIMIT_S + 3


async def test_a_slow_body_is_left_to_the_application() -> None:
    async with serving() as (host, port):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(b"POST /echo HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 6\r\n\r\n")
        for _ in range(6):
            await asyncio.sleep(LIMIT_S / 4)
            writer.write(b"x")
        async with asyncio.timeout(PATIENCE_S):
            answer = await reader.read()
        writer.close()

    assert answer.endswith(b"xxxxxx")


async def test_requests_that_follow_one_another_in_time_are_all_answered() -> None:
    async with serving() as (host, port):
        reader, writer = await asyncio.open_connection(host, port)
        for n in range(5):
            writer.write(GET[: 5 + n])
            await asyncio.sleep(LIMIT_S / 4)
            writer.write(GET[5 + n :] + b"\r\n")
            async with asyncio.timeout(PATIENCE_S):
                answer = await reader.readuntil(b"hello")
            assert b"200 OK" in answer
        writer.close()


async def test_requests_all_at_once_are_all_answered() -> None:
    async with serving() as address:
        answer, _ = await until_closed(address, *[GET + b"\r\n"] * 20)

    assert answer.count(b"hello") == 20


@pytest.mark.parametrize("end", [b"\r\n\r\n", b"\r\n", b""], ids=["whole", "one line more", "unended"])
@pytest.mark.parametrize("header", [b"x: " + b"y" * 20_000, b"x: y\r\n" * 3_000, b"x: " + b"y" * 200_000])
async def test_a_header_larger_than_sixteen_kib_is_431(header: bytes, end: bytes) -> None:
    async with serving() as address:
        answer, seconds = await until_closed(address, GET, header, end)

    if answer:  # the system may drop it together with what was not read
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 431 ")
        assert json.loads(body)["error"]["code"] == "431"
    assert seconds < LIMIT_S + 2


async def test_a_header_of_less_is_fine() -> None:
    async with serving() as address:
        answer, _ = await until_closed(address, GET, b"x: " + b"y" * 15_000, b"\r\nconnection: close\r\n\r\n")

    assert answer.endswith(b"hello")


async def test_what_is_not_http_is_told_so_in_shape() -> None:
    async with serving() as address:
        answer, _ = await until_closed(address, b"\x16\x03\x01nonsense\r\n\r\n")

    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert json.loads(body)["error"]["type"] == "invalid_request_error"


async def test_a_client_that_does_not_read_is_cut_off() -> None:
    async with serving() as (host, port):
        _, writer = await asyncio.open_connection(host, port, limit=1)
        writer.write(b"GET /much HTTP/1.1\r\nhost: x\r\n\r\n")
        begun = time.monotonic()

        # The application comes to its end although nobody takes what it sends: the rest goes nowhere.
        async with asyncio.timeout(PATIENCE_S):
            await SENT.acquire()
        writer.transport.abort()

    assert LIMIT_S * 0.9 < time.monotonic() - begun < LIMIT_S + 2


# --- with the application behind it ---------------------------------------------------------------


def a_post(path: str, size: int) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\nx-api-key: {WORLD.keys['ada']}\r\ncontent-length: {size}\r\n"
    return head.encode() + b"content-type: application/json\r\n\r\n"


async def test_a_client_that_sends_far_too_much_still_hears_why() -> None:
    size = 4 * 2**20

    async with serving(create_app(WORLD.ports, WEB)) as (host, port):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(a_post("/v1/tasks/submit", size))
        for _ in range(size // 2**16):
            writer.write(b"x" * 2**16)
            await writer.drain()
        async with asyncio.timeout(PATIENCE_S):
            answer = await reader.readuntil(b"\r\n\r\n")
        writer.close()

    assert answer.startswith(b"HTTP/1.1 413 ")


async def test_after_a_refusal_the_connection_still_serves() -> None:
    async with serving(create_app(WORLD.ports, WEB)) as (host, port):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(
            a_post("/v1/nothing", 100_000) + b"x" * 100_000 + GET.replace(b"/", b"/healthz", 1) + b"\r\n"
        )
        async with asyncio.timeout(PATIENCE_S):
            answer = await reader.readuntil(b'{"status":"ok"}')
        writer.close()

    assert answer.startswith(b"HTTP/1.1 404 ")


async def test_half_a_body_is_408_and_the_end() -> None:
    async with serving(create_app(WORLD.ports, replace(WEB, body_s=LIMIT_S))) as address:
        answer, seconds = await until_closed(address, a_post("/v1/videos", 100), b'{"prompt":')

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert LIMIT_S * 0.9 < seconds < LIMIT_S + 2


async def test_half_said_requests_do_not_hold_up_the_end() -> None:
    async with serving() as (host, port):
        connections = [await asyncio.open_connection(host, port) for _ in range(50)]
        for _, writer in connections:
            writer.write(GET)
        await asyncio.gather(*(writer.drain() for _, writer in connections))
        begun = time.monotonic()

    assert time.monotonic() - begun < 2
    for _, writer in connections:
        writer.close()
