"""Weather: rain, snow and lightning in front of the lens, as seamless pictures that scroll."""

import math

import cv2
import numpy as np

from filmgate.providers.studio.scene.pixels import Image, blurred, grey
from filmgate.providers.studio.scene.shot import Moment, Shot

_FINE = 8
_SHIFT = 3


def _scroll(canvas: Image, tile: Image, x: float, y: float) -> None:
    """Add a seamless tile of the canvas's size, moved by whole pixels and wrapped around."""
    height, width = canvas.shape[:2]
    dx, dy = int(x) % width, int(y) % height
    for from_y, to_y, rows in ((0, dy, height - dy), (height - dy, 0, dy)):
        for from_x, to_x, columns in ((0, dx, width - dx), (width - dx, 0, dx)):
            if rows and columns:
                region = canvas[to_y : to_y + rows, to_x : to_x + columns]
                cv2.add(region, tile[from_y : from_y + rows, from_x : from_x + columns], region)


def _glow_of(shape: np.ndarray) -> Image:
    tile = grey(shape)
    tile[..., 3] = 0
    return tile


class Rain:
    """Two sheets of streaks, the nearer one larger, fainter and faster."""

    def __init__(self, shot: Shot) -> None:
        dice = shot.dice("rain")
        self._shot = shot
        self._wind = float(dice.uniform(0.05, 0.16)) * float(dice.choice([-1, 1]))
        self._sheets = [self._sheet(dice, near) for near in (0, 1)]

    def _sheet(self, dice: np.random.Generator, near: int) -> Image:
        shot = self._shot
        streaks = np.zeros((shot.height, shot.width), np.float32)
        for _ in range(int(shot.width * shot.height / shot.unit / 3.6 / (near * 1.4 + 1))):
            x, y = float(dice.random()) * shot.width, float(dice.random()) * shot.height
            length = shot.unit * float(dice.uniform(0.03, 0.07)) * (1 + 0.8 * near)
            strength = float(dice.uniform(0.07, 0.22))
            # Drawn twice where it crosses the lower edge, so that the tile is seamless.
            for top in (y, y - shot.height):
                start = (int(x * _FINE), int(top * _FINE))
                end = (int((x + length * self._wind) * _FINE), int((top + length) * _FINE))
                cv2.line(streaks, start, end, strength, 1 + near * (shot.unit >= 720), cv2.LINE_AA, _SHIFT)
        return _glow_of(blurred(streaks, 0.5 + 0.5 * near) * 0.75)

    def draw(self, canvas: Image, moment: Moment) -> None:
        """Let it fall."""
        for near, sheet in enumerate(self._sheets):
            fallen = moment.seconds * self._shot.unit * (1.7 + 0.8 * near)
            _scroll(canvas, sheet, fallen * self._wind, fallen)


class Snow:
    """Three sheets of flakes, from fine to large and out of focus."""

    def __init__(self, shot: Shot) -> None:
        dice = shot.dice("snow")
        self._shot = shot
        grain = shot.unit / 720
        self._sheets: list[Image] = []
        for sparse, radius, blur, strength in (
            (2600, 0.9, 0.6, 0.72),
            (7000, 1.7, 1.0, 0.72),
            (30000, 3.4, 2.6, 0.55),
        ):
            flakes = np.zeros((shot.height, shot.width), np.float32)
            for _ in range(int(shot.width * shot.height / sparse / max(0.6, grain) ** 1.2)):
                centre = (int(dice.random() * shot.width * _FINE), int(dice.random() * shot.height * _FINE))
                size = int(_FINE * max(0.55, grain) * radius * float(dice.uniform(0.7, 1.3)))
                cv2.circle(flakes, centre, size, float(dice.uniform(0.5, 1.0)), -1, cv2.LINE_AA, _SHIFT)
            self._sheets.append(_glow_of(blurred(flakes, max(0.5, grain * blur)) * strength))

    def draw(self, canvas: Image, moment: Moment) -> None:
        """Let it fall, drifting."""
        for index, sheet in enumerate(self._sheets):
            drift = 0.03 * math.sin(moment.seconds * 0.6 + index) + 0.012 * (index + 1) * moment.seconds
            fallen = moment.seconds * self._shot.unit * (0.07, 0.12, 0.22)[index]
            _scroll(canvas, sheet, drift * self._shot.unit, fallen)


class Lightning:
    """Now and then a flash, with a bolt down to the horizon."""

    def __init__(self, shot: Shot) -> None:
        dice = shot.dice("lightning")
        self._shot = shot
        self._every_s = float(dice.uniform(1.9, 2.6))
        self._first_s = float(dice.uniform(0.3, 1.0))
        self._bolts = [self._bolt(dice) for _ in range(3)]

    @property
    def strikes(self) -> tuple[float, float]:
        """When the first flash comes and the time between two, in seconds."""
        return self._first_s, self._every_s

    def _bolt(self, dice: np.random.Generator) -> Image:
        shot = self._shot
        sketch = np.zeros((shot.horizon, shot.width), np.float32)
        self._fork(sketch, dice, float(dice.uniform(0.15, 0.85)) * shot.width, 0, shot.horizon, 1.0)
        halo = blurred(sketch, max(1.0, shot.unit / 60)) * 2.4
        core = blurred(sketch, max(0.5, shot.unit / 900))
        bolt = np.zeros((*sketch.shape, 4), np.uint8)
        bolt[..., :3] = np.clip(
            core[..., None] * 255 + halo[..., None] * np.array([255, 190, 190], np.float32), 0, 255
        )
        return bolt

    def _fork(
        self, sketch: np.ndarray, dice: np.random.Generator, x: float, y: float, end: float, strength: float
    ) -> None:
        thickness = max(1, round(self._shot.unit / 330 * strength))
        while y < end:
            next_x = x + float(dice.normal(0, 0.018)) * self._shot.unit
            next_y = y + float(dice.uniform(0.012, 0.035)) * self._shot.unit
            cv2.line(sketch, (int(x), int(y)), (int(next_x), int(next_y)), strength, thickness, cv2.LINE_AA)
            x, y = next_x, next_y
            if strength > 0.6 and dice.random() < 0.16:
                self._fork(sketch, dice, x, y, min(end, y + 0.16 * self._shot.unit), strength * 0.5)

    def draw(self, canvas: Image, moment: Moment) -> None:
        """Flash, twice in quick succession, as lightning does."""
        since = moment.seconds - self._first_s
        if since < 0:
            return
        strike, age = divmod(since, self._every_s)
        flash = max(0.0, 1 - age * 6) + max(0.0, 0.6 - abs(age - 0.26) * 9)
        if flash <= 0:
            return
        bolt = self._bolts[int(strike) % len(self._bolts)]
        region = canvas[: bolt.shape[0]]
        cv2.scaleAdd(bolt, min(1.0, flash), region, region)
        cv2.add(canvas, np.array([62, 54, 52, 0]) * flash, canvas)
