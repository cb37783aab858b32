"""Local copies of blobs that are kept elsewhere: for programs that read files, not streams."""

import hashlib
import os
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from io import FileIO
from pathlib import Path
from time import time
from typing import Final

from filmgate.core.errors import StoreUnavailable, is_no_room

IN_USE_S: Final = 900.0  # whoever was told of a copy opens it within this time
PARTIAL: Final = "partial-"


class Copies:
    """A directory of at most about `most_bytes`; several processes may share it.

    A file's time is when it was last asked for; those that were not for the longest time go first, but none
    that was within `IN_USE_S`. Who reads a file that goes can read it to its end.
    """

    def __init__(self, directory: Path, *, most_bytes: int) -> None:
        self._directory = directory
        self._most_bytes = most_bytes
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def find(self, blob: str, size_bytes: int) -> Path | None:
        """Return the copy of a blob, now in use, or None if there is none."""
        path = self._directory / blob
        try:
            os.utime(path)
            return path if path.stat().st_size == size_bytes else None
        except FileNotFoundError:
            return None

    def add(self, blob: str, content: Iterable[bytes]) -> Path:
        """Write a copy and return where it is; StoreUnavailable if there is no room, or it is another."""
        path = self._directory / blob
        try:
            handle, name = tempfile.mkstemp(prefix=PARTIAL, dir=self._directory)
            partial = Path(name)
            try:
                with FileIO(handle, "wb") as file:
                    if _write(content, file) != blob:
                        raise StoreUnavailable("a stored file came back damaged")
                    os.fsync(file.fileno())  # or a power cut leaves a file of the right length and no content
                partial.rename(path)
            finally:
                partial.unlink(missing_ok=True)
        except OSError as error:
            if not is_no_room(error):
                raise
            raise StoreUnavailable("the disk could not take a copy of a file; try again") from error
        self._make_room()
        return path

    def drop(self, blob: str) -> None:
        """Remove a copy, if there is one."""
        (self._directory / blob).unlink(missing_ok=True)

    def _make_room(self) -> None:
        files = []
        with os.scandir(self._directory) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=False)
                    files.append((status.st_mtime, status.st_size, entry.name))
        unused_since = time() - IN_USE_S
        too_much = sum(size for _, size, _ in files) - self._most_bytes
        for used_at, size, name in sorted(files):
            if used_at >= unused_since:
                return
            # What a dead process left half-made is of no use to anyone.
            if too_much > 0 or name.startswith(PARTIAL):
                self.drop(name)
                too_much -= size


def _write(content: Iterable[bytes], file: FileIO) -> str:
    digest = hashlib.sha256()
    for piece in content:
        digest.update(piece)
        rest = memoryview(piece)
        while rest:
            rest = rest[file.write(rest) :]
    return digest.hexdigest()
