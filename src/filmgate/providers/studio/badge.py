"""What is written on a picture: the badge that says who made it, and the label that some laws ask for."""

from typing import Final

import cv2
import numpy as np
import resvg_py
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from filmgate.providers.studio.order import Labels
from filmgate.providers.studio.scene.pixels import Image, Plane, lay_over

_BADGE: Final = "Filmgate studio"
_BADGE_SIZE: Final = 0.026  # of the short side
_EU: Final = "AI-generated"
_EU_SIZE: Final = 0.030
_CN_SIZE: Final = 0.054  # GB 45438-2025: text of 5 % of the short side at least
_CN_SECONDS: Final = 3.0  # on the opening picture for 2 s at least
_CN_FADE_S: Final = 0.5
_SMALLEST: Final = 9
_OPACITY: Final = 0.82


class Stamp:
    """Letters with a soft shadow in a lower corner of a frame."""

    def __init__(self, letters: Plane, width: int, height: int, *, right: bool) -> None:
        """`letters` is their cover, 0..1, with room about them for the shadow."""
        size = letters.shape[0] / 2
        shade = np.asarray(cv2.GaussianBlur(letters, (0, 0), max(1.0, size / 7)), np.float32) * 1.1
        alpha = np.clip(letters * _OPACITY + np.clip(shade, 0, 0.5) * (1 - letters), 0, 1)
        picture = np.empty((*alpha.shape, 4), np.uint8)
        picture[..., :3] = (letters * _OPACITY * 255)[..., None]
        picture[..., 3] = alpha * 255
        margin = max(2, round(min(width, height) * 0.02))
        self._x = max(0, width - alpha.shape[1] - margin) if right else min(margin, width - 1)
        self._y = max(0, height - alpha.shape[0] - margin)
        self._picture: Image = np.ascontiguousarray(picture[: height - self._y, : width - self._x])

    def draw(self, canvas: Image, share: float = 1.0) -> None:
        """Lay the letters over the corner, `share` of their strength."""
        height, width = self._picture.shape[:2]
        picture = self._picture
        if share < 1:
            picture = np.asarray(cv2.convertScaleAbs(picture, alpha=share), np.uint8)
        lay_over(canvas[self._y : self._y + height, self._x : self._x + width], picture)


class Badge(Stamp):
    """The watermark, fitted to a frame's size."""

    def __init__(self, width: int, height: int) -> None:
        size = max(_SMALLEST, round(min(width, height) * _BADGE_SIZE))
        super().__init__(_written(_BADGE, size), width, height, right=True)


class Label:
    """The visible label of a profile: on all of a picture's time in the EU's, on its opening in China's."""

    def __init__(self, labels: Labels, width: int, height: int) -> None:
        self._opening = labels == "cn"
        short = min(width, height)
        letters = (
            _drawn(max(_SMALLEST, round(short * _CN_SIZE)))
            if labels == "cn"
            else _written(_EU, max(_SMALLEST, round(short * _EU_SIZE)))
        )
        self._stamp = Stamp(letters, width, height, right=False)

    def draw(self, canvas: Image, seconds: float) -> None:
        """Lay the label over the lower left corner, where it is still due."""
        share = min(1.0, (_CN_SECONDS + _CN_FADE_S - seconds) / _CN_FADE_S) if self._opening else 1.0
        if share > 0:
            self._stamp.draw(canvas, share)


def _written(text: str, size: int) -> Plane:
    font = ImageFont.load_default(size)
    left, top, right, bottom = font.getbbox(text)
    pad = max(3, size // 2)
    mark = Pillow.new("L", (round(right - left) + 2 * pad, round(bottom - top) + 2 * pad), 0)
    ImageDraw.Draw(mark).text((pad - left, pad - top), text, fill=255, font=font)
    return np.asarray(mark, np.float32) / 255


# "AI生成" in strokes of our own, 100 units tall: no font that we could count on has the last two.
_CN_VIEW: Final = (386, 100)
_CN_STROKES: Final = (
    "M5 95 L40 6 L75 95 M19 65 H61 "  # A
    "M100 6 V95 "  # I
    "M154 6 Q148 28 132 44 M146 26 H210 M178 4 V93 M140 58 H206 M126 93 H218 "  # 生
    "M248 26 H342 M248 26 V50 Q248 78 236 94 M248 52 H280 V70 Q280 84 264 82 "  # 成
    "M298 5 Q302 56 334 88 Q342 96 344 76 M334 46 Q322 72 296 92 M318 4 L334 17"
)


def _drawn(size: int) -> Plane:
    """Return the Chinese label, its signs `size` pixels tall."""
    pad = max(3, size // 2)
    scale = size / 90  # from top to bottom of the strokes themselves
    width, height = round(_CN_VIEW[0] * scale) + 2 * pad, round(_CN_VIEW[1] * scale) + 2 * pad
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}">'
        f'<g transform="translate({pad} {pad}) scale({scale})" fill="none" stroke="#fff"'
        ' stroke-width="9" stroke-linecap="round" stroke-linejoin="round">'
        f'<path d="{_CN_STROKES}"/></g></svg>'
    )
    png = bytes(resvg_py.svg_to_bytes(svg_string=svg, width=width, height=height, skip_system_fonts=True))
    picture = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
    assert picture is not None, "resvg answers with a PNG"
    return picture[..., 3].astype(np.float32) / 255
