"""How much memory an open event stream costs, and how soon it tells what happens."""

import asyncio
import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, cast

import uvloop

from benchmarks import processes
from benchmarks.bench import Bench
from benchmarks.databases import POSTGRES
from benchmarks.figures import BenchmarkFailed, Figure, Report, Target
from benchmarks.load import Generator, Load, generator
from benchmarks.service import Service
from benchmarks.submit import MOST_WAITING, submission

IDLE: Final = 10_000
LIVE: Final = 1_000
LIVE_S: Final = 10.0  # how long they are listened to
EVERY_S: Final = 2  # how often something happens to each of them
MOST_ROUNDS: Final = 2  # of live streams: each has thousands of events
BATCHES: Final = 20
OPENING: Final = 200  # at a time
HELD_S: Final = 17.0  # long enough that every stream has sent a comment

HOW: Final = f"""\
{IDLE:,} streams of as many waiting tasks are opened over sockets and held for {HELD_S:g} s; the memory is
what the server's resident set grew by, the kernel's buffers aside. Then {LIVE:,} tasks run at once in the
sandbox, each with a stream of its own and a change every {EVERY_S} s, and are listened to for {LIVE_S:g}
s; the latency is from the time that an event says it happened to the client's reading it, the commit with
its fsync included. The server has one core, the clients another, which PostgreSQL shares where there are
but two; the tasks run in the server's own process."""


