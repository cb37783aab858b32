"""Footage: a clip that comes in, read frame by frame as the film needs it, never more than two at a time."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame

from filmgate.providers.studio.order import Unusable
from filmgate.providers.studio.plates.pictures import blurred_fill
from filmgate.providers.studio.scene.pixels import Image, Plane, resized

# Containers that hold their own media. A playlist would make the demuxer open what it names.
_CONTAINERS: Final = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,ogg,wav,mp3,flac,aac,aiff,w64,caf,amr,gif"
)
_MOST_CROPPED: Final = 0.5
_HD_HEIGHT: Final = 720  # from here on, colours that do not say which they are, are BT.709
_BLINK_S: Final = 1 / 25  # between frames that do not say when they are due
_UNSPECIFIED: Final = 2
_QUARTER_TURNS: Final = {
    90: cv2.ROTATE_90_COUNTERCLOCKWISE,
    180: cv2.ROTATE_180,
    270: cv2.ROTATE_90_CLOCKWISE,
}


@contextmanager
def opened(path: Path) -> Iterator[InputContainer]:
    """Open a stranger's media file: read through our own handle, so that it can name no other file."""
    with path.open("rb") as file:
        options = {"format_whitelist": _CONTAINERS, "protocol_whitelist": "", "enable_drefs": "0"}
        with av.open(file, "r", options=options) as container:
            yield container


class Footage:
    """A clip from its beginning, seen from `start_s` of the film on at `speed`; its last frame stays."""

    def __init__(self, path: Path, size: tuple[int, int], *, start_s: float, speed: float) -> None:
        self._path, self._size = path, size
        self._start_s, self._speed = start_s, speed
        self._frames: Iterator[tuple[float, Image]] = iter(())
        self._shown: tuple[float, Image] | None = None
        self._next: tuple[float, Image] | None = None

    def view(self, seconds: float, drift: Plane | None = None) -> Image:  # noqa: ARG002  (it does not bend)
        """Return the frame of the clip that is due; where it has too few, a blend of two."""
        due = max(0.0, seconds - self._start_s) * self._speed
        if self._shown is None or due < self._shown[0]:
            self._rewind()
        while self._next is not None and self._next[0] <= due:
            self._shown, self._next = self._next, next(self._frames, None)
        assert self._shown is not None
        shown_at, picture = self._shown
        if self._next is None or self._speed >= 1:
            return picture.copy()
        next_at, following = self._next
        share = (due - shown_at) / max(next_at - shown_at, 1e-6)
        return np.asarray(cv2.addWeighted(picture, 1 - share, following, share, 0), np.uint8)

    def _rewind(self) -> None:
        self._frames = _frames(self._path, self._size)
        try:
            first = next(self._frames, None)
        except MemoryError as error:
            raise Unusable("is too large to be played") from error
        except (av.FFmpegError, OSError, ValueError) as error:
            raise Unusable("is damaged, or no video that the studio can play") from error
        if first is None:
            raise Unusable("has no frame that the studio can show")
        self._shown, self._next = first, next(self._frames, None)


def first_frame(path: Path, size: tuple[int, int]) -> Image:
    """Return the clip's first frame, fitted to a size; raises `Unusable`."""
    clip = Footage(path, size, start_s=0, speed=1)
    return clip.view(0)


# --- decoding -----------------------------------------------------------------------------------


def _frames(path: Path, size: tuple[int, int]) -> Iterator[tuple[float, Image]]:
    """Yield each frame with its time since the first; a clip that breaks off ends there."""
    with opened(path) as container:
        if not container.streams.video:
            raise Unusable("has no picture")
        stream = container.streams.video[0]
        stream.thread_count = 1  # memory for one decoder, and a core for whoever else needs it
        frames = iter(container.decode(stream))
        first = next(frames, None)
        if first is None:
            return
        aspect = stream.sample_aspect_ratio
        shape = _Shape.of(first, float(aspect) if aspect else 1.0, size)
        yield 0.0, shape.fitted(first)
        at = 0.0
        try:
            for frame in frames:
                at = at + _BLINK_S if frame.pts is None or first.pts is None else frame.time - first.time
                yield at, shape.fitted(frame)
        except (av.FFmpegError, OSError, ValueError):
            return  # what was whole until here is shown


