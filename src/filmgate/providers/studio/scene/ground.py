"""The ground: from the viewer's feet to the hills, or a strip of shore; and where to stand on it."""

from collections.abc import Callable
from typing import Final

import numpy as np

from filmgate.providers.studio.scene.layers import Flat
from filmgate.providers.studio.scene.pixels import Plane, smoothstep
from filmgate.providers.studio.scene.relief import EYE, Plain, hazed, lit, nearest, plain, seen
from filmgate.providers.studio.scene.shot import Shot
from filmgate.providers.studio.scene.soil import Soil, ash, dust, grass, paving, sand, snowfield
from filmgate.providers.studio.scene.stone import Rock, rock, waves

NEAR_UNTIL: Final = 1.75  # the distance at which the near ground ends
FAR_DEPTH: Final = 0.2
MIDDLE_DEPTH: Final = 0.42
NEAR_DEPTH: Final = 0.68

Shape = Callable[[Shot, Plain, Rock], Plane]


class Ground:
    """The land from the viewer's feet to the hills, in three depths, and where to stand on it."""

    def __init__(self, shot: Shot) -> None:
        shape, albedo = _recipe(shot)
        stone = rock(shot, "ground")
        self._shot = shot
        self.layers: list[Flat] = []
        self._standing: list[tuple[Plain, Plane]] = []
        for near, far, steps, depth in (
            (4.6, 20.0, 200, FAR_DEPTH),
            (1.5, 5.4, 200, MIDDLE_DEPTH),
            (min(0.42, nearest(shot)), NEAR_UNTIL, 240, NEAR_DEPTH),
        ):
            land = plain(shot, near=near, far=far, steps=steps)
            heights = shape(shot, land, stone)
            bare = albedo(shot, land, stone) * lit(shot, land, heights)
            tones = hazed(shot, land, heights, bare, reach=15, mist=0.25)
            picture, top = seen(shot, land, heights, tones)
            self.layers.append(Flat(shot=shot, picture=picture, left=-shot.margin_x, top=top, depth=depth))
            self._standing.append((land, heights))

    def row_at(self, x: float, distance: float) -> float:
        """Return the row of the frame where something at column `x` and a distance has its foot."""
        land, heights = next(
            (pair for pair in reversed(self._standing) if distance <= float(pair[0].distance[-1, 0])),
            self._standing[0],
        )
        step = int(np.clip(np.searchsorted(land.distance[:, 0], distance), 0, len(heights) - 1))
        column = int(np.clip(x + self._shot.margin_x, 0, heights.shape[1] - 1))
        return self._shot.horizon - self._shot.unit * (float(heights[step, column]) - EYE) / distance


class Shore:
    """A strip of land before the water, for those who stand there."""

    def __init__(self, shot: Shot) -> None:
        dice = shot.dice("shore")
        stone = rock(shot, "shore")
        self._shot = shot
        land = plain(shot, near=min(0.4, nearest(shot)), far=1.5, steps=260)
        side = float(dice.choice([-1, 1])) * float(dice.uniform(0.04, 0.14))
        bays = waves(stone.smooth, land.x, land.z, 70, stone.offset)
        edge = np.float32(0.98) + side * land.x / land.distance + np.float32(0.10) * bays
        self._heights = np.clip((edge - land.z) * np.float32(0.16), -0.02, 0.03).astype(np.float32)
        self._land = land
        sandy = not shot.screenplay.has("mountains", "forest", "meadow", "snow")
        paved = shot.screenplay.has("city")
        albedo = paving if paved else snowfield if shot.screenplay.has("snow") else sand if sandy else grass
        tones = albedo(shot, land, stone) * lit(shot, land, self._heights)
        # Wet where the water has just been.
        wet = smoothstep(0.014, 0.0, self._heights)
        tones = tones * (1 - np.float32(0.38) * wet)[..., None]
        picture, top = seen(shot, land, self._heights, tones, above=0.0)
        self.layers = [Flat(shot=shot, picture=picture, left=-shot.margin_x, top=top, depth=NEAR_DEPTH)]

    def row_at(self, x: float, distance: float) -> float:
        """Return the row where something at column `x` has its foot; the strip ends at the water."""
        distance = min(distance, 0.86)
        step = int(np.clip(np.searchsorted(self._land.distance[:, 0], distance), 0, len(self._heights) - 1))
        column = int(np.clip(x + self._shot.margin_x, 0, self._heights.shape[1] - 1))
        return self._shot.horizon - self._shot.unit * (float(self._heights[step, column]) - EYE) / distance


