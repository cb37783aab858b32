"""Pages of other origins: they may ask with a key, and the dashboard's pages are none of their business."""

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route as ExtraRoute

from filmgate.api.app import create_app
from tests.calls import WEB, Client, clients
from tests.fakes import a_world

ALLOWED = "access-control-allow-origin"


@pytest.mark.parametrize(
    ("path", "status"),
    [("/v1/models", 200), ("/v1/videos/task_x", 404), ("/nothing", 404), ("/healthz", 200)],
)
async def test_a_page_may_read_answers_and_refusals_and_their_headers(path: str, status: int) -> None:
    (ada,) = clients(a_world(), "ada")

    reply = await ada.get(path)

    assert reply.status == status
    assert (reply.headers[ALLOWED], reply.headers["access-control-expose-headers"]) == ("*", "*")
    assert "access-control-allow-credentials" not in reply.headers


async def test_a_browser_that_asks_before_is_told_what_it_may_send() -> None:
    client = Client(create_app(a_world().ports, WEB))

    reply = await client.ask(
        "OPTIONS",
        "/v1/videos",
        headers={
            "origin": "https://page.example",
            "access-control-request-method": "POST",
            "access-control-request-headers": "authorization,idempotency-key",
        },
    )

    assert (reply.status, reply.body) == (204, b"")
    assert reply.headers[ALLOWED] == "*"
    assert reply.headers["access-control-allow-methods"] == "GET, HEAD, POST"
    assert reply.headers["access-control-allow-headers"] == "authorization,idempotency-key"


async def test_a_page_that_is_no_dialects_stays_closed() -> None:
    async def page(request: Request) -> PlainTextResponse:
        return PlainTextResponse("private")

    client = Client(create_app(a_world().ports, WEB, extra_routes=[ExtraRoute("/dashboard", page)]))

    reply = await client.get("/dashboard", {"origin": "https://page.example"})

    assert reply.status == 200
    assert ALLOWED not in reply.headers
