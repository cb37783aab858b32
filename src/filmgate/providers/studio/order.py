"""What the studio is asked to make: plain values that travel to a render process."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from filmgate.core.generation import MediaKind, MediaRole

SAMPLE_RATE: Final = 48_000

Labels = Literal["none", "eu", "cn"]


class Unusable(Exception):
    """An input cannot be used; the message is safe to show to whoever sent it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One file to make the pictures or the sound from; `duration_s` as far as it is known."""

    kind: MediaKind
    role: MediaRole
    path: Path
    duration_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """How a work says that it was generated: the label one sees, and who stands for it under which id."""

    labels: Labels = "none"
    producer: str = "Filmgate"
    work_id: str = ""


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
    inputs: tuple[Input, ...] = ()
    marks: Marks = Marks()


@dataclass(frozen=True, slots=True, kw_only=True)
class StillOrder:
    """`n` pictures of `width` x `height` pixels; picture k is made from `seed` + k."""

    prompt: str
    seed: int
    width: int
    height: int
    n: int = 1
    watermark: bool = False
    inputs: tuple[Input, ...] = ()
    marks: Marks = Marks()


Order = FilmOrder | StillOrder
