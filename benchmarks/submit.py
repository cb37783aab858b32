"""How many submissions a second are priced, held and on the disk before their caller hears so."""

from benchmarks.bench import Bench, Costed, a_film, costed, generator_use, per_cpu_s
from benchmarks.databases import POSTGRES, SQLITE
from benchmarks.figures import Figure, Report, Target
from benchmarks.load import NUMBER, Generator, Load, generator, request
from benchmarks.service import MODEL, Service

SECONDS = 1.2
# Callers, and the accounts that they share among them.
WAYS = ((1, 1), (16, 1), (64, 1), (256, 1), (64, 100))
TARGETS = {
    (SQLITE, 64, 1): Target(at_least=2_500),
    (POSTGRES, 64, 100): Target(at_least=1_000),
}
MOST_WAITING = 10_000_000

HOW = f"""\
Dialect B over HTTP. The server has one core, the load another; PostgreSQL has a third, or where there is
none shares the load's, which is nearly idle. SQLite has synchronous = FULL, PostgreSQL fsync and
synchronous_commit. One account's commits queue for its row on PostgreSQL, so a line says how many there
are. Each submission has an out_task_id of its own, so none is a replay, and holds 5 credits. The tasks
are sandbox ones that stall (#stall): each account's first 6 are admitted and run, all others wait, so
admission is asked and answered throughout but the tasks' own work does not compete. Queue caps are
lifted; every round begins with an empty database, gives {SECONDS} s to each number of callers in turn,
and ends with a check that every accepted task is stored, and with `filmgate ledger verify`."""


def measure(bench: Bench) -> Report:
    """Measure every number of callers."""
    figures: list[Figure] = []
    use: list[Costed] = []
    with generator(bench.load_core) as load:
        for store in bench.stores:
            runs: dict[tuple[int, int], list[Costed]] = {way: [] for way in WAYS}
            for n in range(bench.rounds):
                bench.say(f"submit: {store}, round {n + 1} of {bench.rounds}")
                _round(bench, load, f"submit-{n}", store, runs)
            for way in WAYS:
                figures += _figures(store, *way, runs[way])
                use += runs[way]
    return Report(name="submit", how=HOW, figures=[*figures, generator_use(use)])


def _round(
    bench: Bench, load: Generator, name: str, store: str, runs: dict[tuple[int, int], list[Costed]]
) -> None:
    caps = {"account_queue": MOST_WAITING, "total_queue": MOST_WAITING}
    with bench.service(name, store=store, settings=caps) as service:
        keys = service.new_keys(max(accounts for _, accounts in WAYS))
        service.settle()
        accepted = 0
        for callers, accounts in WAYS:
            texts = tuple(submission(key, "#stall a small boat at sunset") for key in keys[:accounts])
            run = costed(
                load,
                service,
                Load(
                    port=service.port,
                    requests=texts,
                    connections=callers,
                    contains=b'"task_id"',
                    seconds=SECONDS,
                    first=accepted,
                ),
            )
            accepted += run.outcome.total
            runs[callers, accounts].append(run)
        service.stop()
        service.check(tasks=accepted)


def submit_all(load: Generator, service: Service, text: bytes, *, tasks: int, first: int = 0) -> None:
    """Have a submission sent so many times, as fast as 32 callers can; `first` is the first number."""
    load.run(
        Load(
            port=service.port,
            requests=(text,),
            connections=32,
            contains=b'"task_id"',
            answers=tasks,
            first=first,
        )
    )


def submission(key: str, prompt: str, model: str = MODEL) -> bytes:
    """Return a submission that is another task each time it is sent."""
    body = {**a_film(prompt, model), "out_task_id": f"bench-{NUMBER.decode()}"}
    return request("POST", "/v1/tasks/submit", key=key, body=body)


def _figures(store: str, callers: int, accounts: int, runs: list[Costed]) -> list[Figure]:
    who = f"{store}, 1 caller" if callers == 1 else f"{store}, {callers} callers"
    if accounts > 1:
        who += f" of {accounts} accounts"
    outcomes = [run.outcome for run in runs]
    target = TARGETS.get((store, callers, accounts))
    return [
        Figure(
            what=who,
            unit="submits/s",
            values=tuple(outcome.per_s for outcome in outcomes),
            target=target,
            row="submit" if target else "",
            store=store,
        ),
        *per_cpu_s(runs, "submits"),
        Figure(what="  latency p50", unit="ms", values=tuple(outcome.p50_ms for outcome in outcomes)),
        Figure(what="  latency p99", unit="ms", values=tuple(outcome.p99_ms for outcome in outcomes)),
    ]
