"""Files that a stranger might send: good ones of every kind that is taken, and bad ones of many."""

import io
import random
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final

import av
import numpy as np
from PIL import Image

from filmgate.core.generation import MediaKind

IMAGE: Final = MediaKind.IMAGE
VIDEO: Final = MediaKind.VIDEO
AUDIO: Final = MediaKind.AUDIO

_DAMAGED: Final = "damaged|breaks off|nothing in the file|neither pictures"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bad:
    """A file that is sent as `kind` and refused; `says` is a pattern of the reason."""

    name: str
    content: bytes
    kind: MediaKind
    says: str


# --- good ---------------------------------------------------------------------------------------


def picture(form: str = "PNG", size: tuple[int, int] = (64, 48), **how: object) -> bytes:
    """Return a picture with something on it."""
    pixels = np.random.default_rng(1).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form, **how)
    return file.getvalue()


def rotated_picture() -> bytes:
    """Return a picture of 64 x 48 that is shown as 48 x 64."""
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "höhe"
    return picture("JPEG", exif=exif)


def animation(frames: int = 3) -> bytes:
    """Return a GIF of so many frames, each of one pixel."""
    screen = b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff"
    frame = b"\x2c\0\0\0\0\x01\0\x01\0\0\x02\x02\x44\x01\0"
    return screen + frame * frames + b";"


def film(
    form: str = "mp4",
    video: str | None = "libx264",
    audio: str | None = None,
    *,
    rotation: int = 0,
    frames: int = 24,
    apart_s: int = 0,
) -> bytes:
    """Return a second of pictures of 320 x 180, of sound, or of both; `apart_s` draws it out."""
    file = io.BytesIO()
    with av.open(file, "w", format=form) as container:
        pictures = None if video is None else container.add_stream(video, rate=24)
        sound = None if audio is None else container.add_stream(audio, rate=48_000, layout="mono")
        if isinstance(pictures, av.VideoStream):
            pictures.width, pictures.height, pictures.pix_fmt = 320, 180, "yuv420p"
            if rotation:
                pictures.set_display_rotation(rotation)
            for n in range(frames):
                pixels = np.full((180, 320, 3), n * 9 % 255, np.uint8)
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                frame.pts = n * (apart_s * 24 or 1)
                container.mux(pictures.encode(frame))
            container.mux(pictures.encode(None))
        if isinstance(sound, av.AudioStream):
            for samples in _silence(sound):
                container.mux(sound.encode(samples))
            container.mux(sound.encode(None))
    return file.getvalue()


