"""What to submit, as the body of a request: JSON where all is said in words, a form where files go along."""

import mimetypes
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeAlias, TypedDict
from uuid import uuid4

from filmgate.client.steps import Part, Request

# A file's path, its content, or where it is: a str that begins with http://, https:// or data: is a URL.
Source: TypeAlias = str | os.PathLike[str] | bytes

DEFAULT_MODEL: Final = "studio"
_URLS: Final = ("http://", "https://", "data:")
_UNKNOWN: Final = "application/octet-stream"


class Wish(TypedDict, total=False):
    """What can be said beside the prompt; for whatever is left out, the model's defaults hold.

    `size` ("1280x720") or `resolution` ("720p") with `aspect_ratio` ("16:9") say how large it is.
    `image` is the first picture, `last_frame` the last; `references` are pictures or clips to go by,
    `video` is a clip to rework and `audio` a sound to go by; `sound` False makes it silent.
    `idempotency_key` makes the same call the same task, even from another process; one is made up for
    each call otherwise, so that a retry of the client's own never makes two tasks.
    """

    model: str
    duration_s: int
    size: str
    resolution: str
    aspect_ratio: str
    seed: int
    image: Source
    last_frame: Source
    references: Sequence[Source]
    video: Source
    audio: Source
    sound: bool
    watermark: bool
    return_last_frame: bool
    callback_url: str
    metadata: Mapping[str, str]
    idempotency_key: str


_WORDS: Final = {
    "duration_s": "duration",
    "size": "size",
    "resolution": "resolution",
    "aspect_ratio": "aspect_ratio",
    "seed": "seed",
    "sound": "generate_audio",
    "watermark": "watermark",
    "return_last_frame": "return_last_frame",
    "callback_url": "callback_url",
}
_MEDIA: Final = {"image": "input_reference", "last_frame": "last_frame", "video": "source_video"}
_REFERENCES: Final = "input_references"


def submission(path: str, prompt: str, wish: Wish, files: ExitStack) -> Request:
    """Return the request that asks for it at `path`; the files it sends are open until `files` closes."""
    said: dict[str, Any] = {name: value for name, value in wish.items() if value is not None}
    if unknown := said.keys() - Wish.__annotations__.keys():
        raise TypeError(f"submit() has no argument {min(unknown)!r}")
    headers = {"idempotency-key": said.get("idempotency_key") or str(uuid4())}
    fields = {"model": said.get("model", DEFAULT_MODEL), "prompt": prompt}
    fields |= {word: said[name] for name, word in _WORDS.items() if name in said}
    if "metadata" in said:
        fields["metadata"] = dict(said["metadata"])
    media = [(word, said[name]) for name, word in _MEDIA.items() if name in said]
    references = [*said.get("references", ()), *([said["audio"]] if "audio" in said else ())]
    if all(_is_url(source) for source in [*(source for _, source in media), *references]):
        fields |= dict(media)
        if references:
            fields[_REFERENCES] = [_reference(url) for url in references]
        return Request(method="POST", path=path, headers=headers, json=fields)
    parts = [
        *_texts(fields),
        *(_part(word, source, files) for word, source in media),
        *(part for n, source in enumerate(references) for part in _reference_parts(n, source, files)),
    ]
    return Request(method="POST", path=path, headers=headers, parts=parts)


def _is_url(source: Source) -> bool:
    return isinstance(source, str) and source.startswith(_URLS)


def _reference(url: str) -> dict[str, Any]:
    kind = f"{_kind_of_url(url)}_url"
    return {"type": kind, kind: {"url": url}}


def _kind_of_url(url: str) -> str:
    if url.startswith("data:"):
        mime = url[len("data:") :].partition(";")[0].partition(",")[0]
    else:
        mime = mimetypes.guess_type(url.partition("?")[0].partition("#")[0])[0] or ""
    kind = mime.partition("/")[0]
    return kind if kind in {"video", "audio"} else "image"


def _texts(fields: Mapping[str, Any]) -> Iterator[Part]:
    for name, value in fields.items():
        match value:
            case bool():
                yield _text(name, "true" if value else "false")
            case dict():
                yield from (_text(f"{name}[{key}]", str(item)) for key, item in value.items())
            case _:
                yield _text(name, str(value))


def _text(name: str, text: str) -> Part:
    return name, (None, text, None)


def _part(name: str, source: Source, files: ExitStack) -> Part:
    if isinstance(source, str) and _is_url(source):
        return _text(name, source)
    return name, _file(source, files)


def _reference_parts(n: int, source: Source, files: ExitStack) -> Iterator[Part]:
    if isinstance(source, str) and _is_url(source):
        kind = f"{_kind_of_url(source)}_url"
        yield _text(f"{_REFERENCES}[{n}][type]", kind)
        yield _text(f"{_REFERENCES}[{n}][{kind}][url]", source)
    else:
        yield f"{_REFERENCES}[{n}]", _file(source, files)


def _file(source: Source, files: ExitStack) -> tuple[str, bytes | BinaryIO, str]:
    if isinstance(source, bytes):
        return "upload", source, _mime_of(source)
    path = Path(source)
    mime, _ = mimetypes.guess_type(path.name)
    return path.name, files.enter_context(path.open("rb")), mime or _UNKNOWN


# How the files begin that people send; the server looks into them itself.
_BEGINNINGS: Final = (
    (b"\x89PNG", 0, "image/png"),
    (b"\xff\xd8\xff", 0, "image/jpeg"),
    (b"GIF8", 0, "image/gif"),
    (b"WEBP", 8, "image/webp"),
    (b"ftyp", 4, "video/mp4"),
    (b"\x1aE\xdf\xa3", 0, "video/webm"),
    (b"WAVE", 8, "audio/wav"),
    (b"OggS", 0, "audio/ogg"),
    (b"fLaC", 0, "audio/flac"),
    (b"ID3", 0, "audio/mpeg"),
)


def _mime_of(content: bytes) -> str:
    for magic, offset, mime in _BEGINNINGS:
        if content.startswith(magic, offset):
            return mime
    return _UNKNOWN
