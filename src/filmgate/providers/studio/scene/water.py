"""Water: the scene above the horizon, mirrored through moving waves, with the sun's glitter."""

import cv2
import numpy as np

from filmgate.providers.studio.scene import noise
from filmgate.providers.studio.scene.layers import camera_matrix
from filmgate.providers.studio.scene.pixels import Image, Plane, colour, looked_up, resized, smoothstep
from filmgate.providers.studio.scene.shot import Moment, Shot

_TILE = 512


class Water:
    """Fills the canvas below the horizon from what is already drawn above it."""

    def __init__(self, shot: Shot) -> None:
        dice = shot.dice("water")
        self._shot = shot
        calm = 0.55 if shot.screenplay.has("city", "aurora", "fog") else 1.0
        if shot.screenplay.mood == "storm":
            calm = 1.7
        calm *= float(dice.uniform(0.8, 1.25))
        swell = noise.tile(dice, _TILE, roughness=1.25, low_cut=4, squeeze=2.2)
        chop = noise.tile(dice, _TILE, roughness=1.1, low_cut=8, squeeze=2.0)
        self._texture = np.dstack([swell, chop]).astype(np.float32)
        below = shot.height - shot.horizon + shot.margin_y // 2
        height, width = -(-below // 2), -(-shot.width // 2)
        rows, columns = np.mgrid[0:height, 0:width].astype(np.float32) * 2
        rows += 1
        self._rows, self._columns = rows, columns
        deep = rows / np.float32(shot.unit)
        distance = 1 / (deep + 0.035)
        across = (columns - shot.width / 2) / np.float32(shot.unit) * distance
        self._u, self._v = (across * 62).astype(np.float32), (distance * 88).astype(np.float32)
        self._u_chop, self._v_chop = self._u * np.float32(1.9), self._v * np.float32(1.9)
        self._bend = ((smoothstep(0, 0.3, deep) * 0.06 + 0.006) * shot.unit * calm).astype(np.float32)
        self._strength = np.clip(deep * 3.2 + 0.06, 0, 1).astype(np.float32)
        share = smoothstep(0, 0.42, deep) * 0.58 + 0.06
        self._mirror = _full(np.repeat(((1 - share) * 240)[..., None], 3, axis=2), 255, shot.width, below)
        self._body = _full(share[..., None] * colour(shot.palette.water), 0, shot.width, below)
        self._glitter = self._sun_path(deep)
        self._sun = colour(shot.palette.sun)

    def _sun_path(self, deep: Plane) -> Plane:
        shot = self._shot
        if shot.palette.disc == "none":
            return np.zeros_like(deep)
        spread = shot.unit * (0.07 + 0.3 * deep)
        path = np.exp(-(((self._columns - np.float32(shot.sun_x)) / spread) ** 2))
        return (path * (0.15 + 0.85 * smoothstep(0.42, 0, deep))).astype(np.float32)

    def draw(self, canvas: Image, moment: Moment) -> None:
        """Mirror the scene above the waterline into everything below it."""
        shot, seconds = self._shot, moment.seconds
        line = int(camera_matrix(shot, moment, left=0, top=shot.horizon, depth=0)[2])
        height = min(self._body.shape[0], shot.height - line)
        if height <= 0:
            return
        swell = self._waves(self._u + np.float32(seconds * 5), self._v + np.float32(seconds * 17 % _TILE))
        chop = self._waves(
            self._u_chop - np.float32(seconds * 7), self._v_chop + np.float32(seconds * 13 % _TILE)
        )
        wave = (swell[..., 0] + 0.6 * chop[..., 1]) * self._strength
        bent = wave * self._bend
        mirror_x = self._columns + bent
        mirror_y = np.clip(line - 1 - self._rows * 0.94 - np.abs(bent) * 1.6, 0, shot.height - 1)
        size = (self._body.shape[1], self._body.shape[0])
        mirror_x, mirror_y = (resized(plane, *size)[:height] for plane in (mirror_x, mirror_y))
        region = looked_up(canvas[:line], mirror_x, mirror_y)
        cv2.multiply(region, self._mirror[:height], region, scale=1 / 255)
        cv2.add(region, self._body[:height], region)
        cv2.add(region, resized(self._sparkle(wave, swell), *size)[:height], region)
        canvas[line : line + height] = region

    def _waves(self, u: Plane, v: Plane) -> Plane:
        return looked_up(self._texture, u, v, wrap=True)

    def _sparkle(self, wave: Plane, swell: Plane) -> Image:
        path = self._glitter
        facing = np.clip(wave * 1.1 - 0.75 + 0.55 * path, 0, 1) * path * 1.9
        crests = np.clip(swell[..., 1] * 0.8 - 1.35, 0, 1) * 0.10 * self._strength
        amount = np.minimum(facing + crests, 1)
        channels = [cv2.convertScaleAbs(amount, alpha=float(value)) for value in self._sun]
        return np.dstack([*channels, np.zeros(amount.shape, np.uint8)])


def _full(bgr: Plane, alpha: int, width: int, height: int) -> Image:
    out = np.full((*bgr.shape[:2], 4), alpha, np.uint8)
    out[..., :3] = np.clip(bgr, 0, 255)
    return resized(out, width, height)
