"""What more processes bring, on PostgreSQL: of those that run tasks, and of those that answer HTTP."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.bench import Bench, Costed, a_film
from benchmarks.client import Client
from benchmarks.databases import POSTGRES
from benchmarks.figures import Figure, Report, Skipped, Target
from benchmarks.load import Generator, generator
from benchmarks.poll import CALLERS, polled
from benchmarks.service import Service
from benchmarks.submit import MOST_WAITING, submission, submit_all

WORKERS: Final = (1, 2, 4)
SLOTS: Final = 40  # of each worker
TAKES_S: Final = 1
WAVES: Final = 5
POLL_S: Final = 1.0
WITHIN_S: Final = 120.0

HOW: Final = f"""\
On PostgreSQL. Workers: `filmgate worker --capabilities sandbox`, {SLOTS} slots each, run tasks that wait
{TAKES_S} s each, {WAVES} for every slot, submitted at once; the time is from the first start to the last
end, as the rows say, and each worker that is added finds the others running. A task is waiting here, not
work: a worker's own CPU is a small part of a core, so two cores carry four of them, and the figure says
whether they get in each other's way. It does not say how many tasks/s four workers reach on four
machines; where the CPU for each task does not grow with the workers, nothing of ours limits them before
PostgreSQL does. API processes: `serve --processes N --no-run` answers {CALLERS} callers' polls; they, the
load and PostgreSQL share the same {{cores}} cores, so the requests/s cannot grow beyond those, and only
the CPU for each is telling."""


def measure(bench: Bench) -> Report:
    """Measure both kinds of process."""
    if POSTGRES not in bench.stores:
        raise Skipped("several processes need PostgreSQL")
    workers: dict[int, list[_Ran]] = {count: [] for count in WORKERS}
    polls: dict[int, list[Costed]] = {count: [] for count in WORKERS}
    with generator(bench.two_cores) as load:
        for n in range(bench.rounds):
            bench.say(f"scale: workers, round {n + 1} of {bench.rounds}")
            _work(bench, load, n, workers)
        for count in WORKERS:
            bench.say(f"scale: {count} API processes")
            polls[count] = _poll(bench, load, count)
    figures = [*_worker_figures(workers), *_poll_figures(polls)]
    return Report(name="scale", how=HOW.format(cores=len(bench.two_cores)), figures=figures)


def _service(bench: Bench, name: str, settings: Mapping[str, object]) -> Service:
    """Return a service on PostgreSQL that is yet to be started, with all processes on the same cores."""
    cores = bench.two_cores
    return bench.service(name, store=POSTGRES, cores=cores, database_cores=cores, settings=settings)


# --- workers ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ran:
    per_s: float
    cpu_ms: float  # for each task
    database_cpu_ms: float


def _work(bench: Bench, load: Generator, n: int, ran: dict[int, list[_Ran]]) -> None:
    most = SLOTS * WAVES * max(WORKERS)
    settings = {
        "run": False,
        "account_concurrency": most,
        "account_queue": MOST_WAITING,
        "providers__sandbox__slots": most,
    }
    with _service(bench, f"scale-{n}", settings) as service:
        (key,) = service.new_keys()
        text = submission(key, f"#slow={TAKES_S} a small boat")
        submitted = 0
        for count in WORKERS:
            while len(service.workers()) < count:
                service.start_worker(capabilities="sandbox", providers__sandbox__slots=SLOTS)
            tasks = SLOTS * WAVES * count
            cpu_s, database_cpu_s = service.cpu_s(), service.database.cpu_s()
            submit_all(load, service, text, tasks=tasks, first=submitted)
            submitted += tasks
            ended = f"SELECT count(*) = {submitted:d} FROM tasks WHERE status = 'succeeded'"  # noqa: S608
            service.until(ended, within_s=WITHIN_S)
            ran[count].append(
                _Ran(
                    per_s=tasks / _took_s(service, tasks),
                    cpu_ms=1000 * (service.cpu_s() - cpu_s) / tasks,
                    database_cpu_ms=1000 * (service.database.cpu_s() - database_cpu_s) / tasks,
                )
            )
        service.stop()
        service.check(tasks=submitted)


def _took_s(service: Service, tasks: int) -> float:
    """Return the seconds from the first start to the last end of the newest so many tasks."""
    took: float = service.ask(
        "SELECT (max(at) FILTER (WHERE status = 'succeeded') "  # noqa: S608  (a number of our own)
        "- min(at) FILTER (WHERE status = 'running')) / 1e6::float "
        f"FROM events WHERE task_id IN (SELECT id FROM tasks ORDER BY id DESC LIMIT {tasks:d})"
    )
    return took


def _worker_figures(ran: dict[int, list[_Ran]]) -> list[Figure]:
    figures = []
    alone = ran[1]
    for count, runs in ran.items():
        figures += [
            Figure(
                what=f"{count} worker{'s' if count > 1 else ''} of {SLOTS} slots",
                unit="tasks/s",
                values=tuple(run.per_s for run in runs),
            ),
            Figure(what="  CPU of ours for each", unit="ms", values=tuple(run.cpu_ms for run in runs)),
            Figure(what="  PostgreSQL's", unit="ms", values=tuple(run.database_cpu_ms for run in runs)),
        ]
        if count > 1:
            last = count == max(ran)
            figures.append(
                Figure(
                    what=f"  of {count} times what one does",
                    unit="",
                    values=tuple(run.per_s / count / one.per_s for run, one in zip(runs, alone, strict=True)),
                    target=Target(at_least=0.85),
                    row="scale" if last else "",
                    store=POSTGRES,
                )
            )
    return figures


# --- API processes ------------------------------------------------------------------------------


def _poll(bench: Bench, load: Generator, count: int) -> list[Costed]:
    settings = {"run": False, "processes": count, "account_concurrency": CALLERS}
    with _service(bench, f"scale-api-{count}", settings) as service:
        (key,) = service.new_keys()
        client = Client(service, key)
        tasks = [client.submit(a_film("a small boat", "sandbox")) for _ in range(CALLERS)]
        paths = [f"/v1/tasks/query?task_id={one}" for one in tasks]
        runs = [polled(load, service, key, paths, seconds=POLL_S) for _ in range(bench.rounds)]
        service.stop()
        service.check(tasks=CALLERS)
    return runs


def _poll_figures(polls: dict[int, list[Costed]]) -> list[Figure]:
    figures = []
    for count, runs in polls.items():
        figures += [
            Figure(
                what=f"{count} API process{'es' if count > 1 else ''}, polls",
                unit="requests/s",
                values=tuple(run.outcome.per_s for run in runs),
            ),
            Figure(what="  CPU of ours for each", unit="ms", values=_ms([run.per_cpu_s for run in runs])),
            Figure(what="  PostgreSQL's", unit="ms", values=_ms([run.per_database_cpu_s for run in runs])),
        ]
    return figures


def _ms(per_s: Sequence[float]) -> tuple[float, ...]:
    return tuple(1000 / one for one in per_s)
