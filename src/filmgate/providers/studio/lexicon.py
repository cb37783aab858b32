"""Finds in a prompt, written in any of some twenty languages, the subjects the studio can show."""

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from filmgate.providers.studio.languages import LITTLE_WORDS, UNSPACED
from filmgate.providers.studio.subjects import Subject, cast, own_words, packed

_MOST_SUBJECTS: Final = 3
_LONGEST_PHRASE: Final = 5  # words
_SHORTEST_FOREIGN: Final = 4  # letters: "and" is a duck in Danish, "chat" a cat in French
_SPACED: Final = ("ko", "ru", "uk", "hi")  # their letters are no one else's: no need to guess a language
_INFLECTED: Final = (
    "ru",
    "uk",
    "pl",
    "fi",
    "hu",
    "de",
    "sv",
    "da",
    "nb",
    "hi",
    "ko",
    "es",
    "it",
    "pt",
    "fr",
    "nl",
)
_LONGEST_ENDING: Final = 3
_VOWELS: Final = "аяеёиоуыьйіїaeiouyäöőéáå"  # noqa: RUF001  (Cyrillic on purpose)

# Phrases in which a subject's word means something else; they are passed over.
_TRAPS: Final = re.compile(
    r"\b(?:pan|tilt|crane|dolly|truck|push|pull|zoom)s? (?:left|right|up|down|in|out|back|to)\b"
    r"|\b(?:tulip|sunflower|rose|hyacinth)(?:s|(?= (?:field|garden|meadow|farm|bed)))"
    r"|\bschool(?= of\b)|\bcrane (?:shot|camera)|\bbird'?s[ -]eye|\bfish[ -]?eye|\bcat'?s[ -]eye"
    r"|\bdragon fruit|\bhorse ?power"
    r"|\bmouse pad|\brock (?:music|band|concert)|\bhot dogs?\b|\bkite runner|\bsnail'?s pace|\bseal of\b"
    r"|\bsea horse|\bship(?:ping|ped)\b|\bhouse music|\bwhite house|\bgreen ?house"
    r"|\bлист\w*|\bsea ?lions?(?= )|\bstar ?fish|\bjelly ?bean|\b(?:river|flower|sea) ?beds?\b|\bsea ?bed\b"  # noqa: RUF001  (Cyrillic on purpose)
    r"|\bdragonfl(?:y|ies)|\bfirefl(?:y|ies)|\bman-made|\bhorseshoe|\bbear(?:s|ing)? (?:fruit|in mind)"
    r"|\bbullet train"
    r"|\btrain(?:ing|ed)\b|\brose (?:gold|pink|colou?red|tinted)|\bcamel colou?red|\bdriver'?s seat"
    r"|马路|马上|马赛克|斑马线|虎视|牛仔|鼠标|龙卷风|鸡尾酒|羊毛|羊绒|鱼眼|鸟瞰|海马|海象|象征|气象|现象|景象|印象|想象"
    r"|对象|抽象|船长|房车|象牙|龙舌兰|沙龙|水龙头|狗尾草|猫眼|蜗牛|河马|犀牛|水牛"
)
_MANY: Final = 5
_NUMBERS: Final[Mapping[int, frozenset[str]]] = {
    number: frozenset(words.split())
    for number, words in {
        2: (
            "two zwei deux dos due dois duas twee två to kaksi dwa dwie dwoje два две двое дві két hai"
            " 두 둘 दो 两 兩 二 สอง"
        ),
        3: "three drei trois tres tre três drie kolme trzy три három ba 세 셋 तीन 三 สาม",
        4: "four vier quatre cuatro quattro quatro fyra fire neljä cztery четыре чотири négy bốn 네 चार 四 สี่",
    }.items()
}
_GROUP: Final = re.compile(
    r"\b(?:flock|school|herd|pack|group|fleet|swarm|crowd|many|several|five|six|some|viele|mehrere|schwarm|herde"
    r"|plusieurs|troupeau|nuée|varios|varias|muchos|muchas|bandada|molti|molte|stormo|vários|muitos|bando|много"
    r"|несколько|стая|стадо|багато|зграя|wiele|stado|kilka|veel|många|mange|monta|sok|nhiều|đàn|많은|여러) "
    r"(?:of |de |d'|di |von )?(?:\w+ )?$"
    r"|(?:[群许多些几][只个群条艘头匹盏]?|许多|很多|一群|成群的?|漫天的?|たくさんの|群れの?|ฝูง)$"
)
_NUMBER: Final = re.compile(
    r"([^\W\d_]+) (?:[^\W\d_]+ )?$|([两兩二三四])[只隻个個位名条條艘头頭匹盏人]?(?:の|的)?$"
)
_AFTER_MANY: Final = re.compile(r"들|の群れ|たち")
_HANGUL: Final = "\uac00"
_MEANS_MANY: Final = frozenset(
    "people crowd family friends children kids flock geese vögel kinder leute menschen oiseaux enfants"
    " gens pájaros niños personas uccelli bambini persone pássaros crianças pessoas птицы дети люди dzieci"
    " ludzie".split()
)
_MEANS_TWO: Final = frozenset(
    {"couple", "lovers", "情侣", "恋人", "カップル", "연인", "커플", "pareja", "paar", "coppia", "casal"}
)
_PARTICLES: Final = "에서 으로 들이 들은 들을 들 을 를 이 가 은 는 에 의 와 과 로 도".split()  # of Korean
_WORD: Final = re.compile(r"[^\W\d_](?:[^\W\d_]|[\u0900-\u0903\u093a-\u094f])*(?:['-][^\W\d_]+)*")


