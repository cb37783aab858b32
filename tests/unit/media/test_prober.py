"""What a child of the probe process may do once a file has taken it over: next to nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

DAMAGED: Final = "the file is damaged"
TOO_LONG: Final = "it takes too long to look into the file"

# The probe process as it is, but for the decoder: that does what a hostile file would have it do.
TAKEN_OVER: Final = """
import os, signal, socket, subprocess, sys, threading, time
from filmgate.core.errors import InputInvalid
from filmgate.media import prober

def look(file):
    {deed}
    raise InputInvalid("it was done")

prober.CPU_S, prober.WALL_S, prober.look = 1, 1.5, look
prober.main()
"""

DEEDS: Final = {
    "nothing": ("pass", "it was done"),
    "opens a file": ("open('/etc/passwd')", DAMAGED),
    "opens a file in place of another": ("file.close(); open('/etc/passwd')", DAMAGED),
    "makes a socket": ("socket.socket()", DAMAGED),
    "makes a pipe": ("os.pipe()", DAMAGED),
    "starts a program": ("subprocess.Popen(['true'])", DAMAGED),
    "writes to its own file": ("os.write(file.fileno(), b'x')", DAMAGED),
    "takes memory": ("bytearray(2**30)", "it takes too much memory to look into the file"),
    "never ends": ("while True: pass", TOO_LONG),
    "hangs": ("time.sleep(100)", TOO_LONG),
    "crashes": ("os.kill(os.getpid(), signal.SIGSEGV)", DAMAGED),
    "exits": ("os._exit(0)", DAMAGED),
    "prints": ("print('noise', flush=True)", "it was done"),
    "answers for another": ("os.write(3, b'\\n{}\\n{}\\n')", DAMAGED),
    "floods": ("os.write(3, bytes(10_000)); os.write(3, bytes(10_000))", None),
    "kills its parent's orders": ("os.close(0); os.close(1); os.close(2)", "it was done"),
}


def answers(deed: str, path: Path, *, times: int = 1) -> list[Any]:
    """Return what the probe process says of a file, as often as it is asked."""
    done = subprocess.run(
        [sys.executable, "-c", TAKEN_OVER.format(deed=deed), str(os.getpid())],
        input=(json.dumps(str(path)).encode() + b"\n") * times,
        capture_output=True,
        timeout=60,
        check=True,
    )
    return done.stdout.splitlines()


@pytest.mark.parametrize(("deed", "says"), DEEDS.values(), ids=DEEDS.keys())
def test_a_child_that_a_file_has_taken_over_can_do_no_harm(
    deed: str, says: str | None, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"a film")

    first, second = answers(deed, path, times=2)

    assert path.read_bytes() == b"a film"
    assert first == second, "the next file finds all as it was"
    if says is not None:
        assert json.loads(first) == {"refused": says}
