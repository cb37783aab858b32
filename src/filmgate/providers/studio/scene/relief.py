"""Relief: land as heights over a plain, lit and seen in perspective.

The plain is told in units of the shot's `unit`: a point at distance 1 is drawn at its own size, one at
distance 10 at a tenth. For each picture column the land is sampled from near to far; the first sample
that reaches above a pixel is the one seen there.
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from filmgate.providers.studio.scene.pixels import (
    Image,
    Plane,
    colour,
    layer,
    looked_up,
    mix,
    resized,
    smoothstep,
)
from filmgate.providers.studio.scene.shot import Shot

EYE: Final = 0.2  # the viewer's height above the plain: about a person's
_OVERSAMPLING: Final = 2  # rows drawn per row kept, for smooth outlines


@dataclass(frozen=True, slots=True)
class Plain:
    """Where the samples lie: `distance` per step, `x` across per step and column."""

    distance: Plane  # (steps, 1)
    x: Plane  # (steps, columns)

    @property
    def z(self) -> Plane:
        """The distance of every sample."""
        return np.broadcast_to(self.distance, self.x.shape)


def nearest(shot: Shot) -> float:
    """How near the plain comes to the viewer: the distance drawn at the lower edge, with its margin."""
    return 0.92 * EYE * shot.unit / (shot.height + shot.margin_y - shot.horizon)


def plain(shot: Shot, *, near: float, far: float, steps: int) -> Plain:
    """Lay out samples between two distances, closer together where they are near."""
    distance = np.geomspace(near, far, steps, dtype=np.float32)[:, None]
    columns = np.arange(shot.width + 2 * shot.margin_x, dtype=np.float32)
    across = (columns - shot.margin_x - shot.width / 2) / np.float32(shot.unit)
    return Plain(distance, across[None] * distance)


def slopes(land: Plain, heights: Plane) -> tuple[Plane, Plane]:
    """Return how steeply the land rises to the right and away from the viewer."""
    step_x = land.x[:, 1:2] - land.x[:, 0:1]
    rise_x = np.gradient(heights, axis=1) / step_x
    rise_z = np.gradient(heights, axis=0) / np.gradient(land.distance, axis=0)
    return rise_x.astype(np.float32), rise_z.astype(np.float32)


def lit(shot: Shot, land: Plain, heights: Plane, *, steepness: float = 1.0) -> Plane:
    """Return the light on every sample, BGR factors: the sky's share and the sun's."""
    rise_x, rise_z = slopes(land, heights)
    rise_x, rise_z = rise_x * np.float32(steepness), rise_z * np.float32(steepness)
    low = shot.palette.sun_height[0] < 0.3  # a low sun rakes the land
    side, up, front = shot.sun_side * (0.82 if low else 0.62), 0.42 if low else 0.68, -0.4
    length = np.sqrt(1 + rise_x**2 + rise_z**2)
    facing = np.maximum(0, (-rise_x * side + up - rise_z * front) / length)
    open_sky = 0.55 + 0.45 / length
    ambient, key = shot.palette.ambient_bgr(), shot.palette.key_bgr()
    return (open_sky[..., None] * ambient + facing[..., None] * key).astype(np.float32)


def hazed(shot: Shot, land: Plain, heights: Plane, tones: Plane, *, reach: float, mist: float = 0.3) -> Plane:
    """Fade colours into the haze with distance; `mist` lies in the low ground."""
    reach *= shot.palette.haze_depth
    if shot.screenplay.has("fog"):
        reach, mist = reach * 0.4, mist + 0.35
    distance = 1 - np.exp(-land.z / np.float32(reach))
    low = np.exp(-np.maximum(0, heights) / np.float32(0.05 * land.distance + 0.05)) * distance
    share = np.clip(distance + mist * low * (1 - distance), 0, 1)
    return mix(tones, np.broadcast_to(colour(shot.palette.haze), tones.shape), share.astype(np.float32))


def seen(
    shot: Shot, land: Plain, heights: Plane, tones: Plane, *, above: float | None = None
) -> tuple[Image, int]:
    """Return the land as it is seen, with the row of the frame its picture begins at.

    Land lower than `above` is left out: that is where water stands.
    """
    levels = (heights - np.float32(EYE)) * np.float32(shot.unit) / land.distance  # pixels over the horizon
    highest = np.maximum.accumulate(levels, axis=0)
    lowest = float(max(levels[0].min() - 2, shot.horizon - shot.height - shot.margin_y))
    rows = max(8, int(float(highest[-1].max()) - lowest) + 3)
    index, row_levels = _first_to_reach(highest, lowest, rows)
    below = np.take_along_axis(levels, np.maximum(index - 1, 0), axis=0)
    reached = np.take_along_axis(levels, np.minimum(index, len(levels) - 1), axis=0)
    part = np.clip((row_levels[:, None] - below) / np.maximum(reached - below, 1e-3), 0, 1)
    step = np.clip(index - 1 + part, 0, len(levels) - 1).astype(np.float32)
    column = np.broadcast_to(np.arange(levels.shape[1], dtype=np.float32), step.shape)
    picture = looked_up(tones, column, step)
    alpha: Plane = (index < len(levels)).astype(np.float32)
    if above is not None:
        height = looked_up(heights, column, step)
        alpha *= smoothstep(above - 0.002, above + 0.004, height)
    width = levels.shape[1]
    picture, alpha = (
        resized(picture, width, rows, cv2.INTER_AREA),
        resized(alpha, width, rows, cv2.INTER_AREA),
    )
    return layer(picture, alpha), shot.horizon - int(lowest) - rows


def _first_to_reach(highest: Plane, lowest: float, rows: int) -> tuple[NDArray[np.int64], Plane]:
    """For each fine row and column, the first sample at least as high as the row."""
    fine = rows * _OVERSAMPLING
    columns = highest.shape[1]
    row_levels = (int(lowest) + rows - (np.arange(fine, dtype=np.float32) + 0.5) / _OVERSAMPLING).astype(
        np.float32
    )
    # Count, per column, the samples that stay below each row: a histogram of the rows they reach, summed.
    reach = np.floor((row_levels[0] - highest) * _OVERSAMPLING).astype(np.int64) + 1
    cell = np.clip(reach, 0, fine) * columns + np.arange(columns)
    counts = np.bincount(cell.ravel(), minlength=(fine + 1) * columns).reshape(fine + 1, columns)
    # A sample whose top is at fine row `reach` covers rows reach.. and below, so it fails rows above it.
    covering = np.cumsum(counts, axis=0)[:fine]
    return len(highest) - covering, row_levels
