"""What it costs to hand out large files, beside Starlette's FileResponse on the same server."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from zlib import crc32

import httpx2
import msgspec

from benchmarks import processes
from benchmarks.bench import Bench, a_film
from benchmarks.client import Client
from benchmarks.databases import SQLITE
from benchmarks.figures import BenchmarkFailed, Figure, Report, Target
from benchmarks.service import FAR_MODEL, ROOT, free_port
from filmgate.providers.sandbox import CLIP

SIZE_MB: Final = 200
SIZE_BYTES: Final = SIZE_MB * 1_000_000
AT_ONCE: Final = 4
RANGES: Final = ((0, 1), (1_000_000, 65_536), (SIZE_BYTES - 10, 10), (SIZE_BYTES // 2, 10_000_000))
SAMPLES_PER_S: Final = 50

HOW: Final = f"""\
A film of {SIZE_MB} MB is fetched {AT_ONCE} times at once by its link, over loopback, by a client on a
core of its own; the server has one core. Starlette's FileResponse serves the same file by the same
uvicorn, event loop and parser, in turns. Memory is what the server's resident set grew by at most, looked
at {SAMPLES_PER_S} times a second. Every byte is checked, and {len(RANGES)} ranges of it, the last ten
bytes among them. SQLite and PostgreSQL make no difference here: one row is read for each download."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a file is fetched from: a port of this machine, and the process behind it, whose cost counts."""

    pid: int
    port: int
    path: str
    key: str = ""


def measure(bench: Bench) -> Report:
    """Measure both servers in turns."""
    film = a_large_film(bench.scratch / "film.mp4")
    settings = {"providers__upstream__film": film}
    ours, theirs = [], []
    with (
        bench.service("downloads", store=SQLITE, program=("benchmarks.serve",), settings=settings) as service,
        plain_server(bench, film) as plain,
    ):
        client = Client(service, service.new_keys()[0])
        own = Source(pid=service.pid, port=service.port, path=link_to_a_film(client))
        _check_ranges(own, film)
        service.settle()
        expected = checksum(film)
        for n in range(bench.rounds):
            bench.say(f"downloads: round {n + 1} of {bench.rounds}")
            ours.append(fetched(bench, own, expected))
            theirs.append(fetched(bench, plain, expected))
        service.stop()
        service.check(tasks=1)
    return Report(name="downloads", how=HOW, figures=_figures(ours, theirs))


# --- the file -----------------------------------------------------------------------------------


def a_large_film(path: Path) -> Path:
    """Write a film that is as large as that: the sandbox's, with noise in a box that players skip."""
    clip = CLIP.source.read_bytes()
    with path.open("wb") as file:
        file.write(clip)
        file.write((SIZE_BYTES - len(clip)).to_bytes(4, "big") + b"free")
        noise = os.urandom(1_000_000)
        left = SIZE_BYTES - len(clip) - 8
        while left:
            left -= file.write(noise[:left])
    return path


def link_to_a_film(client: Client) -> str:
    """Have the film made, and return the path and query of the link to it."""
    task_id = client.submit(a_film("a small boat at sunset", FAR_MODEL))
    task = client.wait(task_id, "completed", within_s=60)
    link = urlsplit(task["output"][0]["url"])
    return f"{link.path}?{link.query}"


def _check_ranges(source: Source, film: Path) -> None:
    with film.open("rb") as file, httpx2.Client(trust_env=False) as http:
        for start, length in RANGES:
            asked = {"range": f"bytes={start}-{start + length - 1}"}
            answer = http.get(f"http://127.0.0.1:{source.port}{source.path}", headers=asked)
            file.seek(start)
            told = f"bytes {start}-{start + length - 1}/{SIZE_BYTES}"
            wrong = answer.status_code != 206 or answer.headers["content-range"] != told
            if wrong or answer.content != file.read(length):
                raise BenchmarkFailed(f"range {start}+{length}: HTTP {answer.status_code}, {answer.headers}")


# --- the other server ---------------------------------------------------------------------------


