"""What passes between the studio's pool and a render child: one JSON line each."""

from pathlib import Path
from typing import Final

import msgspec

from filmgate.core.generation import OutputKind
from filmgate.providers.studio.order import FilmOrder, StillOrder


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """An order, with the directory its files go to: a film if there is one, else pictures."""

    directory: Path
    film: FilmOrder | None = None
    still: StillOrder | None = None


class File(msgspec.Struct, frozen=True, kw_only=True):
    """One finished file in the job's directory."""

    kind: OutputKind
    name: str
    mime: str


class Progress(msgspec.Struct, frozen=True, tag=True):
    """How far the job is, in whole per cent."""

    percent: int


class Finished(msgspec.Struct, frozen=True, tag=True):
    """The job is done; the files are whole."""

    files: tuple[File, ...]


class Broken(msgspec.Struct, frozen=True, tag=True):
    """The job failed; `code` and `reason` are safe to show to whoever asked for it."""

    reason: str
    code: str = "provider_failed"


Answer = Progress | Finished | Broken


def _path_to_text(value: object) -> str:
    if isinstance(value, Path):
        return str(value)
    raise NotImplementedError


def _text_to_path(kind: type, value: object) -> Path:
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise NotImplementedError


_ENCODER: Final = msgspec.json.Encoder(enc_hook=_path_to_text)
_JOBS: Final = msgspec.json.Decoder(Job, dec_hook=_text_to_path)
_ANSWERS: Final[msgspec.json.Decoder[Answer]] = msgspec.json.Decoder(Answer)


def to_line(message: Job | Answer) -> bytes:
    """Return `message` as one line of JSON."""
    return _ENCODER.encode(message) + b"\n"


def read_job(line: bytes) -> Job:
    """Return the job that a line says; raise `msgspec.MsgspecError` for anything else."""
    return _JOBS.decode(line)


def read_answer(line: bytes) -> Answer:
    """Return the answer that a line says; raise `msgspec.MsgspecError` for anything else."""
    return _ANSWERS.decode(line)
