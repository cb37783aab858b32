"""Several processes as one: they begin together, one that dies is begun again, and they stop together."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import pytest

# What a test supervises: each role says by a file that it lives, and waits for SIGTERM.
PROGRAM: Final = """
import json, os, signal, sys, time
from pathlib import Path
from filmgate.bootstrap.logs import start_logging
from filmgate.bootstrap.supervisor import supervise

start_logging("json", "info")
here, what = Path(sys.argv[1]), sys.argv[2]

def role(ready):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    (here / str(os.getpid())).touch()
    if what == "bug":
        raise RuntimeError("a bug")
    if what == "refused":
        from filmgate.core.errors import InvalidSettings
        raise InvalidSettings("port: is taken")
    ready({"from": os.getpid()})
    while True:
        time.sleep(0.05)

supervise([role, role], lambda said: print(json.dumps(said), flush=True))
"""


class Supervisor:
    """The program, and the files of its processes."""

    def __init__(self, here: Path, what: str = "") -> None:
        self.here = here
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(here), what],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def children(self, count: int, within_s: float = 20) -> set[int]:
        """Return the processes that have ever lived, once there are so many."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            found = {int(path.name) for path in self.here.iterdir()}
            if len(found) >= count:
                return found
            time.sleep(0.02)  # nothing tells us when a file appears
        raise AssertionError(f"{count} processes did not come in {within_s} s")


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_all_stop_when_asked_to(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path)
    children = supervisor.children(2)

    supervisor.process.terminate()
    out, _ = supervisor.process.communicate(timeout=20)

    assert supervisor.process.returncode == 0
    assert json.loads(out)["from"] in children, "what the first one said is announced, once"
    assert not any(map(lives, children))


def test_one_that_dies_is_begun_again(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path)
    victim = min(supervisor.children(2))
    try:
        os.kill(victim, signal.SIGKILL)

        assert len(supervisor.children(3)) == 3
    finally:
        supervisor.process.terminate()
        _, said = supervisor.process.communicate(timeout=20)
    assert "process_died" in said
    assert supervisor.process.returncode == 0


def test_they_die_with_who_supervises_them(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path)
    children = supervisor.children(2)

    supervisor.process.kill()
    supervisor.process.communicate(timeout=20)

    deadline = time.monotonic() + 10
    while any(map(lives, children)) and time.monotonic() < deadline:
        time.sleep(0.02)  # the kernel tells them in its own time
    assert not any(map(lives, children))


@pytest.mark.parametrize("what", ["bug", "refused"])
def test_what_is_wrong_at_the_start_ends_all_of_it_and_is_said_once(tmp_path: Path, what: str) -> None:
    supervisor = Supervisor(tmp_path, what)

    out, said = supervisor.process.communicate(timeout=20)

    assert supervisor.process.returncode == 1
    assert not out
    assert len(list(tmp_path.iterdir())) == 1, "the others were not begun"
    assert said.count("RuntimeError" if what == "bug" else "is taken") >= 1
