"""How soon the service answers, first and after a power cut, and what it weighs while it waits."""

import time

from benchmarks.bench import Bench
from benchmarks.figures import Figure, Report, Target
from benchmarks.load import Load, generator
from benchmarks.processes import resident_mb, tree
from benchmarks.service import Service
from benchmarks.submit import submission

STARTS = 7
TASKS = 1_000
RUNNING = 256

HOW = f"""\
From the start of the process until GET /healthz answers 200, on two cores, over an empty directory;
then, for restarts, over one with {TASKS:,} unfinished tasks ({RUNNING} admitted, the others waiting) whose
service was killed by kill -9. Memory is resident memory once it has come to rest, by the process: the
server's, and that of the render process which the studio keeps warm beside it."""


def measure(bench: Bench) -> Report:
    """Measure starts, memory and restarts."""
    first, server, worker = [], [], []
    for n in range(STARTS):
        bench.say(f"startup: start {n + 1} of {STARTS}")
        service = Service(bench.scratch / f"startup-{n}", cores=bench.two_cores)
        try:
            first.append(service.start())
            if n < bench.rounds:
                service.settle()
                own, *children = tree(service.pid)
                server.append(resident_mb(own))
                worker.append(sum(resident_mb(child) for child in children))
        finally:
            service.stop()
    return Report(
        name="startup",
        how=HOW,
        figures=[
            Figure(what="until /healthz answers", unit="s", values=tuple(first), target=Target(at_most=1.5)),
            Figure(
                what="until it answers after kill -9",
                unit="s",
                values=tuple(_restarts(bench)),
                target=Target(at_most=1.0),
            ),
            Figure(
                what="memory of the idle server", unit="MB", values=tuple(server), target=Target(at_most=120)
            ),
            Figure(what="memory of the warm render process", unit="MB", values=tuple(worker)),
        ],
    )


def _restarts(bench: Bench) -> list[float]:
    settings = {"account_concurrency": RUNNING}
    took = []
    with (
        Service(bench.scratch / "restart", cores=bench.two_cores, settings=settings) as service,
        generator(bench.load_core) as load,
    ):
        key = service.new_keys()[0]
        load.run(
            Load(
                port=service.port,
                requests=(submission(key, "#stall a small boat at sunset"),),
                connections=16,
                contains=b'"task_id"',
                answers=TASKS,
            )
        )
        for n in range(STARTS):
            bench.say(f"startup: restart {n + 1} of {STARTS}")
            time.sleep(0.5)  # among so many tasks it never comes to rest
            service.kill()
            took.append(service.start())
        service.stop()
        service.check(tasks=TASKS)
    return took
