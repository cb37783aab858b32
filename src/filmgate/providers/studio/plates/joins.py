"""Joins: how one plate becomes the next, without a moment that shows two pictures at once."""

import math
from dataclasses import dataclass
from typing import Final, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from filmgate.providers.studio.plates.parallax import COARSE, Plate, centres
from filmgate.providers.studio.scene import noise
from filmgate.providers.studio.scene.pixels import Image, Plane, blurred, looked_up, resized, smoothstep

Points = NDArray[np.complexfloating]  # x + iy

_FLOW_WIDTH: Final = 320
_SOFTNESS: Final = 0.09  # of the way: half the breadth of a sweep's edge
_WANDER: Final = 0.07  # of the frame: how uneven that edge is
_BEHIND: Final = 0.30  # of the way: how much later it passes what is nearest
_PUSH: Final = 0.07  # of the frame: how far the pictures go with it
_GLOW: Final = 0.42
# What two pictures must have in common to be melted into one another; set by looking at pairs.
_MOST_DIFFERENT: Final = 0.42  # of the tones' spread
_LEAST_AGREED: Final = 0.55
_LEAST_SHARED: Final = 0.12
_RETURN: Final = 0.02  # of the width: how near there and back must end
_FEWEST_MATCHES: Final = 12
_MOST_GROWTH: Final = 3.0
_SPREAD: Final = 48  # of the tones that are compared
_EDGE: Final = 4.0  # pixels over which the end of a picture fades
_NO_TURN: Final = 1e-3


class Join(Protocol):
    """A passage between two plates."""

    def picture(self, one: Plate, other: Plate, seconds: float, gone: float) -> Image:
        """Return the frame when `gone` (0..1) of the passage is over."""
        ...


@dataclass(frozen=True, slots=True)
class Flow:
    """How one picture of a thing becomes another: a move of the camera, and what moved besides.

    Points are complex numbers, x + iy, in pixels of a picture `_FLOW_WIDTH` wide. The camera takes the
    point p of the first picture to `turn` * p + `shift` of the other. `there` and `back` lead from the
    first picture to the other as the camera's move would have it, and from that to the first.
    """

    turn: complex
    shift: complex
    there: Plane
    back: Plane

    def between(self, gone: float) -> tuple[complex, complex]:
        """Return the camera's turn and shift when `gone` of its way is over, evenly grown and turned."""
        turn = self.turn**gone
        if abs(self.turn - 1) < _NO_TURN:
            return turn, self.shift * gone
        return turn, self.shift * (turn - 1) / (self.turn - 1)


def flow_between(one: Image, other: Image) -> Flow | None:
    """Return how one picture becomes the other, or None where they show different things."""
    height, width = one.shape[:2]
    size = (_FLOW_WIDTH, min(2 * _FLOW_WIDTH, max(48, round(_FLOW_WIDTH * height / width))))
    first, second = _tones(one, *size), _tones(other, *size)
    # As matching points say that the camera moved; else as they lie.
    for move in (_camera_move(first, second), (1 + 0j, 0j)):
        if move is not None and (flow := _flow(first, second, *move)) is not None:
            return flow
    return None


