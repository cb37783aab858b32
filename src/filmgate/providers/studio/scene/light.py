"""Light on the lens: bloom, rays from a low sun, vignette, and the final grade."""

import cv2
import numpy as np

from filmgate.providers.studio.scene.layers import shift_at
from filmgate.providers.studio.scene.pixels import Image, blurred, grey, resized, warped
from filmgate.providers.studio.scene.shot import Moment, Shot


class Lens:
    """Drawn last over the whole canvas."""

    def __init__(self, shot: Shot) -> None:
        self._shot = shot
        rows, columns = np.mgrid[0 : shot.height, 0 : shot.width].astype(np.float32)
        away = np.hypot((columns / shot.width - 0.5), (rows / shot.height - 0.5))
        self._vignette = grey(np.clip(1.02 - 0.5 * away**2.2, 0, 1))
        self._small = (max(2, shot.width // 8), max(2, shot.height // 8))

    def draw(self, canvas: Image, moment: Moment) -> None:
        """Let bright things glow, then darken the corners."""
        shot = self._shot
        middle = resized(canvas, shot.width // 4, shot.height // 4, cv2.INTER_AREA)
        threshold = shot.palette.bloom_from
        bright = cv2.subtract(middle, np.array([threshold, threshold, threshold, 0], np.float64))
        small = resized(np.asarray(bright, np.uint8), *self._small, cv2.INTER_AREA)
        glow = blurred(small, max(1.5, shot.unit / 150))
        if shot.palette.rays:
            glow = self._with_rays(glow, moment)
        gain = 1.5 if shot.screenplay.mood == "neon" else 0.9
        cv2.scaleAdd(resized(glow, shot.width, shot.height), gain, canvas, canvas)
        cv2.multiply(canvas, self._vignette, canvas, scale=1 / 255)

    def _with_rays(self, glow: Image, moment: Moment) -> Image:
        shift_x, shift_y = shift_at(self._shot, moment, 0)
        x, y = (self._shot.sun_x + shift_x) / 8, (self._shot.sun_y + shift_y) / 8
        rays = glow
        for stretch in (1.35, 1.8):
            matrix = np.array([[stretch, 0, x - x * stretch], [0, stretch, y - y * stretch]], np.float32)
            farther = warped(rays, matrix, *self._small)
            rays = np.asarray(cv2.addWeighted(rays, 0.6, farther, 0.5, 0), np.uint8)
        return np.asarray(cv2.addWeighted(glow, 0.7, rays, 0.45, 0), np.uint8)
