"""What was measured on: the machine and the versions, and nothing that names its owner."""

import os
import platform
import time
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Final

import apsw

from benchmarks.processes import TICK_S
from filmgate import __version__

_PACKAGES: Final = "uvicorn starlette uvloop httptools msgspec pydantic apsw av numpy".split()
_SYNCS: Final = 50


def describe(directory: Path) -> dict[str, str]:
    """Return what a reader must know to compare; `directory` is on the disk that the databases use."""
    return {
        "cpu": f"{_cpu_model()}, {len(os.sched_getaffinity(0))} cores",
        "memory": f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB",
        "disk": f"{_filesystem(directory)}, fdatasync {_fdatasync_ms(directory):.2f} ms (median)",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "sqlite": apsw.sqlite_lib_version(),
        "filmgate": __version__,
        "packages": ", ".join(f"{name} {version(name)}" for name in _PACKAGES),
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def _filesystem(directory: Path) -> str:
    """Return the type of the file system: an fsync on one in memory costs nothing, and proves nothing."""
    best = ("", "unknown")
    for line in Path("/proc/mounts").read_text().splitlines():
        _, where, kind, *_ = line.split()
        if directory.resolve().is_relative_to(where) and len(where) >= len(best[0]):
            best = (where, kind)
    return best[1]


def _fdatasync_ms(directory: Path) -> float:
    took = []
    path = directory / "fdatasync"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        for _ in range(_SYNCS):
            os.write(descriptor, bytes(4096))
            began = time.perf_counter()
            os.fdatasync(descriptor)
            took.append(1000 * (time.perf_counter() - began))
    finally:
        os.close(descriptor)
        path.unlink()
    return median(took)


def busy_core_s() -> float:
    """Return the CPU seconds that all of this machine has spent so far, stolen ones included."""
    times = [int(text) for text in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    idle = times[3] + times[4]
    return (sum(times) - idle) * TICK_S
