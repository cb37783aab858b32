"""Figures: people, beasts and birds with joints, drawn as SVG at any point of their stride.

Lengths are in drawing units; people are 150 tall and beasts about 100, all look to the right. `phase` is the
share of the stride that is done, 0 to 1.
"""

import math
from dataclasses import dataclass, replace
from typing import Final, Literal

Act = Literal["walk", "run", "dance", "sit", "stand"]
Point = tuple[float, float]

_SKINS: Final = ("#f0c8a4", "#d9a074", "#a86b43", "#f4d3b8")
_HAIRS: Final = ("#2b2320", "#4a3020", "#7a5230", "#1c1c22")
_COATS: Final = ("#b5423c", "#2f5d8a", "#3e7a5a", "#d9a441", "#6a4a86", "#34495e", "#c96f4a", "#8a8f98")
_TROUSERS: Final = ("#2c3440", "#4a4038", "#36454f", "#5a5f6a")
_CANVAS: Final = (-75, -20, 150, 172)  # of a person: left, top, width, height
_BEAST_CANVAS: Final = (-95, -15, 200, 118)
_BIRD_CANVAS: Final = (-80, -70, 160, 140)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outfit:
    """How a person looks; a colour left out is chosen by `look`, which tells one of a crowd from the next.

    `anyone` is a man or a woman.
    """

    hair: Literal["short", "long", "bun", "none"] = "short"
    coat: str | None = None
    trousers: str | None = None
    skirt: Literal["none", "short", "long"] = "none"
    hat: Literal["none", "straw", "brim", "chef", "crown", "wizard", "helmet", "cap", "hood"] = "none"
    holds: Literal["none", "umbrella", "sword", "staff", "rod", "guitar", "pan"] = "none"
    beard: bool = False
    pack: bool = False
    cape: str | None = None
    hair_tone: str | None = None
    metal: bool = False
    anyone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Breed:
    """How a beast is built: lengths in units, colours as #rrggbb."""

    coat: str
    belly: str
    leg: float = 34
    thick: float = 9
    chest: float = 19
    rump: float = 17
    length: float = 52
    neck: float = 16
    rise: float = 12
    head: float = 12
    snout: float = 11
    ears: Literal["point", "round", "flop", "none"] = "point"
    tail: Literal["bush", "thin", "tuft", "stub", "up"] = "bush"
    limbs: str | None = None
    mane: str | None = None
    face: str | None = None
    patches: str | None = None
    stripes: str | None = None
    antlers: str | None = None
    mane_line: str | None = None
    horn: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plumage:
    """How a bird in flight is coloured; `span` and `neck` are its proportions."""

    back: str
    belly: str
    tips: str
    beak: str = "#e0a030"
    head: str | None = None
    span: float = 1.0
    neck: float = 0.0
    legs: bool = False


Build = Outfit | Breed | Plumage


def svg(build: Build, *, act: Act, phase: float, look: int) -> str:
    """Draw one point of a stride."""
    match build:
        case Outfit(anyone=True) if look % 2:
            one = replace(build, hair="long", skirt="short")
            return _page(_CANVAS, _person(one, act, phase, look))
        case Outfit():
            return _page(_CANVAS, _person(build, act, phase, look))
        case Breed():
            return _page(_BEAST_CANVAS, _beast(build, act, phase))
        case Plumage():
            return _page(_BIRD_CANVAS, _bird(build, phase))


def _page(box: tuple[int, int, int, int], parts: list[str]) -> str:
    view = " ".join(map(str, box))
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{view}">{"".join(parts)}</svg>'


# --- strokes ------------------------------------------------------------------------------------


def _shade(tone: str, share: float) -> str:
    """Return the colour made darker (share below 1) or lighter."""
    channels = (int(tone[start : start + 2], 16) for start in (1, 3, 5))
    if share <= 1:
        return "#" + "".join(f"{round(channel * share):02x}" for channel in channels)
    return "#" + "".join(f"{round(255 - (255 - channel) / share):02x}" for channel in channels)


def _line(tone: str, width: float, *points: Point) -> str:
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return (
        f'<path d="M{path}" fill="none" stroke="{tone}" stroke-width="{width:.1f}"'
        ' stroke-linecap="round" stroke-linejoin="round"/>'
    )


def _shape(tone: str, path: str) -> str:
    return f'<path d="{path}" fill="{tone}"/>'


