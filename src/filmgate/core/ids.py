"""Identifiers: a prefix and a ULID, so that they sort by time and are never guessed."""

import re
from datetime import datetime
from typing import Final

# https://github.com/ulid/spec: Crockford's base 32, 48 bits of milliseconds, 80 bits of entropy.
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS: Final = [high + low for high in _ALPHABET for low in _ALPHABET]
_TASK: Final = re.compile(r"task_[0-7][0-9A-HJKMNP-TV-Z]{25}")
ENTROPY_BYTES: Final = 10


def ulid(at: datetime, entropy: bytes) -> str:
    """Return the 26 characters of a ULID made at `at` from ten bytes of `entropy`."""
    number = int(at.timestamp() * 1000) << 80 | int.from_bytes(entropy[:ENTROPY_BYTES], "big")
    pairs = []
    for _ in range(13):
        number, pair = divmod(number, 1024)
        pairs.append(_PAIRS[pair])
    return "".join(reversed(pairs))


def task_id(at: datetime, entropy: bytes) -> str:
    """Return a new task id, valid in every dialect."""
    return f"task_{ulid(at, entropy)}"


def is_task_id(text: str) -> bool:
    """Say whether `text` could be a task id at all: saves the store a question."""
    return _TASK.fullmatch(text) is not None
