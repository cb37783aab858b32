"""A webhook on its way: when it is tried, what became of each try, and when it is given up."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from filmgate.core.errors import IllegalTransition
from filmgate.core.task import Task

# Standard Webhooks 1.0.0, "Retry schedule": how long after a try the next one comes.
SCHEDULE_S: Final = (0, 5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
JITTER: Final = 0.2
SLOW_S: Final = 60  # at least, where the receiver cannot keep up
SLOW: Final = frozenset({429, 502, 504})
MOST_TRIES_KEPT: Final = 20


class DeliveryState(StrEnum):
    """How a delivery stands."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"  # the schedule has run out
    GONE = "gone"  # the receiver answered 410: it wants no more of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """One try: when it began, and the HTTP status of the answer, or `error` where there was none."""

    at: datetime
    took_s: float
    status: int | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One event to be told to one address. `id` is the same at each try, whatever happens between.

    `version` grows by one with every saved change. `round` counts the tries of the schedule since it
    was begun, or begun anew by hand; `tries` are the latest of all.
    """

    id: str
    task_id: str
    account_id: str
    url: str
    created_at: datetime
    next_at: datetime | None
    state: DeliveryState = DeliveryState.PENDING
    version: int = 1
    round: int = 0
    tries: tuple[Try, ...] = ()
    finished_at: datetime | None = None

    def is_due(self, at: datetime) -> bool:
        """Say whether it is to be tried by `at`."""
        return self.next_at is not None and self.next_at <= at

    def tried(self, this: Try, *, chance: float, retry_after_s: float | None = None) -> "Delivery":
        """Return this delivery after a try; `chance` from 0 to 1 spreads the next one."""
        if self.state is not DeliveryState.PENDING:
            raise IllegalTransition(f"delivery {self.id} is {self.state}")
        tried = replace(
            self,
            version=self.version + 1,
            round=self.round + 1,
            tries=(*self.tries, this)[-MOST_TRIES_KEPT:],
        )
        if this.status is not None and 200 <= this.status < 300:  # noqa: PLR2004
            return _finished(tried, DeliveryState.DELIVERED)
        if this.status == 410:  # noqa: PLR2004
            return _finished(tried, DeliveryState.GONE)
        if tried.round >= len(SCHEDULE_S):
            return _finished(tried, DeliveryState.DEAD)
        wait_s = SCHEDULE_S[tried.round] * (1 - JITTER + 2 * JITTER * chance)
        if this.status is None or this.status in SLOW:
            wait_s = max(wait_s, SLOW_S)
        # Advice is followed as far as twice our own plan, and never to hurry.
        wait_s = max(wait_s, min(retry_after_s or 0, 2 * max(SCHEDULE_S[tried.round], SLOW_S)))
        return replace(tried, next_at=this.at + timedelta(seconds=this.took_s + wait_s))

    def again(self, *, at: datetime) -> "Delivery":
        """Return this delivery at the beginning of the schedule, by somebody's wish."""
        return replace(
            self,
            version=self.version + 1,
            state=DeliveryState.PENDING,
            round=0,
            next_at=at,
            finished_at=None,
        )


def delivery_of(task: Task) -> Iterator[Delivery]:
    """Yield what a task that has just ended is to tell, if somebody wants to be told."""
    if task.callback_url is not None:
        yield Delivery(
            id=event_id(task.id, task.version),
            task_id=task.id,
            account_id=task.account_id,
            url=task.callback_url,
            created_at=task.updated_at,
            next_at=task.updated_at,
        )


def event_id(task_id: str, seq: int) -> str:
    """Return the `webhook-id` of an event: by its content, so that even a restored backup repeats it."""
    return f"evt_{hashlib.sha256(f'{task_id}/{seq}'.encode()).hexdigest()[:32]}"


def _finished(delivery: Delivery, state: DeliveryState) -> Delivery:
    last = delivery.tries[-1]
    return replace(delivery, state=state, next_at=None, finished_at=last.at + timedelta(seconds=last.took_s))
