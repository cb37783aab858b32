"""The layer around all handlers: routes, limits, errors and headers."""

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import structlog
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route as ExtraRoute
from starlette.types import Message

from filmgate.api.answer import Answer, Stream
from filmgate.api.app import _Reply, create_app
from filmgate.api.call import Call
from filmgate.api.dialect import Owners, find_dialects
from filmgate.api.routing import Route, Table
from filmgate.core.admission import Limits
from filmgate.core.errors import StoreUnavailable
from tests.calls import WEB, Client, clients
from tests.fakes import a_world

A_VIDEO = {"model": "studio", "prompt": "a lighthouse"}
IN_SHAPE: dict[str, Callable[[Any], bool]] = {
    "loova": lambda body: body["data"] is None and body["code"] >= 400 and len(body["trace_id"]) == 32,
    "bytespike": lambda body: set(body["error"]) == {"message", "type", "param", "code"},
    "openai": lambda body: body["error"]["code"].isdigit(),
}


@pytest.mark.parametrize(
    ("path", "owner"),
    [
        ("/", "openai"),
        ("/nothing", "openai"),
        ("/v1", "openai"),
        ("/v1/videos", "openai"),
        ("/v1/videos/task_x", "openai"),
        ("/v1/models", "openai"),
        ("/v1/chat/completions", "openai"),
        ("/v1/videostore", "openai"),
        ("/files/x", "openai"),
        ("/v1/videos/generations", "bytespike"),
        ("/v1/videos/generations/x", "bytespike"),
        ("/v1/videos/generations-x", "openai"),
        ("/v1/videos/tasks/x", "bytespike"),
        ("/v1/tasks/submit", "bytespike"),
        ("/v1/tasks/nothing", "bytespike"),
        ("/api/v1/me/account", "bytespike"),
        ("/api/v1/keys", "bytespike"),
        ("/v1/tasks", "loova"),
        ("/v1/tasksx", "openai"),
        ("/v1/video/seedance-2", "loova"),
        ("/v1/img2vid", "loova"),
        ("/v1/video_item", "loova"),
        ("/api/v1/tasks", "loova"),
        ("/api/v1/nothing", "loova"),
        ("/api/tasks", "loova"),
        ("/apix", "openai"),
    ],
)
def test_the_longest_prefix_owns_a_path(path: str, owner: str) -> None:
    assert Owners(find_dialects()).of(path).name == owner


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/v1/chat/completions", 404),
        ("GET", "/v1/tasks/nothing", 404),
        ("GET", "/api/v1/nothing", 404),
        ("DELETE", "/v1/videos", 405),
        ("OPTIONS", "/v1/tasks/submit", 405),
        ("PUT", "/v1/tasks", 405),
        ("POST", "/healthz", 405),
        ("GET", "/v1/videos/x", 401),
        ("GET", "/v1/tasks", 401),
        ("POST", "/v1/tasks/submit", 401),
    ],
)
async def test_an_error_has_the_shape_of_its_path(method: str, path: str, status: int) -> None:
    app = create_app(a_world().ports, WEB)

    reply = await Client(app).ask(method, path)

    assert reply.status == status
    assert IN_SHAPE[Owners(find_dialects()).of(path).name](reply.json), reply.body
    assert re.fullmatch("[0-9a-f]{32}", reply.headers["x-request-id"])


async def test_405_names_every_method_of_the_path() -> None:
    app = create_app(a_world().ports, WEB)

    reply = await Client(app).ask("PATCH", "/v1/videos/task_x")

    assert reply.headers["allow"] == "DELETE, GET, HEAD"


async def test_health_needs_no_key() -> None:
    reply = await Client(create_app(a_world().ports, WEB)).get("/healthz")

    assert (reply.status, reply.json) == (200, {"status": "ok"})


async def test_a_slash_too_many_is_forgiven() -> None:
    (ada,) = clients(a_world(), "ada")

    assert (await ada.get("/v1/models/")).status == 200
    assert (await ada.get("/v1/models//")).status == 404


async def test_every_answer_has_its_own_request_id() -> None:
    (ada,) = clients(a_world(), "ada")

    ids = {(await ada.get("/v1/models")).headers["x-request-id"] for _ in range(10)}

    assert len(ids) == 10


async def test_extra_routes_answer_where_no_dialect_does() -> None:
    async def page(request: Request) -> PlainTextResponse:
        return PlainTextResponse(f"page {request.path_params['name']}")

    extra = [ExtraRoute("/pages/{name}", page), ExtraRoute("/", page)]
    client = Client(create_app(a_world().ports, WEB, extra_routes=extra))

    reply = await client.get("/pages/one")

    assert reply.body == b"page one"
    assert len(reply.headers["x-request-id"]) == 32
    assert (await client.get("/pages/one/two")).json["error"]["code"] == "404"


def test_a_literal_path_wins_over_a_name_in_it() -> None:
    async def handle(_: Call) -> Answer:
        raise NotImplementedError

    table = Table([Route(method="GET", path=path, handle=handle) for path in ("/a/{x}", "/a/b", "/a/{x}/c")])

    assert found(table, "/a/b") == ("/a/b", {})
    assert found(table, "/a/z") == ("/a/{x}", {"x": "z"})
    assert found(table, "/a/b/c") == ("/a/{x}/c", {"x": "b"})
    assert table.find("/a/b/d") is None
    assert table.find("/a/") is None


