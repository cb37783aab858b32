"""Request bodies: read with a limit and a deadline, whatever form they come in."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from filmgate.api import strict_json
from filmgate.api.call import Call
from filmgate.api.forms import Multipart, decode_urlencoded
from filmgate.core.errors import BodyTooLarge, InvalidRequest, RequestTimeout, UnsupportedMediaType

JSON: Final = b"application/json"
URLENCODED: Final = b"application/x-www-form-urlencoded"
MULTIPART: Final = b"multipart/form-data"


class Disconnected(Exception):
    """The client went away before its request was complete."""


async def read_json(call: Call, *, most: int) -> dict[str, Any]:
    """Return the JSON object of a request body of at most `most` bytes."""
    kind, _ = _content_type(call)
    if kind not in {JSON, b""}:
        raise UnsupportedMediaType("the body must be application/json")
    return strict_json.decode(await _read(call, most))


async def read_fields(call: Call) -> dict[str, Any]:
    """Return the fields of a body that is JSON or a form."""
    kind, options = _content_type(call)
    if kind in {JSON, b""}:
        return strict_json.decode(await _read(call, call.web.json_bytes))
    if kind == URLENCODED:
        return decode_urlencoded(await _read(call, call.web.task_json_bytes))
    if kind == MULTIPART:
        return await _read_multipart(call, options.get(b"boundary", b""))
    raise UnsupportedMediaType("the body must be application/json, multipart/form-data or a urlencoded form")


async def _read_multipart(call: Call, boundary: bytes) -> dict[str, Any]:
    if not boundary:
        raise InvalidRequest("the multipart body's content type has no boundary")
    try:
        form = Multipart(boundary)
    except FormParserError as error:
        raise InvalidRequest("the multipart boundary cannot be used") from error
    texts = 0
    async for piece in _pieces(call, call.web.upload_bytes):
        form.feed(piece)
        texts += 0 if form.files else len(piece)
        if texts > call.web.json_bytes:
            raise BodyTooLarge(f"the form's texts are larger than {call.web.json_bytes} bytes")
    if form.files:
        name = form.files[0][:100]
        raise InvalidRequest(f"{name}: files cannot be sent in this version; give an http(s) URL", param=name)
    return form.fields()


def _content_type(call: Call) -> tuple[bytes, dict[bytes, bytes]]:
    encoding = call.header(b"content-encoding")
    if encoding is not None and encoding.strip().lower() not in {"", "identity"}:
        raise UnsupportedMediaType("a compressed body is not accepted")
    return parse_options_header(call.header(b"content-type"))


async def _read(call: Call, most: int) -> bytes:
    pieces = [piece async for piece in _pieces(call, most)]
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


async def _pieces(call: Call, most: int) -> AsyncIterator[bytes]:
    declared = call.header(b"content-length")
    if declared is not None and declared.isdigit() and int(declared) > most:
        raise _too_large(most)
    read = 0
    loop = asyncio.get_running_loop()
    until = loop.time() + call.web.body_s
    while True:
        try:
            async with asyncio.timeout_at(until):
                message = await call.receive()
        except TimeoutError as error:
            raise RequestTimeout(f"the body did not arrive within {call.web.body_s:g} seconds") from error
        if message["type"] == "http.disconnect":
            raise Disconnected
        piece = message.get("body", b"")
        read += len(piece)
        if read > most:
            raise _too_large(most)
        if piece:
            yield piece
        if not message.get("more_body", False):
            return


def _too_large(most: int) -> BodyTooLarge:
    return BodyTooLarge(f"the body is larger than {most} bytes")
