"""Who may start: the caps that the store judges inside its commits, and the order of the waiting."""

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much may run and how much may wait.

    A task is admitted when its account and its provider both have a free slot. Among the waiting,
    the higher `priority` goes first; then the account that uses the fewest slots; then the account
    that was admitted longest ago; then the older task.
    """

    account_concurrency: int = 6
    account_queue: int = 1_000
    total_queue: int = 100_000
    provider_slots: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The first waiting task of one account for one provider, and how that account stands."""

    task_id: str
    account_id: str
    priority: int
    account_slots: int
    account_admitted: int

    @property
    def turn(self) -> tuple[int, int, int, str]:
        """Who goes first, smallest first: the one home of the order among the waiting."""
        return (-self.priority, self.account_slots, self.account_admitted, self.task_id)


def choose(
    heads: Iterable[Head], *, free: int, limits: Limits, following: Callable[[Head], Head | None]
) -> Iterator[Head]:
    """Yield who gets the next of `free` slots, in order.

    `following` returns the account's next waiting task as it stands once this head is admitted.
    """
    turns = [(head.turn, head) for head in heads if head.account_slots < limits.account_concurrency]
    heapq.heapify(turns)
    while turns and free > 0:
        _, head = heapq.heappop(turns)
        yield head
        free -= 1
        after = following(head)
        if after is not None and after.account_slots < limits.account_concurrency:
            heapq.heappush(turns, (after.turn, after))
