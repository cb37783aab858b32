"""Actors: the prompt's subjects, lit by the scene, standing, sailing, flying or swimming in it."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from filmgate.providers.studio.scene.layers import scale_at, shift_at
from filmgate.providers.studio.scene.makeup import Costume, dress
from filmgate.providers.studio.scene.pixels import Image, lay_over, place, warped
from filmgate.providers.studio.scene.relief import EYE
from filmgate.providers.studio.scene.shot import Moment, Shot
from filmgate.providers.studio.subjects import Kind, Subject, cast

PERSON: Final = 0.19  # a person's height on the plain: a little under the viewer's eye
FootRow = Callable[[float, float], float]  # (column, distance) -> row where a foot stands

_DEPTH: Final = 0.75


@dataclass(frozen=True, slots=True)
class Pose:
    """Where an actor is: its foot (or middle, if it floats), its lean in degrees and its way."""

    x: float
    y: float
    lean: float = 0.0
    heading: int = -1


class Actor:
    """One subject at one place, moving as its kind does."""

    def __init__(
        self,
        shot: Shot,
        subject: Subject,
        *,
        rank: int,
        among: int,
        foot_row: FootRow | None,
        companion: int = 0,
    ) -> None:
        dice = shot.dice(f"actor {rank}")
        if not shot.has_horizon and subject.kind not in {"fly", "swim", "space"}:
            subject = _adrift(subject, shot)
        self._shot, self._subject = shot, subject
        self._on_ground = foot_row is not None and subject.kind not in {"boat", "fly", "swim", "space"}
        self._phase = float(dice.uniform(0, 2 * math.pi))
        self._heading = int(dice.choice([-1, 1]))
        self._share = shot.subject_x if among == 1 else _spread(shot, rank, among)
        self._distance = (0.42 + 0.5 * subject.scale) / shot.subject_scale * (1 + 0.28 * rank)
        self._altitude = float(dice.uniform(0.34, 0.6))
        if companion:
            self._step_aside(shot.dice(f"companion {rank} {companion}"), companion)
        self._height = _height(shot, subject, self._distance, rank) * (
            0.92 - 0.13 * companion if companion else 1
        )
        self._foot = self._foot_line(foot_row)
        self._costume: Costume = dress(shot, subject, round(self._height), distance=self._distance)

    @property
    def floats_on_water(self) -> bool:
        """Whether the actor's place is on or in the water, in front of its surface."""
        return self._subject.kind in {"boat", "swim"} or self._on_ground

    def _step_aside(self, dice: np.random.Generator, companion: int) -> None:
        """Companions share the leader's way, farther off and scattered to both sides."""
        side = (1, -1)[companion % 2] * (0.10 + 0.075 * companion)
        self._share = float(np.clip(self._share + side + dice.uniform(-0.03, 0.03), 0.09, 0.91))
        self._altitude = float(np.clip(self._altitude + dice.uniform(-0.20, 0.20), 0.3, 0.85))
        self._distance *= 1 + 0.13 * companion
        self._phase += companion * 1.9

    def _foot_line(self, foot_row: FootRow | None) -> float:
        shot = self._shot
        if self._on_ground and foot_row is not None:
            return foot_row(self._share * shot.width, self._distance)
        if not shot.has_horizon:
            return shot.height * 0.97  # the sea floor
        if self._subject.kind in {"boat", "swim"}:
            return shot.horizon + shot.unit * EYE / max(0.75, self._distance)
        # Nothing to stand on but the far shore: at the waterline.
        return shot.horizon + 0.004 * shot.unit

    def draw(self, canvas: Image, moment: Moment) -> None:
        """Draw the actor with what ties it to its ground: a shadow or a reflection."""
        pose = self._pose(moment)
        scale = scale_at(moment, _DEPTH)
        shift_x, shift_y = shift_at(self._shot, moment, _DEPTH)
        centre_x, centre_y = self._shot.width / 2, min(self._shot.horizon, self._shot.height * 0.62)
        x = centre_x + (pose.x - centre_x) * scale + shift_x
        y = centre_y + (pose.y - centre_y) * scale + shift_y
        foot = centre_y + (self._foot - centre_y) * scale + shift_y
        flip = 1 if (pose.heading > 0) == self._subject.faces_right else -1
        if self._subject.kind in {"boat", "swim"} and self._shot.has_horizon:
            self._draw_reflection(canvas, moment, x, foot, scale, flip)
        elif self._on_ground:
            self._draw_shadow(canvas, x, foot, scale, flip)
        if self._costume.halo is not None:
            middle = y - (self._anchor() - 0.5) * self._height * scale
            place(canvas, self._costume.halo, x, middle, glow=True)
        waterline = foot if self._subject.kind == "swim" and self._shot.has_horizon else None
        _stamp(
            canvas, self._costume.picture, x, y, scale, flip, pose.lean, self._anchor(), cut_below=waterline
        )

    def _anchor(self) -> float:
        """Which share of the height the pose's point is at: the foot, or the middle of what floats."""
        match self._subject.kind:
            case "fly" | "swim" | "space":
                return 0.5
            case "boat":
                return 0.94
            case _:
                return 0.985

    def _pose(self, moment: Moment) -> Pose:
        shot, phase, heading = self._shot, self._phase, self._heading
        seconds, travelled = moment.seconds, moment.progress - 0.5
        x, unit = self._share * shot.width, shot.unit
        pace = min(1.0, shot.duration_s / 6)
        match self._subject.kind:
            case "boat":
                bob = math.sin(seconds * 1.5 + phase)
                lean = 2.2 * math.sin(seconds * 1.1 + phase)
                return Pose(
                    x + 0.14 * pace * travelled * unit * heading,
                    self._foot + 0.005 * unit * bob,
                    lean,
                    heading,
                )
            case "fly":
                sky = min(shot.horizon, shot.height)
                y = sky * self._altitude + 0.03 * unit * math.sin(seconds * 1.2 + phase)
                lean = 4 * math.sin(seconds * 1.1 + phase)
                return Pose(x + 0.34 * pace * travelled * unit * heading, y, lean, heading)
            case "space":
                y = shot.height * (0.35 + 0.4 * self._altitude) - 0.16 * pace * travelled * unit
                return Pose(
                    x + 0.2 * pace * travelled * unit * heading,
                    y,
                    5 * math.sin(seconds * 0.5 + phase),
                    heading,
                )
            case "swim":
                return self._swimming(moment, x)
            case "walk" | "person":
                step = abs(math.sin(seconds * 3.4 + phase))
                lean = 1.8 * math.sin(seconds * 3.4 + phase)
                far = 0.16 * pace * travelled * unit / max(0.7, self._distance)
                return Pose(x + far * heading, self._foot - 0.007 * unit * step, lean, heading)
            case "vehicle":
                far = 0.42 * pace * travelled * unit / max(0.8, self._distance)
                return Pose(
                    x + far * heading, self._foot - 0.0012 * unit * math.sin(seconds * 19), 0, heading
                )
            case "building" | "plant":
                return Pose(x, self._foot)

    def _swimming(self, moment: Moment, x: float) -> Pose:
        shot, seconds, unit = self._shot, moment.seconds, self._shot.unit
        far = 0.3 * (moment.progress - 0.5) * unit * self._heading
        if not shot.has_horizon:
            y = shot.height * (0.22 + 0.5 * self._altitude) + 0.03 * unit * math.sin(
                seconds * 0.9 + self._phase
            )
            return Pose(x + far, y, 4 * math.sin(seconds * 1.4 + self._phase), self._heading)
        # At the surface it leaps: an arc above the water, then a dive.
        turn = seconds * 1.5 + self._phase
        y = self._foot - self._height * (0.75 * math.sin(turn) - 0.05)
        return Pose(x + far, y, 34 * math.cos(turn) * self._heading * -1, self._heading)

    def _draw_shadow(self, canvas: Image, x: float, foot: float, scale: float, flip: int) -> None:
        """Cast its shadow: the sun stands before the viewer, so it falls towards them."""
        skew = (0.75 if self._shot.sun_x < x else -0.75) * min(
            1.0, abs(self._shot.sun_x - x) / (0.3 * self._shot.width)
        )
        _stamp_flat(canvas, self._costume.shadow, x, foot, scale * flip, -0.42 * scale, skew)
        blob = self._costume.contact
        width, height = blob.shape[1] * scale, blob.shape[0] * scale
        _stamp_flat(canvas, blob, x, foot + height * 0.5, width / blob.shape[1], height / blob.shape[0], 0)

    def _draw_reflection(
        self, canvas: Image, moment: Moment, x: float, foot: float, scale: float, flip: int
    ) -> None:
        mirrored = self._costume.reflection
        ripple = 1 + 0.03 * math.sin(moment.seconds * 2.3 + self._phase)
        skew = 0.03 * math.sin(moment.seconds * 1.7 + self._phase)
        _stamp_flat(
            canvas, mirrored, x, foot - 0.02 * self._height, scale * flip, -0.72 * scale * ripple, skew
        )


