"""Fog: banks that drift along the horizon; drawn at quarter size."""

import cv2
import numpy as np

from filmgate.providers.studio.scene import noise
from filmgate.providers.studio.scene.pixels import Image, colour, lay_over, looked_up, smoothstep
from filmgate.providers.studio.scene.shot import Moment, Shot

_TILE = 512


class Fog:
    """One seamless bank, moved by remapping."""

    def __init__(self, shot: Shot) -> None:
        dice = shot.dice("fog")
        self._size = (shot.width, shot.height)
        bank = smoothstep(-1.4, 1.8, noise.tile(dice, _TILE, roughness=1.8)) * np.float32(255)
        self._bank = bank.astype(np.uint8)
        height, width = max(8, shot.height // 4), max(8, shot.width // 4)
        rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
        self._u = (columns * np.float32(4 / shot.unit * 260)).astype(np.float32)
        self._v = (rows * np.float32(4 / shot.unit * 900)).astype(np.float32)
        away = (rows * 4 - shot.horizon) / shot.unit
        self._strength = (np.exp(-((away / 0.15) ** 2)) * 0.8).astype(np.float32)
        self._tone = np.minimum(255, colour(shot.palette.haze) * 1.04)
        self._speed = float(dice.choice([-1, 1]) * dice.uniform(5, 9))

    def draw(self, canvas: Image, moment: Moment) -> None:
        """Lay the bank over the scene."""
        u = self._u + np.float32(moment.seconds * self._speed)
        bank = looked_up(self._bank, u, self._v, wrap=True)
        cover = bank.astype(np.float32) * self._strength
        channels = [cv2.convertScaleAbs(cover, alpha=float(value) / 255) for value in self._tone]
        fog = cv2.merge([*channels, cv2.convertScaleAbs(cover)])
        lay_over(canvas, cv2.resize(fog, self._size, interpolation=cv2.INTER_LINEAR))
