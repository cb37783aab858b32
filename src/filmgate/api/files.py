"""Files over HTTP: in ranges, from any blob store, with flat memory."""

import asyncio
import re
from collections.abc import AsyncGenerator, Sequence
from typing import Final

from filmgate.api.answer import Answer, Headers, Stream
from filmgate.api.call import Call
from filmgate.api.links import EXTENSIONS
from filmgate.api.ranges import Unsatisfiable, parse_range
from filmgate.api.routing import About, Route
from filmgate.api.web import Web
from filmgate.core import presign
from filmgate.core.errors import NotFound
from filmgate.core.task import Output
from filmgate.ports import Ports
from filmgate.ports.blobs import Reader

# Large pieces: each costs a thread's wake-up and a system call, and memory holds but one a download.
PIECE_BYTES: Final = 256 * 1024
# How long a link to the object store works: players come back to it as they go on, nobody keeps it.
REDIRECT_S: Final = 3_600

_FILE: Final = re.compile(r"([0-9a-f]{64})\.[a-z0-9]{1,5}")
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,100}")
_PARAMS: Final = frozenset({"exp", "kid", "name", "sig"})


def routes(ports: Ports, web: Web) -> Sequence[Route]:
    """Return the route of signed links: the signature stands in for a key."""

    async def get_file(call: Call) -> Answer | Stream:
        blob = _FILE.fullmatch(call.params["file"])
        # Only the spelling that was signed: an escaped one is another address.
        if blob is None or call.scope.get("raw_path", b"").decode("latin-1") != call.scope["path"]:
            raise NotFound("there is no such file")
        link = _good_link(call, ports, web)
        if link is None:
            return _forbidden()
        output = await ports.store.output(blob[1])
        if output is None:
            raise NotFound("there is no such file")
        # A link to elsewhere is signed for GET alone.
        if call.method == "GET" and (elsewhere := await _redirect(ports, link, output)) is not None:
            return elsewhere
        return await send_file(ports, call, output, filename=link.filename)

    return [Route(method="GET", path="/files/{file}", handle=get_file, open=True, about=_ABOUT)]


_ABOUT: Final = About(
    tag="Files",
    summary="Get a finished file by its signed link",
    media_type="application/octet-stream",
    statuses=(200, 206, 302),
    errors=(404,),
)


def _good_link(call: Call, ports: Ports, web: Web) -> presign.Link | None:
    """Return the link that was used if it is good."""
    pairs = call.query_pairs
    query = dict(pairs)
    if len(query) != len(pairs) or not query.keys() <= _PARAMS:
        return None
    filename = query.get("name", "")
    if "name" in query and not _NAME.fullmatch(filename):
        return None
    link = presign.Link(
        path=call.scope["path"],
        expires=query.get("exp", ""),
        kid=query.get("kid", ""),
        signature=query.get("sig", ""),
        filename=filename,
    )
    return link if presign.is_good(link, key=web.signing_key, now=ports.clock.now()) else None


async def _redirect(ports: Ports, link: presign.Link, output: Output) -> Answer | None:
    """Return where else the file is, for no longer than the link works, if it can be fetched there."""
    left_s = int(link.expires) - int(ports.clock.now().timestamp())
    lifetime_s = min(left_s, REDIRECT_S)
    disposition = _disposition(output, link.filename)
    url = await ports.blobs.link(
        output.blob, lifetime_s=lifetime_s, disposition=disposition, mime=output.mime
    )
    if url is None:
        return None
    headers = [
        (b"location", url.encode()),
        # Kept for half its time at most, so that what is kept works for a while yet.
        (b"cache-control", f"private, max-age={lifetime_s // 2}".encode()),
        (b"referrer-policy", b"no-referrer"),
    ]
    return Answer(None, 302, headers)


def _forbidden() -> Answer:
    message = "this link is not valid, or its time is over; read the task again for a fresh one"
    return Answer({"error": {"message": message, "type": "invalid_link", "param": None, "code": "403"}}, 403)


async def send_file(
    ports: Ports, call: Call, output: Output, *, filename: str = "", attached: bool = False
) -> Answer | Stream:
    """Return the whole file or the part that was asked for."""
    tag = f'"{output.blob}"'
    kept = call.header(b"if-none-match")
    headers = _headers(output, tag, filename=filename, attached=attached)
    if kept is not None and (kept.strip() == "*" or tag in kept.replace("W/", "")):
        return Stream(_nothing(), 304, [header for header in headers if header[0] != b"content-type"])
    reader = await ports.blobs.open(output.blob)
    if reader is None:
        raise NotFound("there is no such file")
    try:
        first, end = 0, reader.size_bytes
        asked = call.header(b"range")
        status = 200
        if asked is not None and call.header(b"if-range") in {None, tag}:
            part = parse_range(asked, reader.size_bytes)
            if part is not None:
                first, end = part
                status = 206
                headers.append((b"content-range", f"bytes {first}-{end - 1}/{reader.size_bytes}".encode()))
        headers.append((b"content-length", str(end - first).encode()))
    except Unsatisfiable:
        size = reader.size_bytes
        reader.close()
        return Stream(
            _nothing(), 416, [(b"content-range", f"bytes */{size}".encode()), (b"content-length", b"0")]
        )
    if call.method == "HEAD":
        reader.close()
        return Stream(_nothing(), status, headers)
    return Stream(_pieces(reader, first, end), status, headers)


def _headers(output: Output, tag: str, *, filename: str, attached: bool) -> Headers:
    headers = [
        (b"content-type", output.mime.encode("latin-1")),
        (b"accept-ranges", b"bytes"),
        (b"etag", tag.encode()),
        # A link's address names the content's hash: what is there never changes.
        (b"cache-control", b"private, no-cache" if attached else b"private, max-age=31536000, immutable"),
        (b"content-disposition", _disposition(output, filename, attached=attached).encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
    ]
    if attached or not _is_shown(output):
        headers.append((b"content-security-policy", b"sandbox"))
    return headers


def _disposition(output: Output, filename: str, *, attached: bool = False) -> str:
    disposition = "inline" if _is_shown(output) and not attached else "attachment"
    return f'{disposition}; filename="{filename}"' if filename else disposition


def _is_shown(output: Output) -> bool:
    # Of the types we know: an SVG is a picture too, and a program.
    return output.mime in EXTENSIONS and output.mime.startswith(("image/", "video/"))


async def _pieces(reader: Reader, first: int, end: int) -> AsyncGenerator[bytes]:
    loop = asyncio.get_running_loop()
    try:
        while first < end:
            piece = await loop.run_in_executor(None, reader.read, first, min(PIECE_BYTES, end - first))
            if not piece:
                raise EOFError("a stored file is shorter than it was")
            first += len(piece)
            yield piece
    finally:
        reader.close()


async def _nothing() -> AsyncGenerator[bytes]:
    nothing: tuple[bytes, ...] = ()
    for piece in nothing:
        yield piece
