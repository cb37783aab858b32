"""Blobs on an object store: how they lie there, how they are read, and what is said when it fails."""

import asyncio
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from obstore.store import MemoryStore
from structlog.testing import capture_logs

from filmgate.blobs.bucket import Bucket, bucket_at
from filmgate.blobs.copies import Copies
from filmgate.blobs.objects import ObjectBlobs, ObjectReader, blobs_at
from filmgate.core.errors import InvalidSettings, StoreUnavailable
from tests.blob_servers import SECRET, TimedBucket, environment, refusing
from tests.fakes import ManualClock

FILM = bytes(range(256)) * 8_000


class House:
    """Blobs in memory, on a clock of their own."""

    def __init__(self, directory: Path) -> None:
        self.clock = ManualClock()
        self.bucket = TimedBucket(Bucket(MemoryStore(), "films"), self.clock.now)
        self.copies = directory / "copies"
        self.blobs = ObjectBlobs(self.bucket, Copies(self.copies, most_bytes=1 << 30), now=self.clock.now)
        self.source = directory / "source"
        self.source.write_bytes(FILM)

    @property
    def names(self) -> list[str]:
        return [one.name for one in self.bucket.list()]


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


# --- how they lie there ---------------------------------------------------------------------------


async def test_a_blob_lies_below_the_prefix_under_its_hash(house: House) -> None:
    blob = await house.blobs.keep(house.source)

    (name,) = house.names
    assert name.startswith(f"{blob.id}/")
    assert Bucket(house.bucket._store).look(f"films/{name}") is not None


async def test_what_was_kept_a_moment_ago_is_not_stored_again(house: House) -> None:
    await house.blobs.keep(house.source)
    house.clock.advance(60)
    await house.blobs.keep(house.source)

    assert len(house.names) == 1


@pytest.mark.parametrize("late_s", [0, 0.9])
async def test_what_is_kept_again_without_being_stored_again_counts_as_kept_then(
    house: House, late_s: float
) -> None:
    house.clock.advance(late_s)
    blob = await house.blobs.keep(house.source)
    house.clock.advance(60 - late_s)
    assert await house.blobs.renew(blob.id)

    assert len(house.names) == 1
    assert await house.blobs.kept_before(house.clock.now()) == []
    assert not await house.blobs.delete(blob.id, kept_before=house.clock.now())


@pytest.mark.parametrize("ahead_s", [61, -61])
async def test_what_was_kept_before_or_by_a_clock_far_from_ours_is_copied(house: House, ahead_s: int) -> None:
    blob = await house.blobs.keep(house.source)
    house.clock.advance(ahead_s)

    assert await house.blobs.renew(blob.id)

    assert len(house.names) == 2


