"""Clouds: a lit deck seen in perspective that drifts towards the viewer, and heaped ones on the horizon."""

import math
from typing import Final

import cv2
import numpy as np

from filmgate.providers.studio.scene import noise
from filmgate.providers.studio.scene.layers import scale_at, shift_at
from filmgate.providers.studio.scene.pixels import (
    Image,
    Plane,
    blurred,
    colour,
    grey,
    lay_over,
    layer,
    looked_up,
    mix,
    resized,
    smoothstep,
    warped,
)
from filmgate.providers.studio.scene.shot import Moment, Shot

_TILE: Final = 1024  # texels across the deck's pattern; small frames make do with fewer
_SMALL_TILE: Final = 256
_SMALL_FRAME: Final = 300  # of the shot's unit
_HAZED: Final = 0.55


class CloudDeck:
    """A sheet of cloud overhead, drawn at half size: it is soft."""

    def __init__(self, shot: Shot) -> None:
        dice = shot.dice("deck")
        self._shot = shot
        cover = shot.palette.cloud_cover + float(dice.uniform(-0.12, 0.12))
        if shot.screenplay.has("clouds"):
            cover += 0.22
        size = _TILE if shot.unit > _SMALL_FRAME else _SMALL_TILE
        self._tile = _lit_tile(shot, dice, cover, size)
        self._texels = np.float32(size / _TILE)
        width, height = -(-shot.width // 2), -(-int(shot.horizon * 1.02) // 2)
        rows, columns = np.mgrid[0:height, 0:width].astype(np.float32) * 2
        above = np.clip((shot.horizon * 1.01 - rows) / shot.unit, 0.004, 2)
        distance = 0.34 / (above + 0.07)
        turn = float(dice.uniform(0.75, 1.35))
        self._u = ((columns - shot.width / 2) / np.float32(shot.unit) * distance * 290 * turn).astype(
            np.float32
        )
        self._v = (distance * 290 * turn).astype(np.float32)
        self._fade = grey(smoothstep(0.0, 0.17, above))
        self._wind = float(dice.choice([-1, 1]) * dice.uniform(5, 11)), float(dice.uniform(4, 8))

    def draw(self, canvas: Image, moment: Moment) -> None:
        """Lay the deck over the sky."""
        across = math.fmod(moment.seconds * self._wind[0] + moment.pan_x * self._shot.width * 0.25, _TILE)
        ahead = math.fmod(moment.seconds * self._wind[1], _TILE)
        u, v = (self._u + across) * self._texels, (self._v + ahead) * self._texels
        deck = looked_up(self._tile, u, v, wrap=True)
        cv2.multiply(deck, self._fade, deck, scale=1 / 255)
        height = min(self._shot.height, deck.shape[0] * 2)
        full = resized(deck, deck.shape[1] * 2, deck.shape[0] * 2)
        lay_over(canvas[:height], full[:height, : self._shot.width])


def _lit_tile(shot: Shot, dice: np.random.Generator, cover: float, size: int) -> Image:
    billows = noise.tile(dice, size, roughness=1.75, low_cut=2) + 0.33 * noise.tile(
        dice, size, roughness=1.35, low_cut=6
    )
    warp = noise.tile(dice, size, roughness=2.2)
    reach = 14 * size / _TILE
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32)
    billows = noise.sample(billows, columns + warp * reach, rows + np.roll(warp, size // 3, axis=0) * reach)
    # `cover` is the share of sky under cloud; 1.2 deviations span clear to closed.
    threshold = 1.25 - 2.3 * cover
    density = smoothstep(threshold, threshold + 1.3, billows)
    depth = np.zeros_like(density)
    for step in range(1, 7):
        depth += np.roll(
            density, (-4 * step * size // _TILE, -3 * step * shot.sun_side * size // _TILE), axis=(0, 1)
        )
    brightness = np.exp(-0.42 * depth) * 0.75 + 0.25 * (1 - density)
    lit, shade = colour(shot.palette.cloud_lit), colour(shot.palette.cloud_shade)
    return layer(shade + (lit - shade) * brightness[..., None], np.clip(density * 0.96, 0, 1))


class CloudHeaps:
    """Cumulus: heaps of puffs with flat feet, each a little relief lit from the sun's side."""

    def __init__(self, shot: Shot) -> None:
        dice = shot.dice("heaps")
        self._shot = shot
        count = int(dice.integers(3, 6)) + (3 if shot.screenplay.has("clouds") else 0)
        self._heaps = []
        for rank in np.sort(dice.random(count)):
            near = float(rank)
            picture = _heap(shot, dice, near)
            x = float(dice.uniform(-0.1, 1.1)) * shot.width
            foot = shot.horizon - shot.unit * (0.035 + 0.36 * near * float(dice.uniform(0.75, 1.0)))
            self._heaps.append((picture, x, foot, near))
        self._wind = float(dice.choice([-1, 1]) * dice.uniform(3, 6))

    def draw(self, canvas: Image, moment: Moment) -> None:
        """Lay the heaps over the sky, the farthest first."""
        shot = self._shot
        for picture, x, foot, near in self._heaps:
            depth = 0.05 * near
            scale = scale_at(moment, depth)
            shift_x, shift_y = shift_at(shot, moment, depth)
            height, width = picture.shape[:2]
            blown = x + self._wind * (0.3 + near) * moment.seconds * shot.unit / 720
            left = shot.width / 2 + (blown - shot.width / 2) * scale + shift_x - width / 2
            top = shot.horizon + (foot - shot.horizon) * scale + shift_y - height
            x0, y0 = max(0, math.floor(left)), max(0, math.floor(top))
            x1, y1 = min(shot.width, math.ceil(left + width)), min(shot.height, math.ceil(top + height))
            if x1 - x0 < 1 or y1 - y0 < 1:
                continue
            matrix = np.array([[1, 0, left - x0], [0, 1, top - y0]], np.float32)
            lay_over(canvas[y0:y1, x0:x1], warped(picture, matrix, x1 - x0, y1 - y0))


def _heap(shot: Shot, dice: np.random.Generator, near: float) -> Image:
    palette = shot.palette
    width = max(8, int(shot.unit * (0.16 + 0.5 * near) * float(dice.uniform(0.8, 1.25))))
    height = max(4, int(width * float(dice.uniform(0.36, 0.52))))
    relief = _puffs(dice, width, height)
    texture = noise.tile(dice, 256, roughness=1.8, low_cut=3)
    texture = resized(np.tile(texture, (1, 2)), width, height, cv2.INTER_CUBIC)
    thickness = relief + texture * np.float32(0.022 * height) * smoothstep(0, 0.15 * height, relief)
    alpha = smoothstep(0.02 * height, 0.11 * height, thickness)
    rows = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    alpha *= smoothstep(1.0, 0.86, rows + texture * 0.02)
    smooth = blurred(thickness, max(0.6, 0.028 * height))
    slope_y, slope_x = np.gradient(smooth)
    facing = (-slope_y * 0.75 + -slope_x * 0.6 * -shot.sun_side) / np.sqrt(1 + slope_x**2 + slope_y**2)
    brightness = np.clip(0.66 + 0.42 * facing - 0.42 * smoothstep(0.35, 1.0, rows), 0, 1)
    lit, shade = colour(palette.cloud_lit), colour(palette.cloud_shade)
    tone = shade + (lit - shade) * brightness[..., None]
    distance = np.full(alpha.shape, _HAZED * (1 - near), np.float32) + 0.25 * smoothstep(0.5, 1, rows)
    hazed = mix(tone, np.broadcast_to(colour(palette.haze), tone.shape), np.clip(distance, 0, 0.85))
    return layer(hazed, np.clip(alpha * (0.7 + 0.28 * near), 0, 1))


def _puffs(dice: np.random.Generator, width: int, height: int) -> Plane:
    """Heights of many overlapping balls that sit on one line, large in the middle."""
    relief = np.zeros((height, width), np.float32)
    peak = float(dice.uniform(0.35, 0.65))
    for _ in range(64):
        x = float(np.clip(dice.normal(peak, 0.18), 0.16, 0.84))
        dome = 1 - ((x - peak) / 0.55) ** 2
        radius = height * float(dice.uniform(0.10, 0.24)) * (0.45 + 0.65 * max(0.0, dome))
        y = height * 0.90 - float(dice.random()) ** 0.8 * max(0.0, dome) * height * 0.62
        centre_x = x * width
        x0, x1 = max(0, int(centre_x - radius)), min(width, int(centre_x + radius) + 1)
        y0, y1 = max(0, int(y - radius)), min(height, int(y + radius) + 1)
        if x1 <= x0 or y1 <= y0:
            continue
        rows, columns = np.mgrid[y0:y1, x0:x1].astype(np.float32)
        ball = np.sqrt(np.maximum(0, radius**2 - (columns - centre_x) ** 2 - (rows - y) ** 2))
        np.maximum(relief[y0:y1, x0:x1], ball.astype(np.float32), out=relief[y0:y1, x0:x1])
    return relief
