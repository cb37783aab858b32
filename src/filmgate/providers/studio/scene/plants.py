"""Plants: tufts of grass, flowers and reeds that stand on the ground and lean in the wind."""

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np

from filmgate.providers.studio.scene.layers import Flat
from filmgate.providers.studio.scene.pixels import Image, Plane, colour, layer
from filmgate.providers.studio.scene.relief import EYE
from filmgate.providers.studio.scene.shot import Shot

_PETALS: Final[Sequence[str]] = ("#f4f1ea", "#f6c945", "#e8574a", "#b77ce0", "#f29ac0", "#6f8fe8")
_FINE: Final = 8  # sub-pixel steps of OpenCV's drawing
_SHIFT: Final = 3


def undergrowth(shot: Shot, *, near: float, far: float, depth: float, count: int, tall: float) -> Flat:
    """Scatter tufts between two distances on the plain, the farthest drawn first."""
    dice = shot.dice(f"undergrowth {depth}")
    width = shot.width + 2 * shot.margin_x
    top_row = int(shot.horizon + shot.unit * (EYE / far - tall * 1.3))
    height = max(1, shot.height + shot.margin_y - top_row)  # a frame like a ribbon ends above it
    tones = np.zeros((height, width, 4), np.uint8)
    flowers = (
        0.0 if shot.screenplay.has("snow", "volcano") else 0.8 if shot.screenplay.has("flowers") else 0.14
    )
    # Three kinds grow together; which three, the seed says.
    petals = [_PETALS[int(index)] for index in shot.dice("petals of the field").permutation(len(_PETALS))[:3]]
    distances = np.sort(1 / dice.uniform(1 / far, 1 / near, count))[::-1]
    patches = np.cumsum(dice.normal(0, 1, 64))
    patches = (patches - patches.min()) / max(1e-6, float(np.ptp(patches)))
    for distance in distances:
        x = float(dice.random())
        if dice.random() > 0.25 + 0.75 * patches[int(x * 63.99)]:
            continue
        foot = (x * width, shot.unit * EYE / float(distance) + shot.horizon - top_row)
        size = shot.unit * tall / float(distance) * float(dice.uniform(0.5, 1.0))
        blade = _blade_tone(shot, float(distance), dice)
        _tuft(tones, foot, size, blade, dice)
        if dice.random() < flowers:
            petal = petals[int(dice.integers(len(petals)))]
            _flower(tones, foot, size, _under_light(shot, colour(petal)), dice)
    alpha = tones[..., 3].astype(np.float32) / 255
    bgr = tones[..., :3].astype(np.float32) / np.maximum(alpha, 1 / 255)[..., None]
    return Flat(
        shot=shot,
        picture=layer(bgr, alpha),
        left=-shot.margin_x,
        top=top_row,
        depth=depth,
        sway=0.006 * tall / 0.05,
    )


def _under_light(shot: Shot, tone: Plane) -> Plane:
    return np.clip(tone * (shot.palette.ambient_bgr() + 0.55 * shot.palette.key_bgr()), 0, 255)


def _blade_tone(shot: Shot, distance: float, dice: np.random.Generator) -> Plane:
    if shot.screenplay.has("snow"):
        base = colour("#9c9684")
    elif shot.screenplay.has("autumn"):
        base = colour("#a0742c")
    else:
        base = colour("#4f8a2c") if dice.random() < 0.6 else colour("#7fae3c")
    tone = _under_light(shot, base) * float(dice.uniform(0.6, 1.15))
    share = 1 - np.exp(-distance / (15 * shot.palette.haze_depth))
    return tone + (colour(shot.palette.haze) - tone) * np.float32(share)


def _ink(tone: Plane) -> tuple[float, float, float, float]:
    return (float(tone[0]), float(tone[1]), float(tone[2]), 255.0)


def _tuft(
    canvas: Image, foot: tuple[float, float], size: float, tone: Plane, dice: np.random.Generator
) -> None:
    for _ in range(int(dice.integers(3, 7))):
        lean = float(dice.normal(0, 0.32)) * size
        tall = size * float(dice.uniform(0.5, 1.0))
        base = foot[0] + float(dice.normal(0, 0.16)) * size
        half = max(0.5, size * 0.035)
        points = [
            (base - half, foot[1]),
            (base + lean * 0.35 - half * 0.7, foot[1] - tall * 0.6),
            (base + lean, foot[1] - tall),
            (base + lean * 0.35 + half * 0.7, foot[1] - tall * 0.6),
            (base + half, foot[1]),
        ]
        outline = (np.array(points) * _FINE).astype(np.int32)
        cv2.fillPoly(canvas, [outline], _ink(tone * float(dice.uniform(0.82, 1.18))), cv2.LINE_AA, _SHIFT)


def _flower(
    canvas: Image, foot: tuple[float, float], size: float, tone: Plane, dice: np.random.Generator
) -> None:
    x = foot[0] + float(dice.normal(0, 0.2)) * size
    y = foot[1] - size * float(dice.uniform(0.7, 1.15))
    stem = [(int(foot[0] * _FINE), int(foot[1] * _FINE)), (int(x * _FINE), int(y * _FINE))]
    cv2.line(
        canvas,
        stem[0],
        stem[1],
        _ink(tone * 0.2 + np.array([20, 60, 25], np.float32)),
        1,
        cv2.LINE_AA,
        _SHIFT,
    )
    radius = max(0.9, size * 0.13)
    for petal in range(5):
        angle = petal * 2 * np.pi / 5 + float(dice.random())
        centre = (
            int((x + np.cos(angle) * radius * 0.8) * _FINE),
            int((y + np.sin(angle) * radius * 0.55) * _FINE),
        )
        shade = tone * float(dice.uniform(0.85, 1.08))
        cv2.circle(canvas, centre, int(radius * 0.62 * _FINE), _ink(shade), -1, cv2.LINE_AA, _SHIFT)
    heart = (int(x * _FINE), int(y * _FINE))
    cv2.circle(canvas, heart, int(radius * 0.4 * _FINE), (60.0, 170.0, 215.0, 255.0), -1, cv2.LINE_AA, _SHIFT)
