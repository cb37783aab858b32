"""The OpenAPI document as one page to read: no script, nothing fetched from anywhere."""

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator
from html import escape
from importlib import resources
from itertools import groupby
from typing import Any, Final

from filmgate.api.openapi import Schema, operations

_STYLE: Final = resources.files("filmgate.api").joinpath("docs_page.css").read_text(encoding="utf-8")
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

HEADERS: Final = (
    (
        b"content-security-policy",
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'".encode(),
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-cache"),
)


def render(document: Schema) -> str:
    """Return the page."""
    return _Page(document).html()


class _Page:
    def __init__(self, document: Schema) -> None:
        self._document = document
        self._base: str = document["servers"][0]["url"]
        self._schemas: Schema = document["components"]["schemas"]
        self._groups = [
            (tag, list(found))
            for tag, found in groupby(
                sorted(operations(document), key=lambda one: self._rank(one[2]["tags"][0])),
                key=lambda one: one[2]["tags"][0],
            )
        ]

    def html(self) -> str:
        info = self._document["info"]
        return (
            "<!doctype html><html lang=en><head><meta charset=utf-8>"
            "<meta name=viewport content='width=device-width,initial-scale=1'>"
            f"<title>{escape(info['title'])} API</title><style>{_STYLE}</style></head><body>"
            f"<nav aria-label='Operations'><a class=home href=#top>{escape(info['title'])}"
            f"<small>{escape(info['version'])}</small></a>{''.join(self._navigation())}</nav>"
            f"<main id=top>{self._introduction()}{''.join(self._sections())}</main></body></html>"
        )

    def _rank(self, tag: str) -> int:
        return [one["name"] for one in self._document["tags"]].index(tag)

    def _navigation(self) -> Iterator[str]:
        for tag, found in self._groups:
            links = "".join(
                f"<li><a href='#{operation['operationId']}'>{_badge(method)}"
                f"<span>{escape(_short(path))}</span></a>"
                for method, path, operation in found
            )
            yield f"<h2>{escape(tag)}</h2><ul>{links}</ul>"

    def _introduction(self) -> str:
        info = self._document["info"]
        return (
            f"<header><h1>{escape(info['title'])} API</h1><p>{escape(info['description'])}</p>"
            "<dl class=facts>"
            f"<dt>Address<dd><code>{escape(self._base)}</code>"
            "<dt>Key<dd><code>Authorization: Bearer KEY</code> or <code>x-api-key: KEY</code>"
            "<dt>Document<dd><a href='/openapi.json'>openapi.json</a>, OpenAPI 3.1"
            "</dl></header>"
        )

    def _sections(self) -> Iterator[str]:
        for tag, found in self._groups:
            yield f"<h2 class=tag>{escape(tag)}</h2>"
            for method, path, operation in found:
                yield self._operation(method, path, operation)

    def _operation(self, method: str, path: str, operation: Schema) -> str:
        body = operation.get("requestBody", {}).get("content", {})
        curl = _curl(self._base, method, path, operation)
        return (
            f"<section id='{operation['operationId']}'><div class=text>"
            f"<h3>{escape(operation['summary'])}</h3>"
            f"<p class=path>{_badge(method)}<code>{escape(path)}</code></p>"
            f"{_parameters(operation.get('parameters', ()), self._document)}"
            f"{self._fields(body)}{self._answers(operation)}</div>"
            f"<div class=code><h4>Request</h4><pre>{escape(curl)}</pre>"
            f"{_example(operation)}</div></section>"
        )

    def _fields(self, body: Schema) -> str:
        if not body:
            return ""
        kinds = ", ".join(f"<code>{escape(kind)}</code>" for kind in body)
        schema = body["application/json"]["schema"]
        shapes = schema.get("anyOf", [schema])
        tables = "".join(self._table(shape) for shape in shapes)
        return f"<h4>Body</h4><p class=note>{kinds}</p>{tables}"

    def _table(self, ref: Schema) -> str:
        if "$ref" not in ref:
            return "<p class=note>The body of a submission, in any dialect.</p>"
        schema = self._schemas[ref["$ref"].rpartition("/")[2]]
        required = schema.get("required", ())
        rows = [
            (name, _kind(field), name in required, _describe(field))
            for name, field in schema["properties"].items()
        ]
        title = schema.get("description", "")
        return f"<details><summary>{escape(title)} <i>{len(rows)} fields</i></summary>{_rows(rows)}</details>"

    def _answers(self, operation: Schema) -> str:
        items = []
        for status, answer in operation["responses"].items():
            found = (
                self._document["components"]["responses"][answer["$ref"].rpartition("/")[2]]
                if "$ref" in answer
                else answer
            )
            good = "good" if status < "400" else "bad"
            items.append(f"<li><b class={good}>{status}</b> {_inline(found['description'])}")
        return f"<h4>Answers</h4><ul class=answers>{''.join(items)}</ul>"


def _parameters(parameters: Iterable[Schema], document: Schema) -> str:
    rows = []
    for parameter in parameters:
        found = document
        if "$ref" in parameter:
            for step in parameter["$ref"].split("/")[1:]:
                found = found[step]
        else:
            found = parameter
        where = "" if found["in"] == "query" else f"In the {found['in']}. "
        rows.append(
            (
                found["name"],
                _kind(found["schema"]),
                found.get("required", False),
                where + found.get("description", "") + _default(found["schema"]),
            )
        )
    return f"<h4>Parameters</h4>{_rows(rows)}" if rows else ""


def _rows(rows: Iterable[tuple[str, str, bool, str]]) -> str:
    cells = "".join(
        f"<tr><td><code>{escape(name)}</code>{' <em>required</em>' if required else ''}"
        f"<td class=kind>{escape(kind)}<td>{_inline(description)}"
        for name, kind, required, description in rows
    )
    return f"<table>{cells}</table>"


def _kind(schema: Schema) -> str:
    """Return a schema in a word or two."""
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"])
    if "const" in schema:
        return str(schema["const"])
    if "anyOf" in schema:
        kinds = [_kind(one) for one in schema["anyOf"] if one.get("type") != "null"]
        return " | ".join(dict.fromkeys(kinds))
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    kind = schema.get("type", "any")
    return str(schema.get("format", kind))


def _describe(schema: Schema) -> str:
    inner: Schema = next((one for one in schema.get("anyOf", ()) if "description" in one), {})
    return str(schema.get("description") or inner.get("description") or "") + _default(schema)


def _default(schema: Schema) -> str:
    default = schema.get("default")
    return "" if default in (None, [], {}) else f" Default: `{json.dumps(default)}`."


def _inline(text: str) -> str:
    """Return text as HTML; what is between backquotes is code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if n % 2 else part for n, part in enumerate(parts))


def _curl(base: str, method: str, path: str, operation: Schema) -> str:
    query = [
        one["name"] for one in operation.get("parameters", ()) if one.get("required") and one["in"] == "query"
    ]
    address = base + path + ("?" + "&".join(f"{name}=$TASK" for name in query) if query else "")
    for name, example in (("{video_id}", "$TASK"), ("{task_id}", "$TASK"), ("{model}", "studio")):
        address = address.replace(name, example)
    lines = [f'curl {"" if method == "GET" else f"-X {method} "}"{address}"']
    if operation.get("security") != []:
        lines.append('-H "Authorization: Bearer $KEY"')
    content = operation.get("requestBody", {}).get("content", {})
    if content:
        example = json.dumps(content["application/json"]["example"], indent=2, ensure_ascii=False)
        example = example.replace("\n", "\n  ")
        lines += ["-H 'Content-Type: application/json'", f"-d '{example}'"]
    return " \\\n  ".join(lines)


def _example(operation: Schema) -> str:
    content: dict[str, Any] = operation["responses"].get("200", {}).get("content", {})
    example = content.get("application/json", {}).get("example")
    if example is None:
        return ""
    shown = json.dumps(example, indent=2, ensure_ascii=False)
    return f"<h4>Answer</h4><pre>{escape(shown)}</pre>"


def _badge(method: str) -> str:
    return f"<b class='method {method.lower()}'>{method}</b>"


def _short(path: str) -> str:
    return path if len(path) < 34 else path.replace("/api/v1", "…").replace("/v1/videos", "…")  # noqa: PLR2004
