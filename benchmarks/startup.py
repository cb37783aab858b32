"""How soon the service answers, first and after a power cut, and what it weighs while it waits."""

import time

from benchmarks.bench import Bench
from benchmarks.databases import POSTGRES
from benchmarks.figures import BenchmarkFailed, Figure, Report, Target
from benchmarks.load import Load, generator
from benchmarks.processes import resident_mb, tree
from benchmarks.service import Service
from benchmarks.submit import submission

STARTS = 5
TASKS = 1_000
RUNNING = 256
TAKEN_OVER_WITHIN_S = 120.0

HOW = f"""\
From the start of the process until GET /healthz answers 200, on two cores, over an empty directory (and
on PostgreSQL an empty database); then, for restarts, over {TASKS:,} unfinished tasks ({RUNNING} admitted,
the others waiting) whose service was killed by kill -9. On PostgreSQL a worker stands by: how long until
it has every task that the killed service ran is counted too. Memory is resident memory once it has come
to rest, by the process: the server's, and that of the render process which the studio keeps warm beside
it."""


def measure(bench: Bench) -> Report:
    """Measure starts, memory and restarts, and who takes over."""
    figures: list[Figure] = []
    for store in bench.stores:
        figures += _starts(bench, store)
        figures.append(
            Figure(
                what=f"{store}, until it answers after kill -9",
                unit="s",
                values=tuple(_restarts(bench, store)),
                target=Target(at_most=1.0),
                row="restart",
                store=store,
            )
        )
    if POSTGRES in bench.stores:
        figures.append(
            Figure(
                what=f"{POSTGRES}, until another worker has taken everything over",
                unit="s",
                values=(_take_over(bench),),
                target=Target(at_most=45),
                row="take-over",
                store=POSTGRES,
            )
        )
    return Report(name="startup", how=HOW, figures=figures)


def _starts(bench: Bench, store: str) -> list[Figure]:
    first, server, worker = [], [], []
    for n in range(STARTS):
        bench.say(f"startup: {store}, start {n + 1} of {STARTS}")
        service = bench.service(f"startup-{n}", store=store, cores=bench.two_cores)
        try:
            first.append(service.start())
            if n < bench.rounds:
                service.settle()
                own, *children = tree(service.pid)
                server.append(resident_mb(own))
                worker.append(sum(resident_mb(child) for child in children))
        finally:
            service.stop()
            service.database.drop()
    return [
        Figure(
            what=f"{store}, until /healthz answers",
            unit="s",
            values=tuple(first),
            target=Target(at_most=1.5),
            row="start",
            store=store,
        ),
        Figure(
            what="  memory of the idle server",
            unit="MB",
            values=tuple(server),
            target=Target(at_most=120),
            row="idle",
            store=store,
        ),
        Figure(what="  memory of the warm render process", unit="MB", values=tuple(worker)),
    ]


def _restarts(bench: Bench, store: str) -> list[float]:
    took = []
    settings = {"account_concurrency": RUNNING}
    with bench.service("restart", store=store, cores=bench.two_cores, settings=settings) as service:
        _load(bench, service)
        for n in range(STARTS):
            bench.say(f"startup: {store}, restart {n + 1} of {STARTS}")
            time.sleep(0.5)  # among so many tasks it never comes to rest
            service.kill()
            took.append(service.start())
        service.stop()
        service.check(tasks=TASKS)
    return took


def _take_over(bench: Bench) -> float:
    settings = {"account_concurrency": RUNNING}
    with bench.service("take-over", store=POSTGRES, cores=bench.two_cores, settings=settings) as service:
        _load(bench, service)
        doomed = _running(service)
        service.start_worker(capabilities="sandbox")
        bench.say("startup: take-over")
        service.kill()
        began = time.perf_counter()
        left = f"SELECT count(*) FROM tasks WHERE id IN ({doomed}) AND lease_no < 3"  # noqa: S608  (our own ids)
        while service.ask(left):
            if time.perf_counter() - began > TAKEN_OVER_WITHIN_S:
                raise BenchmarkFailed(f"nobody has taken over after {TAKEN_OVER_WITHIN_S:g} s")
            time.sleep(0.05)
        took = time.perf_counter() - began
        service.stop()
        service.check(tasks=TASKS)
        return took


def _running(service: Service) -> str:
    """Return the ids of what is run by the service, once it runs as much as it can; quoted, for SQL."""
    deadline = time.perf_counter() + TAKEN_OVER_WITHIN_S
    while time.perf_counter() < deadline:
        found = service.database.rows("SELECT task_id FROM jobs WHERE worker IS NOT NULL")
        if len(found) == RUNNING:
            return ", ".join(f"'{task_id}'" for (task_id,) in found)
        time.sleep(0.05)
    raise BenchmarkFailed(f"the service does not run {RUNNING} tasks")


def _load(bench: Bench, service: Service) -> None:
    with generator(bench.load_core) as load:
        load.run(
            Load(
                port=service.port,
                requests=(submission(service.new_keys()[0], "#stall a small boat at sunset"),),
                connections=16,
                contains=b'"task_id"',
                answers=TASKS,
            )
        )
