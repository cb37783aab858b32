"""The scenery: which elements a shot is made of, farthest first."""

from dataclasses import replace
from typing import Final

from filmgate.providers.studio.scene.actors import Actor, FootRow, Perch, Ties
from filmgate.providers.studio.scene.aurora import Aurora
from filmgate.providers.studio.scene.card import Card
from filmgate.providers.studio.scene.city import city
from filmgate.providers.studio.scene.closeup import OutOfFocus, Steam, Table
from filmgate.providers.studio.scene.clouds import CloudDeck, CloudHeaps
from filmgate.providers.studio.scene.fireworks import Fireworks
from filmgate.providers.studio.scene.fog import Fog
from filmgate.providers.studio.scene.forest import copse, forest
from filmgate.providers.studio.scene.ground import MIDDLE_DEPTH, NEAR_DEPTH, NEAR_UNTIL, Ground, Shore
from filmgate.providers.studio.scene.layers import Element
from filmgate.providers.studio.scene.light import Lens
from filmgate.providers.studio.scene.mountains import mountains
from filmgate.providers.studio.scene.particles import Particles
from filmgate.providers.studio.scene.placement import Billing
from filmgate.providers.studio.scene.plants import undergrowth
from filmgate.providers.studio.scene.road import road
from filmgate.providers.studio.scene.room import Room
from filmgate.providers.studio.scene.shot import Shot
from filmgate.providers.studio.scene.sky import Sky
from filmgate.providers.studio.scene.space import Planet, nebula
from filmgate.providers.studio.scene.street import Street
from filmgate.providers.studio.scene.underwater import Shafts, sea_floor
from filmgate.providers.studio.scene.volcano import Volcano
from filmgate.providers.studio.scene.water import Water
from filmgate.providers.studio.scene.weather import Lightning, Rain, Snow
from filmgate.providers.studio.screenplay import Relation
from filmgate.providers.studio.subjects import Subject, cast

_OPEN_BOAT: Final = 1.5  # of a person's height: a smaller boat has no deck, one sits in it
_SEATS: Final = {
    "sofa": 0.44,
    "couch-and-lamp": 0.22,
    "bed": 0.42,
    "armchair": 0.4,
    "chair": 0.44,
    "bench": 0.46,
}
_OUTDOORS: Final = ("water", "mountains", "city", "street", "forest", "desert", "meadow", "volcano")
_FAIR: Final = frozenset({"day", "dawn", "sunset", "dusk"})


def build(shot: Shot) -> list[Element]:
    """Return the elements of a shot in the order they are drawn."""
    play = shot.screenplay
    if not play.understood:
        return [Card(shot, shot.words), Lens(shot)]
    if play.has("table") or (play.has("closeup") and shot.has_horizon and play.subjects):
        return [*_closeup(shot), Lens(shot)]
    return [*_stage(shot), *air(shot), Lens(shot)]


def _stage(shot: Shot) -> list[Element]:
    match shot.screenplay.mood:
        case _ if shot.screenplay.has("room"):
            return _room(shot)
        case "space" if shot.has_horizon:
            return [Sky(shot), nebula(shot), Planet(shot), *_skyline(shot), *_land(shot)]
        case "space":
            return _space(shot)
        case "underwater":
            return _underwater(shot)
        case _ if shot.screenplay.has("street") and not shot.screenplay.has("road"):
            return _street(shot)
        case _:
            return [*_sky(shot), *_skyline(shot), *_land(shot)]


def _room(shot: Shot) -> list[Element]:
    """Show a room, with the hour, the weather and the place outside its window."""
    room = Room(shot)
    outside = [*_sky(shot), *_skyline(shot), *Ground(shot).layers]
    if not shot.screenplay.has("city"):
        outside[-2:-2] = forest(shot, rows=2)
    weather: list[Element] = []
    if shot.screenplay.has("rain"):
        weather.append(Rain(shot))
    if shot.screenplay.has("snow"):
        weather.append(Snow(shot))
    return [*outside, *weather, *room.layers, *_furnished(shot, room), *_cast(shot, room.row_at)]


