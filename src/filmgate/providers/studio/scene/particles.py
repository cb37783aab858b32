"""Particles: embers, fireflies, petals, leaves and bubbles; where each one is follows from the time alone."""

import math
from typing import Final, Literal

import cv2
import numpy as np

from filmgate.providers.studio.scene.pixels import Image, Plane, colour, light
from filmgate.providers.studio.scene.shot import Moment, Shot

ParticleKind = Literal["embers", "fireflies", "petals", "leaves", "bubbles"]
_LOOKS: Final[dict[ParticleKind, tuple[int, tuple[str, ...], tuple[int, ...]]]] = {
    "embers": (110, ("#ff8a2a", "#ffb04a"), (7, 11, 17)),
    "fireflies": (58, ("#e8ff7a", "#ffe27a"), (13, 21, 31)),
    "petals": (80, ("#ffb7cf", "#ffd3e0", "#f79cbb"), (9, 13, 20)),
    "leaves": (46, ("#d9762b", "#c24a24", "#e0a83a"), (9, 14, 21)),
    "bubbles": (60, ("#bff4ff",), (7, 11, 18)),
}
_FAINTEST: Final = 0.03


class Particles:
    """Many small sprites of one kind."""

    def __init__(self, shot: Shot, kind: ParticleKind) -> None:
        dice = shot.dice(kind)
        count, tints, sizes = _LOOKS[kind]
        self._shot, self._kind = shot, kind
        self._traits = dice.random((count, 6)).tolist()
        make = _petal if kind in {"petals", "leaves"} else _ring if kind == "bubbles" else _glow
        grain = shot.unit / 720
        self._sprites = [
            make(max(5, int(size * grain)) | 1, colour(tint)) for size in sizes for tint in tints
        ]

    def draw(self, canvas: Image, moment: Moment) -> None:
        """Draw every particle where it is by now."""
        for traits in self._traits:
            x, y, brightness = self._place(traits, moment.seconds)
            sprite = self._sprites[int(traits[0] * len(self._sprites) * 0.999)]
            height, width = sprite.shape[:2]
            left, top = int(x - width / 2), int(y - height / 2)
            inside = 0 <= left <= canvas.shape[1] - width and 0 <= top <= canvas.shape[0] - height
            if not inside or brightness < _FAINTEST:
                continue
            region = canvas[top : top + height, left : left + width]
            if self._kind in {"petals", "leaves"}:
                cover = sprite[..., 3:].astype(np.uint16)
                region[:] = sprite + (region * (255 - cover) // 255).astype(np.uint8)
            else:
                cv2.scaleAdd(sprite, brightness, region, region)

    def _place(self, traits: list[float], seconds: float) -> tuple[float, float, float]:
        """Return x, y and brightness."""
        shot, unit = self._shot, self._shot.unit
        _, swing, pace, start, across, reach = traits
        phase = swing * 2 * math.pi
        match self._kind:
            case "embers":
                life = math.fmod(seconds * (0.16 + 0.2 * pace) + start, 1)
                x = shot.width * (0.5 + (across - 0.5) * 0.95) + math.sin(life * 6 + phase) * unit * 0.04
                flicker = 0.7 + 0.3 * math.sin(seconds * 9 + phase)
                return x, shot.height * (1.02 - life * (0.5 + 0.5 * reach)), (1 - life) ** 1.2 * flicker
            case "bubbles":
                life = math.fmod(seconds * (0.07 + 0.08 * pace) + start, 1)
                x = shot.width * across + math.sin(seconds * 2 + phase) * unit * 0.01
                return x, shot.height * (1.05 - life * 1.15), 0.75
            case "petals" | "leaves":
                life = math.fmod(seconds * (0.08 + 0.08 * pace) + start, 1)
                x = shot.width * (across + life * 0.35) + math.sin(seconds * 1.4 + phase) * unit * 0.05
                return math.fmod(x, shot.width), shot.height * (life * 1.1 - 0.05), 1.0
            case "fireflies":
                x = shot.width * across + math.sin(seconds * 0.5 + phase) * unit * 0.06
                y = shot.height * (0.45 + 0.5 * reach) + math.cos(seconds * 0.4 + phase * 2) * unit * 0.04
                return x, y, max(0.0, 0.5 + 0.5 * math.sin(seconds * (1 + pace) + phase)) ** 2


def _disc(size: int) -> tuple[Plane, Plane, Plane]:
    rows, columns = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j].astype(np.float32)
    return rows, columns, np.hypot(rows, columns)


def _glow(size: int, tint: Plane) -> Image:
    _, _, radius = _disc(size)
    strength = np.clip(np.exp(-((radius / 0.33) ** 2)) * 0.7 + (radius < 0.18) - 0.04, 0, 1) * (radius < 1)
    return light(np.clip(strength[..., None] * tint * 1.1, 0, 255).astype(np.float32))


def _ring(size: int, tint: Plane) -> Image:
    rows, columns, radius = _disc(size)
    rim = np.exp(-(((radius - 0.75) / 0.16) ** 2)) * 0.55
    shine = np.exp(-(((rows + 0.35) ** 2 + (columns + 0.35) ** 2) / 0.06)) * 0.8
    return light(((rim + shine) * (radius < 1))[..., None] * tint)


def _petal(size: int, tint: Plane) -> Image:
    """Draw a leaf shape, premultiplied, a little darker to one end."""
    rows, columns, _ = _disc(size)
    across, along = (columns + rows) * 0.7, (columns - rows) * 0.7
    alpha = np.clip((0.75 - np.hypot(across * 2.1, along)) * size * 0.3, 0, 1)
    shade = 0.82 + 0.22 * along
    out = np.empty((size, size, 4), np.uint8)
    out[..., :3] = np.clip(tint * shade[..., None], 0, 255) * alpha[..., None]
    out[..., 3] = alpha * 255
    return out
