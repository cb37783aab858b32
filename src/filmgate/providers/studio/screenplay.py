"""Reads a prompt as a film-maker would: the hour, the place, what is in it, how the camera moves."""

import re
from dataclasses import dataclass, replace
from typing import Final, Literal, cast

from filmgate.providers.studio import vocabulary
from filmgate.providers.studio.figures import Act
from filmgate.providers.studio.languages import spoken
from filmgate.providers.studio.lexicon import Mention, find_mentions
from filmgate.providers.studio.subjects import Kind, Subject
from filmgate.providers.studio.subjects import cast as cast_of

Mood = Literal[
    "day",
    "sunset",
    "dawn",
    "dusk",
    "night",
    "storm",
    "overcast",
    "neon",
    "space",
    "underwater",
    "volcano",
]
Thing = Literal[
    "water",
    "beach",
    "mountains",
    "city",
    "street",
    "road",
    "room",
    "table",
    "forest",
    "desert",
    "meadow",
    "rain",
    "snow",
    "fog",
    "aurora",
    "embers",
    "fireflies",
    "petals",
    "clouds",
    "lightning",
    "volcano",
    "moon",
    "autumn",
    "flowers",
    "regolith",
    "mars",
    "fireworks",
    "closeup",
    "aerial",
]
Move = Literal["in", "out", "left", "right", "up", "down", "handheld", "still"]
Relation = Literal["riding", "on", "in", "over", "under", "beside"]

