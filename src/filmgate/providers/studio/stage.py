"""The stage: an order in, frames and sound out."""

import math
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from filmgate.providers.studio.badge import Badge
from filmgate.providers.studio.order import FilmOrder, StillOrder
from filmgate.providers.studio.scene.pixels import Image, resized
from filmgate.providers.studio.scene.scenery import build
from filmgate.providers.studio.scene.shot import Shot, compose
from filmgate.providers.studio.screenplay import Screenplay, read_prompt
from filmgate.providers.studio.sound import soundtrack

_LARGEST_DRAWN: Final = 1_400_000  # pixels; larger frames are drawn at two thirds and enlarged
_SHRINK: Final = 2 / 3
_STILL_SPAN_S: Final = 6.0  # a still is the middle of a film of this length


class Film:
    """A clip that can be asked for any of its frames, in any order."""

    def __init__(self, order: FilmOrder) -> None:
        self._order = order
        self._painter = _Painter(
            order.prompt,
            order.seed,
            width=order.width,
            height=order.height,
            duration_s=order.duration_s,
            watermark=order.watermark,
        )
        self.frame_count: int = order.duration_s * order.fps

    def frame(self, i: int) -> NDArray[np.uint8]:
        """Return frame `i`, BGRA; the array is reused by the next call."""
        if not 0 <= i < self.frame_count:
            raise IndexError(f"frame {i} of {self.frame_count}")
        return self._painter.paint(i / self._order.fps)

    def soundtrack(self) -> NDArray[np.float32]:
        """Return the ambience, (samples, 2) at SAMPLE_RATE."""
        order = self._order
        return soundtrack(
            self._painter.screenplay, prompt=order.prompt, seed=order.seed, duration_s=order.duration_s
        )


def stage(order: FilmOrder) -> Film:
    """Prepare everything that does not move; frames are then cheap."""
    return Film(order)


def still(order: StillOrder, k: int) -> NDArray[np.uint8]:
    """Return picture `k` of a still order, BGRA."""
    painter = _Painter(
        order.prompt,
        order.seed + k,
        width=order.width,
        height=order.height,
        duration_s=_STILL_SPAN_S,
        watermark=order.watermark,
    )
    return painter.paint(_STILL_SPAN_S / 2)


class _Painter:
    """Paints moments of one shot at the size asked for."""

    def __init__(
        self, prompt: str, seed: int, *, width: int, height: int, duration_s: float, watermark: bool
    ) -> None:
        self._size = (width, height)
        drawn_width, drawn_height = _drawn_size(width, height)
        self._shot: Shot = compose(
            read_prompt(prompt),
            prompt=prompt,
            seed=seed,
            width=drawn_width,
            height=drawn_height,
            duration_s=duration_s,
        )
        self._elements = build(self._shot)
        self._badge = Badge(width, height) if watermark else None
        self._canvas: Image = np.zeros((drawn_height, drawn_width, 4), np.uint8)

    @property
    def screenplay(self) -> Screenplay:
        """What the film shows."""
        return self._shot.screenplay

    def paint(self, seconds: float) -> Image:
        moment = self._shot.moment(seconds)
        for element in self._elements:
            element.draw(self._canvas, moment)
        picture = self._canvas
        if (picture.shape[1], picture.shape[0]) != self._size:
            picture = resized(picture, *self._size, cv2.INTER_CUBIC)
        if self._badge is not None:
            self._badge.draw(picture)
        picture[..., 3] = 255
        return picture


def _drawn_size(width: int, height: int) -> tuple[int, int]:
    if width * height <= _LARGEST_DRAWN:
        return width, height
    return math.ceil(width * _SHRINK), math.ceil(height * _SHRINK)
