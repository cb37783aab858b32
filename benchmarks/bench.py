"""What every benchmark is given: where to work, which cores and databases to use, how often to repeat."""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from benchmarks.databases import POSTGRES, PostgresHost
from benchmarks.figures import Figure, Target
from benchmarks.load import Generator, Load, Outcome
from benchmarks.service import Service


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """`scratch` is on a real disk. With two cores or more, server and load never share one."""

    scratch: Path
    cores: tuple[int, ...]
    rounds: int
    stores: tuple[str, ...]
    open_postgres: Callable[[], PostgresHost]
    most_tasks: int
    write: bool

    @property
    def few(self) -> int:
        """How often to repeat what takes long and hardly varies."""
        return max(self.rounds // 2, 1)

    @property
    def server_core(self) -> frozenset[int]:
        """The one core that the service may use where it is measured on one."""
        return frozenset(self.cores[:1])

    @property
    def load_core(self) -> frozenset[int]:
        """The core of whoever makes the load."""
        return frozenset(self.cores[-1:])

    @property
    def two_cores(self) -> frozenset[int]:
        """The two cores of a benchmark that is about two."""
        return frozenset(self.cores[:2])

    @property
    def database_core(self) -> frozenset[int]:
        """PostgreSQL's: one of its own if there are three, else it shares the load's."""
        return frozenset(self.cores[1:2])

    def postgres(self, cores: frozenset[int] | None = None) -> PostgresHost:
        """Return the PostgreSQL server, on `cores`: its own, if none are named."""
        host = self.open_postgres()
        host.pin(cores or self.database_core)
        return host

    def service(
        self,
        name: str,
        *,
        store: str,
        cores: frozenset[int] | None = None,
        database_cores: frozenset[int] | None = None,
        settings: Mapping[str, object] | None = None,
        program: Sequence[str] = ("filmgate",),
    ) -> Service:
        """Return a service that is yet to be started, on the server's core if none are named."""
        return Service(
            self.scratch / f"{name}-{store.lower()}",
            cores=cores or self.server_core,
            settings=settings,
            program=program,
            postgres=self.postgres(database_cores) if store == POSTGRES else None,
        )

    def say(self, text: str) -> None:
        """Tell whoever waits how far this is."""
        print(f"  {text}", file=sys.stderr, flush=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Costed:
    """A run of load, and the CPU time that it cost the service, and apart from that PostgreSQL."""

    outcome: Outcome
    cpu_s: float
    database_cpu_s: float

    @property
    def per_cpu_s(self) -> float:
        """Answers for each CPU second of the service: what it could do had it a core to itself."""
        return self.outcome.total / max(self.cpu_s, 0.01)

    @property
    def per_database_cpu_s(self) -> float:
        """Answers for each CPU second of PostgreSQL's processes."""
        return self.outcome.total / max(self.database_cpu_s, 0.01)


def costed(generator: Generator, service: Service, load: Load) -> Costed:
    """Do a run and count what it costs the service."""
    cpu_s, database_cpu_s = service.cpu_s(), service.database.cpu_s()
    outcome = generator.run(load)
    return Costed(
        outcome=outcome,
        cpu_s=service.cpu_s() - cpu_s,
        database_cpu_s=service.database.cpu_s() - database_cpu_s,
    )


def per_cpu_s(runs: Sequence[Costed], unit: str, *, target: Target | None = None) -> list[Figure]:
    """Return answers for each CPU second of ours, and of PostgreSQL's if it has had any."""
    ours = Figure(
        what="  for each CPU second",
        unit=unit,
        values=tuple(run.per_cpu_s for run in runs),
        target=target,
    )
    if not any(run.database_cpu_s for run in runs):
        return [ours]
    values = tuple(run.per_database_cpu_s for run in runs)
    return [ours, Figure(what="  for each CPU second of PostgreSQL's", unit=unit, values=values)]


def generator_use(runs: Iterable[Costed]) -> Figure:
    """Return how busy the generator was: at its limit, it would have measured itself."""
    return Figure(
        what="the load generator's use of its own core",
        unit="core",
        values=tuple(run.outcome.busy for run in runs),
        target=Target(at_most=0.8),
    )


def a_film(prompt: str, model: str, **params: object) -> Mapping[str, object]:
    """Return a submission in dialect B."""
    return {
        "model": model,
        "params": {"prompt": prompt, "duration_seconds": 5, "resolution": "720p", **params},
    }


def decode(body: bytes) -> dict[str, object]:
    """Return the JSON object of an answer."""
    return msgspec.json.decode(body, type=dict[str, object])
