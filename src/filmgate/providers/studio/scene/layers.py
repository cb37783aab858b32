"""Flat layers: pictures that slide and grow with the camera by how near they stand."""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from filmgate.providers.studio.scene.pixels import Image, lay_over, warped
from filmgate.providers.studio.scene.shot import Moment, Shot


class Element(Protocol):
    """Something that draws itself on the canvas; elements are drawn in order, farthest first."""

    def draw(self, canvas: Image, moment: Moment) -> None:
        """Draw this element as it is at `moment`."""


def scale_at(moment: Moment, depth: float) -> float:
    """How much larger things at a depth appear: 0 is infinitely far, 1 stands at the subject."""
    return 1 + (moment.zoom - 1) * min(1.3, depth * 1.3 + 0.12)


def shift_at(shot: Shot, moment: Moment, depth: float) -> tuple[float, float]:
    """How far the camera's pan moves things at a depth, in pixels."""
    return -moment.pan_x * shot.width * (0.10 + depth * 1.1), -moment.pan_y * shot.height * (
        0.45 + 0.5 * depth
    )


def camera_matrix(
    shot: Shot, moment: Moment, *, left: float, top: float, depth: float
) -> tuple[float, float, float]:
    """Return scale, x and y of a picture whose corner rests at (left, top) in the frame."""
    scale = scale_at(moment, depth)
    shift_x, shift_y = shift_at(shot, moment, depth)
    centre_x, centre_y = shot.width / 2, min(shot.horizon, shot.height * 0.62)
    return (
        scale,
        centre_x + (left - centre_x) * scale + shift_x,
        centre_y + (top - centre_y) * scale + shift_y,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Flat:
    """One picture at one depth; `sway` leans it in the wind, by that share of its height."""

    shot: Shot
    picture: Image
    left: float
    top: float
    depth: float
    sway: float = 0.0

    def draw(self, canvas: Image, moment: Moment) -> None:
        """Lay the picture over the rows it covers."""
        height = self.picture.shape[0]
        scale, x, y = camera_matrix(self.shot, moment, left=self.left, top=self.top, depth=self.depth)
        y0, y1 = max(0, int(y) - 1), min(self.shot.height, int(y + height * scale) + 2)
        if y1 <= y0:
            return
        gust = math.sin(moment.seconds * 1.3) + 0.5 * math.sin(moment.seconds * 2.9 + 1.7)
        lean = self.sway * gust
        matrix = np.array([[scale, -lean, x + lean * height], [0, scale, y - y0]], np.float32)
        moved = warped(self.picture, matrix, self.shot.width, y1 - y0)
        lay_over(canvas[y0:y1], moved)