def found(table: Table, path: str) -> tuple[str, dict[str, str]]:
    match = table.find(path)
    assert match is not None
    methods, params = match
    return methods["GET"].path, dict(params)


# --- what goes wrong ----------------------------------------------------------------------------


@pytest.fixture(name="logged")
def _logged() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as entries:
        yield entries


@pytest.mark.parametrize("path", ["/v1/videos/{}", "/v1/tasks/query?task_id={}", "/v1/tasks?task_id={}"])
async def test_a_bug_is_logged_once_and_told_to_nobody(path: str, logged: list[Any]) -> None:
    world = a_world()
    (ada,) = clients(world, "ada")
    world.store.rows = None  # type: ignore[assignment]

    reply = await ada.get(path.format("task_" + "0" * 26))

    assert reply.status == 500
    assert b"Traceback" not in reply.body
    assert b"NoneType" not in reply.body
    errors = [entry for entry in logged if entry["log_level"] == "error"]
    assert len(errors) == 1
    assert errors[0]["path"] == path.partition("?")[0].format("task_" + "0" * 26)


async def test_a_store_that_cannot_save_is_503_and_worth_another_try(logged: list[Any]) -> None:
    world = a_world()
    (ada,) = clients(world, "ada")
    world.store.fails = StoreUnavailable("the disk is full")

    reply = await ada.post("/v1/videos", A_VIDEO)

    assert (reply.status, reply.headers["retry-after"]) == (503, "1")
    assert [entry["code"] for entry in logged if entry["log_level"] == "error"] == ["store_unavailable"]


async def test_a_full_queue_is_429_and_says_when_to_come_back() -> None:
    world = a_world(limits=Limits(account_queue=0, provider_slots={"studio": 0}))
    (ada,) = clients(world, "ada")

    reply = await ada.post("/v1/videos", A_VIDEO)

    assert (reply.status, reply.headers["retry-after"]) == (429, "10")
    assert reply.headers["x-filmgate-error"] == "queue_full"


async def test_a_body_may_come_in_any_pieces() -> None:
    (ada,) = clients(a_world(), "ada")
    body = json.dumps(A_VIDEO).encode()

    reply = await ada.ask("POST", "/v1/videos", [body[n : n + 1] for n in range(len(body))])

    assert reply.status == 200


@pytest.mark.parametrize("path", ["/v1/videos", "/v1/tasks/submit", "/api/v1/video/seedance-2"])
async def test_a_body_past_its_limit_is_not_read_to_the_end(path: str) -> None:
    world = a_world()
    (ada,) = clients(world, "ada", web=replace(WEB, json_bytes=1_000, task_json_bytes=1_000))
    pieces = [b"x" * 400] * 10

    told = await ada.ask("POST", path, pieces, {"content-length": "4000"})
    streamed = await ada.ask("POST", path, pieces)

    assert (told.status, streamed.status) == (413, 413)
    assert not world.store.rows


@pytest.mark.parametrize("path", ["/v1/videos", "/v1/tasks/submit", "/api/v1/video/seedance-2"])
@pytest.mark.parametrize(
    "headers",
    [{"content-encoding": "gzip"}, {"content-type": "text/plain"}, {"content-type": "application/xml"}],
)
async def test_a_body_of_another_kind_is_415(path: str, headers: dict[str, str]) -> None:
    (ada,) = clients(a_world(), "ada")

    reply = await ada.ask("POST", path, [json.dumps(A_VIDEO).encode()], headers)

    assert reply.status == 415


async def test_a_form_for_a_path_that_reads_json_is_415() -> None:
    (ada,) = clients(a_world(), "ada")

    assert (await ada.post_form("/v1/tasks/submit", [("model", "studio")])).status == 415


async def test_a_body_that_does_not_come_is_408() -> None:
    app = create_app(a_world().ports, replace(WEB, body_s=0.01))
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        if not sent_some:
            sent_some.append(1)
            return {"type": "http.request", "body": b"{", "more_body": True}
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    sent_some: list[int] = []
    await app(a_scope(a_world().keys["ada"]), receive, send)

    assert sent[0]["status"] == 408
    assert (b"connection", b"close") in sent[0]["headers"]


async def test_a_client_that_leaves_in_mid_body_is_told_nothing() -> None:
    world = a_world()
    app = create_app(world.ports, WEB)

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        raise AssertionError(message)

    await app(a_scope(world.keys["ada"]), receive, send)

    assert not world.store.rows


async def test_a_download_ends_when_its_client_leaves() -> None:
    world = a_world()
    pieces = 0

    async def endless() -> AsyncGenerator[bytes]:
        nonlocal pieces
        while True:
            pieces += 1
            yield b"x"
            await asyncio.sleep(0)

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(_: Message) -> None:
        pass

    await _Reply(receive, send, "0" * 32).send(Stream(endless(), 200, []))

    assert pieces < 5
    assert world.store.rows == {}


def a_scope(key: str) -> dict[str, Any]:
    return {
        "type": "http",
        "method": "POST",
        "path": "/v1/videos",
        "raw_path": b"/v1/videos",
        "query_string": b"",
        "headers": [(b"x-api-key", key.encode())],
    }


async def test_the_server_may_start_and_stop_it() -> None:
    app = create_app(a_world().ports, WEB)
    asked = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent: list[Any] = []

    async def receive() -> Message:
        return asked.pop(0)

    async def send(message: Message) -> None:
        sent.append(message["type"])

    await app({"type": "lifespan"}, receive, send)

    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
