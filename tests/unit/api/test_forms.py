"""Forms as the values that JSON would have given."""

from typing import Any

import pytest

from filmgate.api.forms import Multipart, decode_urlencoded, nested
from filmgate.core.errors import FilmgateError, InvalidRequest
from tests.calls import BOUNDARY, multipart

NESTED: dict[str, tuple[list[tuple[str, str]], Any]] = {
    "flat": ([("a", "1"), ("b", "")], {"a": "1", "b": ""}),
    "repeated": ([("a", "1"), ("a", "2"), ("a", "3")], {"a": ["1", "2", "3"]}),
    "object": ([("a[b]", "1"), ("a[c]", "2")], {"a": {"b": "1", "c": "2"}}),
    "deep": ([("a[b][c]", "1")], {"a": {"b": {"c": "1"}}}),
    "list": ([("a[]", "1"), ("a[]", "2")], {"a": ["1", "2"]}),
    "list inside": ([("a[b][]", "1"), ("a[b][]", "2")], {"a": {"b": ["1", "2"]}}),
    "list of one": ([("a[]", "1")], {"a": ["1"]}),
    "numbered": ([("a[0]", "x"), ("a[1]", "y")], {"a": ["x", "y"]}),
    "numbered objects": ([("a[0][b]", "x"), ("a[1][b]", "y")], {"a": [{"b": "x"}, {"b": "y"}]}),
    "not quite numbered": ([("a[1]", "x")], {"a": {"1": "x"}}),
    "objects in a list": (
        [("f[][t]", "first"), ("f[][u][url]", "1"), ("f[][t]", "last"), ("f[][u][url]", "2")],
        {"f": [{"t": "first", "u": {"url": "1"}}, {"t": "last", "u": {"url": "2"}}]},
    ),
    "objects in a list, some without a field": (
        [("f[][t]", "1"), ("f[][t]", "2"), ("f[][u]", "3")],
        {"f": [{"t": "1"}, {"t": "2", "u": "3"}]},
    ),
}


@pytest.mark.parametrize(("pairs", "value"), NESTED.values(), ids=NESTED.keys())
def test_brackets_are_nesting(pairs: list[tuple[str, str]], value: object) -> None:
    assert nested(pairs) == value


@pytest.mark.parametrize(
    "pairs",
    [
        [("a", "1"), ("a[b]", "2")],
        [("a[b]", "1"), ("a", "2")],
        [("a[b]", "1"), ("a[]", "2")],
        [("a[]", "1"), ("a[b]", "2")],
        [("a[", "1")],
        [("a]", "1")],
        [("[]", "1")],
        [("", "1")],
        [("a[b]c", "1")],
        [("a" + "[b]" * 40, "1")],
        [("a" * 501, "1")],
        [("a", "\0")],
        [("a\0", "1")],
        [("a", "x" * 100_001)],
    ],
)
def test_a_form_that_cannot_be_meant_is_refused(pairs: list[tuple[str, str]]) -> None:
    with pytest.raises(InvalidRequest):
        nested(pairs)


def test_urlencoded_text_is_utf8() -> None:
    assert decode_urlencoded(b"prompt=a+caf%C3%A9&seed=7&x=") == {"prompt": "a café", "seed": "7", "x": ""}


@pytest.mark.parametrize("raw", [b"a=%ff", b"\xff=1", b"&".join([b"a=1"] * 1_001)])
def test_urlencoded_bytes_that_are_no_text_are_refused(raw: bytes) -> None:
    with pytest.raises(InvalidRequest):
        decode_urlencoded(raw)


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_multipart_reads_the_same_in_whatever_pieces_it_comes(size: int) -> None:
    parts = [("prompt", "a café\r\nat night"), ("urls", "1"), ("urls", "2"), ("a[b]", ""), ("file@", "PNG")]
    body = multipart(parts)
    form = Multipart(BOUNDARY.encode())

    for start in range(0, len(body), size):
        form.feed(body[start : start + size])

    assert form.fields() == {"prompt": "a café\r\nat night", "urls": ["1", "2"], "a": {"b": ""}}
    assert form.files == ["file"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        multipart([("a", "1")])[:-8],
        multipart([("a", "1")]).replace(b"name=", b"game="),
        multipart([("a", "1")]).replace(b'"a"', b'"\xff"'),
        multipart([("a", "1")]).replace(b"\r\n1", b"\r\n\xff"),
        multipart([("a", "1")] * 1_001),
        multipart([("a", "x" * 400_001)]),
        multipart([("a", "1")]).replace(b"\r\n\r\n", b"\r\n" + b"x-y: z\r\n" * 1_000 + b"\r\n"),
    ],
)
def test_broken_multipart_is_refused(body: bytes) -> None:
    with pytest.raises(FilmgateError):
        fields_of(body)


def fields_of(body: bytes) -> object:
    form = Multipart(BOUNDARY.encode())
    form.feed(body)
    return form.fields()
