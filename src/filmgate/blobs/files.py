"""Files on this machine: opened with care, copied while they are hashed."""

import errno
import hashlib
import os
import stat
from io import FileIO
from pathlib import Path
from typing import Final

from filmgate.ports.blobs import Blob

CHUNK_BYTES: Final = 1 << 20


def open_regular(path: Path) -> FileIO:
    """Open a plain file for reading: no link to elsewhere, and nothing that would block."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    file = FileIO(handle, "rb")
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "not a plain file", str(path))
    return file


def copied(source: FileIO, copy: FileIO | None) -> Blob:
    """Return what `source` is, written to `copy` as well if there is one."""
    digest, size = hashlib.sha256(), 0
    while chunk := source.read(CHUNK_BYTES):
        digest.update(chunk)
        size += len(chunk)
        rest = memoryview(chunk if copy else b"")
        while copy and rest:
            rest = rest[copy.write(rest) :]
    return Blob(id=digest.hexdigest(), size_bytes=size)