class Melt:
    """One picture of a thing flows into another picture of it."""

    def __init__(self, flow: Flow, size: tuple[int, int]) -> None:
        width, height = size
        rows, columns = flow.there.shape[:2]
        self._flow, self._size = flow, size
        self._scale = np.array([width / columns, height / rows], np.float32)
        across, down = centres(width, columns), centres(height, rows)
        self._home = across[None] + 1j * down[:, None]

    def picture(self, one: Plate, other: Plate, seconds: float, gone: float) -> Image:
        """Bend both to what lies between them, and blend where both have something to show."""
        if gone <= 0:
            return one.view(seconds)
        if gone >= 1:
            return other.view(seconds)
        eased = gone * gone * (3 - 2 * gone)
        places = self._places(eased)
        first, second = (
            plate.view(seconds, self._drift(place)) for plate, place in zip((one, other), places, strict=True)
        )
        shares = [
            resized((self._shown(place) * share).astype(np.float32), *self._size)
            for place, share in zip(places, (1 - eased, eased), strict=True)
        ]
        return np.asarray(cv2.blendLinear(first, second, *shares), np.uint8)

    def _places(self, gone: float) -> tuple[Points, Points]:
        """Return where each point of the picture in between is found in the one and in the other."""
        flow, rest = self._flow, 1 - gone
        turn, shift = flow.between(gone)
        still = (self._home - shift) / turn  # as if the camera had not moved
        x, y = still.real.astype(np.float32), still.imag.astype(np.float32)
        there, back = (_as_points(looked_up(field, x, y)) for field in (flow.there, flow.back))
        # Flow seen from between, to either (as in Super SloMo, Jiang et al. 2018).
        to_one = -rest * gone * there + gone * gone * back
        to_other = rest * rest * there - gone * rest * back
        return still + to_one, flow.turn * (still + to_other) + flow.shift

    def _drift(self, place: Points) -> Plane:
        away = place - self._home
        return np.dstack([away.real, away.imag]).astype(np.float32) * self._scale

    def _shown(self, place: Points) -> Plane:
        """Tell, 0..1, where a picture has something of its own to show."""
        rows, columns = self._flow.there.shape[:2]
        beside = np.minimum(place.real, columns - 1 - place.real)
        above = np.minimum(place.imag, rows - 1 - place.imag)
        return np.asarray(np.clip(np.minimum(beside, above) / _EDGE + 1, 0.001, 1), np.float32)


class Sweep:
    """A soft light passes over the picture, behind what is near, and leaves the next one after it."""

    def __init__(
        self,
        dice: np.random.Generator,
        size: tuple[int, int],
        heading: tuple[float, float],
        depth: Plane | None = None,
    ) -> None:
        """`heading` is where the light goes, (0, 0) for outwards; `depth` is the first picture's."""
        width, height = size
        self._size = size
        columns, rows = math.ceil(width / COARSE), math.ceil(height / COARSE)
        down, across = np.mgrid[0:rows, 0:columns].astype(np.float32)
        x, y = across / columns - 0.5, down / rows - 0.5
        grain = noise.tile(dice, 64, roughness=2.6)
        wander = noise.sample(grain, (x + 0.5) * np.float32(44), (y + 0.5) * np.float32(44 * rows / columns))
        away = x * heading[0] + y * heading[1] if any(heading) else np.hypot(x, y)
        turn = away + _WANDER * wander
        if depth is not None:
            turn = turn + _BEHIND * resized(depth, columns, rows)
        # By rank: as much of the picture turns in each moment.
        order = np.empty(turn.size, np.float32)
        order[np.argsort(turn, axis=None, kind="stable")] = np.linspace(0, 1, turn.size, dtype=np.float32)
        self._turn = blurred(order.reshape(turn.shape), 1.5)
        # Both pictures go along with the light, the one away, the other to its place.
        self._push = (
            np.dstack([np.full_like(x, -heading[0] * width), np.full_like(x, -heading[1] * height)])
            if any(heading)
            else np.dstack([x * np.float32(-width), y * np.float32(-height)])
        ) * np.float32(_PUSH)

    def picture(self, one: Plate, other: Plate, seconds: float, gone: float) -> Image:
        """Draw the light where it is by now."""
        if gone <= 0:
            return one.view(seconds)
        if gone >= 1:
            return other.view(seconds)
        first = one.view(seconds, self._push * np.float32(gone**2))
        second = other.view(seconds, self._push * np.float32(-((1 - gone) ** 2)))
        front = gone * gone * (3 - 2 * gone) * (1 + 2 * _SOFTNESS) - _SOFTNESS
        cover = smoothstep(front + _SOFTNESS, front - _SOFTNESS, self._turn)
        share = resized(cover, *self._size)
        joined = cv2.blendLinear(first, second, 1 - share, share)
        # The light comes out of nothing and goes into nothing.
        strength = np.float32(_GLOW * math.sin(math.pi * gone))
        beam = np.exp(-(((self._turn - np.float32(front)) / np.float32(1.5 * _SOFTNESS)) ** 2)) * strength
        glow = (beam[..., None] * self._tint(first, second)).astype(np.uint8)
        cv2.add(joined, resized(glow, *self._size), joined)
        joined[..., 3] = 255
        return np.asarray(joined, np.uint8)

    @staticmethod
    def _tint(first: Image, second: Image) -> Plane:
        """Return the light of the edge: the brighter tones of both pictures."""
        tones = [
            np.asarray(cv2.resize(one, (8, 8), interpolation=cv2.INTER_AREA), np.float32).max(axis=(0, 1))
            for one in (first, second)
        ]
        return np.asarray((tones[0] + tones[1]) / 2, np.float32)


