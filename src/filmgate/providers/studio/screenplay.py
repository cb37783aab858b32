"""Reads a prompt as a film-maker would: the hour, the place, what is in it, how the camera moves."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from filmgate.providers.studio.lexicon import find_subjects
from filmgate.providers.studio.subjects import Subject

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
    "mountains",
    "city",
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
    "fireworks",
]
Move = Literal["in", "out", "left", "right", "up", "down", "handheld", "still"]

_GROUNDS: Final = ("water", "mountains", "city", "forest", "desert", "meadow", "volcano")
_ALIEN_GROUNDS: Final = ("desert", "mountains", "regolith")


@dataclass(frozen=True, slots=True, kw_only=True)
class Screenplay:
    """What the prompt asks to see. `things` is only ever asked for membership, never walked."""

    mood: Mood
    things: frozenset[Thing]
    moves: tuple[Move, ...]
    subjects: tuple[Subject, ...]
    riding: bool = False  # the first subject sits on the second

    @property
    def grounded(self) -> bool:
        """Whether there is a horizon: always, but for open space and the deep."""
        return self.mood not in {"space", "underwater"} or self.has(*_ALIEN_GROUNDS)

    def has(self, *things: Thing) -> bool:
        """Tell whether any of these is in the film."""
        return any(thing in self.things for thing in things)


# Later moods win over earlier ones: "a city at sunset in the rain" is a sunset, "neon rain" is neon.
# English words are whole words (a plural s is allowed); Chinese ones, and a few everyday words of other
# languages beside them, may stand anywhere.
_MOODS: Final[Mapping[Mood, tuple[str, str]]] = {
    "day": (r"day|daytime|noon|midday|afternoon|sunny|sunshine|daylight", "白天|正午|晴天|阳光|下午"),
    "overcast": (
        r"overcast|cloudy|grey sky|gray sky|drizzle|drizzly|rain|rainy|raining|foggy|misty",
        "阴天|多云|下雨|雨天|小雨",
    ),
    "dawn": (
        r"dawn|sunrise|daybreak|early morning|morning|first light",
        "日出|清晨|黎明|早晨|拂晓|朝阳|朝日|sonnenaufgang|lever du soleil|amanecer|рассвет",
    ),
    "dusk": (r"dusk|twilight|blue hour|nightfall", "暮色|傍晚|薄暮"),
    "sunset": (
        r"sunset|golden hour|evening glow|evening|setting sun|sundown",
        (
            "日落|夕阳|黄昏|晚霞|落日|黄金时刻|夕焼け|夕日|"
            "sonnenuntergang|coucher de soleil|atardecer|puesta de sol|tramonto|закат"
        ),
    ),
    "night": (
        (
            r"night|nighttime|midnight|moon|moonlit|moonlight|full moon|starry|stars|starlight|milky way|"
            r"aurora|auroras|aurora borealis|northern light|polar light|firework"
        ),
        "夜|月亮|月光|明月|星空|繁星|极光|银河|\\b(?:nacht|nuit|noche|notte|noite)\\b|ночь|밤",
    ),
    "storm": (
        r"storm|stormy|thunderstorm|thunder|lightning|tempest|gloomy|hurricane",
        "暴风|暴雨|雷雨|雷电|闪电|风暴|嵐|\\b(?:sturm|gewitter|tempête|orage|tormenta|tempesta)\\b|гроза|буря",
    ),
    "neon": (r"neon|cyberpunk|synthwave|vaporwave|retrowave|blade runner", "霓虹|赛博"),
    "volcano": (r"volcano|volcanoes|volcanic|lava|magma|eruption|erupting|inferno", "火山|熔岩|岩浆"),
    "space": (
        (
            r"outer space|in space|deep space|through space|galaxy|galaxies|nebula|nebulae|cosmos|cosmic|"
            r"into space|planet|asteroid|spaceship|spacecraft|universe|interstellar|orbiting"
        ),
        "太空|宇宙|星系|星云|星球|行星|\\b(?:weltraum|espace|espacio|spazio)\\b|космос|우주",
    ),
    "underwater": (
        (
            r"underwater|under water|under the sea|coral reef|coral|deep sea|ocean floor|seabed|undersea|"
            r"beneath the waves"
        ),
        "水下|海底|深海|珊瑚",
    ),
}
_THINGS: Final[Mapping[Thing, tuple[str, str]]] = {
    "water": (
        (
            r"ocean|sea|seaside|lake|lakeside|river|riverbank|water|waters|beach|harbor|harbour|bay|coast|"
            r"coastline|island|pond|fjord|lagoon|shore|seashore|waterfront|wave|canal|marina"
        ),
        "海|湖|河|江|沙滩|港|岛|池塘|水面|\\b(?:meer|strand|küste|mer|plage|océan|lac|mar|playa|océano|lago|mare|spiaggia|praia)\\b|море|океан|озеро|바다",
    ),
    "mountains": (
        r"mountain|mountainous|mountaintop|peak|alps|alpine|fjord|cliff|canyon|summit|himalaya|highlands|ridge",
        "山|峰|峡谷|\\b(?:berge?n?|montagnes?|montañas?|montagna|montanhas?)\\b|горы|산",
    ),
    "city": (
        (
            r"city|cities|skyline|tokyo|new york|manhattan|shanghai|hong kong|street|downtown|skyscraper|"
            r"cyberpunk|metropolis|urban|cityscape|rooftop"
        ),
        "城市|东京|上海|纽约|香港|都市|街|大厦|摩天|\\b(?:stadt|ville|ciudad|città|cidade)\\b|город|도시",
    ),
    "forest": (
        r"forest|wood|woods|woodland|jungle|pine|pines|tree|redwood|taiga|grove|spruce",
        "森林|树|丛林|林间|林中|森|\\b(?:wald|forêt|bosque|foresta|floresta)\\b|лес",
    ),
    "desert": (
        r"desert|dune|sahara|sandstorm|gobi|oasis",
        "沙漠|沙丘|戈壁|砂漠|\\b(?:wüste|désert|desierto|deserto)\\b|пустын",
    ),
    "meadow": (
        (
            r"meadow|field|grass|grassland|grassy|garden|park|prairie|pasture|farm|farmland|countryside|"
            r"hill|hills|hillside|valley|savanna|savannah|steppe|lawn|plain"
        ),
        "草|花园|田|公园|牧场|乡村|山谷|山坡|原野",
    ),
    "flowers": (
        r"flower|wildflower|poppy|poppies|tulip|lavender|sunflower|blossoming|blooming|daisy|daisies|rose|garden",
        "花(?!火)|薰衣草|向日葵",
    ),
    "rain": (
        r"rain|rainy|raining|drizzle|drizzly|downpour|storm|stormy|thunderstorm|monsoon",
        r"雨|\b(?:regen|pluie|lluvia|pioggia|chuva)\b|дождь",
    ),
    "snow": (
        (
            r"snow|snowy|snowing|snowfall|snow-capped|snowcapped|snow-covered|winter|wintry|blizzard|"
            r"ice(?! cream)|iceberg|icy|frozen|arctic|antarctic|glacier|christmas"
        ),
        "雪|冬|冰川|冰封|圣诞|\\b(?:schnee|neige|nieve|neve)\\b|снег|눈 덮인",
    ),
    "fog": (r"fog|foggy|mist|misty|haze|hazy|smoky", "雾|朦胧|烟雨"),
    "aurora": (r"aurora|auroras|aurora borealis|northern light|polar light", "极光"),
    "embers": (r"fire|ember|flame|campfire|bonfire|burning|lava|eruption|erupting|sparks", "火焰|篝火|燃烧"),
    "fireflies": (
        r"firefly|fireflies|magic|magical|fairy|fairytale|enchanted|dreamy|dreamlike",
        "萤火|魔法|梦幻|童话",
    ),
    "petals": (r"petal|blossom|sakura|cherry tree", "花瓣|樱花|桃花"),
    "clouds": (r"cloud|cloudy|clouds|cloudscape|overcast", "云"),
    "lightning": (r"lightning|thunder|thunderstorm", "闪电|雷"),
    "volcano": (r"volcano|volcanoes|volcanic|eruption|erupting", "火山"),
    "moon": (r"moon|moonlit|moonlight|full moon", "月亮|月光|明月|圆月"),
    "regolith": (r"on the moon|lunar|moonscape|moon landing|surface of the moon|moon base", "月球|登月|月面"),
    "fireworks": (r"firework|fireworks", "烟花|焰火|花火|打ち上げ花火"),
    "autumn": (r"autumn|autumnal|fall colors|fall colours|fall foliage|maple", "秋|红叶|枫"),
}
_MOVES: Final[Mapping[Move, tuple[str, str]]] = {
    "in": (
        (
            r"zoom in|zooms in|zooming in|push in|pushes in|push-in|dolly in|move closer|moves closer|"
            r"approaches|approaching|fly through|flying through|forward"
        ),
        "推进|推镜|拉近|向前",
    ),
    "out": (
        r"zoom out|zooms out|zooming out|pull back|pulls back|pulling back|pull out|pulls out|reveal",
        "拉远|拉镜|后退",
    ),
    "left": (
        r"pan left|pans left|panning left|pan to the left|truck left|move left|moves left|to the left",
        "左移|向左|左摇",
    ),
    "right": (
        (
            r"pan right|pans right|panning right|pan to the right|truck right|move right|moves right|"
            r"to the right|tracking shot|orbit shot|orbits around"
        ),
        "右移|向右|右摇|环绕|跟拍",
    ),
    "up": (
        r"tilt up|tilts up|tilting up|crane up|cranes up|camera rises|rising shot|ascend",
        "上移|上摇|升起|仰拍",
    ),
    "down": (
        r"tilt down|tilts down|tilting down|crane down|cranes down|descend|descends",
        "下移|下摇|下降|俯拍",
    ),
    "handheld": (r"handheld|hand-held|shaky cam|shaky", "手持|晃动"),
    "still": (r"static shot|static camera|locked-off|tripod|fixed camera|still camera", "固定镜头|静止镜头"),
}
# A tree that is itself the subject does not make a forest.
_TRUE_FOREST: Final = re.compile(r"\b(?:forest|woods?|jungle|taiga)\b|森林|丛林")


def _compiled(words: tuple[str, str]) -> re.Pattern[str]:
    english, other = words
    return re.compile(rf"(?<![a-z-])(?:{english})s?(?![a-z-])|{other}")


_FIREFLIES: Final = re.compile(r"\bfirefl(?:y|ies)\b|萤火")  # they need the dark, but dusk will do
_RIDING: Final = re.compile(r"\b(?:riding|rides|ride|on the back of)\b|骑")
_MOOD_PATTERNS: Final = tuple((mood, _compiled(words)) for mood, words in _MOODS.items())
_THING_PATTERNS: Final = tuple((thing, _compiled(words)) for thing, words in _THINGS.items())
_MOVE_PATTERNS: Final = tuple((move, _compiled(words)) for move, words in _MOVES.items())


def read_prompt(prompt: str) -> Screenplay:
    """Return the screenplay of a prompt; the same words always give the same one."""
    text = " ".join(prompt.lower().split())
    subjects = find_subjects(text)
    mood = _mood(text)
    things = {thing for thing, pattern in _THING_PATTERNS if pattern.search(text)}
    if any(subject.name.endswith("-tree") for subject in subjects) and not _TRUE_FOREST.search(text):
        things.discard("forest")
    if mood == "overcast" and "snow" in things:
        mood = "day"
    if mood == "volcano":
        things |= {"volcano", "embers"}
    if mood == "storm":
        things |= {"clouds", "rain", "lightning"}
    if "regolith" in things:
        mood = "space"
    if mood == "day" and _FIREFLIES.search(text):
        mood = "night"
    if mood == "space" and things.intersection(_ALIEN_GROUNDS):
        things -= {"water", "city", "forest", "meadow", "rain", "fog", "clouds", "lightning", "moon"}
    elif mood in {"space", "underwater"}:
        things -= {*_GROUNDS, "rain", "snow", "fog", "clouds", "lightning"}
    elif not things.intersection(_GROUNDS):
        things |= _usual_place(subjects)
    return Screenplay(
        mood=mood,
        things=frozenset(things),
        moves=tuple(move for move, pattern in _MOVE_PATTERNS if pattern.search(text)),
        subjects=subjects,
        riding=_rides(text, subjects),
    )


def _rides(text: str, subjects: tuple[Subject, ...]) -> bool:
    match subjects:
        case (rider, mount, *_) if not rider.many and not mount.many:
            fit = rider.kind in {"person", "walk"} and mount.kind in {"walk", "swim", "boat"}
            return fit and _RIDING.search(text) is not None
        case _:
            return False


def _mood(text: str) -> Mood:
    found: Mood = "day"
    for mood, pattern in _MOOD_PATTERNS:
        if pattern.search(text):
            found = mood
    return found


def _usual_place(subjects: tuple[Subject, ...]) -> set[Thing]:
    """Where a film is set when the prompt does not say: where its first subject lives, else in the hills."""
    match subjects[0].kind if subjects else None:
        case "boat" | "swim":
            return {"water"}
        case "building" if subjects[0].coastal:
            return {"water"}
        case "vehicle" | "building":
            return {"meadow", "mountains"}
        case _:
            return {"meadow"}