def _furnished(shot: Shot, room: Room) -> list[Element]:
    """Put a plant, and a sofa where there is no other furniture, behind whoever is in the room."""
    dice = shot.dice("furniture")
    has_furniture = any(subject.kind == "furniture" for subject in shot.screenplay.subjects)
    pieces = [("potted-plant", 0.92 if shot.subject_x < 0.5 else 0.08)]
    if not has_furniture:
        piece = ("sofa", "armchair", "couch-and-lamp")[int(dice.integers(3))]
        pieces.append((piece, 1 - shot.subject_x))
    return [
        Actor(shot, cast()[name], Billing(1, 2), room.row_at, Ties(share=share)) for name, share in pieces
    ]


def _closeup(shot: Shot) -> list[Element]:
    """Show the subject large, before its place out of focus; things stand on a table."""
    play = shot.screenplay
    bare = replace(shot, screenplay=replace(play, subjects=(), relation=None, things=play.things - {"table"}))
    if not bare.screenplay.has(*_OUTDOORS) or bare.screenplay.has("room"):
        bare = replace(bare, screenplay=replace(bare.screenplay, things=bare.screenplay.things | {"room"}))
    behind = OutOfFocus(shot, _stage(bare))
    things = any(subject.kind == "object" for subject in play.subjects)
    if not things and not play.has("table"):
        return [behind, *_cast(shot, lambda _x, _distance: shot.height * 1.03)]
    table = Table(shot)
    actors = _cast(shot, table.row_at)
    steam = [
        Steam(shot, actor.share * shot.width, actor.top + 0.3 * actor.height, actor.width * 0.6)
        for actor in actors
        if actor.steams
    ]
    return [behind, *table.layers, *actors, *steam]


def _space(shot: Shot) -> list[Element]:
    return [Sky(shot), nebula(shot), Planet(shot), *_cast(shot, None)]


def _underwater(shot: Shot) -> list[Element]:
    far, *near = sea_floor(shot)
    return [Sky(shot), Shafts(shot), far, near[0], *_cast(shot, None), near[1], Particles(shot, "bubbles")]


def _street(shot: Shot) -> list[Element]:
    street = Street(shot)
    haze = [Fog(shot)] if shot.screenplay.has("fog") else []
    return [*_sky(shot), city(shot)[0], street, *haze, *_cast(shot, street.row_at)]


def _sky(shot: Shot) -> list[Element]:
    elements: list[Element] = [Sky(shot)]
    if shot.screenplay.has("aurora"):
        elements.append(Aurora(shot))
    if shot.screenplay.has("fireworks"):
        elements.append(Fireworks(shot))
    if shot.palette.cloud_cover > 0:
        elements.append(CloudDeck(shot))
    if shot.screenplay.mood in _FAIR:
        elements.append(CloudHeaps(shot))
    return elements


def _skyline(shot: Shot) -> list[Element]:
    """Return what stands at the horizon."""
    elements: list[Element] = []
    if shot.screenplay.has("mountains", "aurora"):
        elements.extend(mountains(shot))
    if shot.screenplay.has("volcano"):
        elements.append(Volcano(shot))
    if shot.screenplay.has("city"):
        elements.extend(city(shot))
    return elements


def _land(shot: Shot) -> list[Element]:
    """Return the ground or the water, with the subjects in their places."""
    has = shot.screenplay.has
    wet = has("water") or (has("city") and not has("meadow", "desert", "mountains", "forest"))
    return _waterside(shot) if wet else _fields(shot)


def _waterside(shot: Shot) -> list[Element]:
    has = shot.screenplay.has
    shore = Shore(shot) if _needs_shore(shot) else None
    actors = _cast(shot, shore.row_at if shore else None)
    strip: list[Element] = [*shore.layers] if shore else []
    if shore is not None and has("road"):
        strip.append(road(shot, near=0.62, far=0.9))
    return [
        *(forest(shot, rows=2) if has("forest") else []),
        *([Fog(shot)] if has("fog") else []),
        *(actor for actor in actors if not actor.floats_on_water),
        Water(shot),
        *strip,
        *(actor for actor in actors if actor.floats_on_water),
    ]


