"""The Range header."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filmgate.api.ranges import Unsatisfiable, parse_range


@pytest.mark.parametrize(
    ("header", "part"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=0-", (0, 100)),
        ("bytes=10-19", (10, 20)),
        ("bytes=90-1000", (90, 100)),
        ("bytes=-10", (90, 100)),
        ("bytes=-1000", (0, 100)),
        ("Bytes= 5-6 ", (5, 7)),
        ("bytes=0-99999999999999999", (0, 100)),
        # None of ours to read: the whole file is always a right answer.
        ("bytes=", None),
        ("bytes=-", None),
        ("bytes=5-4", None),
        ("bytes=0-1,5-6", None),
        ("lines=0-1", None),
        ("bytes=a-b", None),
        ("bytes=1 - 2", None),
        ("bytes=+1-2", None),
        ("bytes=\u0661-\u0662", None),
        ("", None),
    ],
)
def test_a_range_is_read(header: str, part: tuple[int, int] | None) -> None:
    assert parse_range(header, 100) == part


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=100-200", "bytes=-0"])
def test_a_range_past_the_end_is_unsatisfiable(header: str) -> None:
    with pytest.raises(Unsatisfiable):
        parse_range(header, 100)


@pytest.mark.parametrize("header", ["bytes=0-", "bytes=-1"])
def test_nothing_of_an_empty_file_can_be_had(header: str) -> None:
    with pytest.raises(Unsatisfiable):
        parse_range(header, 0)


@given(st.text(alphabet="bytes=0123456789-, ", max_size=30), st.integers(0, 1_000))
def test_whatever_is_asked_the_part_lies_in_the_file(header: str, size: int) -> None:
    try:
        part = parse_range(header, size)
    except Unsatisfiable:
        return

    assert part is None or 0 <= part[0] < part[1] <= size
