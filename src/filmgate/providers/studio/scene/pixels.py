"""Pixels: colours, premultiplied layers, how one is laid over another."""

from typing import Any, Final, TypeVar, cast

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]  # BGRA, alpha premultiplied where it is a layer
Plane = NDArray[np.floating[Any]]  # one number, or one BGR colour, per pixel
_Picture = TypeVar("_Picture", bound=NDArray[Any])

WHITE_ALPHA: Final = 255
_DITHER_SIZE: Final = 256
# One fixed grain breaks up the bands of an 8-bit gradient; fixed, so a frame never depends on another.
_DITHER: Final = np.random.default_rng(1).random((_DITHER_SIZE, _DITHER_SIZE), dtype=np.float32) - 0.5


def colour(code: str) -> Plane:
    """Read `#rrggbb` as a BGR triple of 0..255."""
    return np.array([int(code[start : start + 2], 16) for start in (5, 3, 1)], np.float32)


def smoothstep(start: float, end: float, value: Plane) -> Plane:
    """Rise from 0 at `start` to 1 at `end`; falls where `end` is the smaller."""
    ramp = np.clip((value - np.float32(start)) / np.float32(end - start), 0, 1)
    return ramp * ramp * (3 - 2 * ramp)


def mix(first: Plane, second: Plane, share: Plane) -> Plane:
    """Blend two BGR planes; `share` is the part of `second`, one number per pixel."""
    return first + (second - first) * share[..., None]


def dither(height: int, width: int) -> Plane:
    """Return a grain of half a level either way, one number per pixel."""
    rows, columns = -(-height // _DITHER_SIZE), -(-width // _DITHER_SIZE)
    return np.tile(_DITHER, (rows, columns))[:height, :width]


def resized(picture: _Picture, width: int, height: int, how: int = cv2.INTER_LINEAR) -> _Picture:
    """Return the picture at another size."""
    return cast("_Picture", cv2.resize(picture, (width, height), interpolation=how))


def warped(picture: _Picture, matrix: NDArray[Any], width: int, height: int) -> _Picture:
    """Return the picture moved by an affine matrix; what lies outside it is clear."""
    return cast("_Picture", cv2.warpAffine(picture, matrix, (width, height), flags=cv2.INTER_LINEAR))


def looked_up(picture: _Picture, x: Plane, y: Plane, *, wrap: bool = False) -> _Picture:
    """Return the picture read at the given places; beyond its edges it repeats, or its edge goes on."""
    border = cv2.BORDER_WRAP if wrap else cv2.BORDER_REPLICATE
    return cast("_Picture", cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=border))


def blurred(picture: _Picture, radius: float) -> _Picture:
    """Return the picture out of focus."""
    return cast("_Picture", cv2.GaussianBlur(picture, (0, 0), radius))


def opaque(bgr: Plane) -> Image:
    """Turn a BGR plane into a solid picture."""
    height, width = bgr.shape[:2]
    out = np.empty((height, width, 4), np.uint8)
    out[..., :3] = np.clip(bgr + 0.5 + dither(height, width)[..., None], 0, 255)
    out[..., 3] = WHITE_ALPHA
    return out


def layer(bgr: Plane, alpha: Plane) -> Image:
    """Turn a BGR plane and its cover (0..1) into a premultiplied picture."""
    height, width = alpha.shape
    out = np.empty((height, width, 4), np.uint8)
    grain = dither(height, width)[..., None]
    out[..., :3] = np.clip((bgr + grain) * alpha[..., None] + 0.5, 0, 255)
    out[..., 3] = np.clip(alpha * 255 + 0.5, 0, 255)
    np.minimum(out[..., :3], out[..., 3:], out=out[..., :3])
    return out


def light(bgr: Plane) -> Image:
    """Turn a BGR plane into a picture that only ever adds light: its alpha is zero."""
    out = np.zeros((*bgr.shape[:2], 4), np.uint8)
    out[..., :3] = np.clip(bgr + dither(*bgr.shape[:2])[..., None] * (bgr > 0.5), 0, 255)
    return out


def grey(plane: Plane) -> Image:
    """Turn factors of 0..1 into a picture to multiply with (scale 1/255), alpha included."""
    factors = np.clip(plane * 255 + 0.5, 0, 255).astype(np.uint8)
    return cv2.merge([factors] * 4)


def lay_over(canvas: Image, top: Image) -> None:
    """Lay a premultiplied picture over a region of the canvas, in place."""
    remaining = cv2.cvtColor(cv2.bitwise_not(cv2.extractChannel(top, 3)), cv2.COLOR_GRAY2BGRA)
    cv2.multiply(canvas, remaining, canvas, scale=1 / 255)
    cv2.add(canvas, top, canvas)


def place(canvas: Image, sprite: Image, x: float, y: float, *, glow: bool = False) -> None:
    """Lay `sprite` over the canvas, or add its light, centred near (x, y); what falls outside is cut."""
    height, width = sprite.shape[:2]
    left, top = int(x - width / 2), int(y - height / 2)
    x0, y0 = max(0, left), max(0, top)
    x1, y1 = min(canvas.shape[1], left + width), min(canvas.shape[0], top + height)
    if x1 <= x0 or y1 <= y0:
        return
    part = sprite[y0 - top : y1 - top, x0 - left : x1 - left]
    region = canvas[y0:y1, x0:x1]
    if glow:
        cv2.add(region, part, region)
    else:
        lay_over(region, part)
