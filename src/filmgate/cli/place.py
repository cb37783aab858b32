"""A place for a result: the file appears there whole, or not at all."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def whole_file(place: Path) -> Iterator[BinaryIO]:
    """Write to a hidden neighbour that takes the file's place if all goes well, and goes if not."""
    neighbour = place.with_name(f".{place.name}.{secrets.token_hex(4)}.part")
    try:
        # Not tempfile's: a result is as readable as the user's other new files.
        with neighbour.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        neighbour.replace(place)
    finally:
        neighbour.unlink(missing_ok=True)
