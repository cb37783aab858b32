"""What the studio is asked to make: plain values that travel to a render process."""

from dataclasses import dataclass
from typing import Final

SAMPLE_RATE: Final = 48_000


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmOrder:
    """One clip: `duration_s` x `fps` frames of `width` x `height` even pixels."""

    prompt: str
    seed: int
    width: int
    height: int
    duration_s: int
    fps: int = 24
    audio: bool = True
    watermark: bool = False
    last_frame: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StillOrder:
    """`n` pictures of `width` x `height` pixels; picture k is made from `seed` + k."""

    prompt: str
    seed: int
    width: int
    height: int
    n: int = 1
    watermark: bool = False


Order = FilmOrder | StillOrder
