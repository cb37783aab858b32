"""The badge that says who made a picture: a small line of text in the corner."""

from typing import Final

import cv2
import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from filmgate.providers.studio.scene.pixels import Image, lay_over

_TEXT: Final = "Filmgate studio"
_SMALLEST: Final = 9


class Badge:
    """A watermark fitted to a frame's size."""

    def __init__(self, width: int, height: int) -> None:
        size = max(_SMALLEST, round(min(width, height) * 0.026))
        font = ImageFont.load_default(size)
        left, top, right, bottom = font.getbbox(_TEXT)
        pad = max(3, size // 2)
        extent = (round(right - left) + 2 * pad, round(bottom - top) + 2 * pad)
        mark = Pillow.new("L", extent, 0)
        ImageDraw.Draw(mark).text((pad - left, pad - top), _TEXT, fill=255, font=font)
        letters = np.asarray(mark, np.float32) / 255
        shade = cv2.GaussianBlur(letters, (0, 0), max(1.0, size / 7)) * np.float32(1.1)
        alpha = np.clip(letters * 0.82 + np.clip(shade, 0, 0.5) * (1 - letters), 0, 1)
        picture = np.empty((*alpha.shape, 4), np.uint8)
        picture[..., :3] = (letters * 0.82 * 255)[..., None]
        picture[..., 3] = alpha * 255
        margin = max(2, round(min(width, height) * 0.02))
        self._x, self._y = max(0, width - extent[0] - margin), max(0, height - extent[1] - margin)
        self._picture: Image = np.ascontiguousarray(picture[:height, :width])

    def draw(self, canvas: Image) -> None:
        """Lay the badge over the lower right corner."""
        height, width = self._picture.shape[:2]
        lay_over(canvas[self._y : self._y + height, self._x : self._x + width], self._picture)
