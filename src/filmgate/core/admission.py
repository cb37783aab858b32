"""Who may start: the caps that the store judges inside its commits, and the order of the waiting."""

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from filmgate.core import rate


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much may run and how much may wait.

    A task is admitted when its account and its provider both have a free slot and neither is over its
    rate: tasks that start per minute, see `core.rate`; none is 0, or not named. Among the waiting, the
    higher `priority` goes first; then the account that uses the fewest slots; then the account that was
    admitted longest ago; then the older task.
    """

    account_concurrency: int = 6
    account_queue: int = 1_000
    total_queue: int = 100_000
    account_rate: int = 0
    provider_slots: Mapping[str, int] = field(default_factory=dict)
    provider_rates: Mapping[str, int] = field(default_factory=dict)
    local: frozenset[str] = frozenset()

    def slots_of(self, provider: str) -> int | None:
        """Return a provider's slots for all workers together; None where they are what the workers have."""
        return None if provider in self.local else self.provider_slots.get(provider, 0)

    def rate_of(self, provider: str) -> int:
        """Return how many tasks may start per minute on a provider, 0 for any number."""
        return self.provider_rates.get(provider, 0)

    def account_may_start(self, *, slots: int, free_at: int, at: int) -> bool:
        """Say whether an account that uses so many slots has room for one more task at `at`."""
        return (
            slots < self.account_concurrency
            and rate.may_start(1, rate=self.account_rate, free_at=free_at, at=at) > 0
        )

    def provider_may_start(self, provider: str, *, free: int, free_at: int, at: int) -> int:
        """Return how many of a provider's free slots may be taken at `at`."""
        return max(0, rate.may_start(free, rate=self.rate_of(provider), free_at=free_at, at=at))


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The first waiting task of one account for one provider, and how that account stands."""

    task_id: str
    account_id: str
    priority: int
    account_slots: int
    account_admitted: int
    account_free_at: int

    @property
    def turn(self) -> tuple[int, int, int, str]:
        """Who goes first, smallest first: the one home of the order among the waiting."""
        return (-self.priority, self.account_slots, self.account_admitted, self.task_id)


def choose(
    heads: Iterable[Head],
    *,
    free: int,
    at: int,
    limits: Limits,
    following: Callable[[Head], Head | None],
) -> Iterator[Head]:
    """Yield who gets the next of `free` slots, in order; `at` is now, in microseconds.

    `following` returns the account's next waiting task as it stands once this head is admitted.
    """

    def may_start(head: Head) -> bool:
        return limits.account_may_start(slots=head.account_slots, free_at=head.account_free_at, at=at)

    turns = [(head.turn, head) for head in heads if may_start(head)]
    heapq.heapify(turns)
    while turns and free > 0:
        _, head = heapq.heappop(turns)
        yield head
        free -= 1
        after = following(head)
        if after is not None and may_start(after):
            heapq.heappush(turns, (after.turn, after))
