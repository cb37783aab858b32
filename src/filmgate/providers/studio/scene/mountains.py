"""Mountains: two ranges of ridged rock with snow above and growth below."""

from dataclasses import dataclass

import numpy as np

from filmgate.providers.studio.scene.layers import Flat
from filmgate.providers.studio.scene.pixels import Plane, colour, mix, smoothstep
from filmgate.providers.studio.scene.relief import Plain, hazed, lit, plain, seen, slopes
from filmgate.providers.studio.scene.shot import Shot
from filmgate.providers.studio.scene.stone import Rock, rock, waves


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
    warp = waves(stone.coarse, land.x, land.z, per_unit * 0.7, stone.offset + 91) * np.float32(
        0.05 * scale / 2
    )
    x, z = land.x + warp, land.z + warp * 0.6
    total, strength, weight = np.zeros_like(x), 1.0, np.ones_like(x)
    for octave in range(5):
        ridge = (
            1 - np.abs(waves(stone.coarse, x, z, per_unit * 2.03**octave, stone.offset + 57 * octave)) * 0.62
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
    grain = waves(stone.fine, land.x, land.z, 22 / float(land.distance[0, 0]) * 3, 11)
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
