"""The scenery: which elements a shot is made of, farthest first."""

from typing import Final

from filmgate.providers.studio.scene.actors import Actor, Billing, FootRow
from filmgate.providers.studio.scene.aurora import Aurora
from filmgate.providers.studio.scene.city import city
from filmgate.providers.studio.scene.clouds import CloudDeck, CloudHeaps
from filmgate.providers.studio.scene.fireworks import Fireworks
from filmgate.providers.studio.scene.fog import Fog
from filmgate.providers.studio.scene.forest import copse, forest
from filmgate.providers.studio.scene.ground import MIDDLE_DEPTH, NEAR_DEPTH, NEAR_UNTIL, Ground, Shore
from filmgate.providers.studio.scene.layers import Element
from filmgate.providers.studio.scene.light import Lens
from filmgate.providers.studio.scene.mountains import mountains
from filmgate.providers.studio.scene.particles import Particles
from filmgate.providers.studio.scene.plants import undergrowth
from filmgate.providers.studio.scene.shot import Shot
from filmgate.providers.studio.scene.sky import Sky
from filmgate.providers.studio.scene.space import Planet, nebula
from filmgate.providers.studio.scene.underwater import Shafts, sea_floor
from filmgate.providers.studio.scene.volcano import Volcano
from filmgate.providers.studio.scene.water import Water
from filmgate.providers.studio.scene.weather import Lightning, Rain, Snow

_FAIR: Final = frozenset({"day", "dawn", "sunset", "dusk"})


def build(shot: Shot) -> list[Element]:
    """Return the elements of a shot in the order they are drawn."""
    stage: list[Element]
    match shot.screenplay.mood:
        case "space" if shot.has_horizon:
            stage = [Sky(shot), nebula(shot), Planet(shot), *_skyline(shot), *_land(shot)]
        case "space":
            stage = _space(shot)
        case "underwater":
            stage = _underwater(shot)
        case _:
            stage = [*_sky(shot), *_skyline(shot), *_land(shot)]
    return [*stage, *_air(shot), Lens(shot)]


def _space(shot: Shot) -> list[Element]:
    return [Sky(shot), nebula(shot), Planet(shot), *_cast(shot, None)]


def _underwater(shot: Shot) -> list[Element]:
    far, *near = sea_floor(shot)
    return [Sky(shot), Shafts(shot), far, near[0], *_cast(shot, None), near[1], Particles(shot, "bubbles")]


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
    elements: list[Element] = []
    if wet:
        if has("forest"):
            elements.extend(forest(shot, rows=2))
        shore = Shore(shot) if _needs_shore(shot) else None
        actors = _cast(shot, shore.row_at if shore else None)
        behind = [actor for actor in actors if not actor.floats_on_water]
        before = [actor for actor in actors if actor.floats_on_water]
        if has("fog"):
            elements.append(Fog(shot))
        elements += [*behind, Water(shot)]
        if shore is not None:
            elements += shore.layers
        return [*elements, *before]
    ground = Ground(shot)
    green = not has("desert", "volcano", "regolith") and shot.screenplay.mood != "space"
    bare = 0.12 if has("snow") else 1.0
    far, middle, near = ground.layers
    elements.append(far)
    if has("forest"):
        elements.extend(forest(shot))
    elif green and not has("city"):
        elements.append(copse(shot, ground.row_at))
    if has("fog"):
        elements.append(Fog(shot))
    elements += [middle, near]
    if green:
        field = undergrowth(
            shot, near=NEAR_UNTIL, far=4.5, depth=MIDDLE_DEPTH, count=int(900 * bare), tall=0.034
        )
        elements.insert(len(elements) - 1, field)
        elements.append(
            undergrowth(shot, near=0.95, far=NEAR_UNTIL, depth=NEAR_DEPTH, count=int(650 * bare), tall=0.034)
        )
    elements.extend(_cast(shot, ground.row_at))
    if green:
        elements.append(
            undergrowth(shot, near=0.44, far=0.7, depth=0.8, count=int(190 * max(bare, 0.3)), tall=0.055)
        )
    return elements


def _needs_shore(shot: Shot) -> bool:
    """Subjects on foot need land before the water; else the seed decides."""
    if any(subject.kind in {"boat", "swim"} for subject in shot.screenplay.subjects):
        return False
    on_foot = any(
        subject.kind in {"walk", "person", "plant", "vehicle"} for subject in shot.screenplay.subjects
    )
    if shot.screenplay.has("city"):
        return on_foot
    return on_foot or bool(shot.dice("shore").random() < 0.3)


def _cast(shot: Shot, foot_row: FootRow | None) -> list[Actor]:
    """Return the subjects, the last one named farthest away."""
    subjects = shot.screenplay.subjects
    if shot.screenplay.riding:
        mount = Actor(shot, subjects[1], Billing(), foot_row)
        return [Actor(shot, subjects[0], Billing(), foot_row, mount=mount), mount]
    actors: list[Actor] = []
    for rank, subject in reversed(tuple(enumerate(subjects))):
        companions = 0 if subject.kind == "building" else subject.count - 1
        actors += [
            Actor(shot, subject, Billing(rank, len(subjects), companion), foot_row)
            for companion in range(companions, -1, -1)
        ]
    return actors


def _air(shot: Shot) -> list[Element]:
    """Return what falls or floats before the lens."""
    has = shot.screenplay.has
    elements: list[Element] = []
    if has("lightning"):
        elements.append(Lightning(shot))
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
