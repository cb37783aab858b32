"""Puppets: a still drawing made to walk or swim, by bending it a little more at each point of a stride."""

from typing import Final, Literal

import cv2
import numpy as np

from filmgate.providers.studio.scene.pixels import Image, Plane

Gait = Literal["legs", "tail"]

_HIP: Final = 0.62  # of the height from the top: what is below it swings
_STRIDE: Final = 0.075  # of the height: how far a foot swings to either side
_STROKE: Final = 0.05  # of the height: how far a tail swings


def stride(picture: Image, gait: Gait | None, steps: int) -> tuple[Image, ...]:
    """Return the picture at `steps` points of a stride; just itself where it has no gait.

    The pictures have one size, wide enough for the farthest swing.
    """
    if gait is None:
        return (picture,)
    height, width = picture.shape[:2]
    side = 1 + round(height * _STRIDE)
    padded = np.pad(picture, ((0, 0), (side, side), (0, 0)))
    rows, columns = np.mgrid[0:height, 0 : width + 2 * side].astype(np.float32)
    return tuple(
        _bent(padded, rows, columns, gait, np.float32(2 * np.pi * step / steps)) for step in range(steps)
    )


def _bent(picture: Image, rows: Plane, columns: Plane, gait: Gait, turn: np.float32) -> Image:
    height, width = picture.shape[:2]
    along = columns / np.float32(width)
    match gait:
        case "legs":
            # A wave runs through the legs from one end to the other, so that neighbours never swing alike.
            low = np.clip((rows / np.float32(height) - _HIP) / np.float32(1 - _HIP), 0, 1)
            columns = columns + low * np.float32(_STRIDE * height) * np.sin(turn + along * np.float32(9.5))
        case "tail":
            # Drawings look to the left: the tail is on the right.
            swing = np.clip((along - np.float32(0.3)) / np.float32(0.7), 0, 1) ** 2
            rows = rows + swing * np.float32(_STROKE * height) * np.sin(turn - along * np.float32(4))
    return cv2.remap(
        picture, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=(0, 0, 0, 0)
    ).astype(np.uint8, copy=False)
