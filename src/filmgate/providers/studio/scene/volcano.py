"""The volcano: a dark cone with rivers of lava and a glowing plume."""

import math

import cv2
import numpy as np

from filmgate.providers.studio.scene import noise
from filmgate.providers.studio.scene.layers import Flat, scale_at, shift_at
from filmgate.providers.studio.scene.pixels import (
    Image,
    Plane,
    colour,
    lay_over,
    layer,
    light,
    mix,
    resized,
    smoothstep,
)
from filmgate.providers.studio.scene.shot import Moment, Shot

_DEPTH = 0.12


class Volcano:
    """The cone, its lava, and a plume that rises and glows from below."""

    def __init__(self, shot: Shot) -> None:
        dice = shot.dice("volcano")
        self._shot = shot
        self._centre = shot.width * float(dice.choice([0.36, 0.5, 0.62]) + dice.uniform(-0.04, 0.04))
        self._summit = shot.horizon - shot.unit * float(dice.uniform(0.30, 0.38))
        self._pulse = float(dice.uniform(1.1, 1.7))
        self._plume = _plume(shot, dice)
        self._glow = _summit_glow(shot)
        picture, lava, top = _cone(shot, dice, self._centre, self._summit)
        self._cone = Flat(shot=shot, picture=picture, left=-shot.margin_x, top=top, depth=_DEPTH)
        self._lava = Flat(shot=shot, picture=lava, left=-shot.margin_x, top=top, depth=_DEPTH)

    def draw(self, canvas: Image, moment: Moment) -> None:
        """Draw plume, cone and lava; the lava's light breathes."""
        shot = self._shot
        scale = scale_at(moment, _DEPTH)
        shift_x, shift_y = shift_at(shot, moment, _DEPTH)
        x = shot.width / 2 + (self._centre - shot.width / 2) * scale + shift_x
        y = shot.horizon + (self._summit - shot.horizon) * scale + shift_y
        self._draw_plume(canvas, moment, x, y)
        breath = 0.8 + 0.2 * math.sin(moment.seconds * self._pulse)
        height, width = self._glow.shape[:2]
        _add_at(
            canvas,
            np.asarray(cv2.convertScaleAbs(self._glow, alpha=breath), np.uint8),
            x - width / 2,
            y - height * 0.6,
        )
        self._cone.draw(canvas, moment)
        self._lava.draw(canvas, moment)

    def _draw_plume(self, canvas: Image, moment: Moment, x: float, y: float) -> None:
        """Show a rising texture through a fixed, widening shape."""
        smoke, shape = self._plume
        height, width = shape.shape[:2]
        risen = int(moment.seconds * self._shot.unit * 0.035) % smoke.shape[0]
        rolled = np.roll(smoke, -risen, axis=0)[:height]
        puff = np.asarray(cv2.multiply(rolled, shape, scale=1 / 255), np.uint8)
        x0, y0 = int(x - width / 2), int(y - height + self._shot.unit * 0.02)
        left, top = max(0, x0), max(0, y0)
        right, bottom = min(canvas.shape[1], x0 + width), min(canvas.shape[0], y0 + height)
        if right > left and bottom > top:
            lay_over(canvas[top:bottom, left:right], puff[top - y0 : bottom - y0, left - x0 : right - x0])


def _add_at(canvas: Image, glow: Image, x: float, y: float) -> None:
    left, top = max(0, int(x)), max(0, int(y))
    right = min(canvas.shape[1], int(x) + glow.shape[1])
    bottom = min(canvas.shape[0], int(y) + glow.shape[0])
    if right > left and bottom > top:
        region = canvas[top:bottom, left:right]
        cv2.add(region, glow[top - int(y) : bottom - int(y), left - int(x) : right - int(x)], region)


def _summit_glow(shot: Shot) -> Image:
    size = int(shot.unit * 0.7)
    rows, columns = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j].astype(np.float32)
    strength = np.exp(-np.hypot(rows, columns) / 0.26) * smoothstep(1.0, 0.5, np.hypot(rows, columns))
    return light(strength[..., None] * colour("#ff7a2a") * np.float32(0.95))


