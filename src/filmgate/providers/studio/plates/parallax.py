"""Parallax: a still picture that a camera moves into, near parts faster than far ones."""

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, Protocol

import cv2
import numpy as np

from filmgate.providers.studio.plates.pictures import Fitted
from filmgate.providers.studio.scene.pixels import Image, Plane, blurred, resized
from filmgate.providers.studio.screenplay import Move

COARSE: Final = 4  # fields of movement are smooth: they are reckoned at a quarter of the size
_DEPTH_WIDTH: Final = 192
_FLAT_DEPTH: Final = 0.6

_SHAKE: Final = 0.006
_WAYS: Final[Mapping[Move, tuple[float, float, float]]] = {  # growth, and shares of the frame across and down
    "in": (0.17, 0, 0),
    "out": (-0.17, 0, 0),
    "left": (0, -0.05, 0),
    "right": (0, 0.05, 0),
    "up": (0, 0, -0.05),
    "down": (0, 0, 0.05),
    "handheld": (0, 0, 0),
    "still": (0, 0, 0),
}

Anchor = Literal["start", "end", "free"]


class Plate(Protocol):
    """What a stretch of the film shows."""

    def view(self, seconds: float, drift: Plane | None = None) -> Image:
        """Return the frame at a time of the film, opaque BGRA; the caller may draw on it.

        `drift` moves its parts, in pixels, at a quarter of the frame's size; what cannot bend, does not.
        """
        ...


@dataclass(frozen=True, slots=True)
class Place:
    """Where a camera is: how much nearer things look larger, and its shift in shares of the frame."""

    zoom: float = 0.0
    x: float = 0.0
    y: float = 0.0


@dataclass(frozen=True, slots=True)
class Journey:
    """How a camera goes from one place to another while a plate is seen, from `start_s` to `end_s`."""

    start_s: float
    end_s: float
    departure: Place
    arrival: Place
    shake: float = 0.0

    def at(self, seconds: float) -> Place:
        """Return where the camera is."""
        gone = float(self.arrival == Place())  # seen for no time: the picture itself, if it can be
        if self.end_s > self.start_s:
            gone = min(1.0, max(0.0, (seconds - self.start_s) / (self.end_s - self.start_s)))
        eased = 0.6 * gone * gone * (3 - 2 * gone) + 0.4 * gone
        hold = self.shake * min(1.0, 4 * gone, 4 * (1 - gone))
        one, other = self.departure, self.arrival
        return Place(
            one.zoom + (other.zoom - one.zoom) * eased,
            one.x + (other.x - one.x) * eased + hold * _tremor(seconds, 3.1, 7.3),
            one.y + (other.y - one.y) * eased + hold * _tremor(seconds + 2, 3.7, 8.9),
        )


def journey(moves: tuple[Move, ...], start_s: float, end_s: float, anchor: Anchor) -> Journey:
    """Plan a move. Anchored, it starts from, or comes to, exactly the picture itself."""
    reach = min(1.0, 0.35 + 0.13 * (end_s - start_s))  # a short plate must not race
    zoom, x, y = (sum(_WAYS[move][axis] for move in moves) * reach for axis in range(3))
    shake = _SHAKE if "handheld" in moves else 0.0
    if (x or y) and not zoom:
        zoom = 0.12 * reach  # room to move aside in, and no slide show
    # Beyond the picture's edges there is only its mirror image: little of it may be seen.
    match anchor:
        case "start":
            return Journey(start_s, end_s, Place(), Place(max(zoom, -0.06), x, y), shake)
        case "end":
            near = zoom if x or y else max(-zoom, -0.03)
            return Journey(start_s, end_s, Place(near, -x, -y), Place(), shake)
        case "free":
            wide, tight = 0.03, 0.03 + abs(zoom)
            before, after = (wide, tight) if zoom >= 0 else (tight, wide)
            if x or y:
                before = after = tight
            return Journey(start_s, end_s, Place(before, -x / 2, -y / 2), Place(after, x / 2, y / 2), shake)


