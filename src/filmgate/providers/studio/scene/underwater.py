"""Under water: shafts of light from the surface, and a sea floor with weed."""

import cv2
import numpy as np

from filmgate.providers.studio.scene import noise
from filmgate.providers.studio.scene.layers import Flat
from filmgate.providers.studio.scene.pixels import Image, Plane, colour, layer, mix, smoothstep
from filmgate.providers.studio.scene.shot import Moment, Shot

_SIZE = 512
_CORAL = ("#ff7a6b", "#ffb25a", "#d06ad0", "#4ad0b0", "#f2e06a")


class Shafts:
    """Rays that fan out from the sun above the surface and waver; computed at quarter size."""

    def __init__(self, shot: Shot) -> None:
        dice = shot.dice("shafts")
        self._size = (shot.width, shot.height)
        texture = noise.tile(dice, _SIZE, roughness=1.3, low_cut=4)
        self._first, self._second = texture[100], texture[300]
        across = np.linspace(-0.5, 0.5, max(8, shot.width // 4), dtype=np.float32) * shot.width / shot.unit
        down = np.linspace(0, shot.height / shot.unit, max(8, shot.height // 4), dtype=np.float32)[:, None]
        sun = (shot.sun_x / shot.width - 0.5) * shot.width / shot.unit
        self._angle = ((across[None] - sun) / (down + 0.55)).astype(np.float32)
        self._strength = (np.exp(-down * 1.6) * np.exp(-((self._angle / 0.8) ** 2)) * 38).astype(np.float32)

    def draw(self, canvas: Image, moment: Moment) -> None:
        """Add the shafts' light."""
        position = np.arange(_SIZE)
        first = np.interp((self._angle * 210 + moment.seconds * 7) % _SIZE, position, self._first)
        second = np.interp((self._angle * 140 - moment.seconds * 5 + 200) % _SIZE, position, self._second)
        rays = np.clip(first + second + 0.3, 0, 2.5).astype(np.float32) * self._strength
        glow = cv2.merge([cv2.convertScaleAbs(rays, alpha=share) for share in (0.95, 1.0, 0.75)])
        glow = cv2.cvtColor(glow, cv2.COLOR_BGR2BGRA)
        glow[..., 3] = 0
        cv2.add(canvas, cv2.resize(glow, self._size, interpolation=cv2.INTER_LINEAR), canvas)


def sea_floor(shot: Shot) -> list[Flat]:
    """Return ridges of reef, farthest first, the nearest one with weed that sways."""
    dice = shot.dice("sea floor")
    return [_reef(shot, dice, row) for row in range(3)]


def _reef(shot: Shot, dice: np.random.Generator, row: int) -> Flat:
    width, unit = shot.width + 2 * shot.margin_x, shot.unit
    height = int(unit * (0.34, 0.30, 0.26)[row])
    ridge = unit * (0.13 + 0.05 * noise.line(dice, width, waves=2 + row, octaves=6, gain=0.55))
    lift = np.abs(np.linspace(-1, 1, width, dtype=np.float32) - float(dice.uniform(-0.5, 0.5)))
    ridge = ridge + unit * 0.10 * smoothstep(0.3, 1.2, lift)
    rows = np.arange(height, dtype=np.float32)[:, None]
    deep = rows - (height - ridge)[None]
    grain = noise.stretched(noise.tile(dice, 256, roughness=1.3, low_cut=2), width, height)
    tone = colour(("#3f8a9a", "#2f6a78", "#2a4f58")[row]) * (shot.palette.ambient_bgr() + 0.25)
    tones: Plane = tone * np.clip(0.9 + 0.22 * grain - 0.8 * deep / unit, 0.2, 1.4)[..., None]
    alpha: Plane = np.clip(deep + 0.5, 0, 1)
    if row > 0:
        garden = _Garden(tones, alpha, dice)
        _planted(shot, dice, garden, ridge, row)
        tones, alpha = garden.tones, garden.cover
    share = np.full(alpha.shape, (0.72, 0.42, 0.10)[row], np.float32)
    tones = mix(tones, np.broadcast_to(colour(shot.palette.haze) * 0.72, tones.shape), share)
    return Flat(
        shot=shot,
        picture=layer(np.clip(tones, 0, 255), alpha),
        left=-shot.margin_x,
        top=shot.height + shot.margin_y * 0.55 - height,
        depth=0.25 + 0.3 * row,
        sway=0.012 * row,
    )


class _Garden:
    """A picture that weed and coral are drawn in: their colours, and what they cover."""

    def __init__(self, tones: Plane, cover: Plane, dice: np.random.Generator) -> None:
        self.tones, self.cover = np.ascontiguousarray(tones), np.ascontiguousarray(cover)
        self._dice = dice

    def weed(self, foot: tuple[int, int], tall: float, tint: Plane) -> None:
        """Draw one blade that wavers upwards."""
        phase, point = float(self._dice.uniform(0, 6)), foot
        for step in range(1, 9):
            share = step / 8
            x = foot[0] + int(np.sin(share * 4 + phase) * tall * 0.12 * share)
            following = (x, int(foot[1] - tall * share))
            self._stroke(point, following, tint * (0.8 + 0.4 * share), int(tall * 0.06 * (1.2 - share)))
            point = following

    def coral(
        self, foot: tuple[int, int], length: float, tint: Plane, *, forks: int, angle: float = -1.57
    ) -> None:
        """Draw a branch that forks, each fork shorter and lighter."""
        end = (int(foot[0] + np.cos(angle) * length), int(foot[1] + np.sin(angle) * length))
        self._stroke(foot, end, tint, int(length * 0.32))
        if forks:
            for turn in (-0.45, 0.45):
                bend = angle + turn + float(self._dice.normal(0, 0.18))
                self.coral(end, length * 0.76, tint * 1.06, forks=forks - 1, angle=bend)

    def _stroke(self, start: tuple[int, int], end: tuple[int, int], tint: Plane, thick: int) -> None:
        cv2.line(self.tones, start, end, tuple(float(value) for value in tint), max(1, thick))
        cv2.line(self.cover, start, end, 1.0, max(1, thick), cv2.LINE_AA)


def _planted(shot: Shot, dice: np.random.Generator, garden: _Garden, ridge: Plane, row: int) -> None:
    """Let weed and branching coral grow from the ridge."""
    height, width = garden.cover.shape
    for _ in range(int(width / shot.unit * 26)):
        x = int(dice.integers(width))
        foot = (x, int(height - ridge[x] + 0.01 * shot.unit))
        if dice.random() < 0.6:
            green = colour("#3f9a5a") * float(dice.uniform(0.5, 1.0))
            garden.weed(foot, shot.unit * float(dice.uniform(0.03, 0.10)), green)
        else:
            tint = colour(_CORAL[int(dice.integers(len(_CORAL)))]) * float(dice.uniform(0.55, 0.9))
            tint = tint * (0.45 + 0.55 * shot.palette.ambient_bgr())
            garden.coral(foot, shot.unit * 0.02 * (1 + 0.4 * row), tint, forks=4)
