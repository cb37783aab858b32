"""Who may start: the caps that the store judges inside its commits, and the order of the waiting."""

from collections.abc import Mapping
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
