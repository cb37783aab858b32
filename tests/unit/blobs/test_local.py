"""How the local directory holds its blobs: whole, private and tidy."""

import asyncio
import errno
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from filmgate.blobs.local import LocalBlobs
from filmgate.core.errors import StoreUnavailable
from tests.fakes import ManualClock


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(b"a film")
    return path


def files_in(directory: Path) -> list[str]:
    """Return every file below a directory."""
    return sorted(path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file())


async def test_a_blob_lies_under_its_hash_and_only_its_owner_may_read_it(
    tmp_path: Path, source: Path
) -> None:
    blob = await LocalBlobs(tmp_path / "blobs").keep(source)

    place = tmp_path / "blobs" / blob.id[:2] / blob.id
    assert files_in(tmp_path / "blobs") == [f"{blob.id[:2]}/{blob.id}"]
    assert place.stat().st_mode & 0o077 == 0
    assert place.parent.stat().st_mode & 0o077 == 0


async def test_existing_content_is_not_written_again_but_counts_as_kept_now(
    tmp_path: Path, source: Path
) -> None:
    clock = ManualClock()
    blobs = LocalBlobs(tmp_path / "blobs", now=clock.now)
    blob = await blobs.keep(source)
    before = (tmp_path / "blobs" / blob.id[:2] / blob.id).stat()
    clock.advance(60)

    await blobs.keep(source)

    after = (tmp_path / "blobs" / blob.id[:2] / blob.id).stat()
    assert after.st_ino == before.st_ino
    assert after.st_mtime_ns - before.st_mtime_ns == 60_000_000_000


async def test_what_another_process_deleted_is_written_again(tmp_path: Path, source: Path) -> None:
    blobs, elsewhere = LocalBlobs(tmp_path / "blobs"), LocalBlobs(tmp_path / "blobs")
    blob = await blobs.keep(source)
    assert await elsewhere.delete(blob.id)

    assert await blobs.keep(source) == blob

    assert await elsewhere.path(blob.id) is not None


async def test_nobody_deletes_between_the_look_at_a_time_and_its_renewal(
    tmp_path: Path, source: Path
) -> None:
    clock = ManualClock()
    blobs = LocalBlobs(tmp_path / "blobs", now=clock.now)
    blob = await blobs.keep(source)
    clock.advance(60)
    cutoff = clock.now()

    with blobs._alone():
        deleted = asyncio.ensure_future(blobs.delete(blob.id, kept_before=cutoff))
        done, _ = await asyncio.wait({deleted}, timeout=0.05)
        assert not done, "it waits for whoever is at the directory"
        blobs._touch(blobs._place_of(blob.id))

    assert not await deleted
    assert await blobs.renew(blob.id)


async def test_files_that_are_no_blobs_are_none_of_ours(tmp_path: Path, source: Path) -> None:
    blobs = LocalBlobs(tmp_path / "blobs")
    blob = await blobs.keep(source)
    (tmp_path / "blobs" / blob.id[:2] / "notes.txt").write_text("mine")
    (tmp_path / "blobs" / "partial" / ("0" * 64)).write_text("half")

    found = await blobs.kept_before(datetime.now(UTC) + timedelta(days=1))

    assert found == [blob.id]


@pytest.mark.parametrize("trouble", [errno.ENOSPC, errno.EIO])
async def test_a_copy_that_fails_leaves_nothing(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch, trouble: int
) -> None:
    def full(_: int) -> None:
        raise OSError(trouble, os.strerror(trouble))

    blobs = LocalBlobs(tmp_path / "blobs")
    monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(StoreUnavailable if trouble == errno.ENOSPC else OSError):
        await blobs.keep(source)

    assert files_in(tmp_path / "blobs") == []


async def test_what_a_dead_process_left_half_made_is_swept_and_blobs_stay(
    tmp_path: Path, source: Path
) -> None:
    blobs = LocalBlobs(tmp_path / "blobs")
    blob = await blobs.keep(source)
    half, other = (tmp_path / "blobs" / "partial" / name for name in ("tmp123", "tmp456"))
    half.write_bytes(b"half a fi")
    other.write_bytes(b"somebody is")
    an_hour_ago = other.stat().st_mtime_ns - 3_601 * 10**9
    os.utime(half, ns=(an_hour_ago, an_hour_ago))

    LocalBlobs(tmp_path / "blobs").sweep(untouched_for=timedelta(hours=1))

    assert files_in(tmp_path / "blobs") == [f"{blob.id[:2]}/{blob.id}", "partial/tmp456"]

    LocalBlobs(tmp_path / "blobs").sweep(untouched_for=timedelta())

    assert files_in(tmp_path / "blobs") == [f"{blob.id[:2]}/{blob.id}"]


async def test_a_link_planted_in_a_blobs_place_is_not_followed(tmp_path: Path) -> None:
    blobs, planted = LocalBlobs(tmp_path / "blobs"), "ab" * 32
    (tmp_path / "secret").write_text("not yours")
    (tmp_path / "blobs" / "ab").mkdir()
    (tmp_path / "blobs" / "ab" / planted).symlink_to(tmp_path / "secret")

    with pytest.raises(OSError, match="symbolic"):
        await blobs.open(planted)
