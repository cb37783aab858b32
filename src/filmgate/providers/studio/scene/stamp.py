"""Stamps a sprite on the canvas: moved, turned, leaning or squeezed about one point of it."""

import math
from dataclasses import dataclass

import numpy as np

from filmgate.providers.studio.scene.pixels import Image, lay_over, warped


@dataclass(frozen=True, slots=True, kw_only=True)
class Stance:
    """Where the sprite's anchor comes to, and how the sprite stands about it.

    The anchor is in the middle across and at `anchor` of the height. Negative stretches mirror; `skew`
    moves the top sideways, by that share of the height; `turn` is in degrees.
    """

    x: float
    y: float
    anchor: float = 1.0
    across: float = 1.0
    down: float = 1.0
    skew: float = 0.0
    turn: float = 0.0
    cut_below: float | None = None


def stamp(canvas: Image, sprite: Image, stance: Stance) -> None:
    """Lay the sprite over the canvas; nothing is drawn below `cut_below`."""
    height, width = sprite.shape[:2]
    angle = math.radians(stance.turn)
    turned = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    linear = turned @ np.array([[stance.across, stance.skew * stance.down], [0, stance.down]])
    offset = np.array([stance.x, stance.y]) - linear @ np.array([width / 2, height * stance.anchor])
    corners = linear @ np.array([[0, width, 0, width], [0, 0, height, height]]) + offset[:, None]
    x0, y0 = (max(0, math.floor(float(low))) for low in corners.min(axis=1))
    x1, y1 = (math.ceil(float(high)) + 1 for high in corners.max(axis=1))
    x1, y1 = min(canvas.shape[1], x1), min(canvas.shape[0], y1)
    if stance.cut_below is not None:
        y1 = min(y1, int(stance.cut_below))
    if x1 <= x0 or y1 <= y0:
        return
    matrix = np.column_stack([linear, offset - (x0, y0)])
    lay_over(canvas[y0:y1, x0:x1], warped(sprite, matrix, x1 - x0, y1 - y0))
