"""The forest: rows of conifers or round trees that fade into the haze."""

from collections.abc import Callable

import cv2
import numpy as np

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
    tones, cover, snow = (
        np.zeros((height, width, 3), np.float32),
        np.zeros((height, width), np.uint8),
        np.zeros((height, width), np.uint8),
    )
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
            _round_tree(tones, cover, dice, foot, tall, shade, shot.sun_side)
        else:
            _conifer(tones, cover, snow, dice, foot, tall * 1.2, shade, shot.sun_side)
    alpha = cover.astype(np.float32) / 255
    picture = _in_light(shot, tones, snow, alpha, 1, 1.0)
    return Flat(shot=shot, picture=layer(picture, alpha), left=-shot.margin_x, top=top, depth=0.2)


def _row(shot: Shot, dice: np.random.Generator, row: int, *, leafy: bool, clearing: float) -> Flat:
    near = row / 2
    width = shot.width + 2 * shot.margin_x
    height = int(shot.unit * (0.20 + 0.17 * row))
    ground = height - shot.unit * 0.03 - shot.unit * 0.012 * noise.line(dice, width, waves=3)
    foot_row = int(shot.horizon + shot.unit * (0.005 + 0.016 * row))
    tones = np.zeros((height, width, 3), np.float32)
    cover = np.zeros((height, width), np.uint8)
    snow = np.zeros((height, width), np.uint8)
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
            _round_tree(tones, cover, dice, foot, tall * 0.72, shade, shot.sun_side)
        else:
            _conifer(tones, cover, snow, dice, foot, tall, shade, shot.sun_side)
    floor = np.arange(height)[:, None] > ground[None]
    tones[floor & (cover == 0)] = colour("#3a4a30")
    alpha = np.maximum(cover, floor.astype(np.uint8) * 255).astype(np.float32) / 255
    picture = _in_light(shot, tones, snow, alpha, row, near)
    return Flat(
        shot=shot,
        picture=layer(picture, alpha),
        left=-shot.margin_x,
        top=foot_row - height,
        depth=0.14 + 0.13 * row,
        sway=0.0012 * (1 + row),
    )


def _in_light(shot: Shot, tones: Plane, snow: np.ndarray, alpha: Plane, row: int, near: float) -> Plane:
    height, width = alpha.shape
    grain = noise.stretched(noise.tile(shot.dice(f"bark {row}"), 256, roughness=0.9), width, height)
    light = shot.palette.ambient_bgr() * 0.9 + shot.palette.key_bgr() * 0.55
    lit = tones * (1 + 0.10 * grain)[..., None] * light
    if shot.screenplay.has("snow"):
        capped = (snow.astype(np.float32) / 255 * alpha) * np.float32(0.9)
        white = colour("#f4f7fb") * (shot.palette.ambient_bgr() + 0.45 * shot.palette.key_bgr())
        lit = mix(lit, np.broadcast_to(np.minimum(white, 250), lit.shape), capped)
    haze = np.float32((0.62, 0.38, 0.10)[row] * (1.25 if shot.screenplay.has("fog") else 1.0))
    mist = np.linspace(0, 1, height, dtype=np.float32)[:, None] ** 2 * np.float32(0.34 * (1 - 0.6 * near))
    share = np.broadcast_to(np.clip(haze + mist, 0, 0.95), alpha.shape)
    return mix(lit, np.broadcast_to(colour(shot.palette.haze), lit.shape), share)


def _ink(tone: Plane) -> tuple[float, float, float]:
    return float(tone[0]), float(tone[1]), float(tone[2])


def _conifer(
    tones: Plane,
    cover: np.ndarray,
    snow: np.ndarray,
    dice: np.random.Generator,
    foot: tuple[int, int],
    tall: float,
    shade: Plane,
    sun_side: int,
) -> None:
    """Tiers of drooping boughs, the sunward half lighter."""
    x, y = foot
    half = tall * float(dice.uniform(0.15, 0.21))
    tiers = 9
    right: list[tuple[float, float]] = []
    for tier in range(1, tiers + 1):
        share = tier / tiers
        reach = half * share * float(dice.uniform(0.85, 1.12))
        level = y - tall * (1 - share) * 0.97
        right += [(reach, level), (reach * 0.46, level - tall * 0.016)]
    outline = [(x, y - tall), *((x + dx, dy) for dx, dy in right)]
    outline += [(x - dx * float(dice.uniform(0.9, 1.1)), dy) for dx, dy in reversed(right)]
    points = np.array(outline, np.int32)
    cv2.fillPoly(cover, [points], 255, cv2.LINE_AA)
    cv2.fillPoly(tones, [points], _ink(shade * 0.78))
    bright = [(x, y - tall), *((x + sun_side * dx * 0.8, dy) for dx, dy in right), (x, y)]
    cv2.fillPoly(tones, [np.array(bright, np.int32)], _ink(shade * 1.15))
    for tier in range(1, tiers):
        share = tier / tiers
        centre = (int(x + sun_side * half * share * 0.1), int(y - tall * (1 - share) * 0.97 - tall * 0.028))
        axes = (max(1, int(half * share * 0.66)), max(1, int(tall * 0.015)))
        cv2.ellipse(snow, centre, axes, 0, 180, 360, 215, -1, cv2.LINE_AA)


def _round_tree(
    tones: Plane,
    cover: np.ndarray,
    dice: np.random.Generator,
    foot: tuple[int, int],
    tall: float,
    shade: Plane,
    sun_side: int,
) -> None:
    """Draw a trunk under a crown of overlapping leaf clumps, the sunward ones lighter."""
    x, y = foot
    trunk = max(1, int(tall * 0.045))
    cv2.rectangle(tones, (x - trunk, int(y - tall * 0.5)), (x + trunk, y), _ink(colour("#4a3a2e")), -1)
    cv2.rectangle(cover, (x - trunk, int(y - tall * 0.5)), (x + trunk, y), 255, -1)
    clumps = [
        (float(dice.normal(0, 0.15)), float(dice.uniform(0.38, 0.9)), float(dice.uniform(0.10, 0.17)))
        for _ in range(14)
    ]
    for dx, dy, radius in sorted(clumps, key=lambda clump: clump[1]):
        lightness = 0.72 + 0.3 * dy + 0.55 * dx * sun_side
        centre = (int(x + dx * tall), int(y - dy * tall))
        cv2.circle(tones, centre, max(1, int(radius * tall)), _ink(shade * lightness), -1)
        cv2.circle(cover, centre, max(1, int(radius * tall)), 255, -1, cv2.LINE_AA)
