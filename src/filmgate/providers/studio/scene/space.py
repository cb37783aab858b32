"""Outer space: a nebula's colours behind the stars, and a planet lit from one side."""

import math
from typing import Final

import numpy as np

from filmgate.providers.studio.scene import noise
from filmgate.providers.studio.scene.layers import Flat, scale_at, shift_at
from filmgate.providers.studio.scene.pixels import (
    Image,
    Plane,
    colour,
    layer,
    light,
    place,
    resized,
    smoothstep,
    warped,
)
from filmgate.providers.studio.scene.shot import Moment, Shot

_NEBULAE: Final = (
    ("#6a2cff", "#ff3d9a", "#ffb26b"),
    ("#0aa6c9", "#3d5bff", "#c9f2ff"),
    ("#ff5a2c", "#c81e6b", "#ffe2a0"),
    ("#1fbf9a", "#2a6aff", "#d8ffe0"),
)
_PLANETS: Final = (
    ("#c98b5a", "#5a2f2a"),
    ("#5aa0d8", "#123a6a"),
    ("#d8c08a", "#7a5a3a"),
    ("#7ac0a0", "#204a5a"),
    ("#b88ad0", "#3a2a5a"),
)


def nebula(shot: Shot) -> Flat:
    """Return a band of glowing gas across the sky."""
    dice = shot.dice("nebula")
    width, height = shot.width + 2 * shot.margin_x, shot.height + 2 * shot.margin_y
    # Computed at half size: gas has no edges.
    half = (width // 2 + 1, height // 2 + 1)
    gas, folds, dust = (
        noise.stretched(noise.tile(dice, 512, roughness=roughness), *half) for roughness in (1.9, 1.7, 1.5)
    )
    rows, columns = np.mgrid[-0.5 : 0.5 : half[1] * 1j, -0.5 : 0.5 : half[0] * 1j].astype(np.float32)
    slope, offset = float(dice.uniform(-0.8, 0.8)), float(dice.uniform(-0.15, 0.15))
    band = np.exp(-(((rows - offset + columns * slope + gas * 0.06) / 0.24) ** 2))
    density = smoothstep(-1.1, 1.5, gas + 0.5 * folds) * np.clip(band * 1.25 + 0.14, 0, 1)
    outer, inner, core = (colour(code) for code in _NEBULAE[int(dice.integers(len(_NEBULAE)))])
    tones = (
        smoothstep(0, 0.7, density)[..., None] * outer
        + (smoothstep(0.25, 0.95, density + 0.15 * folds) * 0.8)[..., None] * inner
        + (smoothstep(0.6, 1.2, density + 0.2 * dust) * 0.9)[..., None] * core
    ) * (density * np.float32(0.62))[..., None]
    tones *= (1 - 0.55 * smoothstep(0.3, 1.8, dust) * band)[..., None]
    picture = light(resized(tones, width, height))
    return Flat(shot=shot, picture=picture, left=-shot.margin_x, top=-shot.margin_y, depth=0.0)


class Planet:
    """A ball with bands of weather, an atmosphere, and sometimes a ring."""

    def __init__(self, shot: Shot) -> None:
        dice = shot.dice("planet")
        self._shot = shot
        self._radius = shot.unit * float(dice.choice([0.13, 0.2, 0.34]) * dice.uniform(0.85, 1.2))
        side = 1 - shot.subject_x if shot.screenplay.subjects else float(dice.uniform(0.25, 0.75))
        self._x = shot.width * side
        self._y = shot.height * float(dice.uniform(0.32, 0.68))
        tones = _PLANETS[int(dice.integers(len(_PLANETS)))]
        self._ball, self._air = _ball(shot, dice, self._radius, tones)
        self._ring = _ring(self._radius, dice, tones[0]) if dice.random() < 0.4 else None

    def draw(self, canvas: Image, moment: Moment) -> None:
        """Draw it, a little nearer than the stars."""
        shot = self._shot
        scale = scale_at(moment, 0.35)
        shift_x, shift_y = shift_at(shot, moment, 0.35)
        x = shot.width / 2 + (self._x - shot.width / 2) * scale + shift_x
        y = shot.height * 0.62 + (self._y - shot.height * 0.62) * scale + shift_y
        ring = self._ring
        if ring is not None:
            _place_scaled(canvas, ring[0], x, y, scale, glow=False)
        _place_scaled(canvas, self._air, x, y, scale, glow=True)
        _place_scaled(canvas, self._ball, x, y, scale, glow=False)
        if ring is not None:
            _place_scaled(canvas, ring[1], x, y, scale, glow=False)


def _place_scaled(canvas: Image, sprite: Image, x: float, y: float, scale: float, *, glow: bool) -> None:
    """Place a sprite with sub-pixel steps, so that slow zooms do not tremble."""
    height, width = (math.ceil(side * scale) + 2 for side in sprite.shape[:2])
    left, top = math.floor(x - width / 2), math.floor(y - height / 2)
    shift_x, shift_y = x - sprite.shape[1] * scale / 2 - left, y - sprite.shape[0] * scale / 2 - top
    matrix = np.array([[scale, 0, shift_x], [0, scale, shift_y]], np.float32)
    moved = warped(sprite, matrix, width, height)
    place(canvas, moved, left + width / 2, top + height / 2, glow=glow)


def _ball(
    shot: Shot, dice: np.random.Generator, radius: float, tones: tuple[str, str]
) -> tuple[Image, Image]:
    size = int(radius * 2.3)
    rows, columns = np.mgrid[-1.15 : 1.15 : size * 1j, -1.15 : 1.15 : size * 1j].astype(np.float32)
    away = np.hypot(rows, columns)
    facing = np.sqrt(np.clip(1 - away * away, 0, 1))
    bands = noise.tile(dice, 512, roughness=1.7, squeeze=2.6)
    around = np.arctan2(columns, facing + 1e-3) / np.pi * 256 + 256
    texture = noise.sample(bands, around, np.arcsin(np.clip(rows, -1, 1)) / np.pi * 380 + 256)
    bright, dark = colour(tones[0]), colour(tones[1])
    share = smoothstep(-1, 1.2, texture)[..., None]
    surface = dark + (bright - dark) * share
    lit = np.clip(columns * 0.6 * shot.sun_side - rows * 0.45 + facing * 0.55, 0, 1)
    hem = ((1 - facing) ** 3 * lit)[..., None] * bright * 0.9
    ball = layer(np.minimum(255, surface * (lit**0.8)[..., None] * 1.25 + hem), smoothstep(1.005, 0.99, away))
    air = np.exp(-(((away - 1) / 0.05) ** 2)) * np.clip(
        0.2 + columns * 0.6 * shot.sun_side - rows * 0.5, 0, 1
    )
    return ball, light(np.clip(air[..., None] * bright * 1.2, 0, 255).astype(np.float32))


def _ring(radius: float, dice: np.random.Generator, tint: str) -> tuple[Image, Image]:
    """Return the half behind the planet and the half before it."""
    size = int(radius * 5)
    rows, columns = np.mgrid[-2.5 : 2.5 : size * 1j, -2.5 : 2.5 : size * 1j].astype(np.float32)
    tilt = float(dice.uniform(-0.5, 0.5))
    along = columns * np.cos(tilt) + rows * np.sin(tilt)
    across = (rows * np.cos(tilt) - columns * np.sin(tilt)) / np.float32(0.26)
    away = np.hypot(along, across)
    grooves = noise.line(dice, 256, waves=18)
    strength = np.interp(away, np.linspace(1.35, 2.3, 256), 0.62 + 0.3 * grooves, left=0, right=0).astype(
        np.float32
    )
    strength *= smoothstep(1.35, 1.42, away) * smoothstep(2.3, 2.2, away)
    tones: Plane = np.broadcast_to(colour(tint) * 1.15, (*away.shape, 3)).astype(np.float32)
    whole = np.clip(strength, 0, 0.9)
    return layer(tones, whole * (across < 0)), layer(tones, whole * (across >= 0))