async def test_a_copy_that_the_store_did_not_make_whole_is_not_believed(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    blob = await house.blobs.keep(house.source)
    house.clock.advance(1_000)

    def half(_: str, name: str) -> bool:
        house.bucket.put(name, FILM[:-1])
        return True

    monkeypatch.setattr(house.bucket, "copy", half)

    with pytest.raises(StoreUnavailable, match="copy"):
        await house.blobs.renew(blob.id)

    assert len(house.names) == 1


async def test_objects_with_a_successor_of_an_hour_go_and_no_others(house: House) -> None:
    blob = await house.blobs.keep(house.source)
    for _ in range(5):
        house.clock.advance(1_000)
        await house.blobs.renew(blob.id)

    ages_s = [(house.clock.now() - one.at).total_seconds() for one in house.bucket.list()]
    assert sorted(ages_s) == [0, 1_000, 2_000, 3_000, 4_000]
    assert await house.blobs.delete(blob.id)
    assert house.names == []


async def test_what_others_keep_in_the_bucket_is_none_of_ours(house: House) -> None:
    blob = await house.blobs.keep(house.source)
    theirs = [f"{blob.id}/notes.txt", f"{blob.id}x/{'0' * 32}", "index.html", "0" * 64]
    for name in theirs:
        house.bucket.put(name, b"theirs")
    house.clock.advance(10_000)

    assert await house.blobs.kept_before(house.clock.now()) == [blob.id]
    assert await house.blobs.delete(blob.id, kept_before=house.clock.now())
    assert await house.blobs.open("0" * 64) is None
    assert sorted(house.names) == sorted(theirs)


async def test_a_file_that_changes_while_it_is_stored_is_not_stored(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.source.write_bytes(bytes(6 << 20))
    renew = house.blobs._renew

    def meanwhile(blob: str) -> bool:
        with house.source.open("r+b") as file:
            file.write(b"another")
        return renew(blob)

    monkeypatch.setattr(house.blobs, "_renew", meanwhile)

    with pytest.raises(OSError, match="changed"):
        await house.blobs.keep(house.source)

    assert house.names == []


# --- how they are read ----------------------------------------------------------------------------


async def test_a_local_copy_is_made_once_and_goes_with_its_blob(house: House) -> None:
    blob = await house.blobs.keep(house.source)

    path = await house.blobs.path(blob.id)
    assert path is not None
    made = path.stat().st_ino
    assert await house.blobs.path(blob.id) == path
    assert path.stat().st_ino == made

    assert await house.blobs.delete(blob.id)
    assert not path.exists()


async def test_a_copy_that_outlived_its_blob_is_not_handed_out(house: House) -> None:
    blob = await house.blobs.keep(house.source)
    path = await house.blobs.path(blob.id)
    house.bucket.delete(house.names)

    assert await house.blobs.path(blob.id) is None
    assert path is not None
    assert not path.exists()


async def test_an_object_that_was_damaged_is_not_handed_out(house: House) -> None:
    blob = await house.blobs.keep(house.source)
    house.bucket.put(house.names[0], FILM[:-1] + b"x")

    with pytest.raises(StoreUnavailable, match="damaged"):
        await house.blobs.path(blob.id)


def test_a_get_that_breaks_off_is_begun_again_where_it_was() -> None:
    offsets = []

    def stream(offset: int) -> Iterator[bytes]:
        offsets.append(offset)
        yield FILM[offset : offset + 700_000]
        raise StoreUnavailable("the connection broke")

    reader = ObjectReader(stream, len(FILM))
    pieces = [reader.read(offset, 100_000) for offset in range(0, len(FILM), 100_000)]

    assert b"".join(pieces) == FILM
    assert offsets == [0, 700_000, 1_400_000]


@pytest.mark.parametrize("pieces", [[], [b"012"]], ids=["nothing", "too little"])
def test_a_get_that_brings_nothing_more_is_an_error(pieces: list[bytes]) -> None:
    streams = iter([iter(pieces)])
    reader = ObjectReader(lambda _: next(streams, iter([])), 10)

    with pytest.raises(StoreUnavailable, match="shorter"):
        reader.read(0, 10)


async def test_a_reader_goes_on_with_another_object_of_the_same_blob(house: House) -> None:
    blob = await house.blobs.keep(house.source)
    (first,) = house.names
    reader = await house.blobs.open(blob.id)
    assert reader is not None
    house.clock.advance(1_000)
    await house.blobs.renew(blob.id)
    house.bucket.delete([first])

    assert reader.read(0, len(FILM)) == FILM
    await house.blobs.delete(blob.id)
    with pytest.raises(StoreUnavailable, match="went away"):
        reader.read(5, 5)


def test_closing_does_not_wait_for_a_read() -> None:
    reading, go_on = threading.Event(), threading.Event()

    def stream(_: int) -> Iterator[bytes]:
        reading.set()
        assert go_on.wait(10)
        yield b"0123456789"

    reader = ObjectReader(stream, 10)
    thread = threading.Thread(target=reader.read, args=(0, 5))
    thread.start()
    assert reading.wait(10)

    reader.close()
    go_on.set()
    thread.join()

    assert reader._coming is None
    with pytest.raises(ValueError, match="closed"):
        reader.read(0, 1)


# --- what is said when it fails -------------------------------------------------------------------


def blobs_behind(
    endpoint: str, directory: Path, monkeypatch: pytest.MonkeyPatch, *, patience_s: float = 1
) -> ObjectBlobs:
    """Return blobs on a server that does not do its part."""
    for name, value in environment(endpoint).items():
        monkeypatch.setenv(name, value)
    copies = Copies(directory / "copies", most_bytes=1)
    return blobs_at(
        "s3://films", copies=copies, redirect=False, environment=os.environ, patience_s=patience_s
    )


async def refusals(blobs: ObjectBlobs, source: Path) -> Sequence[object]:
    """Return what becomes of each call, all at once."""
    some = "0" * 64
    calls = (
        blobs.keep(source),
        blobs.renew(some),
        blobs.open(some),
        blobs.path(some),
        blobs.delete(some),
        blobs.kept_before(ManualClock().now()),
    )
    return await asyncio.gather(*calls, return_exceptions=True)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (404, "NoSuchBucket"),
        (403, "InvalidAccessKeyId"),
        (401, "Unauthorized"),
        (503, "SlowDown"),
        (500, "InternalError"),
    ],
)
async def test_a_server_that_refuses_is_one_error_and_the_log_says_why(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, code: str
) -> None:
    with refusing(status, code) as endpoint, capture_logs() as logs:
        said = await refusals(blobs_behind(endpoint, tmp_path, monkeypatch), house.source)

    assert [type(error) for error in said] == [StoreUnavailable] * 6
    assert all("films" not in str(error) and code not in str(error) for error in said)
    assert {entry["event"] for entry in logs} == {"object_store_failed"}
    assert all(code in entry["reason"] for entry in logs)
    assert not any(SECRET in str(entry) or "list-type" in str(entry) for entry in logs)


