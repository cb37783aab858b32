"""The Range header: which bytes of a file a client asks for."""

import re
from typing import Final

_ONE: Final = re.compile(r"bytes=[ \t]*(\d{0,19})-(\d{0,19})[ \t]*", re.IGNORECASE | re.ASCII)


class Unsatisfiable(Exception):
    """The range begins past the end of the file."""


def parse_range(header: str, size: int) -> tuple[int, int] | None:
    """Return (first, past the last) of the one range asked for; None means the whole file.

    What is malformed, in another unit, or more than one range is ignored, as RFC 9110 allows.
    """
    match = _ONE.fullmatch(header.strip())
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        length = int(match[2])
        if length == 0 or size == 0:
            raise Unsatisfiable
        return max(size - length, 0), size
    first = int(match[1])
    last = int(match[2]) if match[2] else size - 1
    if match[2] and last < first:
        return None
    if first >= size:
        raise Unsatisfiable
    return first, min(last + 1, size)
