"""A unit of work as a value: everything that one commit saves, or nothing of it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from filmgate.core.attempt import Attempt
from filmgate.core.delivery import Delivery, delivery_of
from filmgate.core.events import Event, event_of
from filmgate.core.keys import Key
from filmgate.core.ledger import Account, Transfer, hold, resolve
from filmgate.core.signing import Signing
from filmgate.core.task import Task


class Namespace(StrEnum):
    """The two kinds of idempotency key; each has its own space per key identity."""

    OUT_TASK_ID = "out_task_id"
    HEADER = "idempotency_key"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A caller's idempotency key for a new task; `expires_at` None lasts as long as the task."""

    key_id: str
    namespace: Namespace
    token: str
    fingerprint: str
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What to save together.

    `was_version` guards the task: 0 inserts it. `lease_no` fences a worker's writes: the change is
    refused if another worker has taken the task over. `accounts` are new ones, `keys`, `deliveries`
    and `signings` new or changed ones; a delivery is guarded by its own version.
    """

    task: Task | None = None
    was_version: int = 0
    lease_no: int | None = None
    transfers: tuple[Transfer, ...] = ()
    events: tuple[Event, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    claims: tuple[Claim, ...] = ()
    accounts: tuple[Account, ...] = ()
    keys: tuple[Key, ...] = ()
    deliveries: tuple[Delivery, ...] = ()
    signings: tuple[Signing, ...] = ()


def submission(task: Task, *, claims: tuple[Claim, ...] = ()) -> Change:
    """Return the change that stores a new task and holds its price."""
    return Change(
        task=task,
        transfers=(hold(task),),
        events=(event_of(task, before=None),),
        claims=claims,
    )


def advance(
    before: Task, after: Task, *, lease_no: int | None = None, attempts: tuple[Attempt, ...] = ()
) -> Change:
    """Return the change from `before` to `after`: its event, and what its end brings if the task ended."""
    assert after.version == before.version + 1, "one change is one version"
    return Change(
        task=after,
        was_version=before.version,
        lease_no=lease_no,
        transfers=(resolve(after),) if after.ended else (),
        events=(event_of(after, before=before),),
        attempts=attempts,
        deliveries=tuple(delivery_of(after)) if after.ended else (),
    )


def tidying(before: Task, after: Task) -> Change:
    """Return the change of a task that had ended before, and let go of something since."""
    assert before.ended, "nothing is paid or told a second time"
    assert after.version == before.version + 1, "one change is one version"
    return Change(task=after, was_version=before.version, events=(event_of(after, before=before),))


def aside(*attempts: Attempt, lease_no: int | None = None) -> Change:
    """Return the change that saves attempts alone: what came to be known after the task ended."""
    return Change(attempts=attempts, lease_no=lease_no)
