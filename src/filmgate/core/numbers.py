"""Whole numbers that strangers wrote."""

from typing import Final

DIGITS: Final = 18  # no size, time or count of ours has more; Python takes long over thousands of them


def whole(text: str) -> int | None:
    """Return what decimal digits say, or None for anything else and for numbers past all use."""
    # What `isdigit` lets through as well, a superscript two, is no number to `int`.
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= DIGITS else None
