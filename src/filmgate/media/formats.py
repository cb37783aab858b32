"""What a file is, by its first bytes: the short list of what is taken, and names for what is not."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from filmgate.core.errors import InputInvalid
from filmgate.core.generation import MediaKind

MIB: Final = 2**20
HEAD_BYTES: Final = 1_024

MOST_BYTES: Final[Mapping[MediaKind, int]] = {
    MediaKind.IMAGE: 30 * MIB,
    MediaKind.AUDIO: 50 * MIB,
    MediaKind.VIDEO: 200 * MIB,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A kind of file that is taken. `reader` is Pillow's name of it for pictures, else FFmpeg's.

    `kind` is None where only the streams inside tell.
    """

    name: str
    mime: str
    reader: str
    kind: MediaKind | None = None


def _image(name: str, mime: str) -> Format:
    return Format(name=name, mime=mime, reader=name, kind=MediaKind.IMAGE)


def _audio(name: str, mime: str, reader: str) -> Format:
    return Format(name=name, mime=mime, reader=reader, kind=MediaKind.AUDIO)


MP4: Final = Format(name="MP4", mime="video/mp4", reader="mov")
QUICKTIME: Final = Format(name="QuickTime", mime="video/quicktime", reader="mov")
WEBM: Final = Format(name="WebM", mime="video/webm", reader="matroska")
MATROSKA: Final = Format(name="Matroska", mime="video/x-matroska", reader="matroska")

_TAKEN: Final[tuple[tuple[re.Pattern[bytes], Format], ...]] = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), _image("PNG", "image/png")),
    (re.compile(rb"\xff\xd8\xff"), _image("JPEG", "image/jpeg")),
    (re.compile(rb"GIF8[79]a"), _image("GIF", "image/gif")),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), _image("WEBP", "image/webp")),
    (re.compile(rb"BM.{4}\0\0\0\0", re.DOTALL), _image("BMP", "image/bmp")),
    (re.compile(rb"....ftypqt  ", re.DOTALL), QUICKTIME),
    (re.compile(rb"....ftyp", re.DOTALL), MP4),
    (re.compile(rb"....(?:moov|mdat|wide|free|skip)", re.DOTALL), QUICKTIME),
    (re.compile(rb"\x1a\x45\xdf\xa3.{0,60}webm", re.DOTALL), WEBM),
    (re.compile(rb"\x1a\x45\xdf\xa3"), MATROSKA),
    (re.compile(rb"RIFF....WAVE", re.DOTALL), _audio("WAV", "audio/wav", "wav")),
    (re.compile(rb"ID3[\x02-\x04]|\xff[\xe2\xe3\xf2\xf3\xfa\xfb]"), _audio("MP3", "audio/mpeg", "mp3")),
    (re.compile(rb"\xff[\xf0\xf1\xf8\xf9]"), _audio("AAC", "audio/aac", "aac")),
    (re.compile(rb"OggS"), _audio("Ogg", "audio/ogg", "ogg")),
    (re.compile(rb"fLaC"), _audio("FLAC", "audio/flac", "flac")),
)
_TEXT: Final = rb"(?:\xef\xbb\xbf)?\s*"
_REFUSED: Final[tuple[tuple[re.Pattern[bytes], str], ...]] = (
    (re.compile(_TEXT + rb"#EXT"), "an HLS playlist"),
    (re.compile(_TEXT + rb"ffconcat"), "a concat script"),
    (
        re.compile(_TEXT + rb"(?:<\?xml.{0,900}|<!--.{0,900}|<!DOCTYPE )?<?svg", re.DOTALL | re.IGNORECASE),
        "an SVG",
    ),
    (re.compile(_TEXT + rb"<(?:!DOCTYPE html|html|head|script|body)", re.IGNORECASE), "an HTML page"),
    (re.compile(_TEXT + rb"[{\[<]"), "a text file"),
    (re.compile(rb"%PDF"), "a PDF"),
    (re.compile(rb"PK[\x03\x05]"), "a ZIP archive"),
    (re.compile(rb"II\*\0|MM\0\*"), "a TIFF"),
    (re.compile(rb"RIFF....AVI ", re.DOTALL), "an AVI"),
    (re.compile(rb"....ftyp(?:hei[cmsx]|hev[cmsx]|mif1|msf1|avi[fs])", re.DOTALL), "a HEIC or AVIF picture"),
)
_TAKES: Final = "PNG, JPEG, WebP, GIF, BMP, MP4, MOV, WebM, MP3, WAV, M4A, AAC, Ogg and FLAC are taken"


def recognise(head: bytes) -> Format:
    """Return what a file that begins with `head` is, whatever it is called, or raise InputInvalid."""
    if not head:
        raise InputInvalid("the file is empty")
    for pattern, name in _REFUSED:
        if pattern.match(head):
            raise InputInvalid(f"this is {name}; {_TAKES}")
    for pattern, taken in _TAKEN:
        if pattern.match(head):
            return taken
    raise InputInvalid(f"this is no file of a kind that is taken; {_TAKES}")
