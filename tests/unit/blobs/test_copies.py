"""Local copies of blobs: whole, few, and there for whoever was told of them."""

import errno
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from time import time

import pytest

from filmgate.blobs.copies import IN_USE_S, Copies
from filmgate.core.errors import StoreUnavailable

FILM = b"0123456789"


def a_copy(copies: Copies, content: bytes, *, unused_s: float = 0) -> Path:
    """Return a copy that was last asked for so long ago."""
    path = copies.add(hashlib.sha256(content).hexdigest(), [content])
    os.utime(path, (time() - unused_s, time() - unused_s))
    return path


def test_what_is_copied_is_found_again_and_is_its_owners_alone(tmp_path: Path) -> None:
    copies = Copies(tmp_path / "copies", most_bytes=100)
    path = a_copy(copies, FILM)

    assert copies.find(path.name, len(FILM)) == path
    assert path.read_bytes() == FILM
    assert path.stat().st_mode & 0o077 == 0
    assert copies.find("0" * 64, len(FILM)) is None


def test_a_copy_that_was_cut_short_is_none(tmp_path: Path) -> None:
    copies = Copies(tmp_path / "copies", most_bytes=100)
    path = a_copy(copies, FILM)
    path.write_bytes(FILM[:5])

    assert copies.find(path.name, len(FILM)) is None


def test_what_is_not_that_blob_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    copies = Copies(tmp_path / "copies", most_bytes=100)

    with pytest.raises(StoreUnavailable, match="damaged"):
        copies.add("0" * 64, [FILM])

    assert list((tmp_path / "copies").iterdir()) == []


def test_what_was_not_asked_for_the_longest_goes_first(tmp_path: Path) -> None:
    copies = Copies(tmp_path / "copies", most_bytes=30)
    oldest = a_copy(copies, b"a" * 10, unused_s=3 * IN_USE_S)
    again = a_copy(copies, b"b" * 10, unused_s=3 * IN_USE_S)
    older = a_copy(copies, b"c" * 10, unused_s=2 * IN_USE_S)
    reading = oldest.open("rb")
    assert copies.find(again.name, 10) == again

    newest = a_copy(copies, b"d" * 10)

    assert [path.exists() for path in (oldest, again, older, newest)] == [False, True, True, True]
    assert reading.read() == b"a" * 10, "who reads it can read it to its end"
    reading.close()


def test_a_copy_that_somebody_was_just_told_of_stays_even_if_it_is_too_much(tmp_path: Path) -> None:
    copies = Copies(tmp_path / "copies", most_bytes=10)

    paths = [a_copy(copies, content, unused_s=IN_USE_S / 2) for content in (b"a" * 10, b"b" * 10)]

    assert all(path.exists() for path in paths)


def test_what_a_dead_process_left_half_made_goes(tmp_path: Path) -> None:
    copies = Copies(tmp_path / "copies", most_bytes=1_000)
    half = tmp_path / "copies" / "partial-x"
    half.write_bytes(b"half a fi")
    os.utime(half, (0, 0))

    a_copy(copies, FILM)

    assert not half.exists()


@pytest.mark.parametrize("trouble", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_fails_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: int
) -> None:
    def full(_: int) -> None:
        raise OSError(trouble, os.strerror(trouble))

    copies = Copies(tmp_path / "copies", most_bytes=100)
    monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(StoreUnavailable if trouble == errno.ENOSPC else OSError):
        a_copy(copies, FILM)

    assert list((tmp_path / "copies").iterdir()) == []


def test_what_does_not_come_to_its_end_leaves_nothing(tmp_path: Path) -> None:
    def breaking() -> Iterator[bytes]:
        yield FILM
        raise StoreUnavailable("no more")

    copies = Copies(tmp_path / "copies", most_bytes=100)

    with pytest.raises(StoreUnavailable, match="no more"):
        copies.add(hashlib.sha256(FILM).hexdigest(), breaking())

    assert list((tmp_path / "copies").iterdir()) == []
