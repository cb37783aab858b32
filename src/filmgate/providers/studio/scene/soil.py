"""Soil: the colours of the ground before light falls on it: grass, sand, snow, dust, paving, ash."""

from collections.abc import Callable

import numpy as np

from filmgate.providers.studio.scene.pixels import Plane, colour, mix, smoothstep
from filmgate.providers.studio.scene.relief import Plain
from filmgate.providers.studio.scene.shot import Shot
from filmgate.providers.studio.scene.stone import Rock, waves

Soil = Callable[[Shot, Plain, Rock], Plane]


def _tint(tones: Plane, grain: Plane, strength: float) -> Plane:
    return tones * (1 + np.float32(strength) * np.clip(grain, -2, 2))[..., None]


def grass(shot: Shot, land: Plain, stone: Rock) -> Plane:
    patches = waves(stone.coarse, land.x, land.z, 26, 40)
    blades = waves(stone.fine, land.x * 0.45, land.z * 0.16, 620, 3)
    autumn = shot.screenplay.has("autumn")
    lush, dry = ("#b07a2c", "#8d4a22") if autumn else ("#6da53a", "#a9ae4a")
    tones = mix(
        np.broadcast_to(colour(lush), (*patches.shape, 3)),
        np.broadcast_to(colour(dry), (*patches.shape, 3)),
        smoothstep(-0.6, 1.8, patches),
    )
    tones = mix(tones, np.broadcast_to(colour("#2f6a2c"), tones.shape), smoothstep(0.2, -1.8, patches) * 0.7)
    return _tint(tones, blades * smoothstep(6, 0.8, land.distance), 0.16)


def sand(_shot: Shot, land: Plain, stone: Rock) -> Plane:
    bend = waves(stone.coarse, land.x, land.z, 30, 70)
    ripples = np.sin((land.z * 46 + land.x * 13 + bend * 2.2).astype(np.float32)) * smoothstep(
        5.0, 0.9, land.distance
    )
    grain = waves(stone.fine, land.x, land.z, 500, 3)
    tones = np.broadcast_to(colour("#d9a566"), (*bend.shape, 3))
    tones = mix(tones, np.broadcast_to(colour("#c58a4c"), tones.shape), smoothstep(-1, 1.5, bend))
    return _tint(_tint(tones, ripples, 0.07), grain, 0.025)


def snowfield(_shot: Shot, land: Plain, stone: Rock) -> Plane:
    drifts = waves(stone.coarse, land.x * 0.6, land.z, 44, 70)
    grain = waves(stone.fine, land.x, land.z, 420, 3)
    tones = mix(
        np.broadcast_to(colour("#d6deea"), (*drifts.shape, 3)),
        np.broadcast_to(colour("#a9bcd8"), (*drifts.shape, 3)),
        smoothstep(-0.5, 1.6, drifts),
    )
    return _tint(tones, grain, 0.02)


def dust(shot: Shot, land: Plain, stone: Rock) -> Plane:
    patches = waves(stone.coarse, land.x, land.z, 40, 70)
    grain = waves(stone.fine, land.x, land.z, 420, 3)
    tones = np.broadcast_to(
        colour("#b8683c" if shot.screenplay.has("mars") else "#b4b0aa"), (*patches.shape, 3)
    )
    return _tint(_tint(tones, patches, 0.07), grain, 0.05)


def paving(_shot: Shot, land: Plain, stone: Rock) -> Plane:
    grain = waves(stone.fine, land.x, land.z, 420, 3)
    worn = waves(stone.coarse, land.x, land.z, 40, 70)
    tones = np.broadcast_to(colour("#6a6c74"), (*grain.shape, 3))
    return _tint(_tint(tones, grain, 0.05), worn, 0.06)


def ash(_shot: Shot, land: Plain, stone: Rock) -> Plane:
    lumps = waves(stone.coarse, land.x, land.z, 60, 70)
    grain = waves(stone.fine, land.x, land.z, 300, 3)
    tones = _tint(np.broadcast_to(colour("#453a3c"), (*lumps.shape, 3)), lumps, 0.18)
    cracks = np.exp(-((lumps / np.float32(0.05 + 0.03)) ** 2)) * smoothstep(0.3, -1.0, grain)
    return mix(
        _tint(tones, grain, 0.12), np.broadcast_to(np.array([20, 90, 700], np.float32), tones.shape), cracks
    )
