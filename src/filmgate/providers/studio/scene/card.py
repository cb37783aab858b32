"""The title card: what is shown of a prompt that names nothing the studio knows."""

import math
from typing import Final

import cv2
import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from filmgate.providers.studio.scene import noise
from filmgate.providers.studio.scene.pixels import (
    Image,
    Plane,
    colour,
    lay_over,
    layer,
    light,
    opaque,
    place,
    smoothstep,
)
from filmgate.providers.studio.scene.shot import Moment, Shot

_LIGHTS: Final = (
    ("#101a34", "#3a2a66", "#f08a5a"),
    ("#0e2226", "#1d4f56", "#f0c070"),
    ("#1c1226", "#5a2450", "#ff8fa0"),
    ("#10161e", "#28405a", "#9fd0ff"),
)
_LONGEST: Final = 90  # letters
_LINE: Final = 26
_SIZE: Final = 0.072  # of the shot's unit


class Card:
    """A slow play of light with the prompt's own words, where our letters can write them."""

    def __init__(self, shot: Shot, words: str) -> None:
        dice = shot.dice("card")
        self._shot = shot
        dark, middle, bright = (colour(code) for code in _LIGHTS[int(dice.integers(len(_LIGHTS)))])
        height, width = shot.height, shot.width
        rows = np.arange(height, dtype=np.float32)[:, None]
        folds = noise.stretched(noise.tile(dice, 256, roughness=2.4), width, height)
        share = smoothstep(-1.4, 1.6, folds + (rows / height - 0.5) * 1.2)
        self._backdrop = opaque(dark + (middle - dark) * share[..., None])
        size = int(shot.unit * 0.9) | 1
        self._glow = _glow(size, bright * np.float32(0.55))
        self._phases = dice.random((4, 3)).tolist()
        self._title = _title(words, shot)
        self._leader = None if self._title is not None else _leader(shot)

    def draw(self, canvas: Image, moment: Moment) -> None:
        """Fill the canvas; the words come up in the first second."""
        shot, seconds = self._shot, moment.seconds
        canvas[:] = self._backdrop
        for x, y, phase in self._phases:
            turn = phase * 6.3
            column = shot.width * (x + 0.16 * math.sin(seconds * 0.32 + turn))
            row = shot.height * (y + 0.12 * math.cos(seconds * 0.27 + turn))
            place(canvas, self._glow, column, row, glow=True)
        if self._title is not None:
            rise = min(1.0, 0.15 + seconds / 0.9)
            title = np.asarray(cv2.convertScaleAbs(self._title, alpha=rise), np.uint8)
            place(canvas, title, shot.width / 2, shot.height / 2)
        elif self._leader is not None:
            self._sweep(canvas, seconds)

    def _sweep(self, canvas: Image, seconds: float) -> None:
        """Turn a hand about the middle, as on the strip before a film."""
        shot = self._shot
        assert self._leader is not None
        lay_over(canvas, self._leader)
        radius, middle = shot.unit * 0.26, (shot.width / 2, shot.height / 2)
        angle = seconds * math.pi - math.pi / 2
        end = (int(middle[0] + radius * math.cos(angle)), int(middle[1] + radius * math.sin(angle)))
        thick = max(1, int(shot.unit / 240))
        cv2.line(canvas, (int(middle[0]), int(middle[1])), end, (235, 235, 235, 255), thick, cv2.LINE_AA)


def _glow(size: int, tint: Plane) -> Image:
    rows, columns = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j].astype(np.float32)
    away = np.hypot(rows, columns)
    return light(
        (np.exp(-((away / 0.42) ** 2)) * smoothstep(1.0, 0.7, away))[..., None] * tint * np.float32(0.45)
    )


def _title(words: str, shot: Shot) -> Image | None:
    """Write the words in the middle of a card; nothing where our letters cannot."""
    text = " ".join(words.split())
    if not text or not all(
        letter < "\u0180" or letter in "\u2018\u2019\u201c\u201d\u2013\u2014\u2026" for letter in text
    ):
        return None
    if len(text) > _LONGEST:
        text = text[:_LONGEST].rsplit(" ", 1)[0] + " …"
    lines = _lines(text)
    widest = max(len(line) for line in lines)
    size = max(9, int(min(shot.unit * _SIZE, shot.width * 1.5 / widest)))
    font = ImageFont.load_default(size=size)
    leading = int(size * 1.45)
    page = Pillow.new("L", (shot.width, leading * len(lines) + size), 0)
    pen = ImageDraw.Draw(page)
    for number, line in enumerate(lines):
        pen.text((shot.width / 2, size / 2 + leading * number), line, font=font, fill=255, anchor="ma")
    cover = np.asarray(page, np.float32) / 255
    shade = np.clip(cv2.GaussianBlur(cover, (0, 0), max(1.0, size / 6)), 0, 0.5)
    alpha = np.clip(cover * 0.94 + shade * (1 - cover), 0, 1).astype(np.float32)
    tones = (colour("#f6f1e6") * (cover / np.maximum(alpha, 1e-3))[..., None]).astype(np.float32)
    return layer(tones, alpha)


def _lines(text: str) -> list[str]:
    lines: list[str] = [""]
    for word in text.split(" "):
        if lines[-1] and len(lines[-1]) + len(word) >= _LINE:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def _leader(shot: Shot) -> Image:
    rows, columns = np.mgrid[0 : shot.height, 0 : shot.width].astype(np.float32)
    x, y = (
        (columns - shot.width / 2) / np.float32(shot.unit),
        (rows - shot.height / 2) / np.float32(shot.unit),
    )
    away, thin = np.hypot(x, y), np.float32(1.6 / shot.unit)
    cover = np.maximum.reduce(
        [np.exp(-(((away - radius) / thin) ** 2)) for radius in (0.26, 0.22)]
        + [np.exp(-((line / thin) ** 2)) * 0.5 for line in (x, y)]
    )
    return layer(
        np.broadcast_to(colour("#ece8dc"), (*cover.shape, 3)).astype(np.float32),
        (cover * 0.7).astype(np.float32),
    )
