"""The forest: rows of conifers or round trees that fade into the haze."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from filmgate.providers.studio.scene import noise
from filmgate.providers.studio.scene.layers import Flat
from filmgate.providers.studio.scene.pixels import Plane, colour, layer, mix
from filmgate.providers.studio.scene.shot import Shot

_AUTUMN = ("#c8642a", "#d98a2b", "#b5432a", "#8a7a30")
_LEAFY = ("#4c7a34", "#5d8a3a", "#3f6a38", "#6b8f3c")
_CONIFER = ("#2f5a3a", "#284f38", "#36633a", "#2a4a3c")


def forest(shot: Shot, *, rows: int = 3) -> list[Flat]:
    """Return the rows, farthest first; an opening is left where the seed says."""
    dice = shot.dice("forest")
    leafy = bool(dice.random() < 0.35) and not shot.screenplay.has("snow")
    clearing = float(dice.uniform(0.25, 0.75))
    return [_row(shot, dice, row, leafy=leafy, clearing=clearing) for row in range(rows)]


def copse(shot: Shot, foot_row: Callable[[float, float], float]) -> Flat:
    """Return a few groups of trees scattered over the hills."""
    dice = shot.dice("copse")
    width = shot.width + 2 * shot.margin_x
    top = int(shot.horizon - shot.unit * 0.22)
    height = int(shot.unit * 0.42)
    grove = _Grove(height, width, dice, shot.sun_side)
    leafy = bool(dice.random() < 0.6) and not shot.screenplay.has("snow")
    shades = _AUTUMN if shot.screenplay.has("autumn") else _LEAFY if leafy else _CONIFER
    spots = [
        (x + float(dice.normal(0, 0.035)), distance * float(dice.uniform(0.9, 1.1)))
        for x, distance in zip(dice.random(7), np.sort(dice.uniform(4.8, 11.0, 7))[::-1], strict=True)
        for _ in range(int(dice.integers(1, 6)))
    ]
    for x, distance in sorted(spots, key=lambda spot: -spot[1]):
        column = x * width
        foot = (int(column), int(foot_row(column - shot.margin_x, distance) - top + 0.004 * shot.unit))
        tall = shot.unit * float(dice.uniform(0.45, 0.75)) / distance
        shade = colour(shades[int(dice.integers(len(shades)))]) * float(dice.uniform(0.8, 1.1))
        if leafy or (shot.screenplay.has("autumn") and dice.random() < 0.7):
            grove.leafy(foot, tall, shade)
        else:
            grove.conifer(foot, tall * 1.2, shade)
    alpha = grove.cover.astype(np.float32) / np.float32(255)
    picture = _in_light(shot, grove, alpha, 1, 1.0)
    return Flat(shot=shot, picture=layer(picture, alpha), left=-shot.margin_x, top=top, depth=0.2)


def _row(shot: Shot, dice: np.random.Generator, row: int, *, leafy: bool, clearing: float) -> Flat:
    near = row / 2
    width = shot.width + 2 * shot.margin_x
    height = int(shot.unit * (0.20 + 0.17 * row))
    ground = height - shot.unit * 0.03 - shot.unit * 0.012 * noise.line(dice, width, waves=3)
    foot_row = int(shot.horizon + shot.unit * (0.005 + 0.016 * row))
    grove = _Grove(height, width, dice, shot.sun_side)
    shades = _AUTUMN if shot.screenplay.has("autumn") else _LEAFY if leafy else _CONIFER
    trees = int(width / shot.unit * (30 - 8 * row))
    for x, size in zip(dice.random(trees), dice.uniform(0.45, 0.95, trees), strict=True):
        away = abs(float(x) - clearing)
        if away < 0.05 + 0.09 * row and dice.random() < 0.9:
            continue
        column = min(width - 1, int(x * width))
        foot = (column, int(ground[column] + shot.unit * 0.012))
        tall = height * float(size) * (0.7 + 0.3 * min(1.0, away * 3))
        shade = colour(shades[int(dice.integers(len(shades)))]) * float(dice.uniform(0.75, 1.15))
        if leafy or (shot.screenplay.has("autumn") and dice.random() < 0.6):
            grove.leafy(foot, tall * 0.72, shade)
        else:
            grove.conifer(foot, tall, shade)
    floor = np.arange(height)[:, None] > ground[None]
    grove.tones[floor & (grove.cover == 0)] = colour("#3a4a30")
    alpha = np.maximum(grove.cover, floor.astype(np.uint8) * 255).astype(np.float32) / np.float32(255)
    picture = _in_light(shot, grove, alpha, row, near)
    return Flat(
        shot=shot,
        picture=layer(picture, alpha),
        left=-shot.margin_x,
        top=foot_row - height,
        depth=0.14 + 0.13 * row,
        sway=0.0012 * (1 + row),
    )


def _in_light(shot: Shot, grove: "_Grove", alpha: Plane, row: int, near: float) -> Plane:
    height, width = alpha.shape
    grain = noise.stretched(noise.tile(shot.dice(f"bark {row}"), 256, roughness=0.9), width, height)
    light = shot.palette.ambient_bgr() * 0.9 + shot.palette.key_bgr() * 0.55
    lit = grove.tones * (1 + 0.10 * grain)[..., None] * light
    if shot.screenplay.has("snow"):
        capped = (grove.snow.astype(np.float32) / 255 * alpha) * np.float32(0.9)
        white = colour("#f4f7fb") * (shot.palette.ambient_bgr() + 0.45 * shot.palette.key_bgr())
        lit = mix(lit, np.broadcast_to(np.minimum(white, 250), lit.shape), capped)
    haze = np.float32((0.62, 0.38, 0.10)[row] * (1.25 if shot.screenplay.has("fog") else 1.0))
    mist = np.linspace(0, 1, height, dtype=np.float32)[:, None] ** 2 * np.float32(0.34 * (1 - 0.6 * near))
    share = np.broadcast_to(np.clip(haze + mist, 0, 0.95), alpha.shape)
    return mix(lit, np.broadcast_to(colour(shot.palette.haze), lit.shape), share)


class _Grove:
    """A picture that trees are drawn in: their colours, what they cover, and the snow on them."""

    def __init__(self, height: int, width: int, dice: np.random.Generator, sun_side: int) -> None:
        self.tones: Plane = np.zeros((height, width, 3), np.float32)
        self.cover: NDArray[np.uint8] = np.zeros((height, width), np.uint8)
        self.snow: NDArray[np.uint8] = np.zeros((height, width), np.uint8)
        self._dice, self._sun_side = dice, sun_side

    def conifer(self, foot: tuple[int, int], tall: float, shade: Plane) -> None:
        """Draw tiers of drooping boughs, the sunward half lighter."""
        x, y = foot
        half = tall * float(self._dice.uniform(0.15, 0.21))
        tiers = 9
        edge: list[tuple[float, float]] = []
        for tier in range(1, tiers + 1):
            share = tier / tiers
            reach = half * share * float(self._dice.uniform(0.85, 1.12))
            level = y - tall * (1 - share) * 0.97
            edge += [(reach, level), (reach * 0.46, level - tall * 0.016)]
        outline = [(x, y - tall), *((x + dx, dy) for dx, dy in edge)]
        outline += [(x - dx * float(self._dice.uniform(0.9, 1.1)), dy) for dx, dy in reversed(edge)]
        points = np.array(outline, np.int32)
        cv2.fillPoly(self.cover, [points], 255, cv2.LINE_AA)
        cv2.fillPoly(self.tones, [points], _ink(shade * 0.78))
        sunward = [(x, y - tall), *((x + self._sun_side * dx * 0.8, dy) for dx, dy in edge), (x, y)]
        cv2.fillPoly(self.tones, [np.array(sunward, np.int32)], _ink(shade * 1.15))
        for tier in range(1, tiers):
            share = tier / tiers
            middle = int(x + self._sun_side * half * share * 0.1)
            level = int(y - tall * (1 - share) * 0.97 - tall * 0.028)
            axes = (max(1, int(half * share * 0.66)), max(1, int(tall * 0.015)))
            cv2.ellipse(self.snow, (middle, level), axes, 0, 180, 360, 215, -1, cv2.LINE_AA)

    def leafy(self, foot: tuple[int, int], tall: float, shade: Plane) -> None:
        """Draw a trunk under a crown of overlapping leaf clumps, the sunward ones lighter."""
        x, y = foot
        trunk = max(1, int(tall * 0.045))
        corners = (x - trunk, int(y - tall * 0.5)), (x + trunk, y)
        cv2.rectangle(self.tones, *corners, _ink(colour("#4a3a2e")), -1)
        cv2.rectangle(self.cover, *corners, 255, -1)
        dice = self._dice
        clumps = [
            (float(dice.normal(0, 0.15)), float(dice.uniform(0.38, 0.9)), float(dice.uniform(0.10, 0.17)))
            for _ in range(14)
        ]
        for dx, dy, radius in sorted(clumps, key=lambda clump: clump[1]):
            lightness = 0.72 + 0.3 * dy + 0.55 * dx * self._sun_side
            centre, size = (int(x + dx * tall), int(y - dy * tall)), max(1, int(radius * tall))
            cv2.circle(self.tones, centre, size, _ink(shade * lightness), -1)
            cv2.circle(self.cover, centre, size, 255, -1, cv2.LINE_AA)


def _ink(tone: Plane) -> tuple[float, float, float]:
    return float(tone[0]), float(tone[1]), float(tone[2])
