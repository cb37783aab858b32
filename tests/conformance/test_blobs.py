"""What every place for blobs promises."""

import asyncio
import hashlib
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from filmgate.blobs.local import LocalBlobs
from filmgate.ports.blobs import Blobs
from tests.fakes import NOON, ManualClock, MemoryBlobs

MAKERS: dict[str, Callable[[Path, ManualClock], Blobs]] = {
    "local": lambda directory, clock: LocalBlobs(directory, now=clock.now),
    "memory": lambda _, clock: MemoryBlobs(now=clock.now),
}
MIB = 1 << 20


@pytest.fixture
def clock() -> ManualClock:
    """Return the time that blobs are kept by."""
    return ManualClock()


@pytest.fixture(params=MAKERS)
def blobs(request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock) -> Blobs:
    """Return one implementation after the other, empty."""
    return MAKERS[request.param](tmp_path / "blobs", clock)


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


@pytest.mark.parametrize("content", [b"", b"a film", bytes(3 * MIB + 1)], ids=["empty", "short", "long"])
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
    ],
)
async def test_an_id_of_no_blob_is_nothing_to_anyone(blobs: Blobs, wrong: str) -> None:
    assert await blobs.open(wrong) is None
    assert await blobs.path(wrong) is None
    assert not await blobs.renew(wrong)
    assert await blobs.delete(wrong)


async def test_a_file_that_is_not_there_is_an_error_and_keeps_nothing(blobs: Blobs, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await blobs.keep(tmp_path / "missing")


async def test_what_is_no_plain_file_is_refused(tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path / "blobs")
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
    clock.advance(60)
    doomed = await blobs.kept_before(clock.now())

    if how == "renewed":
        assert await blobs.renew(blob.id)
    else:
        await blobs.keep(file(b"a film"))

    assert doomed == [blob.id]
    assert not await blobs.delete(blob.id, kept_before=clock.now()), "kept at that very time is not before"
    assert await content_of(blobs, blob.id) == b"a film"
    assert await blobs.kept_before(clock.now()) == []
    clock.advance(1)
    assert await blobs.delete(blob.id, kept_before=clock.now())
    assert await blobs.open(blob.id) is None


async def test_blobs_are_listed_in_order_and_in_pages(
    blobs: Blobs, file: Callable[[bytes], Path], clock: ManualClock
) -> None:
    old = sorted([(await blobs.keep(file(f"film {n}".encode()))).id for n in range(40)])
    clock.advance(1)
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
        clock.advance(1)
        cutoff = clock.now()

        await asyncio.gather(
            *(blobs.delete(blob.id, kept_before=cutoff) for _ in range(4)),
            *(blobs.keep(source) for _ in range(4)),
        )

        assert await content_of(blobs, blob.id) == b"a film"
