"""Light on the lens: bloom, rays from a low sun, vignette, and the final grade."""

import cv2
import numpy as np

from filmgate.providers.studio.scene.layers import shift_at
from filmgate.providers.studio.scene.pixels import Image, grey
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
        middle = cv2.resize(canvas, (shot.width // 4, shot.height // 4), interpolation=cv2.INTER_AREA)
        threshold = shot.palette.bloom_from
        bright = cv2.subtract(middle, (threshold, threshold, threshold, 0))
        bright = cv2.resize(bright, self._small, interpolation=cv2.INTER_AREA)
        glow = cv2.GaussianBlur(bright, (0, 0), max(1.5, shot.unit / 150))
        if shot.palette.rays:
            glow = self._with_rays(glow, moment)
        size = (shot.width, shot.height)
        cv2.scaleAdd(cv2.resize(glow, size, interpolation=cv2.INTER_LINEAR), 0.9, canvas, canvas)
        cv2.multiply(canvas, self._vignette, canvas, scale=1 / 255)

    def _with_rays(self, glow: Image, moment: Moment) -> Image:
        shift_x, shift_y = shift_at(self._shot, moment, 0)
        x, y = (self._shot.sun_x + shift_x) / 8, (self._shot.sun_y + shift_y) / 8
        rays = glow
        for stretch in (1.35, 1.8):
            matrix = np.array([[stretch, 0, x - x * stretch], [0, stretch, y - y * stretch]], np.float32)
            rays = cv2.addWeighted(rays, 0.6, cv2.warpAffine(rays, matrix, self._small), 0.5, 0)
        return cv2.addWeighted(glow, 0.7, rays, 0.45, 0)
