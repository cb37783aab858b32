"""A Filmgate to be measured: a real process on a free port, over a directory of its own."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import apsw

from benchmarks import processes
from benchmarks.figures import BenchmarkFailed
from filmgate.bootstrap import beside
from filmgate.core.pricing import MICRO
from filmgate.service.manage_keys import create_key
from filmgate.settings import load

ROOT: Final = Path(__file__).parents[1]
STARTS_WITHIN_S: Final = 30.0
STOPS_WITHIN_S: Final = 30.0
CREDITS: Final = 1_000_000_000

# The sandbox is free of charge; this is the same for credits, so that a hold holds something.
MODEL: Final = "bench"
_CATALOGUE: Final = f"""
[[models]]
id = "{MODEL}"
kind = "video"
price = {{ per_second = 1 }}
duration_s = [1, 60]
default_duration_s = 5
any_size = true
expected_s = 1
routes = [{{ provider = "sandbox" }}]
"""


class Service:
    """`filmgate serve` with its default settings but for `settings`, on `cores` only."""

    def __init__(
        self,
        directory: Path,
        *,
        cores: frozenset[int],
        settings: Mapping[str, object] | None = None,
        program: Sequence[str] = ("filmgate",),
    ) -> None:
        """Take a new directory; `start` starts it."""
        directory.mkdir()
        self.data = directory / "data"
        self.port = free_port()
        self._cores = cores
        self._log = directory / "service.log"
        self._program = [sys.executable, "-m", *program]
        self._config = directory / "filmgate.toml"  # or one that lies about would be found
        self._config.write_text('catalogue = "catalogue.toml"\n')
        (directory / "catalogue.toml").write_text(_CATALOGUE)
        asked = {"config": self._config, **(settings or {})}
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("FILMGATE_")},
            **{f"FILMGATE_{name.upper()}": str(value) for name, value in asked.items()},
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process that runs now."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> float:
        """Start it, and return the seconds until it answered that it is well."""
        command = [*self._program, "serve", "--port", str(self.port), "--data", str(self.data)]
        with self._log.open("ab") as log, processes.pinned(self._cores):
            began = time.perf_counter()
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
            )
        while time.perf_counter() - began < STARTS_WITHIN_S and self._process.poll() is None:
            if self._is_well():
                return time.perf_counter() - began
            time.sleep(0.002)  # nothing tells us when a port opens
        raise BenchmarkFailed(f"the service did not start: {self._log.read_text()[-2000:]}")

    def _is_well(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=STARTS_WITHIN_S) as connection:
                connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n")
                return connection.recv(4096).startswith(b"HTTP/1.1 200 ")
        except OSError:
            return False

    def settle(self) -> None:
        """Wait until it has nothing left to do: its render child has warmed up beside it."""
        deadline = time.perf_counter() + STARTS_WITHIN_S
        while time.perf_counter() < deadline:
            before = self.cpu_s()
            time.sleep(0.5)
            if len(processes.tree(self.pid)) > 1 and self.cpu_s() - before < 0.03:
                return
        raise BenchmarkFailed("the service does not come to rest")

    def cpu_s(self) -> float:
        """Return what it and its children have cost so far."""
        return processes.cpu_s(self.pid)

    def kill(self) -> None:
        """End it as a power cut would end a process."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        """Ask it to stop; kill it if it will not."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOPS_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def __enter__(self) -> Self:
        """Start it."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it."""
        self.stop()

    # --- beside it ------------------------------------------------------------------------------

    def new_keys(self, count: int = 1) -> list[str]:
        """Return keys, each of a new account with more credits than it can spend."""
        return asyncio.run(self._new_keys(count))

    async def _new_keys(self, count: int) -> list[str]:
        async with beside(load({"data": self.data}, config=self._config, environ={}).settings) as ports:
            return [
                (await create_key(ports, name="bench", credits_micro=CREDITS * MICRO, account_id=None))[1]
                for _ in range(count)
            ]

    def ask(self, statement: str) -> Any:  # noqa: ANN401  (whatever was asked for)
        """Return the one value that `statement` selects from the database."""
        flags = apsw.SQLITE_OPEN_READONLY
        with apsw.Connection(str(self.data / "filmgate.db"), flags=flags) as db:
            return db.execute(statement).get

    def check(self, *, tasks: int) -> None:
        """Fail unless every task that was accepted is there, and the books are right."""
        stored = self.ask("SELECT count(*) FROM tasks")
        if stored != tasks:
            raise BenchmarkFailed(f"{tasks} tasks were accepted and {stored} are stored")
        audit = subprocess.run(
            [sys.executable, "-m", "filmgate", "ledger", "verify", "--json", "--data", str(self.data)],
            cwd=ROOT,
            capture_output=True,
            env=self._environment,
            timeout=120,
            check=False,
        )
        if audit.returncode != 0 or not json.loads(audit.stdout)["ok"]:
            raise BenchmarkFailed(f"filmgate ledger verify: {audit.stdout[-500:]!r} {audit.stderr[-500:]!r}")


def free_port() -> int:
    """Return a loopback port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
