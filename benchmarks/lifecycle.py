"""How many tasks a second go the whole way: submitted, admitted, run, stored, billed."""

import time
from dataclasses import dataclass

from benchmarks.bench import Bench
from benchmarks.figures import BenchmarkFailed, Figure, Report
from benchmarks.load import Generator, Load, generator
from benchmarks.service import Service
from benchmarks.submit import MOST_WAITING, submission

CALLERS = 64
TASKS = 2_000
ACCOUNTS = (64, 1)
WITHIN_S = 120.0

HOW = f"""\
{CALLERS} callers submit {TASKS:,} sandbox tasks in dialect B over HTTP; the clock stops when the last has
succeeded, as the database says. Each costs 5 credits, keeps a (shared) file and takes three commits or
more, with synchronous = FULL. An account runs 6 tasks at a time (the default cap), the sandbox 256. The
server has one core, the load another, which PostgreSQL shares where there are but two; the CPU time
counts all of the server's threads and children, and apart from that all of PostgreSQL's processes. Ends
with a check that every task succeeded and was billed once, and with `filmgate ledger verify`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    took_s: float
    cpu_s: float
    database_cpu_s: float


def measure(bench: Bench) -> Report:
    """Measure with an account for each caller, then with all callers on one account."""
    figures = []
    with generator(bench.load_core) as load:
        for store in bench.stores:
            for accounts in ACCOUNTS:
                bench.say(f"lifecycle: {store}, accounts: {accounts}")
                runs = [_run(bench, load, store, accounts, n) for n in range(bench.rounds)]
                figures += _figures(store, accounts, runs)
    return Report(name="lifecycle", how=HOW, figures=figures)


def _run(bench: Bench, load: Generator, store: str, accounts: int, n: int) -> _Run:
    caps = {"account_queue": MOST_WAITING, "total_queue": MOST_WAITING}
    with bench.service(f"lifecycle-{accounts}-{n}", store=store, settings=caps) as service:
        keys = service.new_keys(accounts)
        service.settle()
        cpu_s, database_cpu_s = service.cpu_s(), service.database.cpu_s()
        began = time.perf_counter()
        load.run(
            Load(
                port=service.port,
                requests=tuple(submission(key, "a small boat at sunset") for key in keys),
                connections=CALLERS,
                contains=b'"task_id"',
                answers=TASKS,
            )
        )
        _wait(service)
        took_s = time.perf_counter() - began
        cpu_s, database_cpu_s = service.cpu_s() - cpu_s, service.database.cpu_s() - database_cpu_s
        service.stop()
        _check(service)
    return _Run(took_s=took_s, cpu_s=cpu_s, database_cpu_s=database_cpu_s)


def _wait(service: Service) -> None:
    deadline = time.perf_counter() + WITHIN_S
    while service.ask("SELECT count(*) FROM tasks WHERE waiting = 1") or service.ask(
        "SELECT count(*) FROM jobs"
    ):
        if time.perf_counter() > deadline:
            raise BenchmarkFailed(f"the tasks have not ended after {WITHIN_S:g} s")
        time.sleep(0.01)


def _check(service: Service) -> None:
    service.check(tasks=TASKS)
    succeeded = service.ask("SELECT count(*) FROM tasks WHERE status = 'succeeded' AND charged = held")
    if succeeded != TASKS:
        raise BenchmarkFailed(f"only {succeeded} of {TASKS} tasks succeeded and were billed")


def _figures(store: str, accounts: int, runs: list[_Run]) -> list[Figure]:
    who = "1 account" if accounts == 1 else f"{accounts} accounts"
    figures = [
        Figure(
            what=f"{store}, {CALLERS} callers of {who}",
            unit="lifecycles/s",
            values=tuple(TASKS / run.took_s for run in runs),
        ),
        Figure(
            what="  CPU for each",
            unit="ms",
            values=tuple(1000 * run.cpu_s / TASKS for run in runs),
        ),
    ]
    if any(run.database_cpu_s for run in runs):
        values = tuple(1000 * run.database_cpu_s / TASKS for run in runs)
        figures.append(Figure(what="  PostgreSQL's CPU for each", unit="ms", values=values))
    return figures
