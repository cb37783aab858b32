"""What every place for blobs promises."""

import asyncio
import hashlib
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import obstore
import pytest
from obstore.store import MemoryStore

from filmgate.blobs.bucket import Bucket, bucket_at
from filmgate.blobs.copies import Copies
from filmgate.blobs.local import LocalBlobs
from filmgate.blobs.objects import ObjectBlobs, blobs_at
from filmgate.core.errors import StoreUnavailable
from filmgate.ports.blobs import Blobs
from tests.blob_servers import BUCKET, Severed, TimedBucket, environment, s3_server
from tests.fakes import NOON, ManualClock, MemoryBlobs

MIB = 1 << 20
LATER_S = 120  # by when every place has seen that nobody needs a blob


@pytest.fixture
def clock() -> ManualClock:
    """Return the time that blobs are kept by."""
    return ManualClock()


@pytest.fixture(name="s3", scope="module")
def _s3() -> Iterator[str]:
    """Return the address of a real S3 server."""
    with s3_server() as endpoint:
        yield endpoint


@pytest.fixture(params=["local", "fake", "memory", "s3"])
def blobs(
    request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> Blobs:
    """Return one implementation after the other, empty."""
    match request.param:
        case "local":
            return LocalBlobs(tmp_path / "blobs", now=clock.now)
        case "fake":
            return MemoryBlobs(now=clock.now)
        case "memory":
            return objects_in(Bucket(MemoryStore(), "films"), tmp_path, clock)
        case _:
            return objects_in(a_bucket(request.getfixturevalue("s3"), monkeypatch), tmp_path, clock)


def a_bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch, *, patience_s: float = 10) -> Bucket:
    """Return an empty place on an S3 server, which this process now has in its environment."""
    for name, value in environment(endpoint).items():
        monkeypatch.setenv(name, value)
    return bucket_at(f"s3://{BUCKET}/test/{uuid4().hex}", os.environ, patience_s=patience_s)


def objects_in(bucket: Bucket, directory: Path, clock: ManualClock) -> ObjectBlobs:
    """Return the blobs in a bucket, on a test's clock."""
    copies = Copies(directory / "copies", most_bytes=1 << 30)
    return ObjectBlobs(TimedBucket(bucket, clock.now), copies, now=clock.now)


@pytest.fixture
def file(tmp_path: Path) -> Callable[[bytes], Path]:
    """Return what writes bytes into a file and says where."""

    def write(content: bytes) -> Path:
        path = tmp_path / "source"
        path.write_bytes(content)
        return path

    return write


async def content_of(blobs: Blobs, blob: str) -> bytes:
    """Return a whole stored blob."""
    reader = await blobs.open(blob)
    assert reader is not None
    try:
        return reader.read(0, reader.size_bytes)
    finally:
        reader.close()


@pytest.mark.parametrize(
    "content",
    [b"", b"a film", bytes(5 * MIB), bytes(5 * MIB + 1), bytes(range(256)) * 4_096 * 60],
    ids=["empty", "short", "a part", "more than a part", "60 MiB"],
)
async def test_what_is_kept_comes_back_under_the_hash_of_its_content(
    blobs: Blobs, file: Callable[[bytes], Path], content: bytes
) -> None:
    blob = await blobs.keep(file(content))

    assert (blob.id, blob.size_bytes) == (hashlib.sha256(content).hexdigest(), len(content))
    assert await content_of(blobs, blob.id) == content


async def test_the_source_stays_as_it_is_and_may_go(blobs: Blobs, file: Callable[[bytes], Path]) -> None:
    source = file(b"a film")
    blob = await blobs.keep(source)

    source.write_bytes(b"another")
    assert await content_of(blobs, blob.id) == b"a film"
    source.unlink()
    assert await content_of(blobs, blob.id) == b"a film"


async def test_any_part_can_be_read_and_the_end_is_the_end(
    blobs: Blobs, file: Callable[[bytes], Path]
) -> None:
    blob = await blobs.keep(file(b"0123456789"))

    reader = await blobs.open(blob.id)

    assert reader is not None
    assert reader.size_bytes == 10
    assert reader.read(0, 3) == b"012"
    assert reader.read(7, 100) == b"789"
    assert reader.read(3, 0) == b""
    assert reader.read(10, 5) == b""
    assert reader.read(100, 5) == b""
    assert reader.read(1, 2) == b"12"
    reader.close()
    reader.close()


async def test_the_same_content_twice_is_one_blob(blobs: Blobs, file: Callable[[bytes], Path]) -> None:
    first = await blobs.keep(file(b"a film"))

    assert await blobs.keep(file(b"a film")) == first
    assert await content_of(blobs, first.id) == b"a film"