def _tones(picture: Image, width: int, height: int) -> Image:
    """Return grey tones of even contrast, so that the same place is known again by another light."""
    grey = cv2.cvtColor(resized(picture, width, height, cv2.INTER_AREA), cv2.COLOR_BGRA2GRAY)
    plane = np.asarray(grey, np.float32)
    spread = max(4.0, float(plane.std()))
    return np.asarray(np.clip((plane - plane.mean()) * (_SPREAD / spread) + 128, 0, 255), np.uint8)


def _camera_move(first: Image, second: Image) -> tuple[complex, complex] | None:
    """Return the turn and shift that take most of one picture to the other, if there are some."""
    finder = cv2.SIFT.create(nfeatures=600)
    (points, signs), (other_points, other_signs) = (
        finder.detectAndCompute(picture, None) for picture in (first, second)
    )
    if min(len(points), len(other_points)) < _FEWEST_MATCHES:
        return None
    pairs = cv2.BFMatcher(cv2.NORM_L2).knnMatch(signs, other_signs, k=2)
    sure = [best for best, second_best in pairs if best.distance < 0.75 * second_best.distance]
    if len(sure) < _FEWEST_MATCHES:
        return None
    source = np.array([points[match.queryIdx].pt for match in sure], np.float32)
    target = np.array([other_points[match.trainIdx].pt for match in sure], np.float32)
    move, held = cv2.estimateAffinePartial2D(source, target, ransacReprojThreshold=4.0)
    if int(held.sum()) < _FEWEST_MATCHES:
        return None
    turn, shift = complex(move[0, 0], move[1, 0]), complex(move[0, 2], move[1, 2])
    return (turn, shift) if 1 / _MOST_GROWTH < abs(turn) < _MOST_GROWTH else None


def _flow(first: Image, second: Image, turn: complex, shift: complex) -> Flow | None:
    """Return the flow given the camera's move, or None where it leads nowhere."""
    height, width = first.shape
    points = np.arange(width)[None] + 1j * np.arange(height)[:, None]
    moved = turn * points + shift
    inside = (moved.real >= 0) & (moved.real <= width - 1) & (moved.imag >= 0) & (moved.imag <= height - 1)
    aligned = looked_up(second, moved.real.astype(np.float32), moved.imag.astype(np.float32))
    seeker = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    there, back = (
        np.asarray(seeker.calc(one, other, None), np.float32)  # type: ignore[call-overload]
        for one, other in ((first, aligned), (aligned, first))
    )
    if not _alike(first, aligned, there, back, inside):
        return None
    known = blurred(inside.astype(np.float32), _EDGE)[..., None]
    return Flow(turn, shift, blurred(there, 1.5) * known, blurred(back, 1.5) * known)


def _alike(first: Image, second: Image, there: Plane, back: Plane, inside: NDArray[np.bool_]) -> bool:
    """Tell whether the flow leads to the same tones, and back again, in what both pictures show."""
    height, width = first.shape
    if inside.mean() < _LEAST_SHARED:
        return False
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    x, y = columns + there[..., 0], rows + there[..., 1]
    different = np.abs(looked_up(second, x, y).astype(np.float32) - first)[inside] / _SPREAD
    returned = np.hypot(*np.moveaxis(looked_up(back, x, y) + there, 2, 0))[inside]
    agreed = float((returned < _RETURN * width).mean())
    return float(different.mean()) < _MOST_DIFFERENT and agreed > _LEAST_AGREED


def _as_points(field: Plane) -> Points:
    return field[..., 0] + 1j * field[..., 1]
