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

from benchmarks import processes
from benchmarks.databases import Database, Postgres, PostgresHost, Sqlite
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
# The same by the provider that `benchmarks.serve` adds.
FAR_MODEL: Final = "bench-far"
_CATALOGUE: Final = "".join(
    f"""
[[models]]
id = "{model}"
kind = "video"
price = {{ per_second = 1 }}
duration_s = [1, 60]
default_duration_s = 5
any_size = true
expected_s = 1
routes = [{{ provider = "{provider}" }}]
"""
    for model, provider in ((MODEL, "sandbox"), (FAR_MODEL, "upstream"))
)


class Service:
    """`filmgate serve` with its default settings but for `settings`, on `cores` only."""

    def __init__(
        self,
        directory: Path,
        *,
        cores: frozenset[int],
        settings: Mapping[str, object] | None = None,
        program: Sequence[str] = ("filmgate",),
        postgres: PostgresHost | None = None,
    ) -> None:
        """Take a new directory, and a new database where that is not in it; `start` starts it."""
        directory.mkdir()
        self.data = directory / "data"
        self.database: Database = Sqlite(self.data) if postgres is None else Postgres(postgres)
        self.port = free_port()
        self._cores = cores
        self._log = directory / "service.log"
        self._program = [sys.executable, "-m", *program]
        self._config = directory / "filmgate.toml"  # or one that lies about would be found
        self._config.write_text('catalogue = "catalogue.toml"\n')
        (directory / "catalogue.toml").write_text(_CATALOGUE)
        asked = {"config": self._config, **self.database.settings, **(settings or {})}
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("FILMGATE_")},
            **_variables(asked),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._workers: list[subprocess.Popen[bytes]] = []

    @property
    def pid(self) -> int:
        """The process that runs now."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> float:
        """Start it, and return the seconds until it answered that it is well."""
        began = time.perf_counter()
        self._process = self._run("serve", "--port", str(self.port))
        while time.perf_counter() - began < STARTS_WITHIN_S and self._process.poll() is None:
            if self._is_well():
                return time.perf_counter() - began
            time.sleep(0.002)  # nothing tells us when a port opens
        raise BenchmarkFailed(f"the service did not start: {self._log.read_text()[-2000:]}")

    def start_worker(self, **settings: object) -> None:
        """Start one more process that only runs tasks, and return once it is known to the others."""
        there = self.workers()
        worker = self._run("worker", **settings)
        self._workers.append(worker)
        deadline = time.perf_counter() + STARTS_WITHIN_S
        while time.perf_counter() < deadline and worker.poll() is None:
            if self.workers() - there:
                return
            time.sleep(0.02)
        raise BenchmarkFailed(f"the worker did not start: {self._log.read_text()[-2000:]}")

    def workers(self) -> frozenset[str]:
        """Return what the processes that run tasks are called, on PostgreSQL."""
        return frozenset(name for (name,) in self.database.rows("SELECT id FROM workers"))

    def _run(self, *command: str, **settings: object) -> "subprocess.Popen[bytes]":
        with self._log.open("ab") as log, processes.pinned(self._cores):
            return subprocess.Popen(
                [*self._program, *command, "--data", str(self.data)],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**self._environment, **_variables(settings)},
            )

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
        """Return what it, its workers and their children have cost so far."""
        return sum(processes.cpu_s(pid) for pid in (self.pid, *(worker.pid for worker in self._workers)))

    def kill(self) -> None:
        """End it as a power cut would end a process; its workers go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        """Ask it and its workers to stop; kill what will not."""
        running = [*self._workers, *([self._process] if self._process else [])]
        for process in running:
            process.terminate()
        for process in running:
            try:
                process.wait(STOPS_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._workers.clear()

    def __enter__(self) -> Self:
        """Start it."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it, and drop its database; after a failure, show what it said was wrong."""
        self.stop()
        self.database.drop()
        if error is not None:
            wrong = [line for line in self._log.read_text().splitlines() if '"level":"error"' in line]
            print(*(line[:2000] for line in wrong[:3]), sep="\n", file=sys.stderr)

    # --- beside it ------------------------------------------------------------------------------

    def new_keys(self, count: int = 1) -> list[str]:
        """Return keys, each of a new account with more credits than it can spend."""
        return asyncio.run(self._new_keys(count))

    async def _new_keys(self, count: int) -> list[str]:
        flags = {"data": self.data, **self.database.settings}
        async with beside(load(flags, config=self._config, environ={}).settings) as ports:
            return [
                (await create_key(ports, name="bench", credits_micro=CREDITS * MICRO, account_id=None))[1]
                for _ in range(count)
            ]

    def ask(self, statement: str) -> Any:  # noqa: ANN401  (whatever was asked for)
        """Return the one value that `statement` selects from the database."""
        return self.database.rows(statement)[0][0]

    def until(self, statement: str, *, within_s: float) -> None:
        """Return once `statement` selects true; fail if that takes longer."""
        deadline = time.perf_counter() + within_s
        while not self.ask(statement):
            if time.perf_counter() > deadline:
                raise BenchmarkFailed(f"it did not come to this within {within_s:g} s: {statement}")
            time.sleep(0.2)

    def check(self, *, tasks: int) -> None:
        """Fail unless every task that was accepted is there, and the books are right."""
        stored = self.ask("SELECT count(*) FROM tasks")
        if stored != tasks:
            raise BenchmarkFailed(f"{tasks} tasks were accepted and {stored} are stored")
        audit = subprocess.run(
            [*self._program, "ledger", "verify", "--json", "--data", str(self.data)],
            cwd=ROOT,
            capture_output=True,
            env=self._environment,
            timeout=120,
            check=False,
        )
        if audit.returncode != 0 or not json.loads(audit.stdout)["ok"]:
            raise BenchmarkFailed(f"filmgate ledger verify: {audit.stdout[-500:]!r} {audit.stderr[-500:]!r}")


def _variables(settings: Mapping[str, object]) -> dict[str, str]:
    return {f"FILMGATE_{name.upper()}": str(value) for name, value in settings.items()}


def free_port() -> int:
    """Return a loopback port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