@dataclass(frozen=True, slots=True)
class Mention:
    """A subject, and from where to where the text names it."""

    start: int
    end: int
    subject: Subject


def find_mentions(text: str, languages: frozenset[str]) -> tuple[Mention, ...]:
    """Return the subjects a lower-case text names, in the order they are named, three at most."""
    blanked = _TRAPS.sub(_keep_animals, text)
    first: dict[str, Mention] = {}
    for start, end, name, plural in sorted((*_in_words(blanked, languages), *_in_signs(blanked))):
        if text[start:end] in _MEANS_TWO:
            count = 2
        else:
            count = max(_count(text[:start], plural=plural), _MANY if _AFTER_MANY.match(text, end) else 1)
        known = first.get(name)
        if known is None:
            first[name] = Mention(start, end, replace(cast()[name], count=count))
        elif count > known.subject.count:
            first[name] = replace(known, subject=replace(known.subject, count=count))
    return tuple(first.values())[:_MOST_SUBJECTS]


def _count(before: str, *, plural: bool) -> int:
    """How many of a subject are meant, by the words before it."""
    number = _NUMBER.search(before)
    if number is not None:
        told = set(number.group().replace("の", " ").split()) | set(number.group(2) or "")
        for count, words in _NUMBERS.items():
            if told & words:
                return count
    return _MANY if plural or _GROUP.search(before) else 1


def _keep_animals(trap: re.Match[str]) -> str:
    """Blank a trap, unless the whole of it names a subject of its own."""
    phrase = trap.group()
    return phrase if phrase in _signs() or phrase in own_words() else " " * len(phrase)


def _in_words(text: str, languages: frozenset[str]) -> Iterator[tuple[int, int, str, bool]]:
    """Find subjects in scripts with spaces: the longest phrase at each word wins."""
    words = [(match.start(), match.end(), match.group()) for match in _WORD.finditer(text)]
    lexicon = _lexicon(languages)
    position = 0
    while position < len(words):
        for length in range(min(_LONGEST_PHRASE, len(words) - position), 0, -1):
            phrase = " ".join(word for _, _, word in words[position : position + length])
            form = next((form for form in _forms(phrase) if form in lexicon), None)
            name = lexicon[form] if form is not None else _by_stem(phrase, languages)
            if name is not None:
                plural = phrase in _MEANS_MANY or _is_plural(phrase, form)
                yield words[position][0], words[position + length - 1][1], name, plural
                position += length
                break
        else:
            position += 1