async def test_nobody_at_the_address_is_the_same_error(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}"

    said = await refusals(blobs_behind(nobody, tmp_path, monkeypatch), house.source)

    assert [type(error) for error in said] == [StoreUnavailable] * 6


async def test_a_server_that_does_not_answer_is_given_up_in_time(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        said = await refusals(blobs_behind(endpoint, tmp_path, monkeypatch), house.source)

    assert [type(error) for error in said] == [StoreUnavailable] * 6
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    "url",
    [
        "",
        "s3://",
        "s3:///prefix",
        "s3://films/../other",
        "s3://films/a//b",
        "s3://films?x=y",
        "s3://user:secret@films",
        "S3://films",
        "s3://FILMS",
        "https://films.example",
        "file:///tmp",
        "s3://films/a\n",
    ],
)
def test_an_address_that_is_not_understood_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(InvalidSettings, match="must be s3://") as refused:
        bucket_at(url, {})

    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("url", ["s3://films", "s3://films/a/b/", "gs://films.example.com/a"])
def test_an_address_is_a_bucket_and_a_prefix(url: str) -> None:
    assert bucket_at(url, {})._prefix == url.partition("//")[2].partition("/")[2].rstrip("/") + (
        "/" if "/a" in url else ""
    )


def test_azure_needs_to_know_the_account() -> None:
    assert bucket_at("az://films/a", {"AZURE_STORAGE_ACCOUNT_NAME": "acct"})._prefix == "a/"
    with pytest.raises(InvalidSettings, match="AZURE_STORAGE_ACCOUNT_NAME"):
        bucket_at("az://films", {})


@pytest.mark.parametrize(
    ("url", "environment"),
    [
        ("s3://films", {}),
        ("s3://films", {"AWS_ACCESS_KEY_ID": "a"}),
        ("gs://films", {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}),
    ],
)
def test_links_need_a_key_that_we_know(tmp_path: Path, url: str, environment: dict[str, str]) -> None:
    copies = Copies(tmp_path / "copies", most_bytes=1)

    with pytest.raises(InvalidSettings, match="redirect needs s3://"):
        blobs_at(url, copies=copies, redirect=True, environment=environment)


def test_without_obstore_it_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "filmgate.blobs.bucket")
    monkeypatch.setitem(sys.modules, "obstore", None)
    copies = Copies(tmp_path / "copies", most_bytes=1)

    with pytest.raises(InvalidSettings, match=r"filmgate\[objects\]"):
        blobs_at("s3://films", copies=copies, redirect=False, environment={})
