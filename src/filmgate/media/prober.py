"""The probe process: forks a child for each file, which looks into that one file and can do nothing else.

This process has the decoders loaded and never sees a file itself, so each child begins clean and at
once. A child may open nothing, write nothing and start nothing, has little memory and little time.
"""

import codecs
import io
import json
import os
import resource
import select
import signal
import sys
import time
import traceback
import wave
from dataclasses import asdict
from typing import BinaryIO, Final

import av
from PIL import Image

from filmgate import child
from filmgate.core.errors import InputInvalid
from filmgate.media.look import look

MEMORY_BYTES: Final = 1 << 30
CPU_S: Final = 10
WALL_S: Final = 20.0
ANSWER_BYTES: Final = 4_096

_TOO_LONG: Final = {"refused": "it takes too long to look into the file"}
_DAMAGED: Final = {"refused": "the file is damaged"}
_MOST_OPEN: Final = 256


def main() -> None:
    """Serve paths, one a line, until standard input ends; the argument is the parent's process id."""
    child.die_with(int(sys.argv[1]))
    orders, answers = child.own_pipes()
    _limit_for_all()
    _warm()
    for line in orders:
        answers.write(_answer(json.loads(line)) + b"\n")
        answers.flush()


def _answer(path: str) -> bytes:
    """Return what a child says of the file, or why it says nothing."""
    read_end, write_end = os.pipe()
    looker = os.fork()
    if looker == 0:
        os.close(read_end)
        _be_a_child(path, write_end)
    os.close(write_end)
    try:
        answer = _read(read_end)
    finally:
        os.close(read_end)
        os.kill(looker, signal.SIGKILL)
        _, status = os.waitpid(looker, 0)
    if answer is None or _ran_out_of_time(status):
        return json.dumps(_TOO_LONG).encode()
    # One line, whatever a child that is not ours any more may have written.
    return answer.partition(b"\n")[0] or json.dumps(_DAMAGED).encode()


def _read(pipe: int) -> bytes | None:
    """Return everything that comes until the other end is closed; None if that takes too long."""
    answer, until = b"", time.monotonic() + WALL_S
    waiting = select.poll()
    waiting.register(pipe, select.POLLIN)
    while len(answer) < ANSWER_BYTES:
        if not waiting.poll(max(0, until - time.monotonic()) * 1_000):
            return None
        piece = os.read(pipe, ANSWER_BYTES)
        if not piece:
            break
        answer += piece
    return answer


def _ran_out_of_time(status: int) -> bool:
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU


# --- the child ----------------------------------------------------------------------------------


def _be_a_child(path: str, answers: int) -> None:
    status = 1
    try:
        child.die_with(os.getppid())
        # What it may touch: 0 is the file, 2 the log, 3 takes its answer.
        os.dup2(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), 0)
        os.dup2(answers, 3)
        os.closerange(4, _MOST_OPEN)
        _limit_for_one()
        with os.fdopen(0, "rb") as file:
            os.write(3, _words(file))
        status = 0
    except BaseException:  # noqa: BLE001  (whatever it is, this process ends here)
        traceback.print_exc()
    finally:
        os._exit(status)


def _words(file: BinaryIO) -> bytes:
    try:
        return json.dumps({"probed": asdict(look(file))}).encode()
    except InputInvalid as error:
        said = {"refused": error.message}
    except MemoryError:
        said = {"refused": "it takes too much memory to look into the file"}
    except Exception as error:  # noqa: BLE001  (decoders raise anything; the caller gets a sentence)
        # For the operator: standard error goes to the parent's log.
        print(f"a file could not be read: {error!r}"[:500], file=sys.stderr)  # noqa: T201
        said = _DAMAGED
    return json.dumps(said).encode()


# --- the processes ------------------------------------------------------------------------------


def _limit_for_all() -> None:
    child.limit(resource.RLIMIT_CORE, 0)
    child.limit(resource.RLIMIT_FSIZE, 0)
    child.limit(resource.RLIMIT_AS, MEMORY_BYTES)
    child.limit(resource.RLIMIT_NOFILE, _MOST_OPEN)
    child.go_first()


def _limit_for_one() -> None:
    child.limit(resource.RLIMIT_CPU, CPU_S, CPU_S + 1)  # the first tells itself from other deaths
    child.limit(resource.RLIMIT_NPROC, 0)
    # What is open stays open; nothing else can be: no file, no socket, whatever a decoder is made to do.
    child.limit(resource.RLIMIT_NOFILE, 0)


def _warm() -> None:
    """Take each way through the decoders once: what they load late, a child could not load any more."""
    codecs.lookup("latin-1")
    for name in ("PNG", "JPEG", "GIF", "WEBP", "BMP"):
        sample = io.BytesIO()
        Image.new("RGB", (16, 16)).save(sample, name)
        with Image.open(sample, formats=[name]) as picture:
            picture.load()
            picture.getexif()
    sample = io.BytesIO()
    with wave.open(sample, "wb") as sound:
        sound.setparams((1, 2, 8_000, 0, "NONE", ""))
        sound.writeframes(bytes(16_000))
    sample.seek(0)
    with av.open(sample, "r", format="wav") as container:
        next(container.decode(container.streams.audio[0]))


if __name__ == "__main__":
    main()
