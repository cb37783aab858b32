"""How fast a client learns how its task stands, beside the fastest that this server can answer at all."""

from collections.abc import Iterator, Sequence

from benchmarks.bench import Bench, Costed, a_film, costed, generator_use, per_cpu_s
from benchmarks.client import Client
from benchmarks.databases import SQLITE
from benchmarks.dialects.constant import PATHS
from benchmarks.figures import Figure, Report, Target
from benchmarks.load import Generator, Load, generator, request
from benchmarks.service import Service

CALLERS = 64  # each asks for a task of its own
SECONDS = 0.3
TURNS = 3  # in each round: a machine that others use as well is fast for one second and slow for the next

HOW = f"""\
{CALLERS} keep-alive connections ask, each for the status of its own sandbox task, with a key, for
{SECONDS} s at a time and {TURNS} times a round; the server has one core, the load another, which
PostgreSQL shares where there are but two. Each kind of answer takes turns with a constant one of the
same size behind the same server, application and authentication; a ratio is that of two runs side by
side, of requests/s and, which bears a busy machine better, of requests for each CPU second of the server.
Every answer is read from the task's row."""

_WAYS = {
    "B GET /v1/tasks/query": "/v1/tasks/query?task_id={}",
    "A GET /api/v1/tasks": "/api/v1/tasks?task_id={}",
    "C GET /v1/videos/{id}": "/v1/videos/{}",
}


def measure(bench: Bench) -> Report:
    """Measure all three ways, of a finished and of a running task."""
    figures: list[Figure] = []
    use: list[Costed] = []
    with generator(bench.load_core) as load:
        for store in bench.stores:
            for kind, pairs in _measure_on(bench, load, store).items():
                figures += _figures(store, kind, pairs)
                use += [run for pair in pairs for run in pair]
    return Report(name="poll", how=HOW, figures=[*figures, generator_use(use)])


def _measure_on(bench: Bench, load: Generator, store: str) -> dict[str, list[tuple[Costed, Costed]]]:
    pairs: dict[str, list[tuple[Costed, Costed]]] = {}
    settings = {"account_concurrency": 2 * CALLERS}
    with bench.service("poll", store=store, program=("benchmarks.serve",), settings=settings) as service:
        key = service.new_keys()[0]
        client = Client(service, key)
        constants = iter(PATHS)
        # One status after the other: tasks that run cost the server something of their own.
        for status in _PROMPTS:
            kinds = _kinds(client, status, constants)
            service.settle()
            for n in range(bench.rounds):
                bench.say(f"poll: {store}, {status} tasks, round {n + 1} of {bench.rounds}")
                for kind, paths in [*kinds.items()] * TURNS:
                    pairs.setdefault(kind, []).append(_pair(load, service, key, *paths))
        service.stop()
        service.check(tasks=CALLERS * len(_PROMPTS))
    return pairs


_PROMPTS = {"succeeded": "a small boat at sunset", "running": "#stall a small boat at sunset"}
_SHOWN = {"succeeded": "completed", "running": "running"}


def _kinds(client: Client, status: str, constants: Iterator[str]) -> dict[str, tuple[list[str], str]]:
    """Return the paths of each kind of answer, and that of a constant answer of its size."""
    tasks = [client.submit(a_film(_PROMPTS[status], "sandbox")) for _ in range(CALLERS)]
    for task_id in tasks:
        client.wait(task_id, _SHOWN[status], within_s=30)
    kinds = {}
    for way, path in _WAYS.items():
        asked, constant = [path.format(task_id) for task_id in tasks], next(constants)
        client.put(constant, {"task_id": tasks[0], "body": client.get(asked[0]).decode()})
        kinds[f"{way}, {status}"] = (asked, constant)
    return kinds


def _pair(
    load: Generator, service: Service, key: str, asked: list[str], constant: str
) -> tuple[Costed, Costed]:
    return polled(load, service, key, asked), polled(load, service, key, [constant])


def polled(
    load: Generator, service: Service, key: str, paths: Sequence[str], *, seconds: float = SECONDS
) -> Costed:
    """Have `CALLERS` ask for `paths`, each for one of them, and return what that cost."""
    return costed(
        load,
        service,
        Load(
            port=service.port,
            requests=tuple(request("GET", path, key=key) for path in paths),
            connections=CALLERS,
            contains=b"status",
            seconds=seconds,
        ),
    )


def _figures(store: str, kind: str, pairs: list[tuple[Costed, Costed]]) -> list[Figure]:
    polls = [poll for poll, _ in pairs]
    return [
        Figure(
            what=f"{store}, {kind}", unit="requests/s", values=tuple(poll.outcome.per_s for poll in polls)
        ),
        Figure(
            what="  the constant answer",
            unit="requests/s",
            values=tuple(constant.outcome.per_s for _, constant in pairs),
        ),
        Figure(
            what="  ratio",
            unit="",
            values=tuple(poll.outcome.per_s / constant.outcome.per_s for poll, constant in pairs),
        ),
        Figure(
            what="  ratio by CPU seconds",
            unit="",
            values=tuple(poll.per_cpu_s / constant.per_cpu_s for poll, constant in pairs),
            target=Target(at_least=0.5) if store == SQLITE else None,
            row="poll",
            store=store,
        ),
        *per_cpu_s(polls, "requests"),
        Figure(what="  latency p50", unit="ms", values=tuple(poll.outcome.p50_ms for poll in polls)),
        Figure(what="  latency p99", unit="ms", values=tuple(poll.outcome.p99_ms for poll in polls)),
    ]
