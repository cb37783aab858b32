"""A render child: reads orders from its standard input and makes them, one after the other.

It does no harm and outlives nobody: bounded memory and files, low priority, and it goes the moment
the process that started it does.
"""

import ctypes
import os
import queue
import resource
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

from filmgate.core.generation import OutputKind
from filmgate.providers.studio.order import FilmOrder, StillOrder
from filmgate.providers.studio.wire import Answer, Broken, File, Finished, Job, Progress, read_job, to_line

_NICENESS: Final = 5
_UNTOUCHED_BYTES: Final = 1 << 30  # address space that libraries reserve and never use
_FILE_BYTES: Final = 1 << 30
_PR_SET_PDEATHSIG: Final = 1

_A_FILM: Final = FilmOrder(prompt="a sailboat at sunset", seed=1, width=64, height=36, duration_s=1, fps=1)


def main() -> None:
    """Serve orders until standard input ends; the arguments: the parent's process id, bytes of memory."""
    parent, memory_bytes = map(int, sys.argv[1:])
    _die_with(parent)
    orders, answers = _own_pipes()
    _limit(memory_bytes)
    _warm()
    for job in _jobs(orders):
        _send(answers, _serve(job, answers))


# --- rendering ----------------------------------------------------------------------------------


def _warm() -> None:
    """Load the libraries and the data that a first order would otherwise wait for."""
    try:
        import cv2  # noqa: PLC0415  (heavy: only this process pays for it)

        from filmgate.providers.studio import encode, stage  # noqa: F401, PLC0415

        # One job keeps two threads busy by itself; more of OpenCV's cost CPU and win no time.
        cv2.setNumThreads(1)
        film = stage.stage(_A_FILM)
        film.frame(0)
        film.soundtrack()
    except Exception:  # noqa: BLE001  (each order will say what it suffers from; some may not)
        traceback.print_exc()


def _serve(job: Job, answers: BinaryIO) -> Finished | Broken:
    try:
        job.directory.mkdir(parents=True, exist_ok=True)
        if job.film is not None:
            return Finished(_film(job.film, job.directory, answers))
        assert job.still is not None
        return Finished(_stills(job.still, job.directory, answers))
    except Exception as error:  # noqa: BLE001  (whatever it is, the caller gets a sentence)
        traceback.print_exc()  # for the operator: standard error goes to the parent's log
        return Broken(_sentence(error))


def _film(order: FilmOrder, directory: Path, answers: BinaryIO) -> tuple[File, ...]:
    from filmgate.providers.studio.encode import write_film  # noqa: PLC0415
    from filmgate.providers.studio.stage import stage  # noqa: PLC0415

    return write_film(
        stage(order), order, directory, on_progress=lambda percent: _send(answers, Progress(percent))
    )


def _stills(order: StillOrder, directory: Path, answers: BinaryIO) -> tuple[File, ...]:
    from filmgate.providers.studio.encode import picture_name, write_picture  # noqa: PLC0415
    from filmgate.providers.studio.stage import still  # noqa: PLC0415

    names = [picture_name(k) for k in range(order.n)]
    for k, name in enumerate(names):
        write_picture(still(order, k), directory / name)
        _send(answers, Progress((k + 1) * 100 // order.n))
    return tuple(File(kind=OutputKind.IMAGE, name=name, mime="image/png") for name in names)


def _sentence(error: Exception) -> str:
    """Say what went wrong in words for a stranger: no path, no prompt, no traceback."""
    match error:
        case MemoryError():
            return "The studio ran out of memory for this order."
        case OSError(errno=int(number)):
            return f"The studio could not write its files: {os.strerror(number).lower()}."
        case _:
            return f"The studio could not render this order ({type(error).__name__})."


# --- the process --------------------------------------------------------------------------------


def _die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent goes, or go now if it has gone already."""
    if sys.platform == "linux":  # elsewhere the end of standard input has to do
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)


def _own_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Return the orders and the answers, out of reach of a library that prints or reads."""
    orders = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    return orders, answers


def _limit(memory_bytes: int) -> None:
    for what, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, _FILE_BYTES),
        # The parent watches what is really used; this stops what it is too slow to see.
        (resource.RLIMIT_AS, memory_bytes + _UNTOUCHED_BYTES),
    ):
        with suppress(ValueError, OSError):  # a stricter limit is in force, or the system has none
            resource.setrlimit(what, (most, most))
    os.nice(_NICENESS)
    with suppress(OSError):  # where memory runs out, this process goes before the service does
        Path("/proc/self/oom_score_adj").write_text("500")


def _jobs(orders: BinaryIO) -> Iterator[Job]:
    """Yield the orders; another thread reads, so that their end is seen in the middle of a job."""
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def read() -> None:
        for line in orders:
            lines.put(line)
        os._exit(0)

    threading.Thread(target=read, name="orders", daemon=True).start()
    while True:
        yield read_job(lines.get())


def _send(answers: BinaryIO, answer: Answer) -> None:
    answers.write(to_line(answer))
    answers.flush()


if __name__ == "__main__":
    main()