def _recipe(shot: Shot) -> tuple[Shape, Soil]:
    # Hills stand back where there are mountains to see.
    swell = 0.45 if shot.screenplay.has("mountains") else 1.0
    if shot.screenplay.has("volcano"):
        return _rolling(0.35), ash
    if shot.screenplay.has("regolith"):
        return _cratered, dust
    if shot.screenplay.has("desert"):
        return _dunes, sand
    if shot.screenplay.has("snow"):
        return _rolling(0.5 * swell), snowfield
    return _rolling(swell), grass


def _rolling(strength: float) -> Shape:
    """Hills that stay flat where subjects stand and rise towards the horizon."""

    def shape(_shot: Shot, land: Plain, stone: Rock) -> Plane:
        hills = waves(stone.smooth, land.x, land.z, 15, stone.offset) + 0.12 * waves(
            stone.coarse, land.x, land.z, 14, stone.offset
        )
        swell = waves(stone.coarse, land.x, land.z, 34, stone.offset + 200)
        far = smoothstep(1.2, 9.0, land.distance)
        return (
            far * (np.float32(0.40 * strength) * hills + np.float32(0.18 * strength))
            + np.float32(0.012) * swell * smoothstep(0.4, 2.5, land.distance)
        ).astype(np.float32)

    return shape


def _dunes(_shot: Shot, land: Plain, stone: Rock) -> Plane:
    """Long crests, sharp on the lee side, that grow towards the horizon."""
    bend = waves(stone.smooth, land.x, land.z, 13, stone.offset)
    phase = land.z * 0.42 + land.x * 0.30 + bend * 0.42
    crest = np.mod(phase, 1.0).astype(np.float32)
    profile = np.where(crest < 0.72, smoothstep(0, 0.74, crest), smoothstep(1.0, 0.70, crest))
    size = np.maximum(0.15, 0.7 + 0.5 * waves(stone.smooth, land.x, land.z, 8, stone.offset + 77))
    far = smoothstep(1.6, 10.0, land.distance)
    return (far * profile * size * np.float32(0.62) + far * np.float32(0.05)).astype(np.float32)


def _cratered(_shot: Shot, land: Plain, stone: Rock) -> Plane:
    """Low swells with bowls that have raised rims."""
    swell = waves(stone.smooth, land.x, land.z, 16, stone.offset) * smoothstep(1.2, 9.0, land.distance)
    heights = np.float32(0.22) * swell + np.float32(0.10) * smoothstep(1.2, 9.0, land.distance)
    dice = np.random.default_rng(int(stone.offset * 1000))
    for _ in range(34):
        z = float(1 / dice.uniform(1 / 12, 1 / 0.7))
        x, radius = float(dice.uniform(-1.3, 1.3)) * z, float(dice.uniform(0.03, 0.13)) * z**0.7
        away = np.hypot(land.x - np.float32(x), (land.z - np.float32(z)) * np.float32(0.9)) / np.float32(
            radius
        )
        bowl = np.where(away < 1, away**2 - 1, 0) * 0.16 + np.exp(-(((away - 1) / 0.28) ** 2)) * 0.10
        heights = heights + bowl.astype(np.float32) * np.float32(radius)
    return heights.astype(np.float32)
