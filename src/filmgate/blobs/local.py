"""Blobs in a local directory: each file under the hash of its content, complete or not at all."""

import asyncio
import errno
import hashlib
import os
import re
import stat
import tempfile
from io import FileIO
from pathlib import Path
from typing import Final

from filmgate.ports.blobs import Blob

CHUNK_BYTES: Final = 1 << 20
MOST_REMEMBERED: Final = 10_000
PARTIAL: Final = "partial"  # copies being made; a name no blob's folder can have
_ID: Final = re.compile(r"[0-9a-f]{64}")


class LocalBlobs:
    """Implements `ports.blobs.Blobs` as `directory/ab/<sha256>`.

    A copy is made in `directory/partial`, brought to the disk and only then renamed: whatever has
    a blob's name is whole. Several processes may share a directory.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._partial = directory / PARTIAL
        self._partial.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._durable: set[str] = set()  # blobs that this process has brought to the disk

    def sweep(self) -> None:
        """Remove copies that a dead process left half-made; for whoever has the directory alone."""
        for leftover in self._partial.iterdir():
            leftover.unlink(missing_ok=True)

    async def keep(self, path: Path) -> Blob:
        return await asyncio.to_thread(self._keep, path)

    async def open(self, blob: str) -> "LocalReader | None":
        if not _ID.fullmatch(blob):
            return None
        return await asyncio.to_thread(self._open, blob)

    def _keep(self, path: Path) -> Blob:
        with _open_regular(path) as source:
            if self._durable:
                # Many tasks may share a file: to hash it is cheap, to sync it once more is not.
                blob = _copy(source, None)
                if blob.id in self._durable:
                    return blob
                source.seek(0)
            handle, name = tempfile.mkstemp(dir=self._partial)
            partial = Path(name)
            try:
                with FileIO(handle, "wb") as copy:
                    blob = _copy(source, copy)
                    os.fsync(copy.fileno())
                self._place(partial, blob.id)
            finally:
                partial.unlink(missing_ok=True)
        return blob

    def _place(self, partial: Path, blob: str) -> None:
        place = self._place_of(blob)
        if not place.parent.exists():
            place.parent.mkdir(mode=0o700, exist_ok=True)
            _sync(self._directory)
        if not place.exists():
            partial.rename(place)
        # Also where the blob was there before: whoever renamed it may not have come this far yet.
        _sync(place.parent)
        if len(self._durable) >= MOST_REMEMBERED:
            self._durable.clear()
        self._durable.add(blob)

    def _open(self, blob: str) -> "LocalReader | None":
        try:
            return LocalReader(_open_regular(self._place_of(blob)))
        except FileNotFoundError:
            return None

    def _place_of(self, blob: str) -> Path:
        return self._directory / blob[:2] / blob


class LocalReader:
    """Implements `ports.blobs.Reader`; reads at their own offsets, so threads may share it."""

    def __init__(self, file: FileIO) -> None:
        self._file = file
        self._size_bytes = os.fstat(file.fileno()).st_size

    @property
    def size_bytes(self) -> int:
        return self._size_bytes

    def read(self, offset: int, length: int) -> bytes:
        data = os.pread(self._file.fileno(), length, offset)
        # One call is nearly always enough; a signal may cut it short, and it stops at 2 GiB.
        while len(data) < length and (more := self._more(offset + len(data), length - len(data))):
            data += more
        return data

    def close(self) -> None:
        self._file.close()

    def _more(self, offset: int, length: int) -> bytes:
        if offset >= self._size_bytes:
            return b""
        return os.pread(self._file.fileno(), length, offset)


def _open_regular(path: Path) -> FileIO:
    """Open a plain file for reading: no link to elsewhere, and nothing that would block."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    file = FileIO(handle, "rb")
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "not a plain file", str(path))
    return file


def _copy(source: FileIO, copy: FileIO | None) -> Blob:
    """Return what `source` is, written to `copy` as well if there is one."""
    digest, size = hashlib.sha256(), 0
    while chunk := source.read(CHUNK_BYTES):
        digest.update(chunk)
        size += len(chunk)
        rest = memoryview(chunk if copy else b"")
        while copy and rest:
            rest = rest[copy.write(rest) :]
    return Blob(id=digest.hexdigest(), size_bytes=size)


def _sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