async def test_the_same_content_at_once_is_one_blob(blobs: Blobs, file: Callable[[bytes], Path]) -> None:
    source = file(bytes(MIB))

    kept = await asyncio.gather(*(blobs.keep(source) for _ in range(8)))

    assert len(set(kept)) == 1
    assert await content_of(blobs, kept[0].id) == bytes(MIB)


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "0" * 64,
        "0" * 63,
        "0" * 65,
        "A" * 64,
        "../" * 21 + "a",
        "/etc/passwd",
        "0" * 63 + "\n",
        "partial",
        "\0" * 64,
        "*" * 64,
        "%2e" * 21 + "a",
    ],
)
async def test_an_id_of_no_blob_is_nothing_to_anyone(blobs: Blobs, wrong: str) -> None:
    assert await blobs.open(wrong) is None
    assert await blobs.link(wrong, lifetime_s=60, disposition="inline", mime="video/mp4") is None
    assert await blobs.path(wrong) is None
    assert not await blobs.renew(wrong)
    assert await blobs.delete(wrong)


async def test_a_file_that_is_not_there_is_an_error_and_keeps_nothing(blobs: Blobs, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await blobs.keep(tmp_path / "missing")


@pytest.mark.parametrize("blobs", ["local", "memory", "s3"], indirect=True)
async def test_what_is_no_plain_file_is_refused(blobs: Blobs, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("not yours")
    (tmp_path / "link").symlink_to(tmp_path / "secret")

    for wrong in (tmp_path / "link", tmp_path):
        with pytest.raises(OSError, match=r"symbolic|not a plain file|directory"):
            await blobs.keep(wrong)


async def test_a_blob_can_be_read_where_it_is(blobs: Blobs, file: Callable[[bytes], Path]) -> None:
    blob = await blobs.keep(file(b"a film"))

    path = await blobs.path(blob.id)

    assert path is not None
    assert path.read_bytes() == b"a film"


# --- how long -----------------------------------------------------------------------------------


async def test_a_deleted_blob_is_gone_and_can_be_kept_again(
    blobs: Blobs, file: Callable[[bytes], Path]
) -> None:
    blob = await blobs.keep(file(b"a film"))

    assert await blobs.delete(blob.id)
    assert await blobs.open(blob.id) is None
    assert await blobs.path(blob.id) is None
    assert not await blobs.renew(blob.id)
    assert await blobs.delete(blob.id), "what is gone is gone"

    assert await blobs.keep(file(b"a film")) == blob
    assert await content_of(blobs, blob.id) == b"a film"


@pytest.mark.parametrize("how", ["kept again", "renewed"])
async def test_a_blob_that_was_needed_anew_is_not_deleted(
    blobs: Blobs, file: Callable[[bytes], Path], clock: ManualClock, how: str
) -> None:
    blob = await blobs.keep(file(b"a film"))
    clock.advance(LATER_S)
    doomed = await blobs.kept_before(clock.now())

    if how == "renewed":
        assert await blobs.renew(blob.id)
    else:
        await blobs.keep(file(b"a film"))

    assert doomed == [blob.id]
    assert not await blobs.delete(blob.id, kept_before=clock.now()), "kept at that very time is not before"
    assert await content_of(blobs, blob.id) == b"a film"
    assert await blobs.kept_before(clock.now()) == []
    clock.advance(LATER_S)
    assert await blobs.delete(blob.id, kept_before=clock.now())
    assert await blobs.open(blob.id) is None


async def test_blobs_are_listed_in_order_and_in_pages(
    blobs: Blobs, file: Callable[[bytes], Path], clock: ManualClock
) -> None:
    old = sorted([(await blobs.keep(file(f"film {n}".encode()))).id for n in range(40)])
    clock.advance(LATER_S)
    await blobs.keep(file(b"a new film"))

    pages, after = [], ""
    while page := await blobs.kept_before(clock.now(), after=after, limit=7):
        pages.append(page)
        after = page[-1]

    assert [len(page) for page in pages] == [7, 7, 7, 7, 7, 5]
    assert [blob for page in pages for blob in page] == old


async def test_a_time_before_all_others_is_a_time(blobs: Blobs, file: Callable[[bytes], Path]) -> None:
    await blobs.keep(file(b"a film"))

    assert await blobs.kept_before(NOON - timedelta(days=40_000)) == []


async def test_a_blob_that_is_deleted_while_it_is_read_is_read_to_its_end(
    blobs: Blobs, file: Callable[[bytes], Path]
) -> None:
    blob = await blobs.keep(file(b"0123456789"))
    reader = await blobs.open(blob.id)
    assert reader is not None

    first = reader.read(0, 5)
    await blobs.delete(blob.id)

    assert first + reader.read(5, 5) == b"0123456789"
    reader.close()


async def test_keeping_and_deleting_at_once_never_loses_what_was_kept_last(
    blobs: Blobs, file: Callable[[bytes], Path], clock: ManualClock
) -> None:
    source = file(b"a film")
    blob = await blobs.keep(source)
    for _ in range(50):
        clock.advance(LATER_S)
        cutoff = clock.now()

        await asyncio.gather(
            *(blobs.delete(blob.id, kept_before=cutoff) for _ in range(4)),
            *(blobs.keep(source) for _ in range(4)),
        )

        assert await content_of(blobs, blob.id) == b"a film"


# --- a real S3 server ---------------------------------------------------------------------------


async def test_times_are_the_stores_own(
    s3: str, tmp_path: Path, file: Callable[[bytes], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = ObjectBlobs(a_bucket(s3, monkeypatch), Copies(tmp_path / "copies", most_bytes=MIB))
    blob = await blobs.keep(file(b"a film"))
    now = datetime.now(UTC)

    assert await blobs.kept_before(now + timedelta(seconds=50)) == []
    assert not await blobs.delete(blob.id, kept_before=now + timedelta(seconds=50))
    assert await blobs.kept_before(now + timedelta(seconds=LATER_S)) == [blob.id]
    assert await blobs.delete(blob.id, kept_before=now + timedelta(seconds=LATER_S))


async def test_a_large_file_goes_in_parts_and_comes_in_one_get(
    s3: str, tmp_path: Path, file: Callable[[bytes], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    gets = []

    class Counting(Bucket):
        def stream(self, name: str, offset: int) -> Iterator[bytes]:
            gets.append(offset)
            return super().stream(name, offset)

    bucket = a_bucket(s3, monkeypatch)
    counting = Counting(bucket._store, bucket._prefix.rstrip("/"))
    blobs = ObjectBlobs(counting, Copies(tmp_path / "copies", most_bytes=MIB))
    film = os.urandom(MIB) * 60
    blob = await blobs.keep(file(film))
    (stored,) = bucket.list(blob.id)

    reader = await blobs.open(blob.id)
    assert reader is not None
    pieces = [reader.read(offset, 1 << 18) for offset in range(0, len(film), 1 << 18)]

    assert obstore.head(bucket._store, bucket._prefix + stored.name)["e_tag"].endswith('-12"')  # type: ignore[union-attr]
    assert b"".join(pieces) == film
    assert {len(piece) for piece in pieces} == {1 << 18}
    assert gets == [0]
    assert reader.read(7, 3) == film[7:10]
    assert gets == [0, 7]


async def test_a_link_is_answered_by_the_store_with_the_name_and_type_that_it_says(
    s3: str, tmp_path: Path, file: Callable[[bytes], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    a_bucket(s3, monkeypatch)
    blobs = blobs_at(
        f"s3://{BUCKET}/links",
        copies=Copies(tmp_path / "copies", most_bytes=MIB),
        redirect=True,
        environment=os.environ,
    )
    blob = await blobs.keep(file(b"0123456789"))
    name = 'attachment; filename="a film & more.mp4"'

    url = await blobs.link(blob.id, lifetime_s=60, disposition=name, mime="video/mp4")
    missing = await blobs.link("0" * 64, lifetime_s=60, disposition=name, mime="video/mp4")

    assert url is not None
    part = urllib.request.Request(url, headers={"range": "bytes=2-4"})  # noqa: S310  (its address is ours)
    with await asyncio.to_thread(urllib.request.urlopen, part) as answer:
        assert (answer.status, answer.read()) == (206, b"234")
        assert answer.headers["content-range"] == "bytes 2-4/10"
        assert answer.headers["content-type"] == "video/mp4"
        assert answer.headers["content-disposition"] == name
    assert missing is None


async def test_a_server_that_goes_away_within_an_upload_has_nothing_of_it(
    s3: str, tmp_path: Path, file: Callable[[bytes], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = file(os.urandom(MIB) * 40)
    direct = a_bucket(s3, monkeypatch)
    prefix = direct._prefix.rstrip("/")

    with Severed(s3, after_bytes=20 * MIB) as way:
        monkeypatch.setenv("AWS_ENDPOINT_URL", way.url)
        bucket = bucket_at(f"s3://{BUCKET}/{prefix}", os.environ, patience_s=2)
        blobs = ObjectBlobs(bucket, Copies(tmp_path / "copies", most_bytes=MIB))
        with pytest.raises(StoreUnavailable):
            await blobs.keep(source)
        assert way.is_cut

    assert list(direct.list()) == []
    again = ObjectBlobs(direct, Copies(tmp_path / "copies", most_bytes=MIB))
    blob = await again.keep(source)
    assert hashlib.sha256(await content_of(again, blob.id)).hexdigest() == blob.id


def test_memory_stays_flat_however_large_a_file_is(s3: str, tmp_path: Path) -> None:
    script = f"""
import asyncio, os, resource
from pathlib import Path
from filmgate.blobs.copies import Copies
from filmgate.blobs.objects import blobs_at

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

async def round_trip(mib):
    source = Path({str(tmp_path)!r}) / "source"
    with source.open("wb") as file:
        for _ in range(mib):
            file.write(os.urandom(1 << 20))
    blob = await blobs.keep(source)
    reader = await blobs.open(blob.id)
    for offset in range(0, blob.size_bytes, 1 << 18):
        await asyncio.to_thread(reader.read, offset, 1 << 18)
    reader.close()
    await blobs.path(blob.id)

copies = Copies(Path({str(tmp_path)!r}) / "copies", most_bytes=1 << 30)
blobs = blobs_at("s3://{BUCKET}/memory", copies=copies, redirect=False, environment=os.environ)
asyncio.run(round_trip(1))
before = peak()
asyncio.run(round_trip(150))
print(peak() - before)
"""
    ran = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **environment(s3)},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )

    assert int(ran.stdout) < 40, "MiB more than before"
