"""One upstream submission: it has a life of its own, beside and beyond its task's."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum


class Outcome(StrEnum):
    """How an upstream submission ended, as far as is known."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REFUSED = "refused"  # provably never started
    UNSENT = "unsent"  # admitted, but its task ended before anything was sent
    ORPHANED = "orphaned"  # may run on upstream, and nobody can tell


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """Submission `n` of a task to `provider`. It owns the provider's slot until `closed_at`.

    `intent_at` is saved before anything is sent, `remote_id` as soon as the provider has told it.
    A late remote id and cost are taken even after the task has ended.
    """

    task_id: str
    n: int
    provider: str
    intent_at: datetime | None = None
    remote_id: str | None = None
    outcome: Outcome | None = None
    upstream_cost: str | None = None
    closed_at: datetime | None = None

    @property
    def reference(self) -> str:
        """What is sent upstream to know this submission again: never the lease's number."""
        return f"{self.task_id}-{self.n}"

    def close(self, outcome: Outcome, *, at: datetime, upstream_cost: str | None = None) -> "Attempt":
        """Return this attempt at its end; one that has ended stays as it is."""
        if self.closed_at is not None:
            return self
        return replace(self, outcome=outcome, closed_at=at, upstream_cost=upstream_cost)