def _adrift(subject: Subject, shot: Shot) -> Subject:
    """Where there is nothing to stand on, everything floats; an astronaut has a drawing for it."""
    if shot.screenplay.mood == "underwater":
        return subject if subject.kind in {"building", "plant"} else replace(subject, kind="swim")
    return cast()["astronaut-floating"] if subject.name == "astronaut" else replace(subject, kind="space")


def _spread(shot: Shot, rank: int, among: int) -> float:
    """Several actors share the frame: the first keeps the subject's place, the others the other side."""
    other = 1 - shot.subject_x
    return (shot.subject_x, other, 0.5)[rank] if among > 2 else (shot.subject_x, other)[rank]


def _height(shot: Shot, subject: Subject, distance: float, rank: int) -> float:
    kinds: dict[Kind, float] = {"fly": 0.20, "swim": 0.24, "space": 0.24}
    if subject.kind in kinds:
        return (
            shot.unit
            * kinds[subject.kind]
            * math.sqrt(subject.scale)
            * shot.subject_scale
            * (1, 0.75, 0.6)[rank]
        )
    return shot.unit * PERSON * subject.scale / distance


def _stamp(
    canvas: Image,
    sprite: Image,
    x: float,
    y: float,
    scale: float,
    flip: int,
    lean: float,
    anchor: float,
    *,
    cut_below: float | None = None,
) -> None:
    """Lay a sprite over the canvas, turned about its anchor, which comes to (x, y)."""
    height, width = sprite.shape[:2]
    angle = math.radians(lean)
    cosine, sine = math.cos(angle) * scale, math.sin(angle) * scale
    matrix = np.array([[cosine * flip, -sine, 0], [sine * flip, cosine, 0]])
    _warp_over(canvas, sprite, matrix, (width / 2, height * anchor), (x, y), cut_below=cut_below)


