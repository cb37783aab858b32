"""The aurora: curtains of light that ripple over the night sky."""

import math

import cv2
import numpy as np

from filmgate.providers.studio.scene import noise
from filmgate.providers.studio.scene.pixels import Image, Plane, colour, resized, smoothstep
from filmgate.providers.studio.scene.shot import Moment, Shot

_LENGTH = 2048
_TINTS = (("#3deb78", "#963cbe"), ("#4af0b4", "#5a4ae0"), ("#8af04a", "#e04a9a"))


class Aurora:
    """Three curtains, computed at an eighth of the size and enlarged: they are all blur."""

    def __init__(self, shot: Shot) -> None:
        dice = shot.dice("aurora")
        self._rows = min(shot.height, shot.horizon + int(shot.height * 0.02))
        self._width = shot.width
        self._brightness = [
            self._mirrored(noise.line(dice, _LENGTH // 2, waves=10, gain=0.6)) for _ in range(3)
        ]
        self._hem = self._mirrored(noise.line(dice, _LENGTH // 2, waves=7, gain=0.5))
        self._phase = float(dice.uniform(0, 6))
        self._height = float(dice.uniform(0.52, 0.72))
        low, high = _TINTS[int(dice.integers(len(_TINTS)))]
        self._low, self._high = colour(low), colour(high)
        small_width, small_height = max(8, shot.width // 8), max(8, self._rows // 6)
        self._x = np.linspace(0, 1, small_width, dtype=np.float32)
        self._y = np.linspace(0, 1, small_height, dtype=np.float32)[:, None]

    @staticmethod
    def _mirrored(line: Plane) -> Plane:
        return np.concatenate([line, line[::-1]])

    def draw(self, canvas: Image, moment: Moment) -> None:
        """Add the curtains' light to the sky."""
        seconds = moment.seconds
        total = np.zeros((len(self._y), len(self._x), 3), np.float32)
        for index, brightness in enumerate(self._brightness):
            along = self._x * 430 * (1 + 0.3 * index) + seconds * (9 - 4 * index) + 300 * index
            rays = np.clip(np.interp(along % _LENGTH, np.arange(_LENGTH), brightness) * 1.7 + 0.45, 0, 1.4)
            wave = 0.15 * np.sin(self._x * 5 + index * 2 + seconds * 0.25 + self._phase)
            sway = 0.12 * np.interp(
                (self._x * 500 + 200 + seconds * 6) % _LENGTH, np.arange(_LENGTH), self._hem
            )
            above = (self._height + wave + sway - 0.12 * index - self._y).astype(np.float32)
            reach = (0.15 + 0.12 * rays).astype(np.float32)
            lit = np.where(above > 0, np.exp(-above / reach), np.exp(above / 0.02)) * rays
            lit *= smoothstep(0, 0.15, self._y)
            fade = np.exp(-np.clip(above, 0, 1) / 0.22)[..., None]
            total += lit[..., None] * (self._low * fade + self._high * (1 - fade)) * np.float32(0.62)
        total *= 0.9 + 0.1 * math.sin(seconds * 0.7)
        glow = cv2.cvtColor(np.clip(total, 0, 255).astype(np.uint8), cv2.COLOR_BGR2BGRA)
        glow[..., 3] = 0
        region = canvas[: self._rows]
        cv2.add(region, resized(glow, self._width, self._rows, cv2.INTER_CUBIC), region)
