"""The load: an HTTP/1.1 generator in a process and on a core of its own, and who orders it about.

It knows just enough HTTP to be faster than what it measures: each connection sends a request that
was written down beforehand, waits for the whole answer, checks it, and sends the next.
"""

import asyncio
import gc
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count, cycle
from typing import Final, cast

import msgspec
import uvloop

from benchmarks import processes
from benchmarks.figures import BenchmarkFailed
from benchmarks.service import ROOT

# Where a request holds this, each copy that is sent has a number of its own there.
NUMBER: Final = b"@@@@@@@@@@"
_LOOPBACK: Final = "127.0.0.1"
_GRACE_S: Final = 60.0  # after which a run that has not ended never will


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """One run: connection n sends `requests[n]`, and so on round, until `seconds` or `answers` are over.

    Of more requests than connections, each connection takes the next. Every answer must have the
    status 200 and contain `contains`. `first` is the first number.
    """

    port: int
    requests: tuple[bytes, ...]
    connections: int
    contains: bytes
    seconds: float = _GRACE_S
    warm_s: float = 0.2
    answers: int | None = None
    first: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a run went. `answers` of them came within `seconds`; `total` includes warming up and the last.

    `busy` is how much of its core the generator itself needed: near 1, it measured itself.
    """

    answers: int
    seconds: float
    total: int
    p50_ms: float
    p99_ms: float
    busy: float
    problem: str = ""

    @property
    def per_s(self) -> float:
        """Answers a second."""
        return self.answers / self.seconds


def request(method: str, path: str, *, key: str, body: object = None) -> bytes:
    """Return a request as it goes over the wire."""
    content = b"" if body is None else msgspec.json.encode(body)
    lines = [f"{method} {path} HTTP/1.1", "host: bench", f"authorization: Bearer {key}"]
    if content:
        lines += ["content-type: application/json", f"content-length: {len(content)}"]
    return "\r\n".join([*lines, "", ""]).encode() + content


# --- who orders it about ------------------------------------------------------------------------


class Generator:
    """The generator's process, which stays for many runs."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        """Use `generator`."""
        self._process = process

    def run(self, load: Load) -> Outcome:
        """Have one run done; fail if any answer was not what it should be."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(msgspec.json.encode(load) + b"\n")
        self._process.stdin.flush()
        ready, _, _ = select.select([self._process.stdout], [], [], load.seconds + 2 * _GRACE_S)
        line = self._process.stdout.readline() if ready else b""
        if not line:
            raise BenchmarkFailed("the load generator says nothing")
        outcome = msgspec.json.decode(line, type=Outcome)
        if outcome.problem:
            raise BenchmarkFailed(outcome.problem)
        return outcome


@contextmanager
def generator(cores: frozenset[int]) -> Iterator[Generator]:
    """Give a generator on `cores`."""
    with processes.pinned(cores):
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.load"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
    try:
        yield Generator(process)
    finally:
        process.kill()
        process.communicate()


# --- the generator ------------------------------------------------------------------------------


class _Run:
    """One run under way: what all its connections share."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.numbers = count(load.first)
        self.texts = cycle(load.requests) if len(load.requests) > load.connections else None
        self.unsent = load.answers
        self.measuring = False
        self.over = False
        self.total = 0
        self.took: list[float] = []
        self.began = self.ended = self.cpu = 0.0
        self.open = 0
        self.done: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def go(self) -> Outcome:
        loop = asyncio.get_running_loop()
        load = self.load
        # Counted runs begin with their first request: there is nothing to warm up with.
        loop.call_later(0.0 if load.answers else load.warm_s, self.begin)
        loop.call_later(load.warm_s + load.seconds, self.end)
        loop.call_later(load.warm_s + load.seconds + _GRACE_S, self.fail, "an answer never came")
        for n in range(load.connections):
            text = load.requests[n % len(load.requests)]
            await loop.create_connection(lambda text=text: _Connection(self, text), _LOOPBACK, load.port)  # type: ignore[misc]
        problem = await self.done
        took = sorted(self.took) or [0.0]
        seconds = max(self.ended - self.began, 1e-9)
        return Outcome(
            answers=len(self.took),
            seconds=seconds,
            total=self.total,
            p50_ms=1000 * took[len(took) // 2],
            p99_ms=1000 * took[min(len(took) * 99 // 100, len(took) - 1)],
            busy=self.cpu / seconds,
            problem=problem or ("" if self.took else "no answer came in time"),
        )

    def begin(self) -> None:
        self.measuring = True
        self.cpu = -time.process_time()
        self.began = time.perf_counter()

    def end(self) -> None:
        if not self.over:
            self.over = True
            self.measuring = False
            self.ended = time.perf_counter()
            self.cpu += time.process_time()

    def fail(self, problem: str) -> None:
        self.end()
        if not self.done.done():
            self.done.set_result(problem)

    def closed(self) -> None:
        self.open -= 1
        if self.open == 0:
            self.end()
            if not self.done.done():
                self.done.set_result("")


class _Connection(asyncio.Protocol):
    """One caller: a request, its answer, the next request."""

    __slots__ = ("_begin", "_end", "_has_number", "_heard", "_run", "_sent_at", "_transport", "_waiting")

    def __init__(self, run: _Run, text: bytes) -> None:
        self._run = run
        self._use(text)
        self._heard = b""
        self._waiting = False

    def _use(self, text: bytes) -> None:
        self._begin, number, self._end = text.partition(NUMBER)
        self._has_number = bool(number)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._run.open += 1
        self._send()

    def _send(self) -> None:
        run = self._run
        if run.over or run.unsent == 0:
            self._waiting = False
            self._transport.close()
            return
        if run.unsent is not None:
            run.unsent -= 1
        self._waiting = True
        if run.texts is not None:
            self._use(next(run.texts))
        text = self._begin
        if self._has_number:
            text = b"%b%010d%b" % (text, next(run.numbers), self._end)
        self._sent_at = time.perf_counter()
        self._transport.write(text)

    def data_received(self, data: bytes) -> None:
        heard = self._heard + data if self._heard else data
        head = heard.find(b"\r\n\r\n")
        if head < 0:
            self._heard = heard
            return
        at = heard.find(b"content-length: ", 0, head) + 16
        whole = head + 4 + int(heard[at : heard.find(b"\r", at)])
        if len(heard) < whole:
            self._heard = heard
            return
        run = self._run
        if heard[9:12] != b"200" or len(heard) > whole or heard.find(run.load.contains, head) < 0:
            run.fail(f"an unexpected answer: {heard[:1500]!r}")
            return
        self._heard = b""
        run.total += 1
        if run.measuring:
            run.took.append(time.perf_counter() - self._sent_at)
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiting:
            self._run.fail(f"a connection was closed before its answer came: {exc}")
        self._run.closed()


def main() -> None:
    """Do the runs that standard input asks for, one a line; answer each with a line."""
    gc.disable()
    for line in sys.stdin.buffer:
        load = msgspec.json.decode(line, type=Load)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            outcome = runner.run(_start(load))
        gc.collect()
        os.write(1, msgspec.json.encode(outcome) + b"\n")


async def _start(load: Load) -> Outcome:
    return await _Run(load).go()


if __name__ == "__main__":
    main()
