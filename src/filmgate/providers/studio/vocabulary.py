"""The words for hours, places, deeds, relations and camera moves in every language the studio reads."""

import functools
import re
import tomllib
from collections.abc import Mapping
from importlib import resources
from typing import Final

from filmgate.providers.studio.languages import LITTLE_WORDS, OWN_LETTERS, UNSPACED

_SCENES: Final = resources.files("filmgate.providers.studio") / "data" / "scenes.toml"
_SHORTEST_OPEN: Final = 4  # letters: where no language is told, shorter foreign words mean too many things
# Devanagari vowels are marks, not letters: a word ends where neither follows.
_LETTER: Final = r"[\w\u0900-\u097f-]"


def found(group: str, text: str, languages: frozenset[str]) -> list[str]:
    """Return the names of a group whose words a lower-case text has, in the file's order.

    `languages` are the Latin ones it may be in; with none told, long words of any of them count.
    """
    return [
        name
        for name in _scenes()[group]
        if any(pattern.search(text) for pattern in _patterns(group, name, languages))
    ]


@functools.cache
def names(group: str) -> tuple[str, ...]:
    """Return every name of a group."""
    return tuple(_scenes()[group])


@functools.cache
def _scenes() -> Mapping[str, Mapping[str, Mapping[str, str]]]:
    return tomllib.loads(_SCENES.read_text(encoding="utf-8"))


@functools.lru_cache(maxsize=1024)
def _patterns(group: str, name: str, languages: frozenset[str]) -> tuple[re.Pattern[str], ...]:
    """Return what finds a name's words: English ones always, those in letters of their own, those spoken."""
    heard = OWN_LETTERS | languages | {"en"}
    compiled = (
        _pattern(group, name, language, every=language in heard)
        for language in _scenes()[group][name]
        if language in heard or not languages
    )
    return tuple(pattern for pattern in compiled if pattern is not None)


@functools.cache
def _pattern(group: str, name: str, language: str, *, every: bool) -> re.Pattern[str] | None:
    assert language in LITTLE_WORDS.keys() | OWN_LETTERS, language
    words = [word.strip() for word in _scenes()[group][name][language].split(", ")]
    words = [word for word in words if every or len(word) >= _SHORTEST_OPEN]
    if not words:
        return None
    if language in UNSPACED:
        return re.compile("|".join(words))
    either = "|".join(map(_spelled, words))
    plural = "s?" if language == "en" else ""
    return re.compile(rf"(?<!{_LETTER})(?:{either}){plural}(?!{_LETTER})")


def _spelled(word: str) -> str:
    """Let * at the end stand for any ending, and * inside for an ending and a space."""
    stem = word.removesuffix("*").replace("*", r"\w{0,4}\s?")
    return stem + f"{_LETTER}*" if word.endswith("*") else stem