def _plume(shot: Shot, dice: np.random.Generator) -> tuple[Image, Image]:
    height, width = int(shot.unit * 0.52), int(shot.unit * 0.62)
    texture = noise.tile(dice, 512, roughness=1.6, low_cut=3)
    texture = resized(texture, width, 2 * height, cv2.INTER_CUBIC)
    columns = np.linspace(-1, 1, width, dtype=np.float32)[None]
    tone = (
        colour("#2a1413") + (colour("#8a3a22") - colour("#2a1413")) * smoothstep(-1, 1.6, texture)[..., None]
    )
    smoke = layer(tone, smoothstep(-1.3, 0.4, texture))
    up = np.linspace(1, 0, height, dtype=np.float32)[:, None]
    spread = 0.10 + 0.62 * up**1.4
    lean = 0.22 * up**1.5 * float(dice.choice([-1, 1]))
    shape = np.exp(-(((columns - lean) / spread) ** 2)) * smoothstep(1.0, 0.45, up)
    factors = np.clip(shape * 255, 0, 255).astype(np.uint8)
    return smoke, cv2.merge([factors] * 4)


def _cone(shot: Shot, dice: np.random.Generator, centre: float, summit: float) -> tuple[Image, Image, int]:
    unit = shot.unit
    width = shot.width + 2 * shot.margin_x
    x = (np.arange(width, dtype=np.float32) - shot.margin_x - np.float32(centre)) / np.float32(unit)
    full = (shot.horizon - summit) / unit
    cone = np.minimum(full * 1.3 * np.exp(-((np.abs(x) / 0.30) ** 1.12)), full + 0.008 * np.sin(x * 60))
    cone += np.float32(0.010) * noise.line(dice, width, waves=14)
    ridge = shot.horizon - cone * np.float32(unit)
    top = int(ridge.min()) - 2
    height = int(shot.horizon + shot.margin_y * 0.4) - top
    rows = np.arange(height, dtype=np.float32)[:, None] + top
    deep = rows - ridge[None]
    alpha = np.clip(deep + 0.5, 0, 1)
    # Gullies run down from the summit: noise in (angle, depth) about it.
    down = np.maximum(1, rows - summit + 0.05 * unit)
    texture = noise.tile(dice, 512, roughness=1.5, low_cut=3)
    gullies = noise.sample(
        texture,
        (x[None] * np.float32(unit) / down * 150).astype(np.float32),
        np.broadcast_to(down * 0.35, deep.shape),
    )
    facing = np.clip(0.5 - 0.28 * gullies + 0.30 * np.sign(shot.sun_side) * np.tanh(x * 6)[None], 0.1, 1.1)
    tone = colour("#3a2c2c") * (shot.palette.ambient_bgr() + shot.palette.key_bgr() * 0.6)
    stone = tone * facing[..., None] * 1.5
    glow = (
        np.exp(-np.hypot(x[None] * 1.3, (rows - summit) / unit) / 0.10)[..., None] * colour("#ff5a1e") * 0.55
    )
    share = np.broadcast_to(
        0.12 + 0.55 * smoothstep(0.3 * unit, full * unit * 1.05, rows - summit), deep.shape
    )
    stone = mix(stone + glow, np.broadcast_to(colour(shot.palette.haze), (*deep.shape, 3)), share)
    lava = _lava(shot, dice, x, rows, summit, gullies) * alpha
    hot = lava[..., None] * colour("#ff4a08") + (lava**3)[..., None] * colour("#ffd890") * 0.8
    return layer(np.clip(stone, 0, 255), alpha), light(np.clip(hot, 0, 255)), top


def _lava(
    shot: Shot, dice: np.random.Generator, x: Plane, rows: Plane, summit: float, gullies: Plane
) -> Plane:
    unit = shot.unit
    fallen = np.maximum(0, rows - summit) / np.float32(unit)
    total = np.zeros_like(gullies)
    for stream in range(6):
        side = (stream - 2.5) * 0.35 + float(dice.normal(0, 0.15))
        bends = noise.line(dice, len(rows), waves=4, gain=0.6)[:, None] * np.float32(0.02)
        path = side * (0.03 + fallen * 0.55) + bends * np.minimum(1, fallen * 8)
        width = (0.0035 + 0.004 * float(dice.random())) * (1 + fallen * 2.5)
        reach = float(dice.uniform(0.12, 0.36))
        core = np.exp(-(((x[None] - path) / width) ** 2)) * smoothstep(reach, reach * 0.4, fallen)
        total = np.maximum(total, core)
    crater = np.exp(-((x / 0.06) ** 2))[None] * np.exp(-fallen / 0.014)
    return np.clip(np.maximum(total, crater) * (1 + 0.12 * gullies), 0, 1).astype(np.float32)
