"""Look into one file: only ever run in a child process that can do nothing else."""

import os
import warnings
from collections.abc import Iterable
from itertools import islice
from typing import BinaryIO, Final, TypeVar

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from PIL import (
    BmpImagePlugin,  # noqa: F401  (what is not imported now cannot be once no file may be opened)
    GifImagePlugin,  # noqa: F401
    Image,
    JpegImagePlugin,  # noqa: F401
    PngImagePlugin,  # noqa: F401
    TiffImagePlugin,  # noqa: F401
    WebPImagePlugin,  # noqa: F401
)

from filmgate.core.errors import InputInvalid
from filmgate.core.generation import MediaKind
from filmgate.media.formats import HEAD_BYTES, MOST_BYTES, QUICKTIME, Format, recognise
from filmgate.ports.media import Probed

MOST_PIXELS: Final = 50_000_000
MOST_FRAMES: Final = 500  # of an animated picture
MOST_STREAMS: Final = 32
MOST_S: Final = 3_600.0
FRAMES_TO_DECODE: Final = 2

_ORIENTATION: Final = 0x0112
_TURNED: Final = frozenset({5, 6, 7, 8})  # the EXIF orientations that swap width and height

_Frame = TypeVar("_Frame")

Image.MAX_IMAGE_PIXELS = MOST_PIXELS
warnings.simplefilter("error", Image.DecompressionBombWarning)


def look(file: BinaryIO) -> Probed:
    """Return what `file` is, or raise InputInvalid, or whatever a decoder makes of damage."""
    size = os.fstat(file.fileno()).st_size
    found = recognise(file.read(HEAD_BYTES))
    file.seek(0)
    _check_size(found.kind or MediaKind.VIDEO, size)
    if found.kind is MediaKind.IMAGE:
        return _look_at_picture(file, found, size)
    if found.reader == QUICKTIME.reader:
        _check_boxes(file, size)
        file.seek(0)
    # One thread, and no other file or address, whatever this one says.
    only: dict[str, str] = {"protocol_whitelist": "", "format_whitelist": found.reader}
    with av.open(
        file, "r", format=found.reader, container_options=only, metadata_errors="ignore"
    ) as container:
        return _look_at_streams(container, found, size)


def _check_size(kind: MediaKind, size: int) -> None:
    if size > MOST_BYTES[kind]:
        raise InputInvalid(f"the file is larger than {MOST_BYTES[kind]} bytes, the most for {kind} inputs")


def _look_at_picture(file: BinaryIO, found: Format, size: int) -> Probed:
    try:
        picture = Image.open(file, formats=[found.reader])
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise _too_many_pixels() from None
    with picture:
        width, height = picture.size
        _check_pixels(width, height)
        frames: int = getattr(picture, "n_frames", 1)
        if frames > MOST_FRAMES:
            raise InputInvalid(f"the picture has more than {MOST_FRAMES} frames")
        for n in range(min(frames, FRAMES_TO_DECODE)):
            picture.seek(n)
            picture.load()
        picture.seek(0)
        if picture.getexif().get(_ORIENTATION) in _TURNED:
            width, height = height, width
    return Probed(kind=MediaKind.IMAGE, mime=found.mime, size_bytes=size, width=width, height=height)


def _look_at_streams(container: InputContainer, found: Format, size: int) -> Probed:
    if len(container.streams) > MOST_STREAMS:
        raise InputInvalid(f"the file has more than {MOST_STREAMS} streams")
    duration_s = _duration(container)
    if duration_s > MOST_S:
        raise InputInvalid(f"the file says that it lasts longer than {MOST_S:g} seconds")
    films = [
        stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic
    ]
    if films and found.kind is not MediaKind.AUDIO:
        _check_pixels(films[0].codec_context.width, films[0].codec_context.height)
        frame = _first_picture(container, films[0])
        _check_pixels(frame.width, frame.height)
        width, height = (frame.width, frame.height)[:: -1 if frame.rotation % 180 else 1]
        return Probed(
            kind=MediaKind.VIDEO,
            mime=found.mime,
            size_bytes=size,
            width=width,
            height=height,
            duration_s=duration_s,
        )
    if not container.streams.audio:
        raise InputInvalid(f"the {found.name} file has neither pictures nor sound")
    _check_size(MediaKind.AUDIO, size)
    _ = _first(islice(container.decode(container.streams.audio[0]), FRAMES_TO_DECODE))
    mime = found.mime.replace("video/", "audio/").replace("audio/quicktime", "audio/mp4")
    return Probed(kind=MediaKind.AUDIO, mime=mime, size_bytes=size, duration_s=duration_s)


def _duration(container: InputContainer) -> float:
    """Return the seconds that the file says, or those that its packets say if it says none."""
    if container.duration is not None:
        return container.duration / av.time_base
    ends = [
        (packet.pts + (packet.duration or 0)) * packet.time_base
        for packet in container.demux()
        if packet.pts is not None and packet.time_base is not None
    ]
    container.seek(0)
    return float(max(ends, default=0))


def _first_picture(container: InputContainer, stream: VideoStream) -> VideoFrame:
    """Return the first picture, once the first two could be decoded."""
    stream.thread_type = "NONE"
    stream.codec_context.thread_count = 1
    return _first(islice(container.decode(stream), FRAMES_TO_DECODE))


def _first(frames: Iterable[_Frame]) -> _Frame:
    decoded = list(frames)
    if not decoded:
        raise InputInvalid("nothing in the file can be played")
    return decoded[0]


def _check_pixels(width: int, height: int) -> None:
    if width * height > MOST_PIXELS:
        raise _too_many_pixels()
    if not width or not height:
        raise InputInvalid("the file has no picture")


def _too_many_pixels() -> InputInvalid:
    return InputInvalid(f"the picture has more than {MOST_PIXELS} pixels")


def _check_boxes(file: BinaryIO, size: int) -> None:
    """Raise InputInvalid where an MP4 breaks off: its first pictures may be there all the same."""
    at = 0
    while at < size:
        file.seek(at)
        header = file.read(16)
        length = int.from_bytes(header[:4], "big")
        if length == 1:
            length = int.from_bytes(header[8:16], "big")
        elif length == 0:  # to the end
            return
        if len(header) < _BOX_BYTES or length < _BOX_BYTES or at + length > size:
            raise InputInvalid("the file breaks off before its end")
        at += length


_BOX_BYTES: Final = 8
