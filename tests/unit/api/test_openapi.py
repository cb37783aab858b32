"""The published document is true: every route is in it, and what we answer is what it says."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Final

import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate

from filmgate.api.openapi import operations
from tests.calls import Client, clients
from tests.fakes import a_world

GOLDEN: Final = Path(__file__).parents[2] / "conformance" / "golden"


@pytest.fixture(name="client", scope="module")
def _client() -> Client:
    (ada,) = clients(a_world(), "ada")
    return ada


@pytest.fixture(name="document", scope="module")
def _document(client: Client) -> dict[str, Any]:
    return client.app._document()


def check(document: dict[str, Any], schema: dict[str, Any], value: object) -> None:
    OAS31Validator({**schema, "components": document["components"]}).validate(value)


def closed(document: dict[str, Any]) -> dict[str, Any]:
    """Return the document with answers that have nothing beside what it names."""
    text = json.dumps(document)
    strict: dict[str, Any] = json.loads(text)
    for schema in strict["components"]["schemas"].values():
        if schema.get("properties"):
            schema["additionalProperties"] = False
    return strict


def exchanges() -> list[Any]:
    """Return all golden exchanges, for parametrize."""
    found = [(path, json.loads(path.read_text())) for path in sorted(GOLDEN.glob("*/*.json"))]
    return [
        pytest.param(golden, id=f"{path.parent.name}/{path.stem}")
        for path, golden in found
        if "request" in golden
    ]


def operation_of(document: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
    asked = request["path"].partition("?")[0]
    found = [
        (path.count("{"), operation)
        for method, path, operation in operations(document)
        if method == request["method"] and re.fullmatch(re.sub(r"{\w+}", "[^/]+", path), asked)
    ]
    return dict(min(found, key=lambda pair: pair[0])[1])


def test_it_is_openapi(document: dict[str, Any]) -> None:
    validate(document)


def test_every_route_is_in_it(client: Client, document: dict[str, Any]) -> None:
    described = {(method, path) for method, path, _ in operations(document)}

    assert {(route.method, route.path) for route in client.app.routes} == described
    assert len({operation["operationId"] for _, _, operation in operations(document)}) == len(described)


@pytest.mark.parametrize("golden", exchanges())
def test_what_we_answer_is_what_it_says(document: dict[str, Any], golden: dict[str, Any]) -> None:
    operation = operation_of(document, golden["request"])
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]

    check(closed(document), schema, golden["answer"]["body"])


@pytest.mark.parametrize("golden", exchanges())
def test_what_is_sent_is_what_it_says(document: dict[str, Any], golden: dict[str, Any]) -> None:
    if "json" in golden["request"]:
        body = operation_of(document, golden["request"])["requestBody"]
        check(document, body["content"]["application/json"]["schema"], golden["request"]["json"])


@pytest.mark.parametrize("dialect", ["loova", "bytespike", "openai"])
def test_errors_are_what_it_says(document: dict[str, Any], dialect: str) -> None:
    schema = document["components"]["responses"][f"{dialect}-400"]["content"]["application/json"]["schema"]

    for golden in json.loads((GOLDEN / dialect / "errors.json").read_text()).values():
        check(closed(document), schema, golden["body"])


def test_its_examples_are_what_it_says(document: dict[str, Any]) -> None:
    strict = closed(document)
    for _, _, operation in operations(document):
        for content in operation.get("requestBody", {}).get("content", {}).values():
            if "example" in content:
                check(document, content["schema"], content["example"])
        for answer in operation["responses"].values():
            for content in answer.get("content", {}).values():
                if "example" in content:
                    check(strict, content["schema"], content["example"])


async def test_the_example_of_every_submission_is_accepted(client: Client, document: dict[str, Any]) -> None:
    submits = [
        (path, operation["requestBody"]["content"]["application/json"]["example"])
        for method, path, operation in operations(document)
        if method == "POST" and any("idempotency-key" in str(one) for one in operation.get("parameters", ()))
    ]

    assert len(submits) >= 6
    for path, example in submits:
        if "{" not in path:
            reply = await client.post(path, example)
            assert reply.status == 200, reply.body


async def test_it_is_published_without_a_key(client: Client, document: dict[str, Any]) -> None:
    reply = await Client(client.app).get("/openapi.json")

    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    assert reply.json == json.loads(json.dumps(document))


# --- the page -----------------------------------------------------------------------------------


class Page(HTMLParser):
    """Collects what a page links to, names and loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.ids: set[str] = set()
        self.tags: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        found = dict(attrs)
        if tag == "a":
            self.links.add(found.get("href") or "")
        if "id" in found:
            self.ids.add(found["id"] or "")


async def test_the_page_needs_nothing_from_anywhere(client: Client) -> None:
    reply = await Client(client.app).get("/docs")

    page = Page(reply.body.decode())
    assert (reply.status, reply.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert reply.headers["content-security-policy"].startswith("default-src 'none'; style-src 'sha256-")
    assert not page.tags & {"script", "link", "img", "iframe", "form"}
    assert not re.search(rb"@import|url\(|style=", reply.body)


async def test_every_operation_has_its_place_on_the_page(client: Client, document: dict[str, Any]) -> None:
    page = Page((await Client(client.app).get("/docs")).body.decode())

    ids = {operation["operationId"] for _, _, operation in operations(document)}
    assert ids <= page.ids
    assert {link[1:] for link in page.links if link.startswith("#")} <= page.ids
    assert {link for link in page.links if not link.startswith("#")} == {"/openapi.json"}


async def test_the_welcome_tells_of_both(client: Client) -> None:
    reply = await Client(client.app).get("/")

    for name in ("docs", "openapi", "health"):
        assert (await Client(client.app).get(reply.json[name])).status == 200
