"""The shot: where the horizon, the sun and the subject stand, how the camera travels."""

import math
import zlib
from dataclasses import dataclass
from typing import Final

import numpy as np

from filmgate.providers.studio.scene.palette import PALETTES, Palette
from filmgate.providers.studio.screenplay import Move, Screenplay

MARGIN: Final = 0.12  # what layers extend beyond the frame, so that the camera may move
_SEEDS: Final = 2**64
_LOW_SUN: Final = 0.35  # of the sky's height
_BACKLIT: Final = 0.45  # of the shots that may be
_BEFORE_SUN: Final = 0.3  # of the others
_UPRIGHT: Final = frozenset({"walk", "person", "building", "plant"})
_DRIFTS: Final[tuple[tuple[Move, ...], ...]] = (
    ("in",),
    ("out",),
    ("left",),
    ("right",),
    ("in", "up"),
    ("left", "in"),
)


@dataclass(frozen=True, slots=True)
class Moment:
    """One instant: seconds since the start, share of the film gone, and the camera's place."""

    seconds: float
    progress: float
    pan_x: float
    pan_y: float
    zoom: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """The composition; everything in it follows from the prompt, the seed and the frame's size."""

    width: int
    height: int
    duration_s: float
    seed: int
    prompt_key: int
    words: str  # the prompt as it was written
    screenplay: Screenplay
    palette: Palette
    horizon: int
    sun_x: float
    sun_y: float
    subject_x: float
    subject_scale: float
    moves: tuple[Move, ...]
    backlit: bool = False  # the subject stands dark against a low sun

    @property
    def unit(self) -> float:
        """The length all sizes are told in: the height of a 16:9 frame of the same area."""
        return math.sqrt(self.width * self.height) * 0.75

    @property
    def margin_x(self) -> int:
        """Pixels a layer extends beyond the left and right edges."""
        return int(self.width * MARGIN)

    @property
    def margin_y(self) -> int:
        """Pixels a layer extends beyond the top and bottom edges."""
        return int(self.height * MARGIN)

    @property
    def has_horizon(self) -> bool:
        """Whether there is a ground or a sea; not so in space or under water."""
        return self.horizon < self.height

    @property
    def sun_side(self) -> int:
        """-1 where the light comes from the left, 1 where from the right."""
        return -1 if self.sun_x < self.width / 2 else 1

    def dice(self, purpose: str) -> np.random.Generator:
        """Return the random numbers for one purpose, untouched by how many another one drew."""
        return np.random.default_rng([self.seed, self.prompt_key, zlib.crc32(purpose.encode())])

    def moment(self, seconds: float) -> Moment:
        """Return the camera's place at a time."""
        progress = min(1.0, seconds / self.duration_s) if self.duration_s > 0 else 0.0
        eased = 0.6 * progress * progress * (3 - 2 * progress) + 0.4 * progress
        zoom, pan_x, pan_y = 1.02, 0.0, 0.0
        for move in self.moves:
            by_zoom, by_x, by_y = _travel(move, eased, seconds)
            zoom, pan_x, pan_y = zoom + by_zoom, pan_x + by_x, pan_y + by_y
        if "still" not in self.moves:
            pan_x += 0.0025 * math.sin(seconds * 0.9)
            pan_y += 0.0015 * math.sin(seconds * 1.3 + 1)
        return Moment(seconds, progress, pan_x, pan_y, zoom)


def _travel(move: Move, eased: float, seconds: float) -> tuple[float, float, float]:
    """Return what one move adds to zoom, x and y when `eased` of the way is done."""
    match move:
        case "in":
            return 0.16 * eased, 0, 0
        case "out":
            return 0.16 * (1 - eased), 0, 0
        case "left":
            return 0, 0.09 * (0.5 - eased), 0
        case "right":
            return 0, -0.09 * (0.5 - eased), 0
        case "up":
            return 0, 0, 0.07 * (0.5 - eased)
        case "down":
            return 0, 0, -0.07 * (0.5 - eased)
        case "handheld":
            shake_x = 0.006 * math.sin(seconds * 3.1) + 0.003 * math.sin(seconds * 7.3)
            shake_y = 0.005 * math.sin(seconds * 3.7 + 2) + 0.002 * math.sin(seconds * 8.9)
            return 0, shake_x, shake_y
        case "still":
            return 0, 0, 0


def compose(
    screenplay: Screenplay, *, prompt: str, seed: int, width: int, height: int, duration_s: float
) -> Shot:
    """Choose a composition: one seed puts the sun left and low, another the horizon high."""
    prompt_key = zlib.crc32(" ".join(prompt.lower().split()).encode())
    seed %= _SEEDS  # the generator takes no negative seed
    dice = np.random.default_rng([seed, prompt_key])
    palettes = PALETTES[screenplay.mood]
    palette = palettes[int(dice.integers(len(palettes)))]
    backlit = _may_be_backlit(screenplay, palette) and bool(dice.random() < _BACKLIT)
    horizon = _horizon(dice, screenplay, width, height, low=backlit)
    sun_share = float(dice.choice([0.2, 0.3, 0.38, 0.62, 0.7, 0.8]) + dice.uniform(-0.05, 0.05))
    low, high = palette.sun_height
    sun_height = low + (high - low) * float(dice.random())
    # The subject stands on the third away from the sun, or now and then before it.
    away = 0.68 if sun_share < 0.5 else 0.32
    subject_x = 1 - away if backlit or dice.random() < _BEFORE_SUN else away
    drift = _DRIFTS[int(dice.integers(len(_DRIFTS)))]
    return Shot(
        width=width,
        height=height,
        duration_s=duration_s,
        seed=seed,
        prompt_key=prompt_key,
        words=prompt,
        screenplay=screenplay,
        palette=palette,
        horizon=horizon,
        sun_x=width * sun_share,
        sun_y=min(horizon, height) * (1 - sun_height),
        subject_x=subject_x + float(dice.uniform(-0.06, 0.06)),
        subject_scale=float(dice.uniform(0.85, 1.3)),
        moves=screenplay.moves or drift,
        backlit=backlit,
    )


def _may_be_backlit(screenplay: Screenplay, palette: Palette) -> bool:
    """Tell whether there is a low sun, and something on firm ground to rise dark against it."""
    low_sun = palette.disc == "sun" and palette.sun_height[1] < _LOW_SUN
    upright = any(subject.kind in _UPRIGHT for subject in screenplay.subjects)
    return low_sun and upright and not screenplay.indoors and not screenplay.has("street", "aerial")


def _horizon(dice: np.random.Generator, screenplay: Screenplay, width: int, height: int, *, low: bool) -> int:
    if not screenplay.grounded:
        return height
    if screenplay.indoors:
        bands: tuple[tuple[float, float], ...] = ((0.46, 0.52),)
    elif screenplay.has("street"):
        bands = ((0.50, 0.58),)
    elif screenplay.has("aerial"):
        bands = ((0.24, 0.34),)
    elif low:  # on a shore, as low as leaves room for feet before the water
        bands = ((0.64, 0.69),) if screenplay.has("water") else ((0.76, 0.82),)
    elif screenplay.has("water"):
        bands = ((0.44, 0.49), (0.52, 0.60), (0.60, 0.67))
    else:
        bands = ((0.52, 0.58), (0.58, 0.66), (0.66, 0.74))
    share = float(dice.uniform(*bands[int(dice.integers(len(bands)))]))
    if width < height:
        share += 0.04
    return int(height * share)
