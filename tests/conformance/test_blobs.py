"""What every place for blobs promises."""

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from filmgate.blobs.local import LocalBlobs
from filmgate.ports.blobs import Blobs

MAKERS: dict[str, Callable[[Path], Blobs]] = {"local": LocalBlobs}
MIB = 1 << 20


@pytest.fixture(params=MAKERS)
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    """Return one implementation after the other, empty."""
    return MAKERS[request.param](tmp_path / "blobs")


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
async def test_an_id_of_no_blob_opens_nothing(blobs: Blobs, wrong: str) -> None:
    assert await blobs.open(wrong) is None


async def test_a_file_that_is_not_there_is_an_error_and_keeps_nothing(blobs: Blobs, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await blobs.keep(tmp_path / "missing")


async def test_what_is_no_plain_file_is_refused(blobs: Blobs, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("not yours")
    (tmp_path / "link").symlink_to(tmp_path / "secret")

    for wrong in (tmp_path / "link", tmp_path):
        with pytest.raises(OSError, match=r"symbolic|not a plain file|directory"):
            await blobs.keep(wrong)