@contextmanager
def plain_server(bench: Bench, film: Path) -> Iterator[Source]:
    """Serve the file by Starlette alone, on the server's core."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.plain_files", str(film), str(port)]
    with processes.pinned(bench.server_core):
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL)
    try:
        wait_until_it_answers(process, f"http://127.0.0.1:{port}/film.mp4")
        yield Source(pid=process.pid, port=port, path="/film.mp4")
    finally:
        process.kill()
        process.wait()


def wait_until_it_answers(process: "subprocess.Popen[bytes]", url: str, *, within_s: float = 60) -> None:
    """Return once `url` answers a HEAD or a GET with 200; fail if the process ends or takes too long."""
    deadline = time.perf_counter() + within_s
    with httpx2.Client(trust_env=False, timeout=10) as http:
        while time.perf_counter() < deadline and process.poll() is None:
            try:
                if http.head(url).status_code in {200, 405}:
                    return
            except httpx2.TransportError:
                pass
            time.sleep(0.05)  # nothing tells us when a port opens
    raise BenchmarkFailed(f"{url} does not answer")


# --- fetching -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """How some downloads at once went, and what they cost the server."""

    times: int
    took_s: float
    first_byte_s: float
    cpu_s: float
    grew_mb: float

    @property
    def mb_per_s(self) -> float:
        """Megabytes a second, all together."""
        return self.times * SIZE_BYTES / 1e6 / self.took_s

    @property
    def mb_per_cpu_s(self) -> float:
        """Megabytes for each CPU second of the server."""
        return self.times * SIZE_BYTES / 1e6 / max(self.cpu_s, 0.01)


class Told(msgspec.Struct, frozen=True):
    """What the downloader says: seconds until all were there, and until the last had its first byte."""

    took_s: float
    first_byte_s: float
    checksums: list[int]


def checksum(film: Path) -> int:
    """Return what the downloader computes of a file."""
    return crc32(film.read_bytes())


def fetched(bench: Bench, source: Source, expected: int, *, times: int = AT_ONCE) -> Fetched:
    """Fetch the file several times at once, check it, and count what that costs the server."""
    arguments = [str(source.port), source.path, str(times), source.key]
    command = [sys.executable, "-m", "benchmarks.fetch", *arguments]
    serving = processes.tree(source.pid)
    cpu_s = processes.cpu_s(source.pid)
    with _watched(lambda: sum(map(processes.resident_mb, serving))) as grown:
        with processes.pinned(bench.load_core):
            done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=300, check=False)
        if done.returncode:
            raise BenchmarkFailed(f"the downloads failed: {done.stderr[-2000:]!r}")
    told = msgspec.json.decode(done.stdout, type=Told)
    if told.checksums != [expected] * times:
        raise BenchmarkFailed("what was downloaded is not the file")
    return Fetched(
        times=times,
        took_s=told.took_s,
        first_byte_s=told.first_byte_s,
        cpu_s=processes.cpu_s(source.pid) - cpu_s,
        grew_mb=grown(),
    )


@contextmanager
def _watched(look: Callable[[], float]) -> Iterator[Callable[[], float]]:
    """Give a function that returns how much the most that was seen is above the first."""
    seen = [look()]
    over = threading.Event()

    def watch() -> None:
        while not over.wait(1 / SAMPLES_PER_S):
            seen.append(look())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield lambda: max(seen) - seen[0]
    finally:
        over.set()
        watcher.join()


def _figures(ours: list[Fetched], theirs: list[Fetched]) -> list[Figure]:
    return [
        Figure(what=f"{AT_ONCE} downloads at once", unit="MB/s", values=tuple(run.mb_per_s for run in ours)),
        Figure(
            what="  for each CPU second",
            unit="MB",
            values=tuple(run.mb_per_cpu_s for run in ours),
        ),
        Figure(
            what="  the server's memory grew by",
            unit="MB",
            values=tuple(run.grew_mb for run in ours),
            target=Target(at_most=20),
            row="download-memory",
            store=SQLITE,
        ),
        Figure(
            what="  until all had their first byte", unit="s", values=tuple(run.first_byte_s for run in ours)
        ),
        Figure(what="Starlette's FileResponse", unit="MB/s", values=tuple(run.mb_per_s for run in theirs)),
        Figure(what="  for each CPU second", unit="MB", values=tuple(run.mb_per_cpu_s for run in theirs)),
        Figure(what="  its memory grew by", unit="MB", values=tuple(run.grew_mb for run in theirs)),
        Figure(
            what="ours, of Starlette's, by CPU seconds",
            unit="",
            values=tuple(
                our.mb_per_cpu_s / their.mb_per_cpu_s for our, their in zip(ours, theirs, strict=True)
            ),
            target=Target(at_least=2),
            row="download",
            store=SQLITE,
        ),
    ]
