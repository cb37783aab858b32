"""JSON from strangers: what a parser lets through and a database or a log does not is refused here."""

import json
import math
import re
from typing import Any, Final, NoReturn

from filmgate.core.errors import InvalidRequest

DEPTH: Final = 32
NODES: Final = 10_000
STRING_CHARACTERS: Final = 100_000
DIGITS: Final = 30
INT64: Final = range(-(2**63), 2**63)

# Strings and structure, found without decoding anything: a body of nothing but brackets would cost
# the parser a hundred times its size. Possessive, and a string may lack its end: linear on any input.
_TOKENS: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[{,\]}]', re.DOTALL)


def decode(raw: bytes) -> dict[str, Any]:
    """Return the JSON object in `raw`, or raise InvalidRequest saying what is wrong with it."""
    if not raw.strip():
        raise InvalidRequest("the body is empty; it must be a JSON object")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest("the body is not UTF-8") from error
    _check_shape(text)
    try:
        value = _decoder.decode(text)
    except ValueError as error:
        raise InvalidRequest(f"the body is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise InvalidRequest("the body must be a JSON object")
    check_texts(value)
    return value


def check_texts(value: object, where: str = "") -> None:
    """Raise InvalidRequest if a string anywhere in `value` is one that we cannot keep."""
    match value:
        case str():
            _check_text(value, where)
        case dict():
            for name, item in value.items():
                _check_text(name, "a key")
                check_texts(item, f"{where}.{name}" if where else name)
        case list():
            for n, item in enumerate(value):
                check_texts(item, f"{where}[{n}]")
        case _:
            pass


def _check_text(text: str, where: str) -> None:
    if "\0" in text:
        raise _refuse(where, "contains a NUL character")
    # A picture may be written out in a data URI; nothing else is this long.
    if len(text) > STRING_CHARACTERS and not text.startswith("data:"):
        raise _refuse(where, f"is longer than {STRING_CHARACTERS} characters")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise _refuse(where, "contains half of a surrogate pair") from error


def _refuse(where: str, problem: str) -> InvalidRequest:
    where = where[:100].encode(errors="replace").decode()
    return InvalidRequest(f"{where}: {problem}", param=where)


def _check_shape(text: str) -> None:
    openings = text.count("{") + text.count("[")
    if openings <= DEPTH and openings + text.count(",") <= NODES and text.count('"') <= 2 * NODES:
        return  # nearly every body; what is counted within strings can only make it look larger
    depth = strings = values = 0
    for token in _TOKENS.finditer(text):
        match text[token.start()]:
            case "[" | "{":
                depth += 1
                values += 1
            case "]" | "}":
                depth -= 1
            case ",":
                values += 1
            case _:
                strings += 1
        if depth > DEPTH:
            raise InvalidRequest(f"the body is nested deeper than {DEPTH}")
        # Each value but the first of a list follows a comma; a key and its value are two strings.
        if values > NODES or strings > 2 * NODES:
            raise InvalidRequest(f"the body has more than {NODES} values")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice[:100]!r} is given twice")
    return found


def _int(digits: str) -> int:
    if len(digits) > DIGITS or int(digits) not in INT64:
        raise ValueError("a number does not fit 64 bits")
    return int(digits)


def _float(digits: str) -> float:
    number = float(digits) if len(digits) <= DIGITS else math.inf
    if not math.isfinite(number):
        raise ValueError(f"a number is too large or has more than {DIGITS} characters")
    return number


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_decoder: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_int, parse_float=_float, parse_constant=_constant
)
