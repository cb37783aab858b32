"""Placement: where in the shot a subject stands, how far away and how tall it is there."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from filmgate.providers.studio.scene.relief import EYE
from filmgate.providers.studio.scene.shot import Shot
from filmgate.providers.studio.subjects import Kind, Subject

PERSON: Final = 0.19  # a person's height on the plain: a little under the viewer's eye
AFLOAT: Final = frozenset({"boat", "fly", "swim", "space"})

_LOWEST_FOOT: Final = 0.93  # of the frame's height
_CLOSEST: Final = 1.16  # how much the camera may enlarge what stands near
_ACROSS_THE_ROOM: Final = 0.6
_ON_THE_ROAD: Final = 0.86
_NEAR: Final = 1.05
_AGAINST_LIGHT: Final = 0.86  # of its distance: a silhouette comes nearer
_TALLER: Final = 1.35  # and is taller, for the sky to be behind all of it
_AHEAD: Final = 0.14  # of the frame's width: the first of a flock
_HERO: Final[Mapping[Kind, float]] = {"person": 1.75, "walk": 1.5}  # how much larger than life, alone
_SEATED: Final = 0.72  # of a standing figure's height
_ON_A_TABLE: Final = 0.36  # of the shot's unit: a cup's height
_ON_THE_GROUND: Final = 0.44  # of a person's height: a cup's, where there is no table
_PAIR: Final = 2  # two walk side by side
_CLOSE: Final = 0.72  # of the shot's unit: a subject in a close-up


@dataclass(frozen=True, slots=True)
class Billing:
    """An actor's place in the cast: first is 0 of `among`; companions follow a leader they resemble."""

    rank: int = 0
    among: int = 1
    companion: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where a subject is: across the frame and up the sky by share, and how far; `height` is in pixels.

    `phase` sets it apart from others that move alike; `heading` is -1 to the left, 1 to the right.
    """

    share: float
    altitude: float
    distance: float
    height: float
    heading: int
    phase: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Bond:
    """What ties a placement: to another one, `apart` by pixels, to a share of the frame, or to the front."""

    to: Placement | None = None
    apart: float = 0.0
    share: float | None = None
    near: bool = False


def placed(shot: Shot, subject: Subject, billing: Billing, bond: Bond) -> Placement:
    """Choose a place: the seed's, unless something ties it."""
    dice = shot.dice(f"actor {billing.rank}")
    phase = float(dice.uniform(0, 2 * math.pi))
    share = bond.share if bond.share is not None else _share(shot, billing)
    # Towards the middle, so that it has room before it and stays in the frame.
    heading = 1 if share < 0.5 else -1
    if subject.many and subject.kind == "fly":
        share = 0.5 + heading * _AHEAD  # the flock follows behind
    place = Placement(
        share=share,
        altitude=float(dice.uniform(0.34, 0.6)),
        distance=_distance(shot, subject, billing, near=bond.near),
        height=0.0,
        heading=heading,
        phase=phase,
    )
    if bond.to is not None:
        place = _tied(shot, subject, place, bond, bond.to)
    if billing.companion:
        place = _stepped_aside(shot, subject, billing, place)
    height = _height(shot, subject, place.distance, billing)
    if billing.companion:
        height *= 0.95 if subject.count == _PAIR else 0.92 - 0.07 * billing.companion
    return replace(place, height=height)


def _share(shot: Shot, billing: Billing) -> float:
    """Several actors share the frame: the first keeps the subject's place, the others the other side."""
    other = 1 - shot.subject_x
    places = (shot.subject_x, other, 0.5) if billing.among > 2 else (shot.subject_x, other)
    return places[billing.rank]


