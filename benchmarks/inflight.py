"""What two thousand tasks cost while an upstream works on them, and how soon its end is ours."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.bench import Bench
from benchmarks.databases import POSTGRES
from benchmarks.figures import BenchmarkFailed, Figure, Report, Target
from benchmarks.load import generator
from benchmarks.processes import resident_mb
from benchmarks.providers.upstream import INTERVAL_S, Seen
from benchmarks.service import FAR_MODEL, Service
from benchmarks.submit import submission, submit_all
from filmgate.providers.sandbox import CLIP

TASKS: Final = 2_000
LEAST_S: Final = 25.0
MOST_S: Final = 30.0
QUIET_S: Final = 2 * INTERVAL_S
OVER_WITHIN_S: Final = 120.0

HOW: Final = f"""\
{TASKS:,} tasks run at a provider that says of itself what an upstream's adapter would: asked every
{INTERVAL_S:g} s, no client reference. It answers from memory: no HTTP is in this, so what an HTTP client
costs comes on top. Its work takes {LEAST_S:g} to {MOST_S:g} s, evenly spread, whatever we do. The lag is
from the moment that its work was done to our terminal event; the cost is that of {QUIET_S:g} s in which
all run and none ends. The server has one core. Every question that was asked is in the upstream's own
report. A figure of p50 or p99 is of all {TASKS:,} tasks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    lags_s: Sequence[float]
    polls: float  # for each task and interval
    cores: float
    database_cores: float
    kib: float  # of memory, for each task

    def at(self, share: float) -> float:
        return sorted(self.lags_s)[int(share * (len(self.lags_s) - 1))]


def measure(bench: Bench) -> Report:
    """Measure on each database."""
    figures: list[Figure] = []
    for store in bench.stores:
        figures += _figures(store, [_run(bench, store, n) for n in range(bench.few)])
    return Report(name="inflight", how=HOW, figures=figures)


def _run(bench: Bench, store: str, n: int) -> _Run:
    bench.say(f"inflight: {store}, round {n + 1} of {bench.few}")
    report = bench.scratch / f"inflight-{store}-{n}.json"
    settings = {
        "account_concurrency": TASKS,
        "account_queue": TASKS,
        "providers__upstream__film": CLIP.source,
        "providers__upstream__least_s": LEAST_S,
        "providers__upstream__most_s": MOST_S,
        "providers__upstream__report": report,
    }
    with bench.service(
        f"inflight-{n}", store=store, program=("benchmarks.serve",), settings=settings
    ) as service:
        (key,) = service.new_keys()
        service.settle()
        before_mb = resident_mb(service.pid)
        with generator(bench.load_core) as load:
            submit_all(load, service, submission(key, "a small boat", FAR_MODEL), tasks=TASKS)
        cores, database_cores = _while_all_run(service)
        kib = (resident_mb(service.pid) - before_mb) * 1e6 / 1024 / TASKS
        service.until("SELECT count(*) = 0 FROM jobs", within_s=OVER_WITHIN_S)
        service.stop()
        service.check(tasks=TASKS)
        ended = dict(service.database.rows("SELECT task_id, at FROM events WHERE status = 'succeeded'"))
        lags_s, polls = _compared(report, ended)
    return _Run(lags_s=lags_s, polls=polls, cores=cores, database_cores=database_cores, kib=kib)


def _while_all_run(service: Service) -> tuple[float, float]:
    """Return the cores that the service, and PostgreSQL, keep busy while all tasks run."""
    all_run = f"SELECT count(*) = {TASKS:d} FROM attempts WHERE remote_id IS NOT NULL"  # noqa: S608
    service.until(all_run, within_s=LEAST_S - QUIET_S)
    cpu_s, database_cpu_s = service.cpu_s(), service.database.cpu_s()
    time.sleep(QUIET_S)
    busy = (service.cpu_s() - cpu_s) / QUIET_S, (service.database.cpu_s() - database_cpu_s) / QUIET_S
    if service.ask("SELECT count(*) FROM tasks WHERE status <> 'running'"):
        raise BenchmarkFailed("some tasks ended before all were counted")
    return busy


def _compared(report: Path, ended: Mapping[str, int]) -> tuple[list[float], float]:
    """Return each task's lag, and how often the upstream was asked in each interval of each task."""
    seen = msgspec.json.decode(report.read_bytes(), type=list[Seen])
    if {one.task_id for one in seen} != ended.keys() or len(seen) != TASKS:
        raise BenchmarkFailed(
            f"{len(seen)} submissions came to the upstream, and {len(ended)} tasks succeeded"
        )
    lags_s = [ended[one.task_id] / 1e6 - one.ended_at for one in seen]
    intervals = sum((one.asked_at[-1] - one.asked_at[0]) / INTERVAL_S for one in seen)
    return lags_s, sum(len(one.asked_at) - 1 for one in seen) / intervals


def _figures(store: str, runs: Sequence[_Run]) -> list[Figure]:
    figures = [
        Figure(what=f"{store}, lag, p50", unit="s", values=tuple(run.at(0.5) for run in runs)),
        Figure(
            what="  p99",
            unit="s",
            values=tuple(run.at(0.99) for run in runs),
            target=Target(at_most=INTERVAL_S + 1),
            row="lag",
            store=store,
        ),
        Figure(
            what="  questions to the upstream, for each task and interval",
            unit="",
            values=tuple(run.polls for run in runs),
            target=Target(at_most=1),
            row="upstream-polls",
            store=store,
        ),
        Figure(
            what=f"  while all {TASKS:,} run",
            unit="core",
            values=tuple(run.cores for run in runs),
            target=Target(at_most=0.15),
            row="in-flight-core",
            store=store,
        ),
        Figure(what="  memory for each", unit="KiB", values=tuple(run.kib for run in runs)),
    ]
    if store == POSTGRES:
        values = tuple(run.database_cores for run in runs)
        figures.insert(4, Figure(what="  PostgreSQL meanwhile", unit="core", values=values))
    return figures
