"""Fireworks: shells that climb, burst into falling sparks and fade; any moment can be drawn alone."""

import math
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from filmgate.providers.studio.scene.pixels import Image, Plane, blurred, colour, resized
from filmgate.providers.studio.scene.shot import Moment, Shot

_TINTS: Final = ("#ff5a4a", "#ffd24a", "#5ad0ff", "#c07aff", "#6aff9a", "#ffa0d0", "#fff0c8")
_EVERY_S: Final = 0.55
_CLIMB_S: Final = 0.7
_LIFE_S: Final = 2.1
_SPARKS: Final = 130
_FINE: Final = 8
_SHIFT: Final = 3


@dataclass(frozen=True, slots=True)
class _Shell:
    burst_s: float
    x: float
    y: float
    reach: float
    tint: Plane
    ways: Plane  # (sparks, 2): direction times speed


class Fireworks:
    """A shell every half second, drawn at half size."""

    def __init__(self, shot: Shot) -> None:
        dice = shot.dice("fireworks")
        self._shot = shot
        count = math.ceil(shot.duration_s / _EVERY_S) + 4
        # Some have burst before the film begins, so that its first frame is not dark.
        self._shells = [self._shell(dice, (index - 3) * _EVERY_S) for index in range(count)]

    def _shell(self, dice: np.random.Generator, burst_s: float) -> _Shell:
        shot = self._shot
        angles = dice.uniform(0, 2 * np.pi, _SPARKS)
        speeds = np.sqrt(dice.uniform(0.25, 1.0, _SPARKS))
        return _Shell(
            burst_s=burst_s + float(dice.uniform(-0.2, 0.2)),
            x=shot.width * float(dice.uniform(0.12, 0.88)),
            y=shot.horizon * float(dice.uniform(0.14, 0.5)),
            reach=shot.unit * float(dice.uniform(0.17, 0.32)),
            tint=colour(_TINTS[int(dice.integers(len(_TINTS)))]),
            ways=np.stack([np.cos(angles) * speeds, np.sin(angles) * speeds], axis=1).astype(np.float32),
        )

    def draw(self, canvas: Image, moment: Moment) -> None:
        """Add the light of every shell in the air."""
        shot = self._shot
        sketch = np.zeros((-(-shot.height // 2), -(-shot.width // 2), 4), np.uint8)
        for shell in self._shells:
            age = moment.seconds - shell.burst_s
            if -_CLIMB_S < age < 0:
                self._climb(sketch, shell, age)
            elif 0 <= age < _LIFE_S:
                self._burst(sketch, shell, age)
        glow = blurred(sketch, max(1.0, shot.unit / 240))
        cv2.addWeighted(sketch, 1.0, glow, 1.6, 0, sketch)
        cv2.add(canvas, resized(sketch, shot.width, shot.height), canvas)

    def _climb(self, sketch: Image, shell: _Shell, age: float) -> None:
        left = -age / _CLIMB_S
        y = shell.y + (self._shot.horizon - shell.y) * left**1.6
        tail = y + 0.05 * self._shot.unit * left
        self._spark(sketch, (shell.x, tail), (shell.x, y), shell.tint * (0.5 * (1 - left)))

    def _burst(self, sketch: Image, shell: _Shell, age: float) -> None:
        fade = max(0.0, 1 - age / _LIFE_S) ** 1.3
        flash = max(0.0, 1 - age * 5)
        tint = shell.tint * fade + (255 - shell.tint) * (flash * fade)
        for at, before in zip(
            self._spread(shell, age).tolist(), self._spread(shell, max(0.0, age - 0.10)).tolist(), strict=True
        ):
            self._spark(sketch, (before[0], before[1]), (at[0], at[1]), tint)

    def _spread(self, shell: _Shell, age: float) -> Plane:
        """Where its sparks are: thrown out, slowed by the air, falling."""
        thrown = shell.ways * np.float32(shell.reach * (1 - math.exp(-2.6 * age)))
        fallen = 0.045 * self._shot.unit * age**2
        return thrown + np.array([shell.x, shell.y + fallen], np.float32)

    def _spark(
        self, sketch: Image, start: tuple[float, float], end: tuple[float, float], tint: Plane
    ) -> None:
        thick = max(1, round(self._shot.unit / 480))
        first = (int(start[0] / 2 * _FINE), int(start[1] / 2 * _FINE))
        last = (int(end[0] / 2 * _FINE), int(end[1] / 2 * _FINE))
        ink = (*(float(min(255, value)) for value in tint), 0.0)
        cv2.line(sketch, first, last, ink, thick, cv2.LINE_AA, _SHIFT)
