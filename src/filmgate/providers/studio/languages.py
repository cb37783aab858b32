"""Guesses which languages a prompt may be written in, by the little words every sentence has."""

import re
from collections.abc import Mapping
from typing import Final

# Everyday little words that give a language away. English wins a tie: most prompts are in it.
LITTLE_WORDS: Final[Mapping[str, frozenset[str]]] = {
    language: frozenset(words.split())
    for language, words in {
        "en": "a an the of in on at with and over under through by is are to from into its his her while",
        "de": "ein eine einer einem einen der die das den dem im in am mit und über unter auf bei ist ohne",
        "fr": "un une le la les des du de au aux dans sur sous avec et en par à est qui d l sans près",
        "es": "un una el la los las del de en con y sobre bajo por al que es sin entre",
        "it": "un una uno il lo la gli le del della di in con e su sul sulla sotto nel nella al che i senza",
        "pt": "um uma o a os as do da de em no na com e sobre sob ao que é ao à sem",
        "nl": "een de het van in op met en over onder door bij aan is zonder",
        "sv": "en ett i på med och över under av till vid som genom utan",
        "da": "en et i på med og over under af til ved som gennem uden",
        "nb": "en et i på med og over under av til ved som gjennom uten",
        "fi": "ja on yli alla kanssa",
        "pl": "w na z i nad pod przez do jest o się bez po",
        "hu": "egy a az és alatt felett fölött át",
        "vi": "một con trên dưới và trong với những ở lúc không",
    }.items()
}
# Their letters are no one else's, so there is nothing to guess.
OWN_LETTERS: Final = frozenset({"ko", "ru", "uk", "hi", "zh", "zh-hant", "ja", "th"})
UNSPACED: Final = ("zh", "zh-hant", "ja", "th")  # words are found anywhere
_WORD: Final = re.compile(r"[^\W\d_]+")


def spoken(text: str) -> frozenset[str]:
    """Return the Latin languages a lower-case text may be in; none where no little word tells."""
    words = set(_WORD.findall(text))
    scores = {language: len(words & little) for language, little in LITTLE_WORDS.items()}
    best = max(scores.values())
    if not best:
        return frozenset()
    if scores["en"] == best:
        return frozenset({"en"})
    return frozenset(language for language, score in scores.items() if score == best)
