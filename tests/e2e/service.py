"""A Filmgate of its own for a test: a real process on a free port, over a directory of its own."""

import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import httpx2

STARTS_WITHIN_S: Final = 20.0


def free_port() -> int:
    """Return a loopback port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Process:
    """A `filmgate` that runs until it is told to stop, over `data`, with these settings and no others."""

    def __init__(self, data: Path, **settings: object) -> None:
        """Start nothing yet."""
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("FILMGATE_")},
            **{f"FILMGATE_{name.upper()}": str(value) for name, value in settings.items()},
        }
        self.data = data
        self.log = data.parent / "service.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process that runs now."""
        assert self._process is not None
        return self._process.pid

    @property
    def children(self) -> list[int]:
        """The processes that it has started, and that run now."""
        return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*_filmgate(), *arguments, "--data", str(self.data)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
            )
        return self._process

    def kill(self) -> None:
        """End it as a power cut would end a process."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> int:
        """Ask it to stop, and return its exit status."""
        self.ask_to_stop()
        return self.wait(30)

    def ask_to_stop(self) -> None:
        """Send it SIGTERM, and return at once."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)

    def wait(self, timeout_s: float) -> int:
        """Return its exit status once it has ended."""
        assert self._process is not None
        return self._process.wait(timeout=timeout_s)


class Worker(Process):
    """`filmgate worker`: runs tasks, and nothing else."""

    def start(self) -> None:
        """Start it; it says nothing until others can see it."""
        self._start("worker")


class Service(Process):
    """`filmgate serve`; it keeps its port when it is started again."""

    def __init__(self, data: Path, **settings: object) -> None:
        """Choose a port; `start` starts it."""
        super().__init__(data, **settings)
        self._settings = settings
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self) -> float:
        """Start it, and return the seconds until it answered."""
        began = time.monotonic()
        process = self._start("serve", "--port", str(self.port))
        while time.monotonic() - began < STARTS_WITHIN_S:
            if process.poll() is not None:
                break
            try:
                if httpx2.get(f"{self.url}/healthz", timeout=1).status_code == 200:
                    return time.monotonic() - began
            except httpx2.TransportError:
                time.sleep(0.02)  # nothing tells us when a port opens
        raise AssertionError(f"the service did not start:\n{self.log.read_text()[-3000:]}")

    def worker(self, **settings: object) -> Worker:
        """Return a worker beside it, to be started: by the same settings, but for these."""
        return Worker(self.data, **{**self._settings, **settings})

    def limit_files(self, size_bytes: int) -> None:
        """Let no file of it grow past this, as if the disk were full; -1 lets them."""
        hard = resource.prlimit(self.pid, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (size_bytes, hard))

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run another `filmgate` command over the same directory."""
        return subprocess.run(
            [*_filmgate(), *arguments, "--data", str(self.data)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=self._environment,
            timeout=60,
            check=False,
        )

    def new_key(self, *, credits_: int) -> str:
        """Return a key of a new account with so many credits."""
        made = self.run("keys", "create", "--name", "test", "--credits", str(credits_))
        assert made.returncode == 0, made.stderr
        return made.stdout.strip()


@contextmanager
def serving(data: Path, **settings: object) -> Iterator[Service]:
    """Serve over `data`; in the end the service must stop as it should."""
    service = Service(data, **settings)
    service.start()
    try:
        yield service
    finally:
        assert service.stop() == 0


def processes_of(directory: Path) -> list[str]:
    """Return the command lines of our processes that work on a directory, but for this one."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if "filmgate" in command and str(directory) in command and process.name != str(os.getpid()):
                found.append(command)
    return found


def _filmgate() -> list[str]:
    return [sys.executable, "-m", "filmgate"]