def _polygon(tone: str, *points: Point, soft: float = 0.0) -> str:
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    edge = f' stroke="{tone}" stroke-width="{soft}" stroke-linejoin="round"' if soft else ""
    return f'<path d="M{path}z" fill="{tone}"{edge}/>'


def _oval(tone: str, centre: Point, across: float, down: float, turn: float = 0.0) -> str:
    x, y = centre
    return (
        f'<ellipse cx="{x:.1f}" cy="{y:.1f}" rx="{across:.1f}" ry="{down:.1f}" fill="{tone}"'
        f' transform="rotate({turn:.1f} {x:.1f} {y:.1f})"/>'
    )


def _reach(start: Point, angle: float, length: float) -> Point:
    """Return the end of a limb; an angle of 0 hangs straight down, positive swings forward."""
    return start[0] + math.sin(angle) * length, start[1] + math.cos(angle) * length


# --- people -------------------------------------------------------------------------------------


def _person(outfit: Outfit, act: Act, phase: float, look: int) -> list[str]:
    turn = 2 * math.pi * phase
    skin = "#aab4c0" if outfit.metal else _SKINS[look % len(_SKINS)]
    coat = outfit.coat or _COATS[look % len(_COATS)]
    trousers = outfit.trousers or _TROUSERS[look % len(_TROUSERS)]
    hair = outfit.hair_tone or _HAIRS[look % len(_HAIRS)]
    legs = [_leg_angles(act, turn + side * math.pi) for side in (0, 1)]
    lean = {"run": 0.20, "walk": 0.05, "dance": 0.12 * math.sin(turn)}.get(act, 0.0)
    hip, feet = _stand((0.0, 80.0), legs, act)
    bob = {"sit": 0.6 * math.sin(turn), "stand": 0.5 * math.sin(turn)}.get(act, 0.0)
    neck = (hip[0] + math.sin(lean) * 42, hip[1] - math.cos(lean) * 42 + bob)
    head = (neck[0] + math.sin(lean) * 16 + 1, neck[1] - 16)
    arms = [_arm(neck, act, turn + side * math.pi, outfit, side) for side in (1, 0)]
    far, near = 0.74, 1.0
    parts: list[str] = []
    if outfit.cape:
        flow = 10 * math.sin(turn + 1)
        parts.append(
            _polygon(outfit.cape, (neck[0] + 4, neck[1]), (neck[0] - 9, neck[1] + 2),
                     (hip[0] - 26 - flow, hip[1] + 34), (hip[0] - 2, hip[1] + 36), soft=5)
        )  # fmt: skip
    parts += _arm_strokes(arms[0], _shade(coat, far), _shade(skin, 0.85))
    parts += _leg_strokes(hip, feet[1], _shade(trousers, far), outfit)
    parts += _leg_strokes(hip, feet[0], _shade(trousers, near), outfit)
    if outfit.hair == "long":
        sway = 2.5 * math.sin(turn)
        parts.append(_line(hair, 15, (head[0] - 3, head[1] - 2), (head[0] - 8 - sway, head[1] + 24)))
    if outfit.pack:
        parts.append(_line("#8a5a32", 17, (neck[0] - 12, neck[1] + 10), (hip[0] - 12, hip[1] - 12)))
    parts += _torso(outfit, coat, neck, hip, feet)
    parts.append(_line(skin, 8, (neck[0], neck[1] + 1), (head[0] - 1, head[1] + 5)))
    parts += _head(outfit, head, skin, hair)
    if outfit.holds != "none":
        parts += _held(outfit, arms[1][2], turn)
    parts += _arm_strokes(arms[1], _shade(coat, 1.12), skin)
    return parts


def _leg_angles(act: Act, turn: float) -> tuple[float, float]:
    """Return how far thigh and knee are bent."""
    swing = math.sin(turn)
    match act:
        case "walk":
            return 0.46 * swing, 0.10 + 0.55 * max(0.0, math.cos(turn))
        case "run":
            return 0.85 * swing + 0.18, 0.35 + 1.25 * max(0.0, math.cos(turn))
        case "dance":
            return 0.32 * swing, 0.15 + 0.35 * max(0.0, math.cos(turn))
        case "sit":
            return 1.35, 1.3
        case "stand":
            return 0.08 * (1 if swing > 0 else -1), 0.03