def measure(bench: Bench) -> Report:
    """Measure memory with idle streams and latency with live ones, a server for each round."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most < IDLE + 500:
        raise BenchmarkFailed(f"a process may open {most} files here: too few for {IDLE} streams")
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # the server inherits it
    figures: list[Figure] = []
    for store in bench.stores:
        idle = [_idle(bench, store, n) for n in range(bench.few)]
        live = [_live(bench, store, n) for n in range(min(bench.rounds, MOST_ROUNDS))]
        figures += _figures(store, idle, live)
    return Report(name="streams", how=HOW, figures=figures)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Idle:
    kib: float
    resident_mb: float
    opened_s: float
    cpu: float  # cores, while nothing happens


def _idle(bench: Bench, store: str, n: int) -> _Idle:
    bench.say(f"streams: {store}, {IDLE:,} idle, round {n + 1}")
    caps = {"account_queue": MOST_WAITING, "total_queue": MOST_WAITING, "streams_per_key": IDLE}
    with (
        generator(bench.load_core) as load,
        bench.service(f"streams-idle-{n}", store=store, settings=caps) as service,
    ):
        (key,) = service.new_keys()
        ids = _submitted(load, service, key, IDLE, "#stall a small boat at sunset")
        service.settle()
        idle = uvloop.run(_hold(bench, service, key, ids))
        service.stop()
        service.check(tasks=IDLE)
        return idle


async def _hold(bench: Bench, service: Service, key: str, ids: Sequence[str]) -> _Idle:
    before, began = processes.resident_mb(service.pid), time.perf_counter()
    with processes.pinned(bench.load_core):
        clients = await _open(service.port, key, ids)
        opened_s = time.perf_counter() - began
        cpu_s = -service.cpu_s()
        await asyncio.sleep(HELD_S)
        cpu_s += service.cpu_s()
        after = processes.resident_mb(service.pid)
        if any(client.over or not client.comments for client in clients):
            raise BenchmarkFailed("a stream has ended, or fallen silent")
        for client in clients:
            client.close()
    return _Idle(
        kib=(after - before) * 1e6 / 1024 / len(ids),
        resident_mb=after,
        opened_s=opened_s,
        cpu=cpu_s / HELD_S,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Live:
    late_ms: Sequence[float]
    cpu: float  # cores
    database_cpu: float  # PostgreSQL's

    def at(self, share: float) -> float:
        return self.late_ms[int(share * (len(self.late_ms) - 1))]


def _live(bench: Bench, store: str, n: int) -> _Live:
    bench.say(f"streams: {store}, {LIVE:,} live, round {n + 1}")
    caps = {"account_concurrency": LIVE, "streams_per_key": LIVE, "providers__sandbox__slots": LIVE}
    with (
        generator(bench.load_core) as load,
        bench.service(f"streams-live-{n}", store=store, settings=caps) as service,
    ):
        (key,) = service.new_keys()
        service.settle()
        prompt = f"#slow={100 * EVERY_S} a small boat"
        ids: list[str] = []
        for _ in range(BATCHES):  # or all would change in the same moment, and be late for each other
            began = time.perf_counter()
            ids = _submitted(load, service, key, LIVE // BATCHES, prompt, first=len(ids))
            time.sleep(max(EVERY_S / BATCHES - (time.perf_counter() - began), 0))
        live = uvloop.run(_listen(bench, service, key, ids))
        service.stop()
        service.check(tasks=LIVE)
        return live


async def _listen(bench: Bench, service: Service, key: str, ids: Sequence[str]) -> _Live:
    with processes.pinned(bench.load_core):
        clients = await _open(service.port, key, ids)
        opened_at = time.time()
        cpu_s, database_cpu_s = service.cpu_s(), service.database.cpu_s()
        await asyncio.sleep(LIVE_S)
        cpu_s, database_cpu_s = service.cpu_s() - cpu_s, service.database.cpu_s() - database_cpu_s
        if any(client.over for client in clients):
            raise BenchmarkFailed("a stream has ended before its task")
        for client in clients:
            client.close()
    # What had happened before the last stream was open is history, and not late.
    late = sorted(1000 * late for client in clients for at, late in client.heard if at > opened_at)
    if len(late) < LIVE * LIVE_S / EVERY_S / 2:
        raise BenchmarkFailed(f"only {len(late)} events were heard")
    return _Live(late_ms=late, cpu=cpu_s / LIVE_S, database_cpu=database_cpu_s / LIVE_S)


# --- clients ------------------------------------------------------------------------------------


@dataclass(eq=False)
class _Client(asyncio.Protocol):
    """Reads one stream, and notes when each event came."""

    request: bytes
    begun: asyncio.Future[None]
    heard: list[tuple[float, float]] = field(default_factory=list)  # when it happened, how late it came
    comments: int = 0
    over: bool = False
    _transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is not one by class
        self._transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        now = time.time()
        if not self.begun.done():
            if not data.startswith(b"HTTP/1.1 200 "):
                self.begun.set_exception(BenchmarkFailed(f"no stream was opened: {data[:300]!r}"))
                return
            self.begun.set_result(None)
        self.comments += data.count(b"\n:\n\n")
        for piece in data.split(b'"updated_at":"')[1:]:
            at = datetime.fromisoformat(piece[:24].decode()).timestamp()
            self.heard.append((at, now - at))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  (the protocol's)
        self.over = True

    def close(self) -> None:
        """Break the connection."""
        assert self._transport is not None
        self._transport.abort()


async def _open(port: int, key: str, ids: Sequence[str]) -> list[_Client]:
    loop = asyncio.get_running_loop()
    clients = []
    for start in range(0, len(ids), OPENING):
        opening = []
        for task_id in ids[start : start + OPENING]:
            head = f"GET /v1/tasks/stream/{task_id} HTTP/1.1\r\nhost: bench\r\nx-api-key: {key}\r\n\r\n"
            client = _Client(head.encode(), loop.create_future())
            opening.append(client)
            await loop.create_connection(lambda client=client: client, "127.0.0.1", port)  # type: ignore[misc]
        await asyncio.gather(*(client.begun for client in opening))
        clients += opening
    return clients


def _submitted(
    load: Generator, service: Service, key: str, count: int, prompt: str, *, first: int = 0
) -> list[str]:
    """Submit so many tasks, and return the ids of all there are."""
    load.run(
        Load(
            port=service.port,
            requests=(submission(key, prompt),),
            connections=32,
            contains=b'"task_id"',
            answers=count,
            first=first,
        )
    )
    return [task_id for (task_id,) in service.database.rows("SELECT id FROM tasks")]


def _figures(store: str, idle: Sequence[_Idle], live: Sequence[_Live]) -> list[Figure]:
    def figure(
        what: str, unit: str, values: Sequence[float], most: float | None = None, row: str = ""
    ) -> Figure:
        target = None if most is None else Target(at_most=most)
        return Figure(what=what, unit=unit, values=tuple(values), target=target, row=row, store=store)

    figures = [
        figure(f"{store}, an idle stream", "KiB", [run.kib for run in idle], 16, "stream"),
        figure(f"  the server with {IDLE:,}", "MB", [run.resident_mb for run in idle]),
        figure("  to open them", "s", [run.opened_s for run in idle]),
        figure("  while nothing happens", "core", [run.cpu for run in idle]),
        figure(f"{store}, event to client, {LIVE:,} live, p50", "ms", [run.at(0.5) for run in live]),
        figure("  p99", "ms", [run.at(0.99) for run in live], 50, "event"),
        figure("  events a second", "", [len(run.late_ms) / LIVE_S for run in live]),
        figure("  for the tasks, their commits and streams", "core", [run.cpu for run in live]),
    ]
    if store == POSTGRES:
        figures.append(figure("  PostgreSQL meanwhile", "core", [run.database_cpu for run in live]))
    return figures
