"""Where files are kept: by the hash of their content, never by a name of the caller's."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """A stored file: `id` is its SHA-256 in hex."""

    id: str
    size_bytes: int


class Reader(Protocol):
    """An open blob. `read` blocks: call it in a thread."""

    @property
    def size_bytes(self) -> int:
        """How long the whole blob is."""
        ...

    def read(self, offset: int, length: int) -> bytes:
        """Return up to `length` bytes from `offset`; fewer only at the end."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class Blobs(Protocol):
    """A place for files. The same content twice is one blob."""

    async def keep(self, path: Path) -> Blob:
        """Store a copy of the file at `path`, durably before this returns; never a half of it."""
        ...

    async def open(self, blob: str) -> Reader | None:
        """Open a stored blob, or return None if there is none."""
        ...
