"""A render child: reads orders from its standard input and makes them, one after the other.

It does no harm and outlives nobody: bounded memory and files, low priority, and it goes the moment
the process that started it does.
"""

import os
import queue
import resource
import sys
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from filmgate import child
from filmgate.core.generation import OutputKind
from filmgate.providers.studio.order import FilmOrder, StillOrder, Unusable
from filmgate.providers.studio.wire import Answer, Broken, File, Finished, Job, Progress, read_job, to_line

_NICENESS: Final = 5
_UNTOUCHED_BYTES: Final = 1 << 30  # address space that libraries reserve and never use
_FILE_BYTES: Final = 1 << 30

_A_FILM: Final = FilmOrder(prompt="a sailboat at sunset", seed=1, width=64, height=36, duration_s=1, fps=1)


def main() -> None:
    """Serve orders until standard input ends; the arguments: the parent's process id, bytes of memory."""
    parent, memory_bytes = map(int, sys.argv[1:])
    child.die_with(parent)
    orders, answers = child.own_pipes()
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
    except Unusable as error:  # the caller's, and no news to the operator
        return Broken(str(error), code="input_invalid")
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
        write_picture(still(order, k), directory / name, order)
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


def _limit(memory_bytes: int) -> None:
    child.limit(resource.RLIMIT_CORE, 0)
    child.limit(resource.RLIMIT_FSIZE, _FILE_BYTES)
    # The parent watches what is really used; this stops what it is too slow to see.
    child.limit(resource.RLIMIT_AS, memory_bytes + _UNTOUCHED_BYTES)
    os.nice(_NICENESS)
    child.go_first()


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
