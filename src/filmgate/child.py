"""Child processes that handle what strangers made: they know no secrets, and outlive nobody."""

import asyncio
import ctypes
import os
import resource
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NO_NEW_PRIVS: Final = 38


# --- in the parent ------------------------------------------------------------------------------


async def start(module: str, *arguments: object, environment: Mapping[str, str] | None = None) -> Process:
    """Start `module` in a process group of its own, with pipes; its first argument is our process id.

    It is told where our libraries are, and of the environment only what `environment` says.
    """
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",  # or the current directory could shadow a library
        "-s",
        "-m",
        module,
        str(os.getpid()),
        *map(str, arguments),
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        env={**_libraries(), **(environment or {})},
        start_new_session=True,
    )


def kill(process: Process) -> None:
    """Kill a process and all that it started; one that has ended is no error."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _libraries() -> dict[str, str]:
    loader = {name: text for name, text in os.environ.items() if name.startswith(("LD_", "DYLD_", "NIX_LD"))}
    return {**loader, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


# --- in the child -------------------------------------------------------------------------------


def die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent goes, or go now if it has gone already.

    It can gain no rights either, by whatever it starts.
    """
    if sys.platform == "linux":  # elsewhere the end of standard input has to do
        libc = ctypes.CDLL(None)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)


def own_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Return standard input and output as ours, out of reach of a library that prints or reads."""
    orders = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    return orders, answers


def limit(what: int, most: int, hard: int | None = None) -> None:
    """Set a resource limit; where a stricter one is in force, or the system has none, it stays."""
    with suppress(ValueError, OSError):
        resource.setrlimit(what, (most, most if hard is None else hard))


def go_first() -> None:
    """Where memory runs out, have this process go before the service does."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")
