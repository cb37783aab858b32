"""Actors: the prompt's subjects, lit by the scene, standing, sailing, flying or swimming in it."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from filmgate.providers.studio.scene.ground import MIDDLE_DEPTH, NEAR_DEPTH, NEAR_UNTIL
from filmgate.providers.studio.scene.layers import camera_matrix, scale_at
from filmgate.providers.studio.scene.makeup import Costume, dress
from filmgate.providers.studio.scene.pixels import Image, place
from filmgate.providers.studio.scene.relief import EYE
from filmgate.providers.studio.scene.shot import Moment, Shot
from filmgate.providers.studio.scene.stamp import Stance, stamp
from filmgate.providers.studio.subjects import Kind, Subject, cast

PERSON: Final = 0.19  # a person's height on the plain: a little under the viewer's eye
FootRow = Callable[[float, float], float]  # (column, distance) -> row where a foot stands

_LOWEST_FOOT: Final = 0.93  # of the frame's height
_CLOSEST: Final = 1.16  # how much the camera may enlarge what stands near
_FLANK: Final = 0.66  # of a mount's height, from the top


@dataclass(frozen=True, slots=True)
class Pose:
    """Where an actor is: its foot (or middle, if it floats), its lean in degrees and its way."""

    x: float
    y: float
    lean: float = 0.0
    heading: int = -1


@dataclass(frozen=True, slots=True)
class Billing:
    """An actor's place in the cast: first is 0 of `among`; companions follow a leader they resemble."""

    rank: int = 0
    among: int = 1
    companion: int = 0


class Actor:
    """One subject at one place, moving as its kind does."""

    def __init__(
        self,
        shot: Shot,
        subject: Subject,
        billing: Billing,
        foot_row: FootRow | None,
        *,
        mount: "Actor | None" = None,
    ) -> None:
        rank, companion = billing.rank, billing.companion
        dice = shot.dice(f"actor {rank}")
        if not shot.has_horizon and subject.kind not in {"fly", "swim", "space"}:
            subject = _adrift(subject, shot)
        self._shot, self._subject, self._mount = shot, subject, mount
        self._on_ground = foot_row is not None and subject.kind not in {"boat", "fly", "swim", "space"}
        self._phase = float(dice.uniform(0, 2 * math.pi))
        self._share = shot.subject_x if billing.among == 1 else _spread(shot, billing)
        # Towards the middle, so that it has room before it and stays in the frame.
        self._heading = 1 if self._share < 0.5 else -1
        self._distance = (0.42 + 0.5 * subject.scale) / shot.subject_scale * (1 + 0.28 * rank)
        self._altitude = float(dice.uniform(0.34, 0.6))
        if companion:
            self._step_aside(shot.dice(f"companion {rank} {companion}"), companion)
        self._distance = max(self._distance, _nearest_stand(shot))
        if mount is not None:
            self._distance = mount._distance  # noqa: SLF001  (an actor may ask another)
        self._height = _height(shot, subject, self._distance, billing) * (
            0.92 - 0.13 * companion if companion else 1
        )
        # On the same depth as the ground it stands on, or its feet would slide.
        self._depth = MIDDLE_DEPTH if self._on_ground and self._distance > NEAR_UNTIL else NEAR_DEPTH
        if not self._on_ground and shot.has_horizon and subject.kind not in {"boat", "swim", "fly", "space"}:
            self._depth = 0.0  # at the far waterline
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
        """Draw the actor with what ties it to its place: a shadow or a reflection."""
        pose, kind = self._pose(moment), self._subject.kind
        scale = scale_at(moment, self._depth)
        x, y = self._seen_at(moment, pose.x, pose.y)
        _, foot = self._seen_at(moment, pose.x, self._foot)
        flip = scale if (pose.heading > 0) == self._subject.faces_right else -scale
        afloat = kind in {"boat", "swim"} and self._shot.has_horizon
        if self._mount is not None:
            pass  # the mount's shadow is enough
        elif afloat:
            self._draw_reflection(canvas, moment, x, foot, flip)
        elif self._on_ground:
            self._draw_shadow(canvas, x, foot, flip)
        if self._costume.halo is not None:
            middle = y - (self._anchor() - 0.5) * self._height * scale
            place(canvas, self._costume.halo, x, middle, glow=True)
        wings = 0.7 + 0.3 * math.sin(moment.seconds * 11 + self._phase) if self._subject.flutters else 1.0
        stance = Stance(
            x=x,
            y=y,
            anchor=self._anchor(),
            across=flip * wings,
            down=scale,
            turn=pose.lean,
            cut_below=foot if afloat and kind == "swim" else None,
        )
        stamp(canvas, self._costume.picture, stance)

    def _seen_at(self, moment: Moment, x: float, y: float) -> tuple[float, float]:
        """Return where the camera sees a point at the actor's depth."""
        _, left, top = camera_matrix(self._shot, moment, left=x, top=y, depth=self._depth)
        return left, top

    def saddle(self, moment: Moment) -> Pose:
        """Return where a rider's foot is: beside the flank, so that the mount, drawn later, hides it."""
        pose = self._pose(moment)
        return replace(pose, y=pose.y - (self._anchor() - _FLANK) * self._height)

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
        if self._mount is not None:
            return self._mount.saddle(moment)
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


def _nearest_stand(shot: Shot) -> float:
    """How near a foot may stand and still be in the frame when the camera has moved closest."""
    lowest = (_LOWEST_FOOT * shot.height - shot.horizon) / _CLOSEST
    return EYE * shot.unit / lowest if lowest > 0 else 0.0


def _adrift(subject: Subject, shot: Shot) -> Subject:
    """Where there is nothing to stand on, everything floats; an astronaut has a drawing for it."""
    if shot.screenplay.mood == "underwater":
        return subject if subject.kind in {"building", "plant"} else replace(subject, kind="swim")
    return cast()["astronaut-floating"] if subject.name == "astronaut" else replace(subject, kind="space")


def _spread(shot: Shot, billing: Billing) -> float:
    """Several actors share the frame: the first keeps the subject's place, the others the other side."""
    other = 1 - shot.subject_x
    places = (shot.subject_x, other, 0.5) if billing.among > 2 else (shot.subject_x, other)
    return places[billing.rank]


def _height(shot: Shot, subject: Subject, distance: float, billing: Billing) -> float:
    kinds: dict[Kind, float] = {"fly": 0.20, "swim": 0.24, "space": 0.24}
    if subject.kind in kinds:
        return (
            shot.unit
            * kinds[subject.kind]
            * math.sqrt(subject.scale)
            * shot.subject_scale
            * (1, 0.75, 0.6)[billing.rank]
        )
    # Alone in the frame it is the hero, the more so the smaller it is.
    hero = 1.22 / min(1.0, subject.scale) ** 0.4 if billing.among == 1 else 1.0
    return shot.unit * PERSON * subject.scale * hero / distance
