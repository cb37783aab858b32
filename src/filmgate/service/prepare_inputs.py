"""Fetch and look into the inputs of a task that are still elsewhere, and store them."""

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeVar

from filmgate.core.errors import InputInvalid, InputUnavailable
from filmgate.core.generation import Generation, Media, MediaKind
from filmgate.ports import Ports
from filmgate.ports.blobs import Blob
from filmgate.ports.media import Probed

MOST_BYTES: Final = 200 * 2**20  # of one task's inputs together

_T = TypeVar("_T")


def is_prepared(generation: Generation) -> bool:
    """Say whether every input is here."""
    return all(media.blob is not None for media in generation.media)


async def prepare_inputs(ports: Ports, generation: Generation) -> Generation:
    """Return the generation with a blob for each input, or raise InputUnavailable or InputInvalid.

    Inputs that are here are not fetched again, and nothing is stored unless all are good.
    """
    media = list(generation.media)
    async with ports.media.scratch() as scratch:
        found = await _all_of(
            _fetch(ports, one, _place(n, media), scratch / str(n))
            for n, one in enumerate(media)
            if one.blob is None
        )
        if sum(probed.size_bytes for _, probed in found) > MOST_BYTES:
            raise InputInvalid(f"the inputs together are larger than {MOST_BYTES} bytes")
        for into, probed in found:
            n = int(into.name)
            media[n] = known(media[n], await ports.blobs.keep(into), probed)
    return generation.with_media(tuple(media))


async def _fetch(ports: Ports, media: Media, place: str, into: Path) -> tuple[Path, Probed]:
    assert media.url is not None, "an input is a URL or a blob"
    try:
        await ports.media.fetch(media.url, into, kind=media.kind)
        return into, of_kind(media.kind, await ports.media.probe(into))
    except (InputUnavailable, InputInvalid) as error:
        raise type(error)(f"{place}: {error.message}") from error


async def _all_of(work: Iterable[Coroutine[Any, Any, _T]]) -> list[_T]:
    """Return what all came to; where one fails, the others are stopped and its error is raised."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def paths_of(ports: Ports, generation: Generation) -> Sequence[Path]:
    """Return the files of the inputs, in order; InputUnavailable where one was removed meanwhile."""
    paths = []
    for media in generation.media:
        assert media.blob is not None, "a task's inputs are prepared before they are used"
        path = await ports.blobs.path(media.blob)
        if path is None:
            raise InputUnavailable(f"an {media.kind} input is no longer stored")
        paths.append(path)
    return paths


def of_kind(kind: MediaKind, probed: Probed) -> Probed:
    """Return what was found if it is what was asked for, or raise InputInvalid."""
    if probed.kind is not kind:
        raise InputInvalid(f"this is {_A[probed.kind]} ({probed.mime}), not {_A[kind]}")
    return probed


def known(media: Media, blob: Blob, probed: Probed) -> Media:
    """Return an input as the stored file that it turned out to be."""
    return replace(
        media,
        blob=blob.id,
        mime=probed.mime,
        width=probed.width,
        height=probed.height,
        duration_s=probed.duration_s,
    )


def _place(n: int, media: Sequence[Media]) -> str:
    """Say which input it is, in words that fit every dialect: `image 2`."""
    same = [m for m, one in enumerate(media) if one.kind is media[n].kind]
    return f"{media[n].kind} {same.index(n) + 1}" if len(same) > 1 else f"{media[n].kind}"


_A: Final = {MediaKind.IMAGE: "an image", MediaKind.VIDEO: "a video", MediaKind.AUDIO: "audio"}
