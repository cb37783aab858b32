"""Actors: the prompt's subjects, lit by the scene, standing, sailing, flying or swimming in it."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from filmgate.providers.studio.figures import Act
from filmgate.providers.studio.scene.ground import MIDDLE_DEPTH, NEAR_DEPTH, NEAR_UNTIL
from filmgate.providers.studio.scene.layers import camera_matrix, scale_at
from filmgate.providers.studio.scene.makeup import Costume, dress
from filmgate.providers.studio.scene.pixels import Image, place
from filmgate.providers.studio.scene.placement import AFLOAT, Billing, Bond, placed
from filmgate.providers.studio.scene.relief import EYE
from filmgate.providers.studio.scene.shot import Moment, Shot
from filmgate.providers.studio.scene.stamp import Stance, stamp
from filmgate.providers.studio.subjects import Kind, Subject, cast

FootRow = Callable[[float, float], float]  # (column, distance) -> row where a foot stands

_FARTHEST: Final = 0.75  # of the shot's unit: how far a walker may come in one film
_LAP: Final = 0.3  # of a sitting figure's height: from its feet to what it sits on
_LOOKS: Final = 3  # different looks in a crowd
_STRIDE_S: Final[Mapping[Act, float]] = {"walk": 1.05, "run": 0.6, "dance": 1.5, "sit": 3.2, "stand": 3.6}
_BEAT_S: Final[Mapping[Kind, float]] = {"fly": 0.75, "swim": 1.1}
_SPEEDS: Final[Mapping[Act, float]] = {"walk": 0.42, "run": 1.0}  # own heights a second


@dataclass(frozen=True, slots=True)
class Pose:
    """Where an actor is: its foot (or middle, if it floats), its lean in degrees and its way."""

    x: float
    y: float
    lean: float = 0.0
    heading: int = -1


@dataclass(frozen=True, slots=True)
class Perch:
    """What an actor stands on, or over: another one, and at which share of its height from the foot."""

    on: "Actor"
    level: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ties:
    """What an actor has to do with others: whom it looks like, what it is on, whom it is beside.

    `share` gives it a place across the frame, `near` one in front.
    """

    leader: "Actor | None" = None
    perch: Perch | None = None
    beside: "Actor | None" = None
    share: float | None = None
    near: bool = False

    @property
    def bond(self) -> Bond:
        """How they tie its placement."""
        if self.perch is not None:
            return Bond(to=self.perch.on.placement)
        if self.beside is not None:
            return Bond(to=self.beside.placement, apart=self.beside.width)
        return Bond(share=self.share, near=self.near)


FREE: Final = Ties()


class Actor:
    """One subject at one place, moving as its kind does."""

    def __init__(
        self, shot: Shot, subject: Subject, billing: Billing, foot_row: FootRow | None, ties: Ties = FREE
    ) -> None:
        if not shot.has_horizon and subject.kind not in {"fly", "swim", "space"}:
            subject = _adrift(subject, shot)
        self._shot, self._subject, self._perch = shot, subject, ties.perch
        self.placement = placed(shot, subject, billing, ties.bond)
        spot = self.placement
        self._share, self._distance, self._height = spot.share, spot.distance, spot.height
        self._heading, self._altitude, self._phase = spot.heading, spot.altitude, spot.phase
        self._on_ground = foot_row is not None and subject.kind not in AFLOAT
        self._depth = self._find_depth()
        self._foot = self._foot_line(foot_row)
        self._costume: Costume
        self._size = 1.0
        leader = ties.leader
        if leader is not None and billing.companion % _LOOKS and subject.kind != "person":
            self._costume, self._size = leader.costume, self._height / leader.height
        else:
            look = int(shot.dice("look").integers(8)) + billing.companion
            self._costume = dress(shot, subject, round(self._height), distance=self._distance, look=look)

    def _find_depth(self) -> float:
        """On the same depth as the ground it stands on, or its feet would slide."""
        if self._perch is not None:
            return self._perch.on.depth
        if not self._on_ground and self._shot.has_horizon and self._subject.kind not in AFLOAT:
            return 0.0  # at the far waterline
        return MIDDLE_DEPTH if self._on_ground and self._distance > NEAR_UNTIL else NEAR_DEPTH

    @property
    def costume(self) -> Costume:
        """The pictures it is drawn with."""
        return self._costume

    @property
    def depth(self) -> float:
        """At which depth of the scene it is."""
        return self._depth

    @property
    def share(self) -> float:
        """Where it stands across the frame, 0 to 1."""
        return self._share

    @property
    def width(self) -> float:
        """How many pixels it is wide."""
        return self._costume.pictures[0].shape[1] * self._size

    @property
    def height(self) -> float:
        """How many pixels it is tall."""
        return self._height

    @property
    def top(self) -> float:
        """The row its head is at."""
        return self._foot - self._height

    @property
    def is_seat(self) -> bool:
        """Whether one sits on it."""
        return self._subject.kind == "furniture"

    @property
    def steams(self) -> bool:
        """Whether it is hot."""
        return self._subject.steams

    @property
    def floats_on_water(self) -> bool:
        """Whether the actor's place is on or in the water, in front of its surface."""
        if self._perch is not None:
            return self._perch.on.floats_on_water
        return self._subject.kind in {"boat", "swim"} or self._on_ground

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
        """Draw the actor with what ties it to its place: a shadow or a reflection."""
        pose, kind = self._pose(moment), self._subject.kind
        scale = scale_at(moment, self._depth)
        x, y = self._seen_at(moment, pose.x, pose.y)
        _, foot = self._seen_at(moment, pose.x, self._foot)
        scale *= self._size
        flip = scale if (pose.heading > 0) == self._subject.faces_right else -scale
        afloat = kind in {"boat", "swim"} and self._shot.has_horizon
        if self._perch is not None:
            pass  # what it is on has a shadow or a reflection of its own
        elif afloat:
            self._draw_reflection(canvas, moment, x, foot, flip)
        elif self._on_ground:
            self._draw_shadow(canvas, x, foot, flip)
        if self._costume.halo is not None:
            middle = y - (self._anchor() - 0.5) * self._height * scale / self._size
            place(canvas, self._costume.halo, x, middle, glow=True)
        wings = 0.7 + 0.3 * math.sin(moment.seconds * 11 + self._phase) if self._subject.flutters else 1.0
        stance = Stance(
            x=x,
            y=y,
            anchor=self._anchor(),
            across=flip * wings,
            down=scale,
            turn=pose.lean,
            cut_below=foot if afloat and kind == "swim" and self._perch is None else None,
        )
        stamp(canvas, self._picture(moment), stance)

    def _picture(self, moment: Moment) -> Image:
        """Return the point of the stride the actor is at."""
        pictures = self._costume.pictures
        if len(pictures) == 1:
            return pictures[0]
        kind = self._subject.kind
        cycle_s = _BEAT_S[kind] if kind in _BEAT_S else _STRIDE_S[self._act()]
        share = moment.seconds / cycle_s + self._phase / (2 * math.pi)
        return pictures[int(share * len(pictures)) % len(pictures)]

    def _act(self) -> Act:
        return "sit" if self._perch is not None and self._subject.kind == "person" else self._subject.act

    def _seen_at(self, moment: Moment, x: float, y: float) -> tuple[float, float]:
        """Return where the camera sees a point at the actor's depth."""
        _, left, top = camera_matrix(self._shot, moment, left=x, top=y, depth=self._depth)
        return left, top

    def pose_above(self, moment: Moment, level: float) -> Pose:
        """Return the pose of what stands at a share of this actor's height."""
        pose = self._pose(moment)
        return replace(pose, y=pose.y - (level + self._anchor() - 1) * self._height)

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
        if self._perch is not None:
            return self._perched(self._perch, moment)
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
                speed = _SPEEDS.get(self._subject.act, 0.0) * self._height
                way = min(speed * shot.duration_s, _FARTHEST * unit)
                room = way / 2 + 0.3 * self._height
                x = float(np.clip(x, room, max(room, shot.width - room)))
                return Pose(x + way * travelled * heading, self._foot, 0, heading)
            case "vehicle":
                far = 0.42 * pace * travelled * unit / max(0.8, self._distance)
                return Pose(
                    x + far * heading, self._foot - 0.0012 * unit * math.sin(seconds * 19), 0, heading
                )
            case "building" | "plant" | "furniture" | "object":
                return Pose(x, self._foot)

    def _perched(self, perch: Perch, moment: Moment) -> Pose:
        pose = perch.on.pose_above(moment, perch.level)
        if self._subject.kind == "person" and self._subject.act == "sit" and perch.on.is_seat:
            return replace(pose, y=pose.y + _LAP * self._height)  # the legs hang down before it
        if self._subject.kind in AFLOAT and perch.level > 1:
            # It passes over: from one side to the other, highest in the middle.
            far = 0.7 * (moment.progress - 0.5) * self._shot.unit * self._heading
            arch = 0.10 * self._shot.unit * math.cos(math.pi * (moment.progress - 0.5))
            lean = 24 * (moment.progress - 0.5) * self._heading if self._subject.kind == "swim" else 0.0
            return Pose(pose.x + far, pose.y - arch, lean, self._heading)
        return pose

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

    def _draw_shadow(self, canvas: Image, x: float, foot: float, flip: float) -> None:
        """Cast its shadow: the sun stands before the viewer, so it falls towards them."""
        shot, costume, scale = self._shot, self._costume, abs(flip)
        aside = min(1.0, abs(shot.sun_x - x) / (0.3 * shot.width))
        skew = (0.75 if shot.sun_x < x else -0.75) * aside
        stamp(canvas, costume.shadow, Stance(x=x, y=foot, across=flip, down=-0.42 * scale, skew=skew))
        seam = costume.contact
        stamp(canvas, seam, Stance(x=x, y=foot, anchor=0.5, across=scale, down=scale))

    def _draw_reflection(self, canvas: Image, moment: Moment, x: float, foot: float, flip: float) -> None:
        ripple = 1 + 0.03 * math.sin(moment.seconds * 2.3 + self._phase)
        skew = 0.03 * math.sin(moment.seconds * 1.7 + self._phase)
        top = foot - 0.02 * self._height
        mirrored = Stance(x=x, y=top, across=flip, down=-0.72 * abs(flip) * ripple, skew=skew)
        stamp(canvas, self._costume.reflection, mirrored)


def _adrift(subject: Subject, shot: Shot) -> Subject:
    """Where there is nothing to stand on, everything floats; an astronaut has a drawing for it."""
    if shot.screenplay.mood == "underwater":
        return subject if subject.kind in {"building", "plant"} else replace(subject, kind="swim")
    return cast()["astronaut-floating"] if subject.name == "astronaut" else replace(subject, kind="space")
