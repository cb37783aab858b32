"""Inputs as they come with a submission: looked into and stored before anything else is."""

import asyncio
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from filmgate.api.call import Call
from filmgate.api.forms import UPLOAD, Upload
from filmgate.api.links import Links
from filmgate.api.schema import is_data
from filmgate.core.errors import InputInvalid, InputUnavailable, InvalidRequest
from filmgate.core.generation import Media, MediaKind
from filmgate.core.numbers import whole
from filmgate.ports import Ports
from filmgate.ports.blobs import Blob
from filmgate.ports.media import Probed
from filmgate.service.prepare_inputs import known, of_kind

_DATA: Final = re.compile(r"data:[^,]{0,200};base64,", re.IGNORECASE)
_SLICE: Final = 1 << 20  # characters of base64 at a time; four of them are three bytes


async def take_inputs(
    ports: Ports,
    call: Call,
    media: Sequence[Media],
    *,
    names: Mapping[str, str],
    uploads: Sequence[Upload] = (),
) -> tuple[Media, ...]:
    """Return the inputs with a blob for each file, data URI and link of ours, or raise InvalidRequest.

    Nothing is stored unless all are good. Other addresses stay as they are: nobody is asked for them
    while a caller waits. `names` says what the caller's dialect calls a field of ours.
    """
    taken = list(media)
    files: dict[int, tuple[Path, Probed]] = {}
    async with ports.media.scratch() as scratch:
        for n, one in enumerate(media):
            try:
                match await _found(ports, call, one, uploads, scratch / str(n)):
                    case Media() as same:
                        taken[n] = same
                    case Path() as path:
                        files[n] = path, of_kind(one.kind, await ports.media.probe(path))
            except (InputInvalid, InputUnavailable) as error:
                raise _about(error, one, names) from error
        for n, (path, probed) in files.items():
            taken[n] = known(replace(media[n], url=None), await ports.blobs.keep(path), probed)
    return tuple(taken)


def check_callback(ports: Ports, url: str) -> None:
    """Raise InvalidRequest for an address that no webhook will be sent to. Nobody is asked."""
    try:
        ports.sender.check_url(url)
    except InvalidRequest as error:
        raise InvalidRequest(f"callback_url: {error.message}", param="callback_url") from error


async def _found(
    ports: Ports, call: Call, media: Media, uploads: Sequence[Upload], into: Path
) -> Media | Path:
    """Return the input as it is known by now, or the file to look into."""
    url = media.url
    if url is None:
        return media
    if url.startswith(UPLOAD):
        return _upload(url, uploads)
    if is_data(url):
        await asyncio.to_thread(_decode, url, into)
        return into
    blob = Links(call.web, ports.clock).blob_of(url)
    if blob is None:
        ports.media.check_url(url)
        return media
    return await _own(ports, media, blob)


def _upload(reference: str, uploads: Sequence[Upload]) -> Path:
    n = whole(reference.removeprefix(UPLOAD).partition("/")[0])
    if n is None or n >= len(uploads):
        raise InputInvalid("names a file that the form does not have")
    return uploads[n].path


async def _own(ports: Ports, media: Media, blob: str) -> Media:
    """Return the input as a stored output of ours."""
    output = await ports.store.output(blob)
    if output is None or not await ports.blobs.renew(blob):
        raise InputUnavailable("there is no such file any more")
    probed = Probed(
        kind=MediaKind(output.mime.partition("/")[0]),
        mime=output.mime,
        size_bytes=output.size_bytes,
        width=output.width,
        height=output.height,
        duration_s=output.duration_s,
    )
    stored = Blob(id=blob, size_bytes=output.size_bytes)
    return known(replace(media, url=None), stored, of_kind(media.kind, probed))


def _decode(url: str, into: Path) -> None:
    """Write what a data URI holds; its own word for what that is counts for nothing."""
    data = _DATA.match(url)
    if data is None:
        raise InputInvalid("a data URI must be base64: data:image/png;base64,...")
    try:
        with into.open("xb") as file:
            for start in range(data.end(), len(url), _SLICE):
                piece = url[start : start + _SLICE]
                if "=" in piece and start + _SLICE < len(url):
                    raise InputInvalid("the data URI's base64 is broken")
                file.write(binascii.a2b_base64(piece, strict_mode=True))
    except ValueError as error:
        raise InputInvalid("the data URI's base64 is broken") from error


def _about(error: InvalidRequest, media: Media, names: Mapping[str, str]) -> InvalidRequest:
    name = names.get(f"{media.kind}s", f"{media.kind}s")
    return type(error)(f"{name}: {error.message}", param=name)
