"""The stage: an order in, frames and sound out."""

import math
from typing import Final, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from filmgate.core.generation import MediaKind
from filmgate.providers.studio.badge import Badge, Label
from filmgate.providers.studio.order import FilmOrder, Input, Order, StillOrder, Unusable
from filmgate.providers.studio.plates.footage import retimed
from filmgate.providers.studio.plates.montage import Montage
from filmgate.providers.studio.plates.sounds import laid_out, levelled, read_sound
from filmgate.providers.studio.scene.pixels import Image, resized
from filmgate.providers.studio.scene.scenery import build
from filmgate.providers.studio.scene.shot import Shot, compose
from filmgate.providers.studio.screenplay import read_prompt
from filmgate.providers.studio.sound import Sound, soundtrack

_LARGEST_DRAWN: Final = 1_400_000  # pixels; larger frames are drawn at two thirds and enlarged
_SHRINK: Final = 2 / 3
_STILL_SPAN_S: Final = 6.0  # a still is the middle of a film of this length
_BED: Final = 0.14  # of the ambience's loudness, beneath a sound that came in


class Film:
    """A clip that can be asked for any of its frames, in any order."""

    def __init__(self, order: FilmOrder) -> None:
        self._order = order
        self.frame_count: int = order.duration_s * order.fps
        end_s = (self.frame_count - 1) / order.fps
        self._picture = _Picture(order, order.seed, duration_s=order.duration_s, end_s=end_s)

    def frame(self, i: int) -> NDArray[np.uint8]:
        """Return frame `i`, BGRA; the array is reused by the next call."""
        if not 0 <= i < self.frame_count:
            raise IndexError(f"frame {i} of {self.frame_count}")
        return self._picture.at(i / self._order.fps)

    def soundtrack(self) -> NDArray[np.float32]:
        """Return the sound that came in, on a bed of ambience, or that alone: (samples, 2) at SAMPLE_RATE."""
        order = self._order
        ambience = soundtrack(
            read_prompt(order.prompt), prompt=order.prompt, seed=order.seed, duration_s=order.duration_s
        )
        given = _given_sounds(order)
        if not given:
            return ambience
        return np.clip(levelled(laid_out(given, order.duration_s)) + ambience * np.float32(_BED), -1, 1)


def stage(order: FilmOrder) -> Film:
    """Prepare everything that does not move; frames are then cheap. Raises `Unusable`."""
    return Film(order)


def still(order: StillOrder, k: int) -> NDArray[np.uint8]:
    """Return picture `k` of a still order, BGRA. Raises `Unusable`."""
    picture = _Picture(order, order.seed + k, duration_s=_STILL_SPAN_S, end_s=_STILL_SPAN_S)
    return picture.at(_STILL_SPAN_S / 2, opening_s=0)


# --- pictures -----------------------------------------------------------------------------------


class _Painter(Protocol):
    """Paints moments of one shot."""

    def paint(self, seconds: float) -> Image:
        """Return the picture at a time, opaque BGRA."""
        ...


class _Picture:
    """Moments of an order at the size asked for, with what is written on them."""

    def __init__(self, order: Order, seed: int, *, duration_s: float, end_s: float) -> None:
        self._size = (order.width, order.height)
        self._painter = _painter(order, seed, duration_s=duration_s, end_s=end_s)
        self._badge = Badge(*self._size) if order.watermark else None
        self._label = Label(order.marks.labels, *self._size) if order.marks.labels != "none" else None

    def at(self, seconds: float, *, opening_s: float | None = None) -> Image:
        """Return the picture at a time; `opening_s` is how long the viewer has seen any."""
        picture = self._painter.paint(seconds)
        if (picture.shape[1], picture.shape[0]) != self._size:
            picture = resized(picture, *self._size, cv2.INTER_CUBIC)
        if self._badge is not None:
            self._badge.draw(picture)
        if self._label is not None:
            self._label.draw(picture, seconds if opening_s is None else opening_s)
        picture[..., 3] = 255
        return picture


def _painter(order: Order, seed: int, *, duration_s: float, end_s: float) -> _Painter:
    shown = any(one.kind is not MediaKind.AUDIO for one in order.inputs)
    # What came in is shown as sharp as it is; only what we draw ourselves may be drawn smaller.
    width, height = (order.width, order.height) if shown else _drawn_size(order.width, order.height)
    shot = compose(
        read_prompt(order.prompt),
        prompt=order.prompt,
        seed=seed,
        width=width,
        height=height,
        duration_s=duration_s,
    )
    return Montage(shot, order.inputs, end_s=end_s) if shown else _Scene(shot)


class _Scene:
    """A shot that is drawn from nothing but the prompt."""

    def __init__(self, shot: Shot) -> None:
        self._shot = shot
        self._elements = build(shot)
        self._canvas: Image = np.zeros((shot.height, shot.width, 4), np.uint8)

    def paint(self, seconds: float) -> Image:
        """Draw every element, the farthest first."""
        moment = self._shot.moment(seconds)
        for element in self._elements:
            element.draw(self._canvas, moment)
        return self._canvas


def _drawn_size(width: int, height: int) -> tuple[int, int]:
    if width * height <= _LARGEST_DRAWN:
        return width, height
    return math.ceil(width * _SHRINK), math.ceil(height * _SHRINK)


# --- sound --------------------------------------------------------------------------------------


def _given_sounds(order: FilmOrder) -> list[Sound]:
    """Return the sounds among the inputs, else those of its clips; raises `Unusable`."""
    sounds = []
    for kind in (MediaKind.AUDIO, MediaKind.VIDEO):
        for place, one in enumerate(order.inputs, start=1):
            if one.kind is not kind:
                continue
            try:
                sound = read_sound(one.path, order.duration_s, speed=_speed(order, one))
            except Unusable as error:
                if kind is MediaKind.VIDEO:
                    continue  # its picture is what was asked for; a clip may be silent
                raise Unusable(f"Input {place} ({kind}) {error}.") from error
            if sound is not None and len(sound):
                sounds.append(sound)
            elif kind is MediaKind.AUDIO:
                raise Unusable(f"Input {place} ({kind}) has no sound.")
        if sounds:
            break
    return sounds


def _speed(order: FilmOrder, one: Input) -> float:
    """Return how fast the picture of a clip is played, for its sound to keep with it."""
    if one.kind is not MediaKind.VIDEO:
        return 1.0
    shown = sum(other.kind is not MediaKind.AUDIO for other in order.inputs)
    plan = retimed(one.duration_s, order.duration_s / shown)
    return plan.speed if plan is not None else 1.0
