"""Signed links: good as they are until their time is over, and not otherwise."""

from dataclasses import replace
from datetime import timedelta
from urllib.parse import parse_qs

import pytest

from filmgate.core.presign import Link, is_good, query
from tests.fakes import NOON

KEY = b"k" * 32
EXPIRES = int(NOON.timestamp()) + 3600
PATH = "/files/task_01/video.mp4"


def a_link(filename: str = "film.mp4") -> Link:
    said = parse_qs(query(PATH, expires=EXPIRES, filename=filename, key=KEY))
    return Link(
        path=PATH,
        expires=said["exp"][0],
        kid=said["kid"][0],
        signature=said["sig"][0],
        filename=said.get("name", [""])[0],
    )


@pytest.mark.parametrize("filename", ["", "film.mp4"])
def test_a_link_is_good_until_its_time_is_over(filename: str) -> None:
    link = a_link(filename)
    last_moment = NOON + timedelta(seconds=3599.999)

    assert is_good(link, key=KEY, now=NOON)
    assert is_good(link, key=KEY, now=last_moment)
    assert not is_good(link, key=KEY, now=NOON + timedelta(seconds=3600))


@pytest.mark.parametrize("field", ["path", "expires", "kid", "signature", "filename"])
def test_a_link_with_one_other_character_is_bad(field: str) -> None:
    link = a_link()
    text: str = getattr(link, field)

    changed = [
        text[:at] + other + text[at + 1 :]
        for at in range(len(text))
        for other in "0123456789abcdefABCDEF/.\n é"
        if text[at] != other
    ]
    changed += [text + "0", text[:-1], "", "0" + text]

    good = [one for one in changed if is_good(replace(link, **{field: one}), key=KEY, now=NOON)]
    assert not [one for one in good if not (field == "expires" and int(one) == EXPIRES)]


@pytest.mark.parametrize("expires", ["", "-1", "1e9", "99999999999999", " 1", "٣", "0x10", "1_000"])
def test_a_time_that_is_no_number_is_bad(expires: str) -> None:
    assert not is_good(replace(a_link(), expires=expires), key=KEY, now=NOON)


def test_another_key_does_not_open_it() -> None:
    assert not is_good(a_link(), key=b"x" * 32, now=NOON)
