"""Where files are kept: by the hash of their content, never by a name of the caller's."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Protocol

# A file is stored first, and needed by a commit after; no request and no run takes longer in between.
GRACE: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """A stored file: `id` is its SHA-256 in hex."""

    id: str
    size_bytes: int


class Reader(Protocol):
    """An open blob. `read` blocks: call it in a thread. It is fastest from the beginning to the end."""

    @property
    def size_bytes(self) -> int:
        """How long the whole blob is."""
        ...

    def read(self, offset: int, length: int) -> bytes:
        """Return up to `length` bytes from `offset`; fewer only at the end.

        Raise StoreUnavailable if what is elsewhere does not come.
        """
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class Blobs(Protocol):
    """A place for files. The same content twice is one blob. One that is out of reach is StoreUnavailable.

    A blob that was kept or renewed within `GRACE` is needed by somebody who has not said so yet.
    """

    async def keep(self, path: Path) -> Blob:
        """Store a copy of the file at `path`, durably before this returns; never a half of it.

        Raise StoreUnavailable if there is no room for it, or nobody who would take it.
        """
        ...

    async def renew(self, blob: str) -> bool:
        """Make a blob as if it had been kept just now, or return False if there is none.

        For whoever is about to need a blob that it did not store itself.
        """
        ...

    async def open(self, blob: str) -> Reader | None:
        """Open a stored blob, or return None if there is none."""
        ...

    async def path(self, blob: str) -> Path | None:
        """Return where a blob can be read on this machine, never to be changed; None if there is none."""
        ...

    async def link(self, blob: str, *, lifetime_s: int, disposition: str, mime: str) -> str | None:
        """Return a URL elsewhere from which anyone may GET a blob for `lifetime_s` seconds, at most a week.

        None where there is no such place, or no such blob: then the bytes go through us. What is there
        answers with `disposition` and `mime` as Content-Disposition and Content-Type.
        """
        ...

    async def delete(self, blob: str, *, kept_before: datetime | None = None) -> bool:
        """Remove a blob and say whether it is gone; one that is not there is.

        With `kept_before`, a blob that was kept or renewed since then stays. One that is being read
        can be read to its end.
        """
        ...

    async def kept_before(self, at: datetime, *, after: str = "", limit: int = 1_000) -> Sequence[str]:
        """Return blobs that nobody has kept or renewed since `at`, by id above `after`, in order."""
        ...
