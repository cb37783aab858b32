"""What is said of the service itself: its welcome, its health and its documentation."""

import asyncio
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final, Literal, TypedDict

import msgspec

from filmgate.api import docs_page
from filmgate.api.answer import Answer
from filmgate.api.call import Call
from filmgate.api.openapi import Schema
from filmgate.api.routing import About, Route
from filmgate.core.errors import StoreUnavailable
from filmgate.ports.store import Store

READY_WITHIN_S: Final = 0.8  # whoever probes waits for a second, most often

_TAG: Final = "Service"


class Welcome(TypedDict):
    """What is here, and where."""

    name: Literal["filmgate"]
    message: str
    docs: str
    openapi: str
    models: str
    health: str


class OpenAPI(TypedDict):
    """What OpenAPI 3.1 says that it is."""

    openapi: str
    info: dict[str, Any]
    paths: dict[str, Any]


class Health(TypedDict):
    """That the service answers."""

    status: Literal["ok"]


class Readiness(TypedDict):
    """Whether requests belong here: `stopping` and `no_database` go with a 503."""

    status: Literal["ready", "stopping", "no_database"]


_WELCOME: Final[Welcome] = {
    "name": "filmgate",
    "message": "A task service for AI video: POST /v1/videos with an API key. /docs shows how.",
    "docs": "/docs",
    "openapi": "/openapi.json",
    "models": "/v1/models",
    "health": "/healthz",
}


def routes(store: Store, document: Callable[[], Schema], *, welcome: bool) -> Sequence[Route]:
    """Return the routes, `/` only with `welcome`; `document` is made when somebody first asks for it."""
    known = cache(document)

    @cache
    def page() -> bytes:
        return docs_page.render(known()).encode()

    @cache
    def text() -> bytes:
        return msgspec.json.encode(known())

    async def get_root(_: Call) -> Answer:
        return Answer(_WELCOME)

    async def get_health(_: Call) -> Answer:
        return Answer({"status": "ok"})

    async def get_readiness(call: Call) -> Answer:
        if call.stopping.is_set():
            return Answer({"status": "stopping"}, 503)
        try:
            async with asyncio.timeout(READY_WITHIN_S):
                await store.ready()
        except (StoreUnavailable, TimeoutError):
            return Answer({"status": "no_database"}, 503)
        return Answer({"status": "ready"})

    async def get_document(_: Call) -> Answer:
        return Answer.of(text(), "application/json", headers=_DOCUMENT)

    async def get_docs(_: Call) -> Answer:
        return Answer.of(page(), "text/html; charset=utf-8", headers=docs_page.HEADERS)

    return [
        *([Route(method="GET", path="/", handle=get_root, open=True, about=_ROOT)] if welcome else []),
        Route(method="GET", path="/healthz", handle=get_health, open=True, about=_HEALTH),
        Route(method="GET", path="/readyz", handle=get_readiness, open=True, about=_READY),
        Route(method="GET", path="/openapi.json", handle=get_document, open=True, about=_OPENAPI),
        Route(method="GET", path="/docs", handle=get_docs, open=True, about=_DOCS),
    ]


# Any page may read it: tools for OpenAPI are often pages themselves, and there is no secret in it.
_DOCUMENT: Final = ((b"cache-control", b"no-cache"),)

_ROOT: Final = About(tag=_TAG, summary="Welcome", answers=Welcome, answer=_WELCOME)
_HEALTH: Final = About(
    tag=_TAG, summary="Whether the service answers", answers=Health, answer={"status": "ok"}
)
_READY: Final = About(
    tag=_TAG,
    summary="Whether requests belong here: the database answers, and nothing is stopping",
    answers=Readiness,
    answer={"status": "ready"},
)
_OPENAPI: Final = About(tag=_TAG, summary="This document", answers=OpenAPI)
_DOCS: Final = About(tag=_TAG, summary="This document as a page", media_type="text/html")
