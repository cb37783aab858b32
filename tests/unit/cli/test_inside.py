"""HTTP into an application of this process: nothing is held back, and nothing is left running."""

import asyncio
from contextlib import aclosing

import httpx2
import pytest

from filmgate.cli.inside import Inside, Message, Receive, Send

START: Message = {"type": "http.response.start", "status": 200, "headers": [(b"x-answer", b"yes")]}


def piece(body: bytes, *, more: bool = True) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": more}


async def test_a_request_arrives_whole_and_so_does_its_answer() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        body = b""
        while (message := await receive())["more_body"]:
            body += message["body"]
        assert (scope["method"], scope["path"], scope["query_string"]) == ("POST", "/a b", b"x=1")
        assert (b"x-asked", b"so") in scope["headers"]
        await send(START)
        await send(piece(body, more=False))

    async with httpx2.AsyncClient(transport=Inside(app)) as http:
        answer = await http.post("http://inside/a%20b?x=1", headers={"X-Asked": "so"}, content=b"hello")

    assert (answer.status_code, answer.headers["x-answer"], answer.content) == (200, "yes", b"hello")


async def test_an_answer_is_read_while_it_is_made() -> None:
    go_on = asyncio.Event()

    async def app(_scope: Message, _receive: Receive, send: Send) -> None:
        await send(START)
        await send(piece(b"first"))
        await go_on.wait()
        await send(piece(b"second", more=False))

    async with (
        httpx2.AsyncClient(transport=Inside(app)) as http,
        http.stream("GET", "http://inside/") as answer,
    ):
        pieces = answer.aiter_raw()
        first = await anext(pieces)
        go_on.set()
        rest = [piece async for piece in pieces]

    assert (first, b"".join(rest)) == (b"first", b"second")


async def test_who_stops_reading_stops_the_application() -> None:
    ended = asyncio.Event()

    async def app(_scope: Message, _receive: Receive, send: Send) -> None:
        try:
            await send(START)
            while True:
                await send(piece(b"more"))
        finally:
            ended.set()

    async with (
        httpx2.AsyncClient(transport=Inside(app)) as http,
        http.stream("GET", "http://inside/") as answer,
        aclosing(answer.aiter_raw()) as pieces,
    ):
        await anext(pieces)

    assert ended.is_set()


async def test_what_the_application_raises_is_raised_here() -> None:
    async def app(_scope: Message, _receive: Receive, _send: Send) -> None:
        raise ValueError("a bug")

    async with httpx2.AsyncClient(transport=Inside(app)) as http:
        with pytest.raises(ValueError, match="a bug"):
            await http.get("http://inside/")