class Still:
    """One picture and the camera's journey over it."""

    def __init__(self, picture: Fitted, travel: Journey) -> None:
        width, height = picture.size
        self._canvas = picture.canvas
        self._travel = travel
        self._size = (width, height)
        self.picture: Final = picture
        coarse = (math.ceil(width / COARSE), math.ceil(height / COARSE))
        self.depth: Final = (
            np.full(coarse[::-1], _FLAT_DEPTH, np.float32)
            if picture.framed
            else resized(depth_of(picture.frame), *coarse, cv2.INTER_CUBIC)
        )
        self._across, self._down = np.meshgrid(
            centres(width, width) - np.float32(width / 2), centres(height, height) - np.float32(height / 2)
        )

    def view(self, seconds: float, drift: Plane | None = None) -> Image:
        """Return the picture as the camera sees it now; where nothing moved, it is the picture itself."""
        place = self._travel.at(seconds)
        if place == Place() and drift is None:
            return self.picture.frame
        field = self._field(place)
        if drift is not None:
            field += drift
        wide = resized(field, *self._size)
        cv2.add(wide, _home(*self._size, self.picture.left, self.picture.top), wide)
        return np.asarray(
            cv2.remap(  # type: ignore[call-overload]
                self._canvas, wide, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
            ),
            np.uint8,
        )

    def _field(self, place: Place) -> Plane:
        """Return how far from its home each point is looked up, x and y."""
        width, height = self._size
        shrink = 1 / (1 + np.float32(place.zoom) * (0.30 + 0.70 * self.depth)) - 1
        near = 0.60 + 0.40 * self.depth  # flatter: a sideways move must not bend what is upright
        aside = near * np.float32(width * place.x)
        above = near * np.float32(height * place.y)
        return np.dstack([self._across * shrink + aside, self._down * shrink + above])


def centres(length: int, over: int) -> Plane:
    """Return where the points of a coarse field `length` pixels long lie in a picture `over` pixels long."""
    count = math.ceil(length / COARSE)
    return ((np.arange(count) + 0.5) * (over / count) - 0.5).astype(np.float32)


@functools.lru_cache(maxsize=2)  # large, and the same for all plates of a film
def _home(width: int, height: int, left: int, top: int) -> Plane:
    """Return where each point of a frame is in its canvas, x and y."""
    across = np.arange(width, dtype=np.float32) + np.float32(left)
    down = np.arange(height, dtype=np.float32) + np.float32(top)
    return np.ascontiguousarray(np.dstack(np.meshgrid(across, down)))


def depth_of(picture: Image) -> Plane:
    """Guess how near each part of a picture is, 0..1: low, central, striking and sharp parts are nearer."""
    height = max(8, round(_DEPTH_WIDTH * picture.shape[0] / picture.shape[1]))
    small = resized(picture[..., :3], _DEPTH_WIDTH, height, cv2.INTER_AREA).astype(np.float32) / 255
    grey = small.mean(axis=2)
    lab = np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2LAB), np.float32)
    striking = _scaled(np.linalg.norm(blurred(lab, 3.0) - lab.mean(axis=(0, 1)), axis=2).astype(np.float32))
    sharp = _scaled(blurred(np.abs(grey - blurred(grey, 2.0)), 6.0))
    rows, columns = np.mgrid[0 : 1 : height * 1j, -1 : 1 : _DEPTH_WIDTH * 1j].astype(np.float32)
    central = np.exp(-(columns**2) / 0.5) * (0.3 + 0.7 * rows)
    depth = 0.45 * rows + 0.25 * central + 0.2 * striking + 0.2 * sharp
    for radius, softness in ((41, 0.01), (25, 0.005)):
        depth = _guided(grey, depth.astype(np.float32), radius, softness)
    return np.clip(blurred(_scaled(depth), 1.5), 0, 1)


def _guided(guide: Plane, plane: Plane, radius: int, softness: float) -> Plane:
    """Smooth a plane but keep its steps where the guide has some (the guided filter of He et al.)."""

    def mean(values: Plane) -> Plane:
        return np.asarray(cv2.boxFilter(values, -1, (radius, radius)), np.float32)

    of_guide, of_plane = mean(guide), mean(plane)
    slope = (mean(guide * plane) - of_guide * of_plane) / (mean(guide * guide) - of_guide**2 + softness)
    return mean(slope) * guide + mean(of_plane - slope * of_guide)


def _scaled(plane: Plane) -> Plane:
    low, high = float(plane.min()), float(plane.max())
    return (plane - np.float32(low)) / np.float32(max(high - low, 1e-6))


def _tremor(seconds: float, slow: float, fast: float) -> float:
    return math.sin(seconds * slow) + 0.5 * math.sin(seconds * fast)
