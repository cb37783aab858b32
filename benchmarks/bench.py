"""What every benchmark is given: where to work, which cores to use, how often to repeat."""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from benchmarks.figures import Figure, Target
from benchmarks.load import Generator, Load, Outcome
from benchmarks.service import Service


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """`scratch` is on a real disk. With two cores or more, server and load never share one."""

    scratch: Path
    cores: tuple[int, ...]
    rounds: int

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

    def say(self, text: str) -> None:
        """Tell whoever waits how far this is."""
        print(f"  {text}", file=sys.stderr, flush=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Costed:
    """A run of load, and the CPU time that it cost the service."""

    outcome: Outcome
    cpu_s: float

    @property
    def per_cpu_s(self) -> float:
        """Answers for each CPU second of the service: what it could do had it a core to itself."""
        return self.outcome.total / max(self.cpu_s, 0.01)


def costed(generator: Generator, service: Service, load: Load) -> Costed:
    """Do a run and count what it costs the service."""
    before = service.cpu_s()
    outcome = generator.run(load)
    return Costed(outcome=outcome, cpu_s=service.cpu_s() - before)


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