def _stand(hip: Point, legs: list[tuple[float, float]], act: Act) -> tuple[Point, list[tuple[Point, Point]]]:
    """Put the lower foot on the ground: return the hip, and knee and ankle of each leg."""
    joints = []
    for thigh, bend in legs:
        knee = _reach(hip, thigh, 34)
        joints.append((knee, _reach(knee, thigh - bend, 33)))
    lowest = max(ankle[1] for _, ankle in joints)
    rise = 145 - lowest if act != "sit" else 145 - max(lowest, hip[1] + 30)
    moved = [((knee[0], knee[1] + rise), (ankle[0], ankle[1] + rise)) for knee, ankle in joints]
    return (hip[0], hip[1] + rise), moved


def _arm(neck: Point, act: Act, turn: float, outfit: Outfit, side: int) -> tuple[Point, Point, Point]:
    shoulder = (neck[0], neck[1] + 6)
    swing = -math.sin(turn)
    upper, bend = {
        "walk": (0.5 * swing, 0.25 + 0.15 * swing),
        "run": (0.9 * swing, 1.5),
        "dance": (2.2 + 0.5 * swing, 0.5 + 0.4 * swing),
        "sit": (0.55, 0.6),
        "stand": (0.06 + 0.02 * swing, 0.12),
    }[act]
    if outfit.holds != "none" and side == 0:
        upper, bend = {
            "umbrella": (0.5, 1.9),
            "rod": (0.9, 0.5),
            "staff": (0.7, 0.5),
            "guitar": (0.2, 1.7),
        }.get(outfit.holds, (0.55 + 0.06 * swing, 0.9))
    elbow = _reach(shoulder, upper, 24)
    return shoulder, elbow, _reach(elbow, upper + bend, 22)


def _arm_strokes(arm: tuple[Point, Point, Point], sleeve: str, skin: str) -> list[str]:
    shoulder, elbow, hand = arm
    wrist = (elbow[0] + (hand[0] - elbow[0]) * 0.78, elbow[1] + (hand[1] - elbow[1]) * 0.78)
    return [_line(skin, 7, elbow, hand), _line(sleeve, 9.5, shoulder, elbow, wrist)]


def _leg_strokes(hip: Point, joints: tuple[Point, Point], trousers: str, outfit: Outfit) -> list[str]:
    knee, ankle = joints
    shoe = "#7a8494" if outfit.metal else "#33291f"
    return [
        _line(shoe, 8, (ankle[0], ankle[1] + 1), (ankle[0] + 8, ankle[1] + 1.5)),
        _line(trousers, 13, hip, knee),
        _line(trousers, 10.5, knee, (ankle[0], ankle[1] - 2)),
    ]


def _torso(outfit: Outfit, coat: str, neck: Point, hip: Point, feet: list[tuple[Point, Point]]) -> list[str]:
    parts = [
        _polygon(
            coat, (neck[0] - 9, neck[1] + 4), (neck[0] + 9, neck[1] + 4), (hip[0] + 9, hip[1] + 3),
            (hip[0] - 9, hip[1] + 3), soft=7,
        ),
        _line(_shade(coat, 1.25), 3, (neck[0] + 6, neck[1] + 8), (hip[0] + 8, hip[1] - 4)),
    ]  # fmt: skip
    if outfit.skirt != "none":
        drop = 24 if outfit.skirt == "short" else 50
        knees = [knee[0] for knee, _ in feet]
        share = drop / 34
        left = hip[0] - 13 + min(0.0, min(knees) - hip[0]) * min(1.2, share)
        right = hip[0] + 13 + max(0.0, max(knees) - hip[0]) * min(1.2, share)
        parts.append(
            _polygon(coat, (hip[0] - 9, hip[1] - 12), (hip[0] + 9, hip[1] - 12), (right, hip[1] + drop),
                     (left, hip[1] + drop), soft=5)
        )  # fmt: skip
    parts.append(_line(_shade(coat, 0.6), 3, (hip[0] - 10, hip[1] - 10), (hip[0] + 10, hip[1] - 10)))
    return parts


