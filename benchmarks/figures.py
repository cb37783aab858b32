"""What a benchmark finds: figures with their spread, beside what was aimed at."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any


class BenchmarkFailed(Exception):
    """A benchmark measured something else than it claims to; its figures mean nothing."""


class Skipped(Exception):
    """What a benchmark needs is not here, which is nobody's fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What section 13 of the design asks for: one bound."""

    at_least: float | None = None
    at_most: float | None = None

    def met_by(self, value: float) -> bool:
        """Say whether `value` is good enough."""
        return not (
            (self.at_least is not None and value < self.at_least)
            or (self.at_most is not None and value > self.at_most)
        )

    def __str__(self) -> str:
        """Return the bound as it is written."""
        if self.at_least is not None:
            return f"≥ {number(self.at_least)}"
        return "" if self.at_most is None else f"≤ {number(self.at_most)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One thing measured several times; the median counts.

    `row` is which row of `targets.ROWS` it answers, `store` on which database.
    """

    what: str
    unit: str
    values: tuple[float, ...]
    target: Target | None = None
    row: str = ""
    store: str = ""

    @property
    def median(self) -> float:
        """The value that counts."""
        return median(self.values)

    @property
    def spread(self) -> str:
        """The least and the most."""
        if len(self.values) == 1:
            return "1 run"
        return f"{number(min(self.values))} .. {number(max(self.values))}"

    @property
    def verdict(self) -> str:
        """Whether the target was met; empty where there is none."""
        if self.target is None:
            return ""
        return "met" if self.target.met_by(self.median) else "MISSED"

    def document(self) -> dict[str, Any]:
        """Return the figure for programs."""
        return {
            "what": self.what,
            "store": self.store or None,
            "unit": self.unit,
            "median": round(self.median, 6),
            "least": round(min(self.values), 6),
            "most": round(max(self.values), 6),
            "runs": len(self.values),
            "at_least": self.target.at_least if self.target else None,
            "at_most": self.target.at_most if self.target else None,
            "met": self.target.met_by(self.median) if self.target else None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What one benchmark found; `how` says what was done, and what a reader must know to judge it.

    `others` is how many cores somebody else kept busy meanwhile: much of it, and nothing here counts.
    """

    name: str
    how: str
    figures: Sequence[Figure]
    took_s: float = 0.0
    others: float = 0.0

    def document(self) -> dict[str, Any]:
        """Return the report for programs."""
        return {
            "benchmark": self.name,
            "how": self.how,
            "took_s": round(self.took_s, 1),
            "cores_busy_with_others": round(self.others, 2),
            "figures": [figure.document() for figure in self.figures],
        }


def number(value: float) -> str:
    """Return a number with as many digits as mean something."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 10 else f"{value:.1f}"
