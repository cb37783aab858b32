"""Finds in a prompt, written in any of some twenty languages, the subjects the studio can show."""

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from filmgate.providers.studio.subjects import Subject, cast, own_words, packed

_MOST_SUBJECTS: Final = 3
_LONGEST_PHRASE: Final = 5  # words
_SHORTEST_FOREIGN: Final = 4  # letters: "and" is a duck in Danish, "chat" a cat in French

# Everyday little words that give a language away. English comes first and wins a tie.
_LITTLE_WORDS: Final[Mapping[str, frozenset[str]]] = {
    language: frozenset(words.split())
    for language, words in {
        "en": "a an the of in on at with and over under through by is are to from into its his her while",
        "de": "ein eine einer einem einen der die das den dem im in am mit und über unter auf von bei ist",
        "fr": "un une le la les des du de au aux dans sur sous avec et en par à est qui",
        "es": "un una el la los las del de en con y sobre bajo por al que es",
        "it": "un una uno il lo la gli le del della di in con e su sul sulla sotto nel nella al che",
        "pt": "um uma o a os as do da de em no na com e sobre sob ao que é",
        "nl": "een de het van in op met en over onder door bij aan is",
        "sv": "en ett i på med och över under av till vid som",
        "da": "en et i på med og over under af til ved som",
        "nb": "en et i på med og over under av til ved som",
        "fi": "ja on yli alla kanssa",
        "pl": "w na z i nad pod przez do jest",
        "hu": "egy a az és alatt felett fölött",
        "vi": "một con trên dưới và trong với",
    }.items()
}
_UNSPACED: Final = ("zh", "zh-hant", "ja", "th")  # written without spaces: words are found anywhere
_SPACED: Final = ("ko", "ru", "uk", "hi")  # their letters are no one else's: no need to guess a language

# Phrases in which a subject's word means something else; they are passed over.
_TRAPS: Final = re.compile(
    r"\b(?:pan|tilt|crane|dolly|truck|push|pull|zoom)s? (?:left|right|up|down|in|out|back|to)\b"
    r"|\b(?:tulip|sunflower|rose|hyacinth)(?:s|(?= (?:field|garden|meadow|farm|bed)))"
    r"|\bschool(?= of\b)|\bcrane (?:shot|camera)|\bbird'?s[ -]eye|\bfish[ -]?eye|\bcat'?s[ -]eye"
    r"|\bdragon fruit|\bhorse ?power"
    r"|\bmouse pad|\brock (?:music|band|concert)|\bhot dogs?\b|\bkite runner|\bsnail'?s pace|\bseal of\b"
    r"|\bsea horse|\bship(?:ping|ped)\b|\bhouse music|\bwhite house|\bgreen ?house"
    r"|\btrain(?:ing|ed)\b|\brose (?:gold|pink|colou?red|tinted)|\bcamel colou?red|\bdriver'?s seat"
    r"|马路|马上|马赛克|斑马线|虎视|牛仔|鼠标|龙卷风|鸡尾酒|羊毛|羊绒|鱼眼|鸟瞰|海马|海象|象征|气象|现象|景象|印象|想象"
    r"|对象|抽象|船长|房车|象牙|龙舌兰|沙龙|水龙头|狗尾草|猫眼|蜗牛|河马|犀牛|水牛"
)
_MANY: Final = 5
_NUMBERS: Final[Mapping[str, int]] = {"two": 2, "三": 3, "three": 3, "两": 2, "四": 4, "four": 4}
_GROUP: Final = re.compile(
    r"\b(?:flock|school|herd|pack|group|fleet|swarm|many|several|two|three|four|five|some) "
    r"(?:of )?(?:[a-z-]+ )?$"
    r"|(?:[两三四五群许多些几][只个群条艘头匹盏]?|许多|很多|一群|成群的?|漫天的?)$"
)
_WORD: Final = re.compile(r"[^\W\d_]+(?:['-][^\W\d_]+)*")


