"""The close-up: a table, or nothing, before the scene out of focus; and steam from what is hot."""

import math
from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np

from filmgate.providers.studio.scene import noise
from filmgate.providers.studio.scene.layers import Element, Flat
from filmgate.providers.studio.scene.pixels import (
    Image,
    Plane,
    blurred,
    colour,
    layer,
    light,
    place,
    resized,
    smoothstep,
)
from filmgate.providers.studio.scene.shot import Moment, Shot

TABLE: Final = 0.66  # where the table's far edge is, of the frame's height
STAND: Final = 0.86  # where things stand on it
_WOODS: Final = ("#9a6a40", "#7d5234", "#b98a5c", "#5f4436")
_LAMPLIT: Final = frozenset({"night", "neon", "dusk", "storm"})
_DISCS: Final = 16
_PUFFS: Final = 16


class OutOfFocus:
    """The scene behind, painted once and blurred, with discs of light that drift."""

    def __init__(self, shot: Shot, scene: Sequence[Element]) -> None:
        canvas: Image = np.zeros((shot.height, shot.width, 4), np.uint8)
        moment = shot.moment(0)
        for element in scene:
            element.draw(canvas, moment)
        small = resized(canvas, max(8, shot.width // 4), max(8, shot.height // 4), cv2.INTER_AREA)
        small = blurred(small, shot.unit / 4 / 42)
        self._picture = resized(small, shot.width, shot.height, cv2.INTER_CUBIC)
        self._picture[..., 3] = 255
        dice = shot.dice("discs")
        self._shot = shot
        bright = shot.screenplay.mood in _LAMPLIT
        self._discs = []
        for x, y, size, swing in dice.random((_DISCS, 4)).tolist():
            column, row = int(x * (shot.width - 1)), int(y * 0.6 * (shot.height - 1))
            tone = self._picture[row, column, :3].astype(np.float32)
            tint = colour("#ffc878") * 0.5 + tone * 0.3 if bright else tone * 0.09 + 5
            side = max(5, int(shot.unit * (0.04 + 0.09 * size))) | 1
            self._discs.append((_disc(side, tint * np.float32(0.6)), x, y * 0.6, swing * 6.3))

    def draw(self, canvas: Image, moment: Moment) -> None:
        """Fill the canvas."""
        shot = self._shot
        scale = 1 + (moment.zoom - 1) * 0.4 + 0.03
        shift_x = (1 - scale) * shot.width / 2 - moment.pan_x * shot.width * 0.3
        shift_y = (1 - scale) * shot.height / 2 - moment.pan_y * shot.height * 0.3
        matrix = np.array([[scale, 0, shift_x], [0, scale, shift_y]], np.float32)
        cv2.warpAffine(
            self._picture, matrix, (shot.width, shot.height), dst=canvas, borderMode=cv2.BORDER_REPLICATE
        )
        for disc, x, y, phase in self._discs:
            column = x * shot.width + 0.02 * shot.unit * math.sin(moment.seconds * 0.4 + phase) + shift_x
            row = y * shot.height + 0.012 * shot.unit * math.cos(moment.seconds * 0.5 + phase) + shift_y
            place(canvas, disc, column, row, glow=True)


class Table:
    """A table top of wood, its far edge soft."""

    def __init__(self, shot: Shot) -> None:
        dice = shot.dice("table")
        self._shot = shot
        top = int(shot.height * TABLE)
        width = shot.width + 2 * shot.margin_x
        height = shot.height + shot.margin_y - top
        rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
        depth = np.float32(0.34 * shot.unit) / (rows + np.float32(0.30 * shot.unit))
        across = (columns - width / 2) * depth / np.float32(shot.unit)
        grain = noise.tile(dice, 512, roughness=1.4, low_cut=3, squeeze=0.25)
        fine = noise.tile(dice, 256, roughness=1.0, low_cut=4)
        veins = noise.sample(grain, across * 500, depth * 560) + 0.4 * noise.sample(
            fine, across * 90, depth * 900
        )
        plank = np.floor(depth * 7.0)
        tint = np.sin(plank * 12.9898) * np.float32(43758.5453)
        tint = tint - np.floor(tint)
        wood = colour(_WOODS[int(dice.integers(len(_WOODS)))])
        tones = wood * (0.9 + 0.07 * veins + 0.10 * tint)[..., None]
        seam = np.abs(depth * 7.0 - plank - np.float32(0.5)) > np.float32(0.485)
        tones = tones * (1 - 0.45 * seam)[..., None]
        palette = shot.palette
        received = palette.ambient_bgr() * 0.75 + 0.12 + palette.key_bgr() * 0.4
        if shot.screenplay.mood in _LAMPLIT:
            received = palette.ambient_bgr() * 0.55 + np.array([0.26, 0.42, 0.60], np.float32)
        # A sheen of the light behind, and the near corners in shade.
        sheen = np.exp(-(((columns - shot.margin_x - shot.sun_x) / (0.5 * shot.width)) ** 2)) * smoothstep(
            0.34, 0.0, rows / np.float32(shot.unit)
        )
        lit = tones * received + sheen[..., None] * colour(palette.haze) * np.float32(0.26)
        edge = smoothstep(0.0, 0.012, rows / np.float32(shot.unit))
        self.layers = [
            Flat(
                shot=shot, picture=layer(np.clip(lit, 0, 255), edge), left=-shot.margin_x, top=top, depth=0.6
            )
        ]

    def row_at(self, _x: float, distance: float) -> float:
        """Return the row where something stands; those farther away a little higher."""
        return self._shot.height * (STAND - 0.05 * max(0.0, distance - 1))


class Steam:
    """Wisps that rise from a place, widen and go."""

    def __init__(self, shot: Shot, x: float, y: float, width: float) -> None:
        self._shot, self._x, self._y, self._width = shot, x, y, width
        self._traits = shot.dice("steam").random((_PUFFS, 4)).tolist()
        tone = colour("#f4f4f0") * np.float32(0.8) if shot.screenplay.mood in _LAMPLIT else colour("#ffffff")
        self._sprites = [_puff(max(7, int(width * size)) | 1, tone) for size in (0.28, 0.42, 0.6, 0.8)]

    def draw(self, canvas: Image, moment: Moment) -> None:
        """Draw every wisp where it is by now."""
        for start, pace, across, phase in self._traits:
            life = math.fmod(moment.seconds * (0.16 + 0.10 * pace) + start, 1)
            sprite = self._sprites[min(3, int(life * 4))]
            curl = math.sin(moment.seconds * 0.9 + phase * 6.3 + life * 5) * 0.16 * life
            x = self._x + self._width * ((across - 0.5) * 0.4 + curl)
            y = self._y - life * self._width * 1.7
            strength = math.sin(math.pi * life) * 0.55
            place(canvas, np.asarray(cv2.convertScaleAbs(sprite, alpha=strength), np.uint8), x, y)


def _disc(side: int, tint: Plane) -> Image:
    rows, columns = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j].astype(np.float32)
    away = np.hypot(rows, columns)
    cover = smoothstep(1.0, 0.86, away) * (0.7 + 0.3 * smoothstep(0.6, 0.95, away))
    return light(np.clip(cover[..., None] * tint, 0, 255))


def _puff(side: int, tone: Plane) -> Image:
    rows, columns = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j].astype(np.float32)
    cover = np.exp(-((np.hypot(rows * 0.8, columns * 1.3) / 0.45) ** 2)) * smoothstep(
        1.0, 0.6, np.hypot(rows, columns)
    )
    return layer(
        np.broadcast_to(tone, (*cover.shape, 3)).astype(np.float32), (cover * 0.42).astype(np.float32)
    )
