"""Request bodies: read with a limit and a deadline, whatever form they come in."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from filmgate.api import strict_json
from filmgate.api.call import Call
from filmgate.api.forms import Multipart, Upload, decode_urlencoded
from filmgate.core.errors import BodyTooLarge, InvalidRequest, RequestTimeout, UnsupportedMediaType
from filmgate.core.numbers import whole

JSON: Final = b"application/json"
URLENCODED: Final = b"application/x-www-form-urlencoded"
MULTIPART: Final = b"multipart/form-data"

LARGE_BYTES: Final = 2**20  # of JSON: many that arrive slowly would fill the memory


class Disconnected(Exception):
    """The client went away before its request was complete."""


async def read_json(call: Call, *, most: int) -> dict[str, Any]:
    """Return the JSON object of a request body of at most `most` bytes."""
    kind, _ = _content_type(call)
    if kind not in {JSON, b""}:
        raise UnsupportedMediaType("the body must be application/json")
    return await _decoded(call, most)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadBody:
    """A body that was JSON or a form.

    Where a form has a file, `fields` has the text `upload:N/mime`: N is its place in `uploads`, mime
    what the client says it is. A dialect passes that on as the `url` of a `Media`.
    """

    fields: dict[str, Any]
    uploads: Sequence[Upload] = ()


@asynccontextmanager
async def read_body(call: Call) -> AsyncIterator[ReadBody]:
    """Read a body that is JSON or a form; its files are there for as long as the `async with`.

    A handler does `async with read_body(call) as body:` and within it
    `await submit(ports, call, NAME, order, uploads=body.uploads)`.
    """
    kind, options = _content_type(call)
    if kind in {JSON, b""}:
        yield ReadBody(fields=await _decoded(call, call.web.json_bytes))
    elif kind == URLENCODED:
        pieces = [piece async for piece in _pieces(call, call.web.task_json_bytes)]
        yield ReadBody(fields=decode_urlencoded(b"".join(pieces)))
    elif kind == MULTIPART:
        async with _spool(call) as directory:
            form = await _read_multipart(call, options.get(b"boundary", b""), directory)
            yield ReadBody(fields=form.fields(), uploads=form.uploads)
    else:
        raise UnsupportedMediaType(
            "the body must be application/json, multipart/form-data or a urlencoded form"
        )


@asynccontextmanager
async def _spool(call: Call) -> AsyncIterator[Path]:
    directory = Path(await asyncio.to_thread(tempfile.mkdtemp, dir=call.web.spool))
    try:
        yield directory
    finally:
        await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)


async def _read_multipart(call: Call, boundary: bytes, directory: Path) -> Multipart:
    if not boundary:
        raise InvalidRequest("the multipart body's content type has no boundary")
    try:
        form = Multipart(boundary, directory, text_bytes=call.web.form_text_bytes)
    except FormParserError as error:
        raise InvalidRequest("the multipart boundary cannot be used") from error
    with closing(form):
        async for piece in _pieces(call, call.web.upload_bytes):
            await asyncio.to_thread(form.feed, piece)
    return form


def _content_type(call: Call) -> tuple[bytes, dict[bytes, bytes]]:
    encoding = call.header(b"content-encoding")
    if encoding is not None and encoding.strip().lower() not in {"", "identity"}:
        raise UnsupportedMediaType("a compressed body is not accepted")
    return parse_options_header(call.header(b"content-type"))


async def _decoded(call: Call, most: int) -> dict[str, Any]:
    """Return the JSON object of the body. A large one is kept on the disk until all of it is there."""
    pieces: list[bytes] = []
    file: BinaryIO | None = None
    read = 0
    with ExitStack() as stack:
        async for piece in _pieces(call, most):
            pieces.append(piece)
            read += len(piece)
            if read > LARGE_BYTES:
                file = file or stack.enter_context(tempfile.TemporaryFile(dir=call.web.spool))
                await asyncio.to_thread(file.writelines, pieces)
                pieces.clear()
        if file is None:
            return strict_json.decode(b"".join(pieces))
        file.seek(0)
        return strict_json.decode(file.read())


async def _pieces(call: Call, most: int) -> AsyncIterator[bytes]:
    declared = whole(call.header(b"content-length") or "")
    if declared is not None and declared > most:
        raise _too_large(most)
    read = 0
    loop = asyncio.get_running_loop()
    began = loop.time()
    while True:
        until = began + call.web.body_s + read / call.web.body_bytes_per_s
        try:
            async with asyncio.timeout_at(until):
                message = await call.receive()
        except TimeoutError as error:
            raise RequestTimeout(f"the body did not arrive within {until - began:.3g} seconds") from error
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
