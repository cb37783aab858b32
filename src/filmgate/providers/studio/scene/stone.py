"""Stone: the noise that a stretch of land is shaped and coloured from."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from filmgate.providers.studio.scene import noise
from filmgate.providers.studio.scene.pixels import Plane
from filmgate.providers.studio.scene.shot import Shot

_TILE: Final = 512


@dataclass(frozen=True, slots=True)
class Rock:
    """The noise that land is shaped from."""

    smooth: Plane
    coarse: Plane
    fine: Plane
    offset: float


def rock(shot: Shot, purpose: str) -> Rock:
    """Draw the noise for one stretch of land."""
    dice = shot.dice(purpose)
    return Rock(
        noise.tile(dice, _TILE, roughness=3.2, low_cut=2),
        noise.tile(dice, _TILE, roughness=1.9, low_cut=3),
        noise.tile(dice, _TILE, roughness=1.2, low_cut=6),
        float(dice.uniform(0, _TILE)),
    )


def waves(texture: Plane, x: Plane, z: Plane, per_unit: float, offset: float = 0.0) -> Plane:
    """Read a texture over the plain, `per_unit` texels to the unit."""
    return noise.sample(texture, x * np.float32(per_unit) + offset, z * np.float32(per_unit) + offset * 1.7)