def _distance(shot: Shot, subject: Subject, billing: Billing, *, near: bool) -> float:
    play = shot.screenplay
    if play.has("road") and subject.kind == "vehicle":
        return _ON_THE_ROAD * (1 + 0.12 * billing.rank)
    if play.indoors:
        return _ACROSS_THE_ROOM
    distance = (0.42 + 0.5 * subject.scale) / shot.subject_scale * (1 + 0.28 * billing.rank)
    if shot.backlit:
        distance *= _AGAINST_LIGHT
    if near:
        distance = min(distance, _NEAR)
    return distance if play.has("closeup") else max(distance, _nearest_stand(shot))


def _nearest_stand(shot: Shot) -> float:
    """How near a foot may stand and still be in the frame when the camera has moved closest."""
    lowest = (_LOWEST_FOOT * shot.height - shot.horizon) / _CLOSEST
    return EYE * shot.unit / lowest if lowest > 0 else 0.0


def _tied(shot: Shot, subject: Subject, place: Placement, bond: Bond, to: Placement) -> Placement:
    share = to.share
    if bond.apart:
        room = (bond.apart + 0.6 * _height(shot, subject, to.distance, Billing())) * 0.55
        side = 1 if to.share < 0.5 else -1
        share = float(np.clip(share + side * room / shot.width, 0.1, 0.9))
    return replace(place, share=share, distance=to.distance, heading=to.heading)


def _stepped_aside(shot: Shot, subject: Subject, billing: Billing, place: Placement) -> Placement:
    """Companions share the leader's way, farther off; a flock in a loose wedge, others to both sides."""
    companion = billing.companion
    if subject.count == _PAIR and subject.kind in {"person", "walk"}:
        away = -place.heading * 0.5 * _height(shot, subject, place.distance, Billing()) / shot.width
        return replace(place, share=float(np.clip(place.share + away, 0.07, 0.93)), phase=place.phase + 2.6)
    dice = shot.dice(f"companion {billing.rank} {companion}")
    side = (1, -1)[companion % 2]
    if subject.kind == "fly":
        share = place.share - place.heading * 0.075 * companion
        altitude = place.altitude + 0.05 * companion * side + float(dice.uniform(-0.02, 0.02))
    else:
        share = place.share + side * (0.10 + 0.075 * companion) + float(dice.uniform(-0.03, 0.03))
        altitude = float(np.clip(place.altitude + dice.uniform(-0.20, 0.20), 0.3, 0.85))
    return replace(
        place,
        share=float(np.clip(share, 0.07, 0.93)),
        altitude=altitude,
        distance=place.distance * (1 + 0.08 * companion),
        phase=place.phase + companion * 1.9,
    )


def _height(shot: Shot, subject: Subject, distance: float, billing: Billing) -> float:
    play, smaller = shot.screenplay, (1, 0.75, 0.6)[billing.rank]
    floating: Mapping[Kind, float] = {"fly": 0.20, "swim": 0.24, "space": 0.24}
    if play.has("table") and subject.kind == "object":
        return shot.unit * _ON_A_TABLE * math.sqrt(subject.scale * shot.subject_scale) * smaller**0.5
    if play.has("closeup") and shot.has_horizon and not play.indoors and subject.kind not in floating:
        return shot.unit * _CLOSE * smaller
    if subject.kind in floating:
        return shot.unit * floating[subject.kind] * math.sqrt(subject.scale) * shot.subject_scale * smaller
    if subject.kind == "object":
        return shot.unit * PERSON * _ON_THE_GROUND * subject.scale / distance
    return shot.unit * PERSON * subject.scale * _larger_than_life(shot, subject, billing) / distance


def _larger_than_life(shot: Shot, subject: Subject, billing: Billing) -> float:
    """Alone in the frame it is the hero, the more so the smaller it is."""
    hero = 1.2
    if billing.among == 1:
        hero = _HERO.get(subject.kind, 1.32)
        if shot.screenplay.relation is None:
            hero /= min(1.0, subject.scale) ** 0.45
    if subject.act == "sit" and subject.kind in {"person", "walk"}:
        hero *= _SEATED
    if shot.backlit and subject.kind in {"person", "walk"}:
        hero *= _TALLER
    return hero
