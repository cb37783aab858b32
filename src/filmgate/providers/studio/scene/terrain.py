"""Terrain: mountains, dunes, hills and the ground one stands on, each a recipe for a relief."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from filmgate.providers.studio.scene import noise
from filmgate.providers.studio.scene.layers import Flat
from filmgate.providers.studio.scene.pixels import Plane, colour, mix, smoothstep
from filmgate.providers.studio.scene.relief import EYE, Plain, hazed, lit, nearest, plain, seen, slopes
from filmgate.providers.studio.scene.shot import Shot

NEAR_UNTIL: Final = 1.75  # the distance at which the near ground ends
FAR_DEPTH: Final = 0.2
MIDDLE_DEPTH: Final = 0.42
NEAR_DEPTH: Final = 0.68
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


def _waves(texture: Plane, x: Plane, z: Plane, per_unit: float, offset: float = 0.0) -> Plane:
    return noise.sample(texture, x * np.float32(per_unit) + offset, z * np.float32(per_unit) + offset * 1.7)


# ---------------------------------------------------------------- mountains


def mountains(shot: Shot) -> list[Flat]:
    """Two ranges, the farther one higher; a pass is left open where the seed says."""
    dice = shot.dice("mountains")
    gap = float(dice.uniform(-0.5, 0.5))
    tall = float(dice.uniform(1.0, 1.5)) * (1.0 if shot.width >= shot.height else 1.25)
    snowy = shot.screenplay.has("snow")
    far = _Range(name="far", near=15, far=30, height=12.5 * tall, gap=gap, snow_line=0.35, depth=0.06)
    near = _Range(
        name="near",
        near=6.5,
        far=13,
        height=3.3 * tall,
        gap=gap + float(dice.uniform(-0.3, 0.3)),
        snow_line=0.25 if snowy else 0.92,
        depth=0.14,
    )
    return [_raised(shot, far), _raised(shot, near)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Range:
    """A range between two distances; its pass is at `gap`, its snow above `snow_line` of its height."""

    name: str
    near: float
    far: float
    height: float
    gap: float
    snow_line: float
    depth: float


def _raised(shot: Shot, mountain_range: _Range) -> Flat:
    near, far = mountain_range.near, mountain_range.far
    land = plain(shot, near=near, far=far, steps=300)
    stone = rock(shot, mountain_range.name)
    envelope = smoothstep(0.0, 0.75, (land.distance - near) / (far - near))
    # Across: the pass, told in shares of the picture's width, so that it stays open in perspective.
    across = land.x / (land.distance * np.float32(shot.width / shot.unit)) - np.float32(mountain_range.gap)
    envelope = envelope * (0.30 + 0.70 * smoothstep(0.05, 0.5, np.abs(across)))
    heights = _peaks(land, stone, far) * np.float32(mountain_range.height) * envelope - np.float32(0.02)
    tones = _stone_tones(shot, land, heights, stone, mountain_range.snow_line * mountain_range.height)
    picture, top = seen(shot, land, heights, tones)
    return Flat(shot=shot, picture=picture, left=-shot.margin_x, top=top, depth=mountain_range.depth)


def _peaks(land: Plain, stone: Rock, scale: float) -> Plane:
    """Ridges under ridges: each octave is stronger where the one above it is high."""
    per_unit = 34 / scale
    warp = _waves(stone.coarse, land.x, land.z, per_unit * 0.7, stone.offset + 91) * np.float32(
        0.05 * scale / 2
    )
    x, z = land.x + warp, land.z + warp * 0.6
    total, strength, weight = np.zeros_like(x), 1.0, np.ones_like(x)
    for octave in range(5):
        ridge = (
            1 - np.abs(_waves(stone.coarse, x, z, per_unit * 2.03**octave, stone.offset + 57 * octave)) * 0.62
        )
        ridge = np.maximum(0, ridge) ** 2
        total += ridge * weight * np.float32(strength)
        weight = np.clip(ridge * 1.5, 0, 1)
        strength *= 0.48
    return total * np.float32(0.56)


def _stone_tones(shot: Shot, land: Plain, heights: Plane, stone: Rock, snow_line: float) -> Plane:
    light = lit(shot, land, heights, steepness=0.8)
    rise_x, rise_z = slopes(land, heights)
    steep = np.hypot(rise_x, rise_z)
    grain = _waves(stone.fine, land.x, land.z, 22 / float(land.distance[0, 0]) * 3, 11)
    volcanic = shot.screenplay.mood == "volcano"
    base, dark = ("#5a4a48", "#2e2628") if volcanic else ("#8a8078", "#5d5a5c")
    albedo = mix(
        np.broadcast_to(colour(base), (*heights.shape, 3)),
        np.broadcast_to(colour(dark), (*heights.shape, 3)),
        smoothstep(-0.8, 1.2, grain),
    )
    if not volcanic and not shot.screenplay.has("snow"):
        growth = colour("#a8703a") if shot.screenplay.has("autumn") else colour("#566b45")
        green = smoothstep(1.6, 0.5, steep + 0.25 * grain) * smoothstep(
            0.75, 0.25, heights / max(1e-3, snow_line)
        )
        albedo = mix(albedo, np.broadcast_to(growth, albedo.shape), green * np.float32(0.8))
    if not volcanic:
        top = float(heights.max())
        snow = smoothstep(snow_line * 0.85, snow_line * 1.25 + 0.01, heights + grain * np.float32(0.05 * top))
        snow *= smoothstep(3.0, 1.5, steep)
        albedo = mix(albedo, np.broadcast_to(colour("#e8edf4"), albedo.shape), snow)
    tones = albedo * light
    return hazed(shot, land, heights, tones, reach=34, mist=0.55)


# ---------------------------------------------------------------- ground


Albedo = Callable[[Shot, Plain, Plane, Rock], Plane]
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
            bare = albedo(shot, land, heights, stone) * lit(shot, land, heights)
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
        bays = _waves(stone.smooth, land.x, land.z, 70, stone.offset)
        edge = np.float32(0.98) + side * land.x / land.distance + np.float32(0.10) * bays
        self._heights = np.clip((edge - land.z) * np.float32(0.16), -0.02, 0.03).astype(np.float32)
        self._land = land
        sandy = not shot.screenplay.has("mountains", "forest", "meadow", "snow")
        paved = shot.screenplay.has("city")
        albedo = (
            _paving if paved else _snowfield if shot.screenplay.has("snow") else _sand if sandy else _grass
        )
        tones = albedo(shot, land, self._heights, stone) * lit(shot, land, self._heights)
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


def _recipe(shot: Shot) -> tuple[Shape, Albedo]:
    # Hills stand back where there are mountains to see.
    swell = 0.45 if shot.screenplay.has("mountains") else 1.0
    if shot.screenplay.has("volcano"):
        return _rolling(0.35), _ash
    if shot.screenplay.has("regolith"):
        return _cratered, _dust
    if shot.screenplay.has("desert"):
        return _dunes, _sand
    if shot.screenplay.has("snow"):
        return _rolling(0.5 * swell), _snowfield
    return _rolling(swell), _grass


def _rolling(strength: float) -> Shape:
    """Hills that stay flat where subjects stand and rise towards the horizon."""

    def shape(_shot: Shot, land: Plain, stone: Rock) -> Plane:
        hills = _waves(stone.smooth, land.x, land.z, 15, stone.offset) + 0.12 * _waves(
            stone.coarse, land.x, land.z, 14, stone.offset
        )
        swell = _waves(stone.coarse, land.x, land.z, 34, stone.offset + 200)
        far = smoothstep(1.2, 9.0, land.distance)
        return (
            far * (np.float32(0.40 * strength) * hills + np.float32(0.18 * strength))
            + np.float32(0.012) * swell * smoothstep(0.4, 2.5, land.distance)
        ).astype(np.float32)

    return shape


def _dunes(_shot: Shot, land: Plain, stone: Rock) -> Plane:
    """Long crests, sharp on the lee side, that grow towards the horizon."""
    bend = _waves(stone.smooth, land.x, land.z, 13, stone.offset)
    phase = land.z * 0.42 + land.x * 0.30 + bend * 0.42
    crest = np.mod(phase, 1.0).astype(np.float32)
    profile = np.where(crest < 0.72, smoothstep(0, 0.74, crest), smoothstep(1.0, 0.70, crest))
    size = np.maximum(0.15, 0.7 + 0.5 * _waves(stone.smooth, land.x, land.z, 8, stone.offset + 77))
    far = smoothstep(1.6, 10.0, land.distance)
    return (far * profile * size * np.float32(0.62) + far * np.float32(0.05)).astype(np.float32)


def _tint(tones: Plane, grain: Plane, strength: float) -> Plane:
    return tones * (1 + np.float32(strength) * np.clip(grain, -2, 2))[..., None]


def _grass(shot: Shot, land: Plain, _heights: Plane, stone: Rock) -> Plane:
    patches = _waves(stone.coarse, land.x, land.z, 26, 40)
    blades = _waves(stone.fine, land.x * 0.45, land.z * 0.16, 620, 3)
    autumn = shot.screenplay.has("autumn")
    lush, dry = ("#b07a2c", "#8d4a22") if autumn else ("#6da53a", "#a9ae4a")
    tones = mix(
        np.broadcast_to(colour(lush), (*patches.shape, 3)),
        np.broadcast_to(colour(dry), (*patches.shape, 3)),
        smoothstep(-0.6, 1.8, patches),
    )
    tones = mix(tones, np.broadcast_to(colour("#2f6a2c"), tones.shape), smoothstep(0.2, -1.8, patches) * 0.7)
    return _tint(tones, blades * smoothstep(6, 0.8, land.distance), 0.16)


def _sand(_shot: Shot, land: Plain, _heights: Plane, stone: Rock) -> Plane:
    bend = _waves(stone.coarse, land.x, land.z, 30, 70)
    ripples = np.sin((land.z * 46 + land.x * 13 + bend * 2.2).astype(np.float32)) * smoothstep(
        5.0, 0.9, land.distance
    )
    grain = _waves(stone.fine, land.x, land.z, 500, 3)
    tones = np.broadcast_to(colour("#d9a566"), (*bend.shape, 3))
    tones = mix(tones, np.broadcast_to(colour("#c58a4c"), tones.shape), smoothstep(-1, 1.5, bend))
    return _tint(_tint(tones, ripples, 0.07), grain, 0.025)


def _snowfield(_shot: Shot, land: Plain, _heights: Plane, stone: Rock) -> Plane:
    drifts = _waves(stone.coarse, land.x * 0.6, land.z, 44, 70)
    grain = _waves(stone.fine, land.x, land.z, 420, 3)
    tones = mix(
        np.broadcast_to(colour("#d6deea"), (*drifts.shape, 3)),
        np.broadcast_to(colour("#a9bcd8"), (*drifts.shape, 3)),
        smoothstep(-0.5, 1.6, drifts),
    )
    return _tint(tones, grain, 0.02)


def _cratered(_shot: Shot, land: Plain, stone: Rock) -> Plane:
    """Low swells with bowls that have raised rims."""
    swell = _waves(stone.smooth, land.x, land.z, 16, stone.offset) * smoothstep(1.2, 9.0, land.distance)
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


def _dust(_shot: Shot, land: Plain, _heights: Plane, stone: Rock) -> Plane:
    patches = _waves(stone.coarse, land.x, land.z, 40, 70)
    grain = _waves(stone.fine, land.x, land.z, 420, 3)
    tones = np.broadcast_to(colour("#b4b0aa"), (*patches.shape, 3))
    return _tint(_tint(tones, patches, 0.07), grain, 0.05)


def _paving(_shot: Shot, land: Plain, _heights: Plane, stone: Rock) -> Plane:
    grain = _waves(stone.fine, land.x, land.z, 420, 3)
    worn = _waves(stone.coarse, land.x, land.z, 40, 70)
    tones = np.broadcast_to(colour("#6a6c74"), (*grain.shape, 3))
    return _tint(_tint(tones, grain, 0.05), worn, 0.06)


def _ash(_shot: Shot, land: Plain, _heights: Plane, stone: Rock) -> Plane:
    lumps = _waves(stone.coarse, land.x, land.z, 60, 70)
    grain = _waves(stone.fine, land.x, land.z, 300, 3)
    tones = _tint(np.broadcast_to(colour("#453a3c"), (*lumps.shape, 3)), lumps, 0.18)
    cracks = np.exp(-((lumps / np.float32(0.05 + 0.03)) ** 2)) * smoothstep(0.3, -1.0, grain)
    return mix(
        _tint(tones, grain, 0.12), np.broadcast_to(np.array([20, 90, 700], np.float32), tones.shape), cracks
    )