def _head(outfit: Outfit, head: Point, skin: str, hair: str) -> list[str]:
    x, y = head
    if outfit.metal:
        return [
            _shape("#8d97a6", f"M{x - 12} {y - 12}h24v24h-24z"),
            _shape("#c8d0da", f"M{x - 9} {y - 9}h20v14h-20z"),
            _oval("#5fe0ff", (x + 2, y - 2), 3.2, 3.2),
            _oval("#5fe0ff", (x + 8.5, y - 2), 2.6, 3.0),
            _line("#8d97a6", 2, (x, y - 12), (x, y - 19)),
            _oval("#ff5a4a", (x, y - 20), 2.6, 2.6),
        ]
    parts = [_oval(skin, (x, y), 10.5, 12), _oval(skin, (x + 10, y + 1.5), 2.4, 2.2)]
    if outfit.hair != "none":
        parts.append(
            _shape(
                hair,
                f"M{x + 9} {y - 7}q-2-9-11-8q-11 1-11.500 13q0 7 4 9q2-3 1-7q2 1 3-1q0-4 3-6q5 2 10.500 0z",
            )
        )
    if outfit.hair == "bun":
        parts.append(_oval(hair, (x - 8, y - 13), 6, 6))
    if outfit.beard:
        parts.append(_shape(hair, f"M{x - 5} {y + 4}q7 3 14 0q1 14-6 16q-8-2-8-16z"))
    parts += [_oval("#2a2020", (x + 5.5, y - 0.5), 1.2, 1.7), *_hat(outfit, x, y)]
    return parts


def _hat(outfit: Outfit, x: float, y: float) -> list[str]:
    match outfit.hat:
        case "straw":
            return [_polygon("#d9b871", (x - 25, y - 4), (x, y - 22), (x + 25, y - 4), soft=3)]
        case "brim":
            return [
                _line("#4a3626", 5, (x - 17, y - 8), (x + 17, y - 8)),
                _shape("#5a4330", f"M{x - 10} {y - 9}q1-14 10-13q9-1 10 13z"),
            ]
        case "chef":
            return [_shape("#f4f4f0", f"M{x - 9} {y - 8}v-9q-7-8 3-11q7-6 13 0q9 3 3 11v9z")]
        case "crown":
            return [_polygon("#e8bf3a", (x - 10, y - 8), (x - 11, y - 21), (x - 5, y - 14), (x, y - 22),
                             (x + 5, y - 14), (x + 11, y - 21), (x + 10, y - 8), soft=1)]  # fmt: skip
        case "wizard":
            return [
                _polygon("#3b3f8a", (x - 11, y - 8), (x - 6, y - 40), (x + 11, y - 8), soft=2),
                _line("#2f3270", 5, (x - 18, y - 7), (x + 18, y - 7)),
            ]
        case "helmet":
            return [
                _shape("#3a3f4c", f"M{x - 13} {y + 6}q-2-22 13-22q14 0 13 14l-12-1l-3 10z"),
                _shape("#d9a441", f"M{x - 1} {y - 15}q2-14 14-15q-6 8-7 15z"),
                _shape("#d9a441", f"M{x - 1} {y - 15}q-4-13-14-15q5 8 8 16z"),
            ]
        case "cap":
            return [
                _shape("#c0392b", f"M{x - 11} {y - 5}q0-12 11-12q11 0 11 11z"),
                _line("#a02f24", 4, (x + 6, y - 6), (x + 18, y - 5)),
            ]
        case "hood":
            return [_shape("#2b2d36", f"M{x + 7} {y - 9}q-6-8-14-4q-10 5-8 24q8 4 13 1q-6-14 9-21z")]
        case "none":
            return []


def _held(outfit: Outfit, hand: Point, turn: float) -> list[str]:
    x, y = hand
    match outfit.holds:
        case "umbrella":
            top = y - 52
            return [
                _line("#3a3a40", 2.4, (x, y + 5), (x, top)),
                _shape(
                    "#c8372f",
                    f"M{x + 36} {top + 14}q-4-32-36-33q-32 1-36 33q9-7 18 0q9-7 18 0q9-7 18 0q9-7 18 0z",
                ),
            ]
        case "sword":
            return [
                _line("#3a2a20", 4, (x - 5, y + 4), (x + 2, y - 2)),
                _line("#dfe6ee", 3, (x + 3, y - 3), (x + 34, y - 34)),
                _line("#c9a23a", 4, (x - 1, y - 6), (x + 6, y + 1)),
            ]
        case "staff":
            return [_line("#6a4a2c", 4, (x, y - 62), (x, y + 62)), _oval("#8fe0ff", (x, y - 64), 6, 6)]
        case "rod":
            tip = (x + 42, y - 46 + 2 * math.sin(turn))
            return [
                _line("#6a4a2c", 2.4, (x - 6, y + 4), tip),
                _line("#d8dde4", 0.7, tip, (tip[0] + 3, tip[1] + 80)),
            ]
        case "guitar":
            return [
                _line("#6a3f20", 5, (x - 4, y + 6), (x + 34, y - 16)),
                _oval("#c27a34", (x - 12, y + 10), 15, 11, -30),
                _oval("#3a2416", (x - 10, y + 9), 4, 3.4, -30),
            ]
        case "pan":
            return [_line("#2a2a2e", 3.4, (x, y), (x + 16, y - 2)), _oval("#34343a", (x + 28, y - 2), 14, 4)]
        case "none":
            return []


