"""Forms as the values that JSON would have given."""

from contextlib import closing
from pathlib import Path
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
        {"f": [{"t": "1", "u": "3"}, {"t": "2"}]},
    ),
    "objects in a list, name by name as the newest OpenAI client sends them": (
        [("f[][t]", "1"), ("f[][t]", "2"), ("f[][u][url]", "3"), ("f[][u][url]", "4")],
        {"f": [{"t": "1", "u": {"url": "3"}}, {"t": "2", "u": {"url": "4"}}]},
    ),
    "lists in objects in a list": (
        [("f[][t]", "1"), ("f[][u][]", "a"), ("f[][u][]", "b"), ("f[][t]", "2"), ("f[][u][]", "c")],
        {"f": [{"t": "1", "u": ["a", "b"]}, {"t": "2", "u": ["c"]}]},
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
def test_multipart_reads_the_same_in_whatever_pieces_it_comes(size: int, tmp_path: Path) -> None:
    parts = [
        ("prompt", "a café\r\nat night"),
        ("urls", "1"),
        ("urls", "2"),
        ("a[b]", ""),
        ("file@", "PNG\r\n"),
    ]
    body = multipart(parts)
    form = Multipart(BOUNDARY.encode(), tmp_path, text_bytes=1_000)

    for start in range(0, len(body), size):
        form.feed(body[start : start + size])

    assert form.fields() == {
        "prompt": "a café\r\nat night",
        "urls": ["1", "2"],
        "a": {"b": ""},
        "file": "upload:0/image/png",
    }
    assert [(upload.name, upload.mime, upload.path.read_bytes()) for upload in form.uploads] == [
        ("file", "image/png", b"PNG\r\n")
    ]


@pytest.mark.parametrize(
    ("head", "mime"),
    [
        ('filename="a.png"', "image/png"),
        ('filename="clip.mp4"\r\ncontent-type: application/octet-stream', "video/mp4"),
        ('filename="a.png"\r\ncontent-type: Image/WebP; q=1', "image/webp"),
        ('filename="a"', "application/octet-stream"),
        ('filename="../../etc/passwd"\r\ncontent-type: no/such/thing', "application/octet-stream"),
        ('filename=""', "application/octet-stream"),
    ],
)
def test_a_file_is_of_the_type_that_it_or_its_name_says(head: str, mime: str, tmp_path: Path) -> None:
    body = multipart([("f", "x")]).replace(b'"f"', b'"f"; ' + head.encode())

    form = form_of(body, tmp_path)

    assert form.fields() == {"f": f"upload:0/{mime}"}
    assert [path.name for path in tmp_path.iterdir()] == ["0"], "no name of a client's is a path here"


def test_files_of_one_name_are_a_list(tmp_path: Path) -> None:
    body = multipart([("images[]@", "1"), ("images[]@", "2"), ("images[]", "https://a.example/3.png")])

    assert form_of(body, tmp_path).fields() == {
        "images": ["upload:0/image/png", "upload:1/image/png", "https://a.example/3.png"]
    }


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
        multipart([("a@", "1")] * 33),
        multipart([("a", "x" * 300_000)] * 4),
        multipart([("a", "x" * 400_001)]),
        multipart([("a", "1")]).replace(b"\r\n\r\n", b"\r\n" + b"x-y: z\r\n" * 1_000 + b"\r\n"),
    ],
)
def test_broken_multipart_is_refused(body: bytes, tmp_path: Path) -> None:
    with pytest.raises(FilmgateError):
        form_of(body, tmp_path).fields()


def form_of(body: bytes, directory: Path) -> Multipart:
    form = Multipart(BOUNDARY.encode(), directory, text_bytes=1_000_000)
    with closing(form):
        form.feed(body)
    return form