def _stamp_flat(
    canvas: Image, sprite: Image, x: float, y: float, scale_x: float, scale_y: float, skew: float
) -> None:
    """Lay a sprite over the canvas with its foot at (x, y), squeezed and leaning; negative falls down."""
    height, width = sprite.shape[:2]
    matrix = np.array([[scale_x, skew * scale_y, 0], [0, scale_y, 0]])
    _warp_over(canvas, sprite, matrix, (width / 2, float(height)), (x, y))


def _warp_over(
    canvas: Image,
    sprite: Image,
    matrix: np.ndarray,
    pivot: tuple[float, float],
    target: tuple[float, float],
    *,
    cut_below: float | None = None,
) -> None:
    height, width = sprite.shape[:2]
    matrix[:, 2] = np.array(target) - matrix[:, :2] @ np.array(pivot)
    corners = matrix[:, :2] @ np.array([[0, width, 0, width], [0, 0, height, height]]) + matrix[:, 2:]
    x0, y0 = max(0, math.floor(corners[0].min())), max(0, math.floor(corners[1].min()))
    x1, y1 = math.ceil(corners[0].max()) + 1, math.ceil(corners[1].max()) + 1
    x1, y1 = min(canvas.shape[1], x1), min(canvas.shape[0], y1)
    if cut_below is not None:
        y1 = min(y1, int(cut_below))
    if x1 <= x0 or y1 <= y0:
        return
    matrix[:, 2] -= (x0, y0)
    warped = warped(sprite, matrix, x1 - x0, y1 - y0)
    lay_over(canvas[y0:y1, x0:x1], warped)
