"""A file being fetched: it grows beside its place, and takes it once it is whole."""

import glob
import os
import re
from pathlib import Path
from typing import BinaryIO, Final

from filmgate.client.errors import DownloadFailed

_TAG: Final = re.compile(r'"([A-Za-z0-9-]{1,128})"')


class Part:
    """What there is of a file so far, in `.NAME.TAG.part`: the tag says of which content it is a part."""

    def __init__(self, place: Path) -> None:
        """Find what an earlier try left."""
        self._place = place
        self._path: Path | None = None
        self._file: BinaryIO | None = None
        left = sorted(place.parent.glob(f".{glob.escape(place.name)}.*.part"))
        if left:
            self._path = left[0]

    @property
    def size(self) -> int:
        """The bytes that are there."""
        if self._file is not None:
            return self._file.tell()
        return self._path.stat().st_size if self._path is not None and self._path.exists() else 0

    @property
    def headers(self) -> dict[str, str]:
        """What to ask for: the rest, if the content is still the same."""
        if self._path is None or not self.size:
            return {}
        tag = self._path.name.removesuffix(".part").rpartition(".")[2]
        return {"range": f"bytes={self.size}-", "if-range": f'"{tag}"'}

    def begin(self, tag: str | None) -> None:
        """Start from nothing with the content of this ETag."""
        self.discard()
        found = _TAG.fullmatch(tag or "")
        # Without a tag to ask by, what was left cannot be continued.
        self._path = self._place.with_name(f".{self._place.name}.{found[1] if found else '-'}.part")
        self._file = self._path.open("wb")

    def go_on(self) -> None:
        """Add to what is there."""
        assert self._path is not None, "a range was asked for because there is a part"
        if self._file is None:
            self._file = self._path.open("ab")

    def write(self, piece: bytes) -> None:
        """Add some bytes."""
        assert self._file is not None, "it was begun"
        self._file.write(piece)

    def close(self) -> None:
        """Leave what there is for another try."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def discard(self) -> None:
        """Leave nothing."""
        self.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)
            self._path = None

    def finish(self, size_bytes: int | None) -> None:
        """Put the whole file in its place, or raise DownloadFailed if it is not whole."""
        if size_bytes is not None and self.size != size_bytes:
            got = self.size
            self.discard()
            raise DownloadFailed(f"{self._place.name} should have {size_bytes} bytes and came with {got}")
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())
        self.close()
        assert self._path is not None, "it was begun"
        self._path.replace(self._place)
