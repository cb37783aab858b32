"""What processes cost, as the kernel counts it: CPU time and memory, children included."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

TICK_S: Final = 1 / os.sysconf("SC_CLK_TCK")
_PPID: Final = 1  # of the fields after the name, which is in brackets and may hold anything
_TIMES: Final = slice(11, 15)  # own user and system time, then those of children that have ended


def tree(pid: int) -> list[int]:
    """Return a process and all that descend from it."""
    parents = {int(entry.name): fields[_PPID] for entry in _all() if (fields := _stat(int(entry.name)))}
    found = [pid]
    for parent in found:
        found += [child for child, of in parents.items() if int(of) == parent]
    return found


def cpu_s(pid: int) -> float:
    """Return the CPU seconds of a process and its descendants so far; a tick is 10 ms."""
    ticks = 0
    for member in tree(pid):
        ticks += sum(int(field) for field in _stat(member)[_TIMES])
    return ticks * TICK_S


def resident_mb(pid: int) -> float:
    """Return the resident memory of one process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@contextmanager
def pinned(cores: frozenset[int]) -> Iterator[None]:
    """Let what is started meanwhile run on `cores` only; it inherits that from us."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _all() -> Iterator[Path]:
    return Path("/proc").glob("[0-9]*")


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # it has ended meanwhile
        return []