# --- beasts -------------------------------------------------------------------------------------


def _beast(breed: Breed, act: Act, phase: float) -> list[str]:
    turn = 2 * math.pi * phase
    running, lying = act in {"run", "dance"}, act == "sit"
    limbs = breed.limbs or breed.coat
    bounce = 3.5 * math.sin(2 * turn) if running else 0.8 * math.sin(2 * turn)
    ground, half = 98.0, breed.length / 2
    leg = breed.leg * (0.15 if lying else 1.0)
    level = ground - leg - breed.rump * 0.72 + (0 if lying else bounce)
    rump, chest = (-half, level), (half, level - 2)
    tilt = 0.05 * math.sin(turn) if running else 0.0
    crest = (chest[0] + breed.chest * 0.35, chest[1] - breed.chest * 0.45)
    nod = 1.5 * math.sin(2 * turn + 1)
    head = (
        crest[0] + breed.neck * 0.85,
        crest[1] - breed.rise + nod + (breed.rise * 0.9 + 6 if lying else 0),
    )
    far, parts = _shade(limbs, 0.7), [_tail(breed, rump, turn)]
    if lying:
        parts += [
            _line(far, breed.thick, (chest[0], ground - 5), (chest[0] + 24, ground - 4)),
            _line(
                _shade(limbs, 0.9), breed.thick * 1.25, (rump[0] - 2, ground - 6), (rump[0] + 20, ground - 4)
            ),
        ]
    else:
        for hip, offset in ((rump, 0.5), (chest, 0.25 if not running else 0.65)):
            parts += _paw(breed, hip, turn + 2 * math.pi * offset, ground, far, running=running)
    if breed.mane:
        parts.append(
            _oval(_shade(breed.mane, 0.8), (crest[0] + 2, crest[1] - 2), breed.head * 1.7, breed.head * 2.0)
        )
    parts += _body(breed, rump, chest, crest, head, tilt)
    if lying:
        parts += [_line(limbs, breed.thick, (chest[0] - 4, ground - 4.5), (chest[0] + 20, ground - 3.5))]
    else:
        for hip, offset in ((rump, 0.0), (chest, 0.75 if not running else 0.5)):
            parts += _paw(breed, hip, turn + 2 * math.pi * offset, ground, limbs, running=running)
    return parts + _beast_head(breed, head, lying=lying)


def _body(breed: Breed, rump: Point, chest: Point, crest: Point, head: Point, tilt: float) -> list[str]:
    lift = tilt * breed.length
    top = min(rump[1] - breed.rump, chest[1] - breed.chest)
    sag = breed.rump * 0.62
    middle = (rump[0] + chest[0]) / 2
    trunk = (
        f"M{rump[0]:.1f} {rump[1] - breed.rump + lift:.1f}"
        f"Q{middle:.1f} {top + breed.rump * 0.22:.1f} {chest[0]:.1f} {chest[1] - breed.chest - lift:.1f}"
        f"L{chest[0] + breed.chest * 0.7:.1f} {chest[1] + breed.chest * 0.5:.1f}"
        f"Q{middle:.1f} {chest[1] + sag + breed.chest * 0.42:.1f}"
        f" {rump[0]:.1f} {rump[1] + breed.rump * 0.9:.1f}z"
    )
    parts = [
        _line(breed.coat, breed.head * 1.55, crest, head),
        _oval(breed.coat, (rump[0], rump[1] + lift), breed.rump, breed.rump),
        _oval(breed.coat, (chest[0], chest[1] - lift), breed.chest, breed.chest),
        _shape(breed.coat, trunk),
        _oval(
            breed.belly, (middle + 4, chest[1] + breed.chest * 0.62), breed.length * 0.42, breed.chest * 0.26
        ),
    ]
    if breed.mane_line:
        crown = (head[0] - breed.head * 0.4, head[1] - breed.head * 0.6)
        nape = (crest[0] - breed.chest * 0.55, crest[1] - 1)
        parts.append(
            _line(breed.mane_line, 7, crown, ((crown[0] + nape[0]) / 2 - 2, (crown[1] + nape[1]) / 2), nape)
        )
    if breed.patches:
        parts.append(_oval(breed.patches, (chest[0] - 1, chest[1]), breed.chest * 0.62, breed.chest * 1.02))
    if breed.stripes:
        for step in range(6):
            x = rump[0] - breed.rump * 0.4 + step * (breed.length + breed.chest) / 6
            parts.append(
                _line(
                    breed.stripes, 3.2, (x, rump[1] - breed.rump * 0.82), (x + 3, rump[1] + breed.rump * 0.25)
                )
            )
    return parts