_GROUNDS: Final = ("water", "mountains", "city", "street", "road", "forest", "desert", "meadow", "volcano")
_INDOORS: Final = ("room", "table")
_ALIEN_GROUNDS: Final = ("desert", "mountains", "regolith")
_SKIES: Final = ("clouds", "lightning", "fog", "rain", "snow")
_NOT_ON_THE_MOON: Final[frozenset[Thing]] = frozenset(
    {
        "water",
        "beach",
        "city",
        "street",
        "road",
        "forest",
        "meadow",
        "moon",
        "clouds",
        "lightning",
        "fog",
        "rain",
        "snow",
    }
)
_FOOTED: Final[frozenset[Kind]] = frozenset({"walk", "person"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Screenplay:
    """What the prompt asks to see. `things` is only ever asked for membership, never walked.

    `relation` is how the first subject stands to the second. Nothing at all was `understood` of a
    prompt that names neither an hour nor a place nor a subject: its film is a title card.
    """

    mood: Mood
    things: frozenset[Thing]
    moves: tuple[Move, ...]
    subjects: tuple[Subject, ...]
    relation: Relation | None = None
    understood: bool = True

    @property
    def grounded(self) -> bool:
        """Whether there is a horizon: always, but for open space and the deep."""
        return self.mood not in {"space", "underwater"} or self.has(*_ALIEN_GROUNDS)

    @property
    def indoors(self) -> bool:
        """Whether the film is set in a room."""
        return self.has(*_INDOORS)

    def has(self, *things: Thing) -> bool:
        """Tell whether any of these is in the film."""
        return any(thing in self.things for thing in things)


# What a prompt wants to be absent, to the end of its clause.
_ABSENT: Final = re.compile(
    r"\b(?:without(?: any)?|free of|ohne|kein(?:e[nmrs]?)?|sans|sin|senza|sem|zonder|geen|utan|uden|uten|bez"
    r"|ilman|nélkül|không có|без|нет)\s[^,.;:!?]{1,24}?"
    r"(?=[,.;:!?]|$|\s(?:but|and|with|in|on|at|over|under|und|mit|et|avec|y|con|e|com|и|с|в|на)\s)"  # noqa: RUF001  (Cyrillic on purpose)
    r"|(?:没有|沒有|无(?=人)|無し)[^\s,\uff0c。、的]{1,4}|人のいない|[^\s、。]{1,4}なし|[\uac00-\ud7a3]+\s?없(?:는|이)"
)
_NO: Final = re.compile(r"\bno (?:[a-z]+ (?:or|and) )?[a-z]+\b")
# A tree that is itself the subject does not make a forest, nor the sun's set a place.
_TRUE_FOREST: Final = re.compile(
    r"\b(?:forest|woods?|jungle|taiga|wald|bosque|for[êe]t|bosco|floresta|лес)|森|丛林|竹林"
)
_FIREFLIES: Final = re.compile(r"\bfirefl(?:y|ies)\b|萤火|蛍|반딧불")  # they need the dark, but dusk will do
_SIGNS_FROM: Final = "\u0900"  # from here on, scripts whose little words follow what they place
_AFTER: Final = 5  # characters after a word in which such a little word stands
_BEFORE: Final = 3  # "骑着" stands before the mount, whose rider is told last


def read_prompt(prompt: str) -> Screenplay:
    """Return the screenplay of a prompt; the same words always give the same one."""
    text = " ".join(prompt.lower().replace("\u2019", "'").split())
    languages = spoken(text)
    if not languages or "en" in languages:  # "no" is "in the" in Portuguese
        text = _NO.sub(lambda match: " " * len(match.group()), text)
    text = _ABSENT.sub(lambda match: " " * len(match.group()), text)
    mentions = find_mentions(text, languages)
    mentions, relation = _related(text, mentions, languages)
    act = next(iter(vocabulary.found("act", text, languages)), None)
    subjects = tuple(_acting(mention.subject, cast("Act | None", act)) for mention in mentions)
    if relation == "in" or (relation == "on" and act is None):
        subjects = (_acting(subjects[0], "sit"), *subjects[1:])
    moods = vocabulary.found("mood", text, languages)
    things = set(cast("list[Thing]", vocabulary.found("thing", text, languages)))
    # Later moods win over earlier ones: "a city at sunset in the rain" is a sunset, "neon rain" is neon.
    mood = cast("Mood", moods[-1]) if moods else "day"
    understood = bool(moods or subjects or things - {"closeup", "aerial"})
    mood, things = _settled(mood, things, subjects, text)
    subjects, relation = _propped(things, subjects, relation)
    return Screenplay(
        mood=mood,
        things=frozenset(things),
        moves=cast("tuple[Move, ...]", tuple(vocabulary.found("move", text, languages))),
        subjects=subjects,
        relation=relation,
        understood=understood,
    )


def _acting(subject: Subject, act: Act | None) -> Subject:
    return replace(subject, act=act) if act is not None and subject.kind in _FOOTED else subject


# --- how the first subject stands to the second -------------------------------------------------


def _related(
    text: str, mentions: tuple[Mention, ...], languages: frozenset[str]
) -> tuple[tuple[Mention, ...], Relation | None]:
    """Return the subjects, the one that does something first, and how it stands to the next."""
    if len(mentions) < 2:  # noqa: PLR2004  (a relation is between two)
        return mentions, None
    first, second, *others = mentions
    for figure, landmark, words in _told(text, first, second, languages):
        for relation in cast("list[Relation]", words):
            if not _fits(relation, figure.subject, landmark.subject):
                continue
            if relation == "in" and landmark.subject.kind == "vehicle":
                return (landmark, *others), None  # who drives a car is not seen
            return (figure, landmark, *others), relation
    return mentions, None


def _told(
    text: str, first: Mention, second: Mention, languages: frozenset[str]
) -> list[tuple[Mention, Mention, list[str]]]:
    """Return figure, landmark and the words that may relate them, in the order they are to be tried."""
    told = []
    for figure, landmark in ((second, first), (first, second)):
        if text[landmark.start] >= _SIGNS_FROM:
            end = second.start if landmark is first else landmark.end + _AFTER
            after = text[landmark.end : min(end, landmark.end + _AFTER)]
            told.append((figure, landmark, vocabulary.found("relation", after, frozenset())))
    before = text[max(0, first.start - _BEFORE) : first.start]
    if text[first.start] >= _SIGNS_FROM and "riding" in vocabulary.found("relation", before, frozenset()):
        told.append((second, first, ["riding"]))
    between = text[first.end : second.end]  # with the landmark: "a caballo" rides
    told.append((first, second, vocabulary.found("relation", between, languages)))
    return told


def _fits(relation: Relation, figure: Subject, landmark: Subject) -> bool:
    """Tell whether a relation can be shown between two kinds of subject."""
    on_foot = figure.kind in _FOOTED
    match relation:
        case "riding":
            mounts = {"walk", "swim", "boat", "fly", "vehicle"}
            return on_foot and landmark.kind in mounts and not figure.many and not landmark.many
        case "in":
            return on_foot and landmark.kind in {"boat", "vehicle"} and not landmark.many
        case "on":
            if landmark.kind in {"boat", "furniture"}:
                return figure.kind in {*_FOOTED, "object"} and not landmark.many
            return on_foot and landmark.kind in {"walk", "building"} and not landmark.many
        case "over":
            return figure.kind in {"fly", "space", "swim"} and landmark.kind not in {"fly", "space"}
        case "under":
            return on_foot and landmark.shelters
        case "beside":
            return {figure.kind, landmark.kind} <= {*_FOOTED, "plant", "furniture", "vehicle", "building"}


# --- the hour and the place ---------------------------------------------------------------------


def _settled(
    mood: Mood, things: set[Thing], subjects: tuple[Subject, ...], text: str
) -> tuple[Mood, set[Thing]]:
    """Make hour and place one picture: what one implies, and what it leaves no room for."""
    kinds = {subject.kind for subject in subjects}
    if any(subject.name.endswith("-tree") for subject in subjects) and not _TRUE_FOREST.search(text):
        things.discard("forest")
    things |= _implied(mood, things, kinds)
    mood = _settled_mood(mood, things, text)
    if kinds == {"object"} and not things.intersection({*_GROUNDS, "room"}) and mood not in _PLACES:
        things.add("table")
    if things.intersection(_INDOORS):
        return ("night" if mood == "space" else mood), things
    if mood == "space" and things.intersection({*_ALIEN_GROUNDS, "mars"}):
        return mood, {*things, "regolith"} - _NOT_ON_THE_MOON
    if mood in _PLACES:
        return mood, things - {*_GROUNDS, *_SKIES}
    if not things.intersection(_GROUNDS):
        things |= _usual_place(subjects)
    return mood, things


def _implied(mood: Mood, things: set[Thing], kinds: set[Kind]) -> set[Thing]:
    implied: set[Thing] = set()
    if "beach" in things:
        implied.add("water")
    if "street" in things:
        implied.add("city")
        if "vehicle" in kinds:  # cars are seen from the side, on a road before the city
            implied.add("road")
    if mood == "volcano":
        implied |= {"volcano", "embers"}
    if mood == "storm":
        implied |= {"clouds", "rain", "lightning"}
    return implied


def _settled_mood(mood: Mood, things: set[Thing], text: str) -> Mood:
    if "regolith" in things:
        return "space"
    if mood == "overcast" and "snow" in things:
        return "day"
    if mood == "day" and _FIREFLIES.search(text):
        return "night"
    return mood


def _propped(
    things: set[Thing], subjects: tuple[Subject, ...], relation: Relation | None
) -> tuple[tuple[Subject, ...], Relation | None]:
    """Give who sits a seat, and a macro shot among flowers a flower."""
    if relation is None and len(subjects) in {1, 2} and not subjects[0].many:
        first = subjects[0]
        person = first.kind == "person"
        if first.act == "sit" and ("room" in things and "table" not in things and first.kind in _FOOTED):
            return (first, cast_of()["sofa"]), "on"
        if first.act == "sit" and person and not things.intersection({"room", "table", "water"}):
            return (first, cast_of()["bench"]), "on"
        if "closeup" in things and "flowers" in things and {one.kind for one in subjects} == {"fly"}:
            return (first, cast_of()["hibiscus"]), "on"
    return subjects, relation


_PLACES: Final = frozenset({"space", "underwater"})  # moods that are a place as well


def _usual_place(subjects: tuple[Subject, ...]) -> set[Thing]:
    """Where a film is set when the prompt does not say: where its first subject lives, else in the hills."""
    kinds = [subject.kind for subject in subjects]
    if any(kind in {"boat", "swim"} for kind in kinds) or any(subject.coastal for subject in subjects):
        return {"water"}
    if "vehicle" in kinds:
        return {"meadow", "mountains", "road"}
    if "furniture" in kinds:
        return {"room"}
    if "building" in kinds:
        return {"meadow", "mountains"}
    return {"meadow"}
