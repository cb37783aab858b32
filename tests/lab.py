"""Several hosts on one machine: network namespaces with a link between each two, which can be cut.

They have no names, in the file system or elsewhere, and nothing of them is seen from outside: each is there
as long as this process has it open or a process runs in it. So nothing is left, however the tests end.
"""

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import combinations, permutations
from pathlib import Path
from typing import IO, Final, NoReturn, TypeVar

import pytest

from tests.postgres import TIED, spawn

REQUIRED: Final = "FILMGATE_REQUIRE_LAB"

Result = TypeVar("Result")

_CLONE_NEWNET: Final = 0x4000_0000
_NOBODY: Final = "02:00:00:00:ff:ff"  # the hardware address of no host


class Lab:
    """Hosts that are linked each with each. A host has one address, the same on all its links."""

    def __init__(self, *names: str) -> None:
        """Make the hosts and their links; OSError where that is not allowed."""
        self._namespaces: dict[str, int] = {}
        self._processes: list[subprocess.Popen[bytes]] = []
        self._numbers = {name: number for number, name in enumerate(names, 1)}
        try:
            for name in names:
                self._namespaces[name] = _in_thread(_new_namespace)
                self._ip(name, "link set lo up")
            for one, other in combinations(names, 2):
                self._ip(one, self._link(one, other))
            for one, other in permutations(names, 2):
                at, there = self.address(one), self.address(other)
                self._ip(one, f"addr add {at} peer {there} dev to-{other}", f"link set to-{other} up")
            self.heal()
        except BaseException:
            self.close()
            raise

    def address(self, host: str) -> str:
        """Return the address of a host, where all others find it."""
        return f"10.77.0.{self._numbers[host]}"

    def inside(self, host: str) -> tuple[str, ...]:
        """Return the beginning of a command that is to run in a host."""
        return ("nsenter", f"--net={self._path(host)}", "--")

    def spawn(
        self,
        host: str,
        command: Sequence[str],
        *,
        log: IO[bytes],
        cwd: Path,
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a command in a host; it ends with the lab, if it has not before."""
        whole = [*self.inside(host), *TIED, *command]
        self._processes.append(spawn(whole, log=log, cwd=cwd, environment=environment))
        return self._processes[-1]

    def within(self, host: str, work: Callable[[], Result]) -> Result:
        """Do `work` in a thread of that host, and return what it does.

        Sockets stay in the host they were made in, whoever uses them.
        """

        def do() -> Result:
            _call("setns", self._namespaces[host], _CLONE_NEWNET)
            return work()

        return _in_thread(do)

    def cut(self, one: str, other: str, *, both_ways: bool = True) -> None:
        """Lose all that `one` sends to `other`, and the other way; nobody is told, connections hang."""
        for sender, receiver in [(one, other), (other, one)][: 1 + both_ways]:
            self._ip(sender, self._neighbour(receiver, _NOBODY))

    def heal(self) -> None:
        """Undo every cut."""
        for one, other in permutations(self._numbers, 2):
            self._ip(one, self._neighbour(other, self._hardware(other, one)))

    def close(self) -> None:
        """Kill what still runs in the hosts, and let go of them."""
        for process in self._processes:
            process.kill()
            process.wait()
        for namespace in self._namespaces.values():
            os.close(namespace)

    def _link(self, one: str, other: str) -> str:
        here = f"link add to-{other} address {self._hardware(one, other)} type veth"
        there = f"peer name to-{one} address {self._hardware(other, one)} netns {self._path(other)}"
        return f"{here} {there}"

    def _neighbour(self, other: str, hardware: str) -> str:
        return f"neigh replace {self.address(other)} lladdr {hardware} dev to-{other} nud permanent"

    def _hardware(self, host: str, towards: str) -> str:
        return f"02:00:00:00:{self._numbers[host]:02x}:{self._numbers[towards]:02x}"

    def _path(self, host: str) -> str:
        return f"/proc/{os.getpid()}/fd/{self._namespaces[host]}"

    def _ip(self, host: str, *lines: str) -> None:
        ran = subprocess.run(
            [*self.inside(host), "ip", "-batch", "-"],
            input="\n".join(lines),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        if ran.returncode:
            raise OSError(f"in host {host}: {ran.stderr.strip()}")


@contextmanager
def lab(*names: str) -> Iterator[Lab]:
    """Make a lab of these hosts; where there can be none, the test skips."""
    missing = [program for program in ("ip", "nsenter") if shutil.which(program) is None]
    if sys.platform != "linux" or os.geteuid() != 0 or missing:
        _no_lab("Linux, root, and the programs ip and nsenter")
    try:
        one = Lab(*names)
    except OSError as error:
        _no_lab(f"more rights than root has here: {error}")
    try:
        yield one
    finally:
        one.close()


def _no_lab(what: str) -> NoReturn:
    reason = f"needs network namespaces, and they need {what}"
    if os.environ.get(REQUIRED):
        pytest.fail(f"{REQUIRED} is set; {reason}", pytrace=False)
    pytest.skip(reason)


def _new_namespace() -> int:
    """Return a new network namespace, as a file descriptor; the thread is in it from now on."""
    _call("unshare", _CLONE_NEWNET)
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY)


def _call(function: str, *arguments: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc[function](*arguments):
        raise OSError(ctypes.get_errno(), f"{function}: {os.strerror(ctypes.get_errno())}")


def _in_thread(work: Callable[[], Result]) -> Result:
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(work).result()