def _paw(breed: Breed, hip: Point, turn: float, ground: float, tone: str, *, running: bool) -> list[str]:
    swing = math.sin(turn) * (0.75 if running else 0.38)
    bend = max(0.0, math.cos(turn)) * (0.9 if running else 0.45)
    start = (hip[0], hip[1] + breed.rump * 0.25)
    whole = ground - start[1] - breed.thick * 0.45
    knee = _reach(start, swing, whole * 0.52)
    foot = _reach(knee, swing - bend, whole * 0.5)
    foot = (foot[0], min(foot[1], ground - breed.thick * 0.45))
    toe = (foot[0] + breed.thick * 0.45, foot[1] + breed.thick * 0.08)
    return [
        _line(tone, breed.thick * 1.75, start, knee),
        _line(tone, breed.thick, knee, foot),
        _line(tone, breed.thick * 0.9, foot, toe),
    ]


def _tail(breed: Breed, rump: Point, turn: float) -> str:
    wag = 4 * math.sin(turn)
    root = (rump[0] - breed.rump * 0.75, rump[1] - breed.rump * 0.45)
    match breed.tail:
        case "bush":
            tone = breed.mane_line or breed.coat
            return _line(tone, 11, root, (root[0] - 10, root[1] + 8), (root[0] - 16, root[1] + 22 + wag))
        case "up":
            return _line(breed.coat, 8, root, (root[0] - 10, root[1] - 8), (root[0] - 12 + wag, root[1] - 22))
        case "thin" | "tuft":
            end = (root[0] - 18, root[1] + 26 + wag)
            stroke = _line(breed.coat, 4.5, root, (root[0] - 12, root[1] + 8), end)
            return stroke + (_oval(breed.mane or breed.coat, end, 5, 7) if breed.tail == "tuft" else "")
        case "stub":
            return _oval(breed.coat, (root[0] - 1, root[1] + 3), 6, 5)


def _beast_head(breed: Breed, head: Point, *, lying: bool) -> list[str]:
    x, y = head
    size, dark = breed.head, _shade(breed.coat, 0.72)
    face = breed.face or breed.coat
    muzzle = _shade(face, 1.25)
    parts: list[str] = []
    if breed.mane:
        parts.append(_oval(breed.mane, (x - size * 0.25, y + size * 0.15), size * 1.5, size * 1.65))
    ears = {
        "point": (_polygon(dark, (x - size * 0.75, y - size * 0.4), (x - size * 0.62, y - size * 1.6),
                           (x + size * 0.05, y - size * 0.8), soft=2)),
        "round": _oval(breed.limbs or dark, (x - size * 0.55, y - size * 0.85), size * 0.42, size * 0.42),
        "flop": _oval(dark, (x - size * 0.6, y + size * 0.1), size * 0.36, size * 0.8, 12),
        "none": "",
    }  # fmt: skip
    if breed.horn:
        parts.append(
            _polygon(
                breed.horn, (x - 1, y - size * 0.8), (x + 5, y - size * 0.7), (x + 9, y - size * 2.4), soft=1
            )
        )
    if breed.antlers:
        for reach in (-1, 1):
            base = (x - size * 0.3, y - size * 0.8)
            parts.append(_line(breed.antlers, 2.6, base, (base[0] - 6 + reach * 7, base[1] - 16),
                               (base[0] - 2 + reach * 11, base[1] - 30)))  # fmt: skip
            parts.append(
                _line(
                    breed.antlers,
                    2.2,
                    (base[0] - 6 + reach * 7, base[1] - 16),
                    (base[0] + 6 + reach * 9, base[1] - 20),
                )
            )
    if breed.ears != "flop":
        parts.append(ears[breed.ears])
    parts += [
        _oval(face, (x, y), size, size * 0.92),
        _line(muzzle, breed.snout * 0.9, (x + size * 0.45, y + size * 0.28),
              (x + size * 0.5 + breed.snout * 0.6, y + size * 0.36)),
        _oval("#221c1c", (x + size * 0.5 + breed.snout, y + size * 0.2), breed.snout / 4, breed.snout / 5),
    ]  # fmt: skip
    if breed.patches:
        parts.append(_oval(breed.patches, (x + size * 0.35, y - size * 0.08), size * 0.26, size * 0.34, 20))
    eye = (x + size * 0.38, y - size * 0.12)
    parts.append(
        _line("#221c1c", 1.3, (eye[0] - 2, eye[1]), (eye[0] + 2, eye[1] + 0.6))
        if lying
        else _oval("#221c1c", eye, size * 0.11, size * 0.14)
    )
    if breed.patches:
        parts.append(_oval("#e8ecf0", (eye[0] + 0.6, eye[1] - 0.6), 0.9, 0.9))
    if breed.ears == "flop":
        parts.append(ears["flop"])
    return parts