@dataclass(frozen=True, slots=True)
class _Shape:
    """How frames of one clip come to fill a frame of the film."""

    size: tuple[int, int]
    scaled: tuple[int, int]  # as it is shown, upright
    turn: int  # degrees, counter-clockwise
    framed: bool

    @classmethod
    def of(cls, frame: VideoFrame, aspect: float, size: tuple[int, int]) -> "_Shape":
        turn = round(frame.rotation / 90) * 90 % 360
        wide, high = frame.width * min(8.0, max(0.125, aspect)), float(frame.height)
        if turn % 180:
            wide, high = high, wide
        scale = max(size[0] / wide, size[1] / high)
        framed = 1 - size[0] * size[1] / (scale * scale * wide * high) > _MOST_CROPPED
        if framed:
            scale = min(size[0] / wide, size[1] / high)
            scaled = (max(2, round(wide * scale)), max(2, round(high * scale)))
        else:
            scaled = (max(size[0], round(wide * scale)), max(size[1], round(high * scale)))
        return cls(size, scaled, turn, framed)

    def fitted(self, frame: VideoFrame) -> Image:
        # Not scaled and not to BGRA in one step: libswscale leaves rubbish in columns of odd widths there.
        picture = np.asarray(
            frame.reformat(format="bgr24", src_colorspace=_matrix(frame)).to_ndarray(), np.uint8
        )
        if self.turn:
            picture = np.asarray(cv2.rotate(picture, _QUARTER_TURNS[self.turn]), np.uint8)
        if (picture.shape[1], picture.shape[0]) != self.scaled:
            smaller = picture.shape[1] > self.scaled[0]
            picture = resized(picture, *self.scaled, cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)
        return self._placed(np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2BGRA), np.uint8))

    def _placed(self, picture: Image) -> Image:
        width, height = self.size
        rows, columns = picture.shape[:2]
        if self.framed:
            fill = blurred_fill(picture, width, height)
            top, left = max(0, (height - rows) // 2), max(0, (width - columns) // 2)
            fill[top : top + rows, left : left + columns] = picture[:height, :width]
            fill[..., 3] = 255
            return fill
        top, left = (rows - height) // 2, (columns - width) // 2
        shown = np.ascontiguousarray(picture[top : top + height, left : left + width])
        shown[..., 3] = 255
        return shown


def _matrix(frame: VideoFrame) -> int:
    if frame.colorspace == _UNSPECIFIED:
        return 1 if frame.height >= _HD_HEIGHT else 5
    return int(frame.colorspace)


# --- how long -----------------------------------------------------------------------------------

_SLOWEST, _FASTEST = 2 / 3, 1.25
_SHORTEST_S: Final = 0.35  # a shorter clip is a picture
_LOOP_JOIN_S: Final = 0.8


@dataclass(frozen=True, slots=True)
class Retiming:
    """How a clip fills a time: at `speed`, `passes` times over, each seen `pass_s` and joined in `join_s`."""

    speed: float
    passes: int
    pass_s: float
    join_s: float


def retimed(clip_s: float | None, wanted_s: float) -> Retiming | None:
    """Plan it, or return None where the clip is too short to be more than a picture.

    A little faster or slower hides that it is longer or shorter; what is too long is cut, what is too
    short begins again.
    """
    if clip_s is None:
        return Retiming(1.0, 1, wanted_s, 0)
    if clip_s < _SHORTEST_S:
        return None
    speed = min(_FASTEST, max(_SLOWEST, clip_s / wanted_s))
    lasts_s = clip_s / speed
    if lasts_s >= wanted_s - 1e-3:
        return Retiming(speed, 1, wanted_s, 0)
    join_s = min(_LOOP_JOIN_S, 0.3 * lasts_s)
    passes = math.ceil((wanted_s - join_s) / (lasts_s - join_s))
    return Retiming(speed, passes, wanted_s / passes, join_s)
