"""JSON that a parser lets through and a database, a log or another language does not."""

import json
import time

import pytest

from filmgate.api import strict_json
from filmgate.core.errors import InvalidRequest

REFUSED = {
    "empty": b"",
    "spaces": b"  \n",
    "not JSON": b"{",
    "two values": b"{} {}",
    "trailing comma": b'{"a": 1,}',
    "comment": b'{"a": 1} // one',
    "list": b"[1]",
    "text": b'"a"',
    "null": b"null",
    "NaN": b'{"a": NaN}',
    "Infinity": b'{"a": Infinity}',
    "-Infinity": b'{"a": -Infinity}',
    "infinite float": b'{"a": 1e999}',
    "long float": b'{"a": 0.' + b"1" * 40 + b"}",
    "duplicate key": b'{"a": 1, "a": 1}',
    "duplicate key inside": b'{"a": [{"b": 1, "b": 2}]}',
    "duplicate key by escape": b'{"a": 1, "\\u0061": 2}',
    "lone surrogate": b'{"a": "\\ud800"}',
    "lone surrogate in a key": b'{"\\udfff": 1}',
    "surrogates the wrong way round": b'{"a": "\\udc00\\ud800"}',
    "NUL": b'{"a": "x\\u0000y"}',
    "NUL in a key": b'{"x\\u0000": 1}',
    "raw NUL": b'{"a": "\0"}',
    "raw control character": b'{"a": "\n"}',
    "over int64": b'{"a": 9223372036854775808}',
    "under int64": b'{"a": -9223372036854775809}',
    "5,000 digits": b'{"a": ' + b"9" * 5_000 + b"}",
    "Latin-1": '{"a": "é"}'.encode("latin-1"),
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "byte order mark": b'\xef\xbb\xbf{"a": 1}',
    "deep list": b'{"a": ' + b"[" * 32 + b"]" * 32 + b"}",
    "very deep list": b"[" * 200_000,
    "very deep objects": b'{"a":' * 100_000,
    "wide list": b'{"a": [' + b"1," * 10_000 + b"1]}",
    "many empty lists": b'{"a": [' + b"[]," * 10_000 + b"1]}",
    "many strings": b'{"a": [' + b'"",' * 30_000 + b'""]}',
    "long string": b'{"a": "' + b"x" * 100_001 + b'"}',
    "long key": b'{"' + b"x" * 100_001 + b'": 1}',
    "unended string": b'{"a": "' + b"x" * 1_000_000,
}


@pytest.mark.parametrize("raw", REFUSED.values(), ids=REFUSED.keys())
def test_what_others_would_trip_over_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidRequest):
        strict_json.decode(raw)


ACCEPTED = {
    "nothing in it": {},
    "every type": {"a": [1, -1, 1.5, True, None, "x", {"b": []}]},
    "int64": {"a": [2**63 - 1, -(2**63)]},
    "emoji": {"a": "🎬"},
    "brackets in a string": {"a": "[{,}]" * 5_000},
    "escaped quotes": {"a": '"' * 10_000 + "\\"},
    "backslash before u0000": {"a": "\\u0000"},
    "31 deep": {"a": json.loads("[" * 31 + "]" * 31)},
    "9,000 values": {"a": list(range(9_000))},
    "a picture": {"a": "data:image/png;base64," + "A" * 200_000},
    "100,000 characters": {"a": "x" * 100_000},
}


@pytest.mark.parametrize("value", ACCEPTED.values(), ids=ACCEPTED.keys())
@pytest.mark.parametrize("ascii_only", [True, False])
def test_what_json_says_is_what_is_read(value: object, *, ascii_only: bool) -> None:
    assert strict_json.decode(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


BOMBS = {
    "brackets": b"[" * 8_000_000,
    "quotes": b'{"a":' + b'"' * 8_000_000,
    "escapes": b'{"a": "' + b'\\"' * 4_000_000,
    "spaces": b" " * 8_000_000,
    "digits": b'{"a": ' + b"1" * 8_000_000,
    "commas": b"," * 8_000_000,
}


@pytest.mark.parametrize("raw", BOMBS.values(), ids=BOMBS.keys())
def test_a_bomb_costs_no_more_than_reading_it(raw: bytes) -> None:
    begun = time.process_time()

    with pytest.raises(InvalidRequest):
        strict_json.decode(raw)

    assert time.process_time() - begun < 1


def test_an_error_says_where() -> None:
    with pytest.raises(InvalidRequest, match=r"^a\.b\[1\]: contains a NUL") as refusal:
        strict_json.decode(b'{"a": {"b": ["x", "\\u0000"]}}')

    assert refusal.value.param == "a.b[1]"