def _fields(shot: Shot) -> list[Element]:
    has = shot.screenplay.has
    ground = Ground(shot)
    far, middle, near = ground.layers
    elements: list[Element] = [far]
    green = not has("desert", "volcano", "regolith") and shot.screenplay.mood != "space"
    if has("forest"):
        elements.extend(forest(shot))
    elif green and not has("city"):
        elements.append(copse(shot, ground.row_at))
    if has("fog"):
        elements.append(Fog(shot))
    strip = [road(shot, near=0.7, far=1.15)] if has("road") else []
    if not green:
        return [*elements, middle, near, *strip, *_cast(shot, ground.row_at)]
    bare = 0.12 if has("snow") else 1.0
    verge = 1.25 if strip else 0.95
    return [
        *elements,
        middle,
        undergrowth(shot, near=NEAR_UNTIL, far=4.5, depth=MIDDLE_DEPTH, count=int(900 * bare), tall=0.034),
        near,
        *strip,
        undergrowth(shot, near=verge, far=NEAR_UNTIL, depth=NEAR_DEPTH, count=int(650 * bare), tall=0.034),
        *_cast(shot, ground.row_at),
        undergrowth(shot, near=0.44, far=0.7, depth=0.8, count=int(190 * max(bare, 0.3)), tall=0.055),
    ]


def _needs_shore(shot: Shot) -> bool:
    """Subjects on foot need land before the water; else the seed decides."""
    if any(subject.kind in {"boat", "swim"} for subject in shot.screenplay.subjects):
        return False
    on_foot = any(
        subject.kind in {"walk", "person", "plant", "vehicle", "building", "object"} and not subject.coastal
        for subject in shot.screenplay.subjects
    )
    if shot.screenplay.has("city"):
        return on_foot
    return on_foot or shot.screenplay.has("beach", "road") or bool(shot.dice("shore").random() < 0.3)


def _cast(shot: Shot, foot_row: FootRow | None) -> list[Actor]:
    """Return the subjects in the order they are drawn, the last one named farthest away."""
    subjects = shot.screenplay.subjects
    if shot.screenplay.relation is not None:
        return _together(shot, shot.screenplay.relation, foot_row)
    actors: list[Actor] = []
    for rank, subject in reversed(tuple(enumerate(subjects))):
        leader = Actor(shot, subject, Billing(rank, len(subjects)), foot_row)
        companions = 0 if subject.kind == "building" else subject.count - 1
        actors += [
            Actor(shot, subject, Billing(rank, len(subjects), companion), foot_row, Ties(leader=leader))
            for companion in range(companions, 0, -1)
        ]
        actors.append(leader)
    return actors


def _together(shot: Shot, relation: Relation, foot_row: FootRow | None) -> list[Actor]:
    """Return the first two subjects as they stand to each other; whoever is hidden is drawn first."""
    figure, landmark, *_ = shot.screenplay.subjects
    other = Actor(shot, landmark, Billing(0, 1), foot_row, Ties(near=relation in {"under", "beside"}))
    if relation in {"under", "beside"}:
        first = Actor(shot, figure, Billing(0, 1), foot_row, Ties(beside=other))
        others = [
            Actor(shot, figure, Billing(0, 1, companion), foot_row, Ties(leader=first, beside=other))
            for companion in range(figure.count - 1, 0, -1)
        ]
        return [other, *others, first]
    perch = Perch(other, _perch_level(relation, landmark))
    one = Actor(shot, figure, Billing(0, 1 if relation == "in" else 2), foot_row, Ties(perch=perch))
    hidden = relation in {"riding", "in"} or landmark.kind == "boat"
    return [one, other] if hidden else [other, one]


def _perch_level(relation: Relation, landmark: Subject) -> float:
    """At which share of the landmark's height, from its foot, the other's foot is."""
    if relation == "over":
        return 1.25
    match landmark.kind:
        case "boat":
            return 0.24 if landmark.scale < _OPEN_BOAT else 0.12
        case "furniture":
            return _SEATS.get(landmark.name, 0.42)
        case "building":
            return 0.96
        case "plant":
            return 0.88
        case _:
            return 0.45  # beside the flank, so that the mount hides the legs


def air(shot: Shot) -> list[Element]:
    """Return what falls or floats before the lens."""
    has = shot.screenplay.has
    elements: list[Element] = []
    if has("lightning"):
        elements.append(Lightning(shot))
    if shot.screenplay.indoors:  # the weather stays outside
        return elements
    if has("rain") and not has("snow"):
        elements.append(Rain(shot))
    if has("snow") and shot.screenplay.mood not in {"space", "underwater"}:
        elements.append(Snow(shot))
    if has("embers"):
        elements.append(Particles(shot, "embers"))
    if has("fireflies"):
        elements.append(Particles(shot, "fireflies"))
    if has("autumn") and not has("snow", "rain"):
        elements.append(Particles(shot, "leaves"))
    if has("petals"):
        elements.append(Particles(shot, "petals"))
    return elements