def _is_plural(phrase: str, form: str | None) -> bool:
    """Tell whether a phrase is more than its form: an s, or Korean 들."""
    if form is None or form == phrase or phrase.endswith("'s"):
        return False
    return phrase[-1] < _HANGUL or "들" in phrase.removeprefix(form)


def _forms(phrase: str) -> Iterator[str]:
    """Yield the phrase as it stands, then what it may be the plural or possessive of."""
    yield phrase
    for ending, singular in (
        ("'s", ""),
        ("ies", "y"),
        ("ves", "f"),
        ("ves", "fe"),
        ("men", "man"),
        ("es", ""),
        ("s", ""),
    ):
        if phrase.endswith(ending) and len(phrase) > len(ending) + 2:
            yield phrase.removesuffix(ending) + singular
    for particle in _PARTICLES:
        if phrase.endswith(particle) and len(phrase) > len(particle):
            yield phrase.removesuffix(particle)


def _by_stem(word: str, languages: frozenset[str]) -> str | None:
    """Return the subject an inflected word may name: its stem, with another ending."""
    if " " in word or (word.isascii() and not languages.intersection(_INFLECTED)):
        return None
    stems = _stems(languages)
    shortest = _shortest_stem(word)
    for length in range(len(word), max(shortest, len(word) - _LONGEST_ENDING) - 1, -1):
        name = stems.get(word[:length])
        if name is not None and (length > shortest or len(word) - length < _LONGEST_ENDING):
            return name
    return None


def _shortest_stem(word: str) -> int:
    """How many letters tell a word: Latin ones are used by most languages, and so tell least."""
    return 2 if word[0] >= "\u0900" else 3 if word[0] >= "\u0400" else 4


@functools.lru_cache(maxsize=64)
def _stems(languages: frozenset[str]) -> Mapping[str, str]:
    vendored: Mapping[str, Mapping[str, str]] = packed()["words"]
    words: dict[str, str] = {}
    for language in _INFLECTED:
        if language in languages or language in _SPACED:
            words |= vendored[language]
    words |= {word: name for word, name in own_words().items() if not word.isascii()}
    stems: dict[str, str] = {}
    for word, name in words.items():
        if " " in word or not _is_spaced(word):
            continue
        stem = word.rstrip(_VOWELS) if len(word) > _shortest_stem(word) else word
        if len(stem) >= _shortest_stem(word):
            stems.setdefault(stem, name)
    return stems


@functools.lru_cache(maxsize=64)
def _lexicon(languages: frozenset[str]) -> Mapping[str, str]:
    """Return the words to look for. With the language open: English, then longer words of any."""
    vendored: Mapping[str, Mapping[str, str]] = packed()["words"]
    merged: dict[str, str] = {}
    if not languages:
        for other in reversed(tuple(LITTLE_WORDS)):
            merged |= {word: name for word, name in vendored[other].items() if len(word) >= _SHORTEST_FOREIGN}
    for language in (*_SPACED, *sorted(languages or {"en"})):
        merged |= vendored[language]
    return {**merged, **own_words()}


@functools.cache
def _signs() -> Mapping[str, str]:
    """Return the words of scripts without spaces."""
    merged: dict[str, str] = {}
    for language in reversed(UNSPACED):
        # A single sign is too often part of another word; our own list has the few that are safe.
        merged |= {word: name for word, name in packed()["words"][language].items() if len(word) > 1}
    merged |= own_words()
    return {word: name for word, name in merged.items() if not word.isascii() and not _is_spaced(word)}


def _is_spaced(word: str) -> bool:
    """Latin, Cyrillic, Devanagari and Hangul; Thai, and what Chinese and Japanese use, is unspaced."""
    return max(word) < "\u0e00" or "\uac00" <= max(word) <= "\ud7a3"


@functools.cache
def _sign_pattern() -> re.Pattern[str]:
    longest_first = sorted(_signs(), key=lambda word: (-len(word), word))
    return re.compile("|".join(map(re.escape, longest_first)))


def _in_signs(text: str) -> Iterator[tuple[int, int, str, bool]]:
    if text.isascii():
        return
    for match in _sign_pattern().finditer(text):
        yield match.start(), match.end(), _signs()[match.group()], False
