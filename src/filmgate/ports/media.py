"""Fetch and look into what strangers hand us."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from filmgate.core.generation import MediaKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """What a file turned out to be, whatever it was called.

    `width` and `height` are the pixels that are shown, any rotation applied; `duration_s` seconds.
    """

    kind: MediaKind
    mime: str
    size_bytes: int
    width: int | None = None
    height: int | None = None
    duration_s: float | None = None


class Intake(Protocol):
    """Takes nothing on trust: neither an address, nor a name, nor a byte."""

    def scratch(self) -> AbstractAsyncContextManager[Path]:
        """Give an empty directory for files that are not looked into yet; in the end it is removed."""
        ...

    def check_url(self, url: str) -> None:
        """Raise InputUnavailable if `url` can be seen to be out of bounds; nobody is asked."""
        ...

    async def fetch(self, url: str, into: Path, *, kind: MediaKind) -> None:
        """Write what is at `url` to the new file `into`, or raise InputUnavailable and leave no file.

        What is larger than any file of that kind may be, is not read to its end.
        """
        ...

    async def probe(self, path: Path) -> Probed:
        """Say what a file is, or raise InputInvalid if it is damaged or of no kind that is taken."""
        ...

    async def close(self) -> None:
        """Stop everything that was started here."""
        ...