def find_subjects(text: str) -> tuple[Subject, ...]:
    """Return the subjects named in a lower-case text, in the order they are named, three at most."""
    text = text.replace("\u2019", "'")
    blanked = _TRAPS.sub(_keep_animals, text)
    groups: dict[str, int] = {}
    for start, name, plural in sorted((*_in_words(blanked), *_in_signs(blanked))):
        count = _count(text[:start], plural=plural)
        groups[name] = max(groups.get(name, 1), count)
    subjects = tuple(replace(cast()[name], count=count) for name, count in groups.items())
    return subjects[:_MOST_SUBJECTS]


def _count(before: str, *, plural: bool) -> int:
    """How many of a subject are meant, by the words before it."""
    said = _GROUP.search(before)
    if said is None:
        return _MANY if plural else 1
    return next((number for word, number in _NUMBERS.items() if word in said.group()), _MANY)


def _keep_animals(trap: re.Match[str]) -> str:
    """Blank a trap, unless the whole of it names a subject of its own."""
    phrase = trap.group()
    return phrase if phrase in _signs() else " " * len(phrase)


def _in_words(text: str) -> Iterator[tuple[int, str, bool]]:
    """Find subjects in scripts with spaces: the longest phrase at each word wins."""
    words = [(match.start(), match.group()) for match in _WORD.finditer(text)]
    lexicon = _lexicon(_language({word for _, word in words}))
    position = 0
    while position < len(words):
        for length in range(min(_LONGEST_PHRASE, len(words) - position), 0, -1):
            phrase = " ".join(word for _, word in words[position : position + length])
            form = next((form for form in _forms(phrase) if form in lexicon), None)
            if form is not None:
                start = words[position][0]
                yield start, lexicon[form], form != phrase and not phrase.endswith("'s")
                position += length
                break
        else:
            position += 1


def _forms(phrase: str) -> Iterator[str]:
    """Yield the phrase as it stands, then what it may be the plural or possessive of."""
    yield phrase
    for ending, singular in (
        ("'s", ""),
        ("ies", "y"),
        ("ves", "f"),
        ("ves", "fe"),
        ("es", ""),
        ("s", ""),
    ):
        if phrase.endswith(ending) and len(phrase) > len(ending) + 2:
            yield phrase.removesuffix(ending) + singular


def _language(words: set[str]) -> str | None:
    """Guess the language by its little words; none of them leaves it open."""
    scores = {language: len(words & little) for language, little in _LITTLE_WORDS.items()}
    best = max(scores, key=scores.__getitem__)
    return best if scores[best] else None


@functools.cache
def _lexicon(language: str | None) -> Mapping[str, str]:
    """Return the words to look for. With the language open: English, then longer words of any."""
    vendored: Mapping[str, Mapping[str, str]] = packed()["words"]
    merged: dict[str, str] = {}
    if language is None:
        for other in reversed(tuple(_LITTLE_WORDS)):
            merged |= {word: name for word, name in vendored[other].items() if len(word) >= _SHORTEST_FOREIGN}
    for script in _SPACED:
        merged |= vendored[script]
    merged |= vendored[language or "en"]
    merged |= own_words()
    return merged


@functools.cache
def _signs() -> Mapping[str, str]:
    """Return the words of scripts without spaces."""
    merged: dict[str, str] = {}
    for language in reversed(_UNSPACED):
        # A single sign is too often part of another word; our own list has the few that are safe.
        merged |= {word: name for word, name in packed()["words"][language].items() if len(word) > 1}
    merged |= own_words()
    return {word: name for word, name in merged.items() if not word.isascii() and not _is_spaced(word)}


def _is_spaced(word: str) -> bool:
    return max(word) < "\u0e00"  # Latin, Cyrillic, Devanagari; Thai and what follows it is unspaced


@functools.cache
def _sign_pattern() -> re.Pattern[str]:
    longest_first = sorted(_signs(), key=lambda word: (-len(word), word))
    return re.compile("|".join(map(re.escape, longest_first)))


def _in_signs(text: str) -> Iterator[tuple[int, str, bool]]:
    if text.isascii():
        return
    for match in _sign_pattern().finditer(text):
        yield match.start(), _signs()[match.group()], False
