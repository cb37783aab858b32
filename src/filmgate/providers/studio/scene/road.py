"""The road: a strip of asphalt across the picture, for what drives."""

from typing import Final

import numpy as np

from filmgate.providers.studio.scene.ground import NEAR_DEPTH
from filmgate.providers.studio.scene.layers import Flat
from filmgate.providers.studio.scene.pixels import colour, smoothstep
from filmgate.providers.studio.scene.relief import lit, plain, seen
from filmgate.providers.studio.scene.shot import Shot
from filmgate.providers.studio.scene.stone import rock, waves

_DASH: Final = 0.34  # of the shot's unit, on the plain


def road(shot: Shot, *, near: float, far: float) -> Flat:
    """Return the strip between two distances, with its lines."""
    land = plain(shot, near=near * 0.96, far=far * 1.04, steps=160)
    stone = rock(shot, "road")
    grain = waves(stone.fine, land.x, land.z, 420, 3)
    worn = waves(stone.coarse, land.x, land.z, 40, 70)
    asphalt = colour("#b9c0ca" if shot.screenplay.has("snow") else "#54565c")
    tones = asphalt * (1 + 0.05 * grain + 0.06 * worn)[..., None]
    share = (land.z - np.float32(near)) / np.float32(far - near)
    edge = (np.abs(share - np.float32(0.06)) < 0.014) | (np.abs(share - np.float32(0.94)) < 0.02)
    dashes = (np.abs(share - np.float32(0.5)) < 0.018) & (np.mod(land.x / _DASH, 1.0) < 0.55)
    tones = np.where((edge | dashes)[..., None], colour("#e2ddcc"), tones)
    heights = np.full(land.x.shape, 0.004, np.float32)
    picture, top = seen(shot, land, heights, tones * lit(shot, land, heights))
    soft = smoothstep(-0.02, 0.03, np.linspace(0, 1, picture.shape[0], dtype=np.float32))[:, None, None]
    return Flat(
        shot=shot,
        picture=(picture * soft).astype(np.uint8),
        left=-shot.margin_x,
        top=top,
        depth=NEAR_DEPTH,
    )