def _silence(stream: av.AudioStream) -> Iterator[av.AudioFrame]:
    size = stream.codec_context.frame_size or 1_024
    form = stream.codec_context.format.name
    kind = {"flt": np.float32, "s32": np.int32, "s16": np.int16}[form[:3]]
    for n in range(48_000 // size):
        frame = av.AudioFrame.from_ndarray(np.zeros((1, size), kind), format=form, layout="mono")
        frame.sample_rate, frame.pts = 48_000, n * size
        yield frame


# --- bad ----------------------------------------------------------------------------------------


def _png(width: int, height: int, *, rows: bytes = b"", chunks: bytes = b"") -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + chunks + _chunk(b"IDAT", rows) + _chunk(b"IEND", b"")
    )


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _pixel_bomb(side: int) -> bytes:
    packer = zlib.compressobj(1)
    rows = bytes((side + 1) * 100)
    packed = [packer.compress(rows) for _ in range(side // 100)]
    return _png(side, side, rows=b"".join(packed) + packer.flush())


def _zip() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb", bytes(10_000_000))
    return file.getvalue()


def _noise(seed: int, size: int = 4_096) -> bytes:
    return random.Random(seed).randbytes(size)


_SVG: Final = b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'
_PLAYLIST: Final = b"#EXTM3U\n#EXT-X-VERSION:3\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"
_CONCAT: Final = b"ffconcat version 1.0\nfile /etc/passwd\nfile http://169.254.169.254/\n"


def _bad(name: str, kind: MediaKind, says: str, content: bytes) -> Bad:
    return Bad(name=name, content=content, kind=kind, says=says)


@cache
def corpus() -> tuple[Bad, ...]:
    """Return the bad files; each has a name of its own."""
    whole = {form: picture(form) for form in ("PNG", "JPEG", "GIF", "WEBP", "BMP")}
    mp4, webm = film(audio="aac"), film("webm", "libvpx")
    half: Callable[[bytes], bytes] = lambda content: content[: len(content) // 2]  # noqa: E731
    return (
        _bad("empty", IMAGE, "empty", b""),
        *(_bad(f"half a {form}", IMAGE, _DAMAGED, half(content)) for form, content in whole.items()),
        _bad("a PNG without its end", IMAGE, _DAMAGED, whole["PNG"][:-200]),
        _bad("only a PNG's signature", IMAGE, _DAMAGED, whole["PNG"][:8]),
        _bad("only a JPEG's signature", IMAGE, _DAMAGED, b"\xff\xd8\xff\xe0"),
        _bad("a PNG full of noise", IMAGE, _DAMAGED, whole["PNG"][:41] + _noise(1)),
        _bad("a PNG of 13000 x 13000", IMAGE, "more than 50000000 pixels", _pixel_bomb(13_000)),
        _bad(
            "a PNG that says 2147483647 x 2147483647",
            IMAGE,
            "more than 50000000 pixels",
            _png(2**31 - 1, 2**31 - 1),
        ),
        _bad("a PNG of 0 x 0", IMAGE, _DAMAGED + "|no picture", _png(0, 0)),
        _bad(
            "a PNG with far too much text",
            IMAGE,
            _DAMAGED,
            _png(1, 1, chunks=_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(20_000_000), 1))),
        ),
        _bad("a GIF of 10000 frames", IMAGE, "more than 500 frames", animation(10_000)),
        _bad(
            "an APNG of 10000 frames",
            IMAGE,
            "more than 500 frames|damaged",
            _png(1, 1, rows=zlib.compress(b"\0\0"), chunks=_chunk(b"acTL", struct.pack(">II", 10_000, 0))),
        ),
        _bad("an SVG", IMAGE, "an SVG", _SVG),
        _bad("an SVG after a prologue", IMAGE, "an SVG", b'\xef\xbb\xbf<?xml version="1.0"?>\n' + _SVG),
        _bad("an HTML page", IMAGE, "an HTML page", b"<!DOCTYPE html><html><body>404</body></html>"),
        _bad("a JSON error", IMAGE, "a text file", b'{"error": "not found"}'),
        _bad("a PDF", IMAGE, "a PDF", b"%PDF-1.7\n" + _noise(2)),
        _bad("a ZIP", IMAGE, "a ZIP", _zip()),
        _bad("a TIFF", IMAGE, "a TIFF", picture("TIFF")),
        _bad("a HEIC", IMAGE, "HEIC", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + _noise(3)),
        _bad("noise", IMAGE, "no file of a kind", b"\x07" + _noise(4)),
        _bad("a script that begins like a GIF", IMAGE, _DAMAGED, b"GIF89a/*" + b"A" * 500 + b"*/=1;alert(1)"),
        _bad("a film as a picture", IMAGE, "this is a video", mp4),
        _bad("a sound as a picture", IMAGE, "this is audio", film("wav", None, "pcm_s16le")),
        _bad("a picture as a film", VIDEO, "this is an image", whole["PNG"]),
        _bad("a sound as a film", VIDEO, "this is audio", film("mp4", None, "aac")),
        _bad("half an MP4", VIDEO, "breaks off", half(mp4)),
        _bad("an MP4 without its last byte", VIDEO, "breaks off", mp4[:-1]),
        _bad("only an MP4's first box", VIDEO, _DAMAGED, mp4[:28]),
        _bad("an MP4 full of noise", VIDEO, _DAMAGED, mp4[:48] + _noise(5, len(mp4))),
        _bad("an MP4 of seven hours", VIDEO, "lasts longer than 3600", film(frames=24, apart_s=1_000)),
        _bad("an MP4 of no streams", VIDEO, _DAMAGED, b"\0\0\0\x10ftypisom\0\0\0\0\0\0\0\x08moov"),
        _bad("a tenth of a WebM", VIDEO, _DAMAGED, webm[: len(webm) // 10]),
        _bad("an HLS playlist as a film", VIDEO, "an HLS playlist", _PLAYLIST),
        _bad("a concat script as a film", VIDEO, "a concat script", _CONCAT),
        _bad("an SDP as a film", VIDEO, "no file of a kind", b"v=0\no=- 0 0 IN IP4 127.0.0.1\n"),
        _bad("a playlist behind an MP4's name", VIDEO, _DAMAGED, b"\0\0\0\x08ftyp" + _PLAYLIST),
        _bad("an MP3 of noise", AUDIO, _DAMAGED, b"\xff\xfb" + _noise(6)),
        _bad("a WAV without samples", AUDIO, _DAMAGED, film("wav", None, "pcm_s16le")[:40]),
    )