# --- birds --------------------------------------------------------------------------------------


def _bird(plumage: Plumage, phase: float) -> list[str]:
    turn = 2 * math.pi * phase
    lift, trail = math.sin(turn), math.sin(turn - 0.9)
    rise = -2.5 * math.cos(turn)
    long = plumage.neck
    beak = (36 + 30 * long, -3 - 6 * long + rise)
    parts = [_wing(plumage, lift, trail, rise, far=True)]
    parts.append(
        _polygon(
            _shade(plumage.back, 0.9), (-26, rise), (-50, rise - 5), (-48, rise + 4), (-24, rise + 5), soft=3
        )
    )
    if plumage.legs:
        parts.append(_line("#4a4038", 2.4, (-20, rise + 6), (-52, rise + 9)))
    parts.append(
        _shape(
            plumage.back,
            f"M-32 {rise:.1f}Q-6 {rise - 15:.1f} 24 {rise - 6:.1f}"
            f"Q32 {rise:.1f} 22 {rise + 5:.1f}Q-4 {rise + 15:.1f}-32 {rise:.1f}z",
        )
    )
    parts.append(
        _shape(
            plumage.belly,
            f"M-28 {rise + 1:.1f}Q-2 {rise + 5:.1f} 24 {rise + 1:.1f}"
            f"Q26 {rise + 4:.1f} 20 {rise + 6:.1f}Q-4 {rise + 14:.1f}-28 {rise + 1:.1f}z",
        )
    )
    if long:
        parts.append(_line(plumage.back, 7, (18, rise - 2), (beak[0] - 8, beak[1])))
    head = (beak[0] - 8, beak[1])
    parts += [
        _polygon(
            plumage.beak,
            (head[0] + 5, head[1] - 2),
            (head[0] + 17, head[1] + 2),
            (head[0] + 5, head[1] + 4),
            soft=1,
        ),
        _oval(plumage.head or plumage.belly, head, 8.5, 7.5),
        _oval("#1c1818", (head[0] + 3, head[1] - 1.5), 1.3, 1.3),
    ]
    return [*parts, _wing(plumage, lift, trail, rise, far=False)]


def _wing(plumage: Plumage, lift: float, trail: float, rise: float, *, far: bool) -> str:
    span = plumage.span
    root = (6.0, rise - 4) if not far else (10.0, rise - 6)
    wrist = (root[0] + (2 if not far else 10), root[1] - 26 * span * lift - 4)
    tip = (wrist[0] - 24 * span, wrist[1] - 34 * span * trail - 6)
    tone = _shade(plumage.back, 0.72) if far else _shade(plumage.back, 1.08)
    inner = _polygon(tone, (root[0] + 8, root[1]), (wrist[0] + 8, wrist[1]), (wrist[0] - 16, wrist[1] + 6),
                     (root[0] - 20, root[1] + 5), soft=4)  # fmt: skip
    outer = _polygon(_shade(plumage.tips, 0.8) if far else plumage.tips, (wrist[0] + 8, wrist[1]), tip,
                     (wrist[0] - 16, wrist[1] + 6), soft=3)  # fmt: skip
    return outer + inner
