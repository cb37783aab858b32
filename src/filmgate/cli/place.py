"""A place for a result: the file appears there whole, or not at all."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def saving(place: Path) -> Iterator[Path]:
    """Give a path beside `place` to write to: it takes the place if all goes well, and goes if not."""
    with tempfile.TemporaryDirectory(prefix=f".{place.name}.", suffix=".part", dir=place.parent) as directory:
        path = Path(directory, place.name)
        yield path
        path.replace(place)
