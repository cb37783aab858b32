"""Both clients over a network that answers as it is told: the same calls, the same outcomes."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from inspect import isasyncgen, isawaitable, isgenerator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from filmgate.client import AsyncFilmgate, Filmgate, FilmgateError, InvalidRequest, NotFound, Unreachable
from tests.unit.client.videos import video

URL, KEY = "http://filmgate.example", "fg_test_key"
Answer = Callable[[httpx2.Request], httpx2.Response]
Ask = Callable[[Answer, Callable[[Any], Any]], Any]


class Body(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """A body that breaks off, or goes on, as it is told."""

    def __init__(self, *pieces: bytes, broken: bool = False) -> None:
        self._pieces = pieces
        self._broken = broken

    def __iter__(self) -> Iterator[bytes]:
        yield from self._pieces
        if self._broken:
            raise httpx2.ReadError("connection reset")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self:
            yield piece


def ask_blocking(answer: Answer, call: Callable[[Any], Any]) -> Any:  # noqa: ANN401
    """Return what the blocking client makes of an answer; what it yields as a list."""
    with (
        httpx2.Client(transport=httpx2.MockTransport(answer)) as http,
        Filmgate(URL, KEY, retries=1, http=http) as client,
    ):
        result = call(client)
        return list(result) if isgenerator(result) else result


def ask_awaiting(answer: Answer, call: Callable[[Any], Any]) -> Any:  # noqa: ANN401
    """Return the same of the awaiting client."""

    async def ask() -> Any:  # noqa: ANN401
        async with (
            httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as http,
            AsyncFilmgate(URL, KEY, retries=1, http=http) as client,
        ):
            result = call(client)
            if isasyncgen(result):
                return [item async for item in result]
            return await result if isawaitable(result) else result

    return asyncio.run(ask())


@pytest.fixture(name="ask", params=[ask_blocking, ask_awaiting], ids=["blocking", "awaiting"])
def _ask(request: pytest.FixtureRequest) -> Ask:
    ask: Ask = request.param
    return ask


def test_a_submission_goes_out_whole(ask: Ask) -> None:
    seen: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return httpx2.Response(200, json=video())

    task = ask(answer, lambda client: client.submit("a cat", duration_s=4))

    (request,) = seen
    assert task.id == "task_1"
    assert str(request.url) == f"{URL}/v1/videos"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["idempotency-key"]
    assert json.loads(request.content) == {"model": "studio", "prompt": "a cat", "duration": 4}


def test_a_file_goes_out_as_often_as_it_must(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG and so on")
    bodies: list[bytes] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        bodies.append(request.content)
        busy = len(bodies) == 1
        return (
            httpx2.Response(503, headers={"retry-after": "0"}) if busy else httpx2.Response(200, json=video())
        )

    ask(answer, lambda client: client.submit("a cat", image=tmp_path / "a.png"))

    assert len(bodies) == 2
    for body in bodies:
        assert b'name="input_reference"; filename="a.png"\r\nContent-Type: image/png' in body
        assert b"\x89PNG and so on" in body
        assert b'name="prompt"\r\n\r\na cat' in body


def test_a_refusal_is_raised_where_it_was_called(ask: Ask) -> None:
    refusal = {"error": {"message": "size: is no size", "type": "invalid_request_error", "param": "size"}}

    with pytest.raises(InvalidRequest) as refused:
        ask(lambda _: httpx2.Response(400, json=refusal), lambda client: client.submit("x", size="1"))

    assert (refused.value.param, refused.value.code) == ("size", "invalid_request_error")


def test_a_server_that_is_not_there_is_named(ask: Ask) -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("connection refused", request=request)

    with pytest.raises(Unreachable, match=f"{URL}: connection refused"):
        ask(answer, lambda client: client.get("task_1"))


def test_a_list_turns_pages_while_it_is_read(ask: Ask) -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        last = request.url.params.get("after")
        ids = ["c"] if last else ["a", "b"]
        return httpx2.Response(
            200, json={"data": [video(one) for one in ids], "has_more": not last, "last_id": ids[-1]}
        )

    assert [task.id for task in ask(answer, lambda client: client.list())] == ["a", "b", "c"]


def test_a_stream_that_breaks_is_taken_up_again(ask: Ask) -> None:
    def event(seq: int, status: str) -> bytes:
        return f"id: {seq}\nevent: status\ndata: {json.dumps(video(status=status))}\n\n: beat\n\n".encode()

    def answer(request: httpx2.Request) -> httpx2.Response:
        resumed = request.headers.get("last-event-id")
        body = (
            Body(event(3, "completed"))
            if resumed
            else Body(event(1, "queued")[:9], event(1, "queued")[9:], broken=True)
        )
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, stream=body)

    events = ask(answer, lambda client: client.stream("task_1"))

    assert [(event.id, event.task.status.value) for event in events] == [("1", "queued"), ("3", "succeeded")]


def test_a_download_follows_to_the_link_without_the_key_and_takes_up_what_broke(
    ask: Ask, tmp_path: Path
) -> None:
    film = bytes(1000)
    keys: list[str | None] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.url.host == "filmgate.example":
            return httpx2.Response(302, headers={"location": "https://files.example/film.mp4"})
        keys.append(request.headers.get("authorization"))
        headers = {"etag": '"t"'}
        if request.headers.get("range") == "bytes=400-":
            assert request.headers["if-range"] == '"t"'
            headers |= {"content-range": "bytes 400-999/1000", "content-length": "600"}
            return httpx2.Response(206, headers=headers, stream=Body(film[400:]))
        headers["content-length"] = "1000"
        return httpx2.Response(200, headers=headers, stream=Body(film[:400], broken=True))

    path = ask(answer, lambda client: client.download("task_1", tmp_path / "film.mp4"))

    assert path.read_bytes() == film
    assert [path.name for path in tmp_path.iterdir()] == ["film.mp4"]
    assert keys == [None, None]


def test_a_refused_download_says_why(ask: Ask, tmp_path: Path) -> None:
    refusal = {"error": {"message": "there is no such task", "type": "not_found_error"}}

    with pytest.raises(NotFound, match="no such task"):
        ask(
            lambda _: httpx2.Response(404, json=refusal),
            lambda client: client.download("task_1", tmp_path / "film.mp4"),
        )


def test_the_rest_of_what_is_whole_is_not_asked_for_twice(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / ".film.mp4.t.part").write_bytes(b"film")

    ask(
        lambda _: httpx2.Response(416, headers={"content-range": "bytes */4"}),
        lambda client: client.download("task_1", tmp_path / "film.mp4"),
    )

    assert (tmp_path / "film.mp4").read_bytes() == b"film"


# --- where and who ------------------------------------------------------------------------------


def test_address_and_key_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FILMGATE_URL", "https://video.example.com/v1/")
    monkeypatch.setenv("FILMGATE_API_KEY", "from-there")

    with Filmgate() as client:
        assert (client._server.url, client._server.api_key) == ("https://video.example.com", "from-there")
        assert "from-there" not in repr(client._server)


@pytest.mark.parametrize(("url", "key", "said"), [("ftp://x", "k", "begin with http"), (URL, "", "API key")])
def test_without_them_there_is_no_client(
    url: str, key: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FILMGATE_API_KEY", raising=False)

    with pytest.raises(FilmgateError, match=said):
        Filmgate(url, key)
