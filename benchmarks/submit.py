"""How many submissions a second are priced, held and on the disk before their caller hears so."""

from benchmarks.bench import Bench, Costed, a_film, costed, generator_use
from benchmarks.figures import Figure, Report, Target
from benchmarks.load import NUMBER, Generator, Load, generator, request
from benchmarks.service import MODEL, Service

SECONDS = 1.2
# Callers, and the accounts that they share among them.
WAYS = ((1, 1), (16, 1), (64, 1), (256, 1), (64, 64))
TARGETS = {(64, 1): Target(at_least=2_500)}
MOST_WAITING = 10_000_000

HOW = f"""\
Dialect B over HTTP, on SQLite with synchronous = FULL, the server on one core, the load on another.
Each submission has an out_task_id of its own, so none is a replay, and holds 5 credits. The tasks
are sandbox ones that stall (#stall): each account's first 6 are admitted and run, all others wait, so
admission is asked and answered throughout but the tasks' own work does not compete. Queue caps are
lifted; every round begins with an empty database, gives {SECONDS} s to each number of callers in turn,
and ends with a check that every accepted task is stored, and with `filmgate ledger verify`."""


def measure(bench: Bench) -> Report:
    """Measure every number of callers."""
    runs: dict[tuple[int, int], list[Costed]] = {way: [] for way in WAYS}
    with generator(bench.load_core) as load:
        for n in range(bench.rounds):
            bench.say(f"submit: round {n + 1} of {bench.rounds}")
            _round(bench, load, n, runs)
    figures = [figure for way in WAYS for figure in _figures(*way, runs[way])]
    figures.append(generator_use(run for way in WAYS for run in runs[way]))
    return Report(name="submit", how=HOW, figures=figures)


def _round(bench: Bench, load: Generator, n: int, runs: dict[tuple[int, int], list[Costed]]) -> None:
    caps = {"account_queue": MOST_WAITING, "total_queue": MOST_WAITING}
    with Service(bench.scratch / f"submit-{n}", cores=bench.server_core, settings=caps) as service:
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


def submission(key: str, prompt: str) -> bytes:
    """Return a submission that is another task each time it is sent."""
    body = {**a_film(prompt, MODEL), "out_task_id": f"bench-{NUMBER.decode()}"}
    return request("POST", "/v1/tasks/submit", key=key, body=body)


def _figures(callers: int, accounts: int, runs: list[Costed]) -> list[Figure]:
    who = "1 caller" if callers == 1 else f"{callers} callers"
    if accounts > 1:
        who += f" of {accounts} accounts"
    outcomes = [run.outcome for run in runs]
    return [
        Figure(
            what=who,
            unit="submits/s",
            values=tuple(outcome.per_s for outcome in outcomes),
            target=TARGETS.get((callers, accounts)),
        ),
        Figure(what="  for each CPU second", unit="submits", values=tuple(run.per_cpu_s for run in runs)),
        Figure(what="  latency p50", unit="ms", values=tuple(outcome.p50_ms for outcome in outcomes)),
        Figure(what="  latency p99", unit="ms", values=tuple(outcome.p99_ms for outcome in outcomes)),
    ]
