"""Blobs in a local directory: each file under the hash of its content, complete or not at all."""

import asyncio
import fcntl
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from io import FileIO
from itertools import islice
from pathlib import Path
from typing import Final

from filmgate.blobs.files import copied, open_regular
from filmgate.core.errors import StoreUnavailable, is_no_room
from filmgate.ports.blobs import Blob

MOST_REMEMBERED: Final = 10_000
PARTIAL: Final = "partial"  # copies being made; a name no blob's folder can have
_ID: Final = re.compile(r"[0-9a-f]{64}")
_FOLDER: Final = re.compile(r"[0-9a-f]{2}")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _now() -> datetime:
    return datetime.now(UTC)


class LocalBlobs:
    """Implements `ports.blobs.Blobs` as `directory/ab/<sha256>`.

    A copy is made in `directory/partial`, brought to the disk and only then renamed: whatever has
    a blob's name is whole. A file's time is when it was kept last. Several processes may share a
    directory: what may not mix, such as renewing and deleting, takes a lock on the directory itself.
    """

    def __init__(self, directory: Path, *, now: Callable[[], datetime] = _now) -> None:
        self._directory = directory
        self._now = now
        self._partial = directory / PARTIAL
        self._partial.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._durable: set[str] = set()  # blobs that this process has brought to the disk

    def sweep(self, *, untouched_for: timedelta) -> None:
        """Remove copies that a dead process left half-made: nobody has written to them for so long."""
        until = _nanoseconds(self._now() - untouched_for)
        for leftover in self._partial.iterdir():
            with suppress(FileNotFoundError):
                if leftover.stat().st_mtime_ns <= until:
                    leftover.unlink()

    async def keep(self, path: Path) -> Blob:
        return await asyncio.to_thread(self._keep, path)

    async def renew(self, blob: str) -> bool:
        return _ID.fullmatch(blob) is not None and await asyncio.to_thread(self._renew, blob)

    async def open(self, blob: str) -> "LocalReader | None":
        if not _ID.fullmatch(blob):
            return None
        return await asyncio.to_thread(self._open, blob)

    async def path(self, blob: str) -> Path | None:
        reader = await self.open(blob)
        if reader is None:
            return None
        reader.close()
        return self._place_of(blob)

    async def delete(self, blob: str, *, kept_before: datetime | None = None) -> bool:
        return _ID.fullmatch(blob) is None or await asyncio.to_thread(self._delete, blob, kept_before)

    async def link(self, blob: str, *, lifetime_s: int, disposition: str, mime: str) -> str | None:  # noqa: ARG002
        return None

    async def kept_before(self, at: datetime, *, after: str = "", limit: int = 1_000) -> Sequence[str]:
        return await asyncio.to_thread(
            lambda: list(islice(self._kept_before(_nanoseconds(at), after), limit))
        )

    # --- storing ------------------------------------------------------------------------------

    def _keep(self, path: Path) -> Blob:
        with open_regular(path) as source:
            if self._durable:
                # Many tasks may share a file: to hash it is cheap, to sync it once more is not.
                blob = copied(source, None)
                if blob.id in self._durable and self._renew(blob.id):
                    return blob
                source.seek(0)
            try:
                return self._write(source)
            except OSError as error:
                if not is_no_room(error):
                    raise
                raise StoreUnavailable("the disk could not take a file; try again") from error

    def _write(self, source: FileIO) -> Blob:
        handle, name = tempfile.mkstemp(dir=self._partial)
        partial = Path(name)
        try:
            with FileIO(handle, "wb") as copy:
                blob = copied(source, copy)
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
        with self._alone():
            self._touch(partial)
            # Also over the same content: a file that is needed anew is a new file.
            partial.rename(place)
        _sync(place.parent)
        if len(self._durable) >= MOST_REMEMBERED:
            self._durable.clear()
        self._durable.add(blob)

    # --- how long --------------------------------------------------------------------------------

    def _renew(self, blob: str) -> bool:
        with self._alone():
            try:
                self._touch(self._place_of(blob))
            except FileNotFoundError:
                return False
        return True

    def _delete(self, blob: str, kept_before: datetime | None) -> bool:
        place = self._place_of(blob)
        with self._alone(), suppress(FileNotFoundError):
            if kept_before is not None and place.lstat().st_mtime_ns >= _nanoseconds(kept_before):
                return False
            self._durable.discard(blob)
            place.unlink()
        return True

    def _kept_before(self, at_ns: int, after: str) -> Iterator[str]:
        for folder in sorted(entry.name for entry in self._directory.iterdir()):
            if _FOLDER.fullmatch(folder) and folder >= after[:2]:
                with os.scandir(self._directory / folder) as entries:
                    files = sorted((entry.name, entry) for entry in entries if entry.name > after)
                for name, entry in files:
                    with suppress(FileNotFoundError):
                        if _ID.fullmatch(name) and entry.stat(follow_symlinks=False).st_mtime_ns < at_ns:
                            yield name

    def _touch(self, file: Path) -> None:
        now = _nanoseconds(self._now())
        os.utime(file, ns=(now, now), follow_symlinks=False)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold off every other thread and process that would renew, place or delete."""
        handle = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    # --- reading ---------------------------------------------------------------------------------

    def _open(self, blob: str) -> "LocalReader | None":
        try:
            return LocalReader(open_regular(self._place_of(blob)))
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


def _nanoseconds(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1) * 1_000


def _sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
