"""Where tasks, credits, events and keys are kept; the only judge of balance, caps and uniqueness."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from filmgate.core.attempt import Attempt
from filmgate.core.change import Change, Namespace
from filmgate.core.delivery import Delivery, DeliveryState
from filmgate.core.errors import FilmgateError
from filmgate.core.events import Event
from filmgate.core.keys import Key
from filmgate.core.ledger import Account, Billed, Row, Unreadable
from filmgate.core.signing import Signing
from filmgate.core.task import Output, Status, Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """An admitted task to run, and the number that fences whoever runs it."""

    task_id: str
    lease_no: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """The change is durable. `jobs` were admitted by the same commit.

    `awaits_turn`: a new task waits though there is room for it; `admit` decides whose turn it is.
    """

    jobs: tuple[Job, ...] = ()
    awaits_turn: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """The same submission was stored before: this is its task now, and nothing was changed."""

    task: Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Nothing was changed, and `error` says why; it is durable that it was not."""

    error: FilmgateError


Outcome = Committed | Replayed | Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskQuery:
    """Which tasks to list, newest first unless `ascending`; `after` and `before` are task ids.

    Deleted ones are never among them.
    """

    key_id: str | None = None
    account_id: str | None = None
    dialect: str | None = None
    kind: str | None = None
    status: Status | None = None
    model_id: str | None = None
    created_from: datetime | None = None
    created_before: datetime | None = None
    after: str | None = None
    before: str | None = None
    ascending: bool = False
    limit: int = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryQuery:
    """Which webhook deliveries to list, those due longest first, else newest first."""

    account_id: str | None = None
    task_id: str | None = None
    state: DeliveryState | None = None
    due_at: datetime | None = None  # pending, and to be tried by then
    due_after: tuple[datetime, str] | None = None  # of those, the ones beyond this time, or id at it
    limit: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How the whole stands: for `doctor` and metrics.

    `waiting` are queued and not admitted, `jobs` admitted tasks with something still to do;
    `oldest_waiting_at` and `stillest_job_at` are when the longest-waiting was created and the job that
    has not moved for longest was last saved.
    """

    tasks: int
    waiting: int
    jobs: int
    oldest_waiting_at: datetime | None
    stillest_job_at: datetime | None
    deliveries_pending: int
    deliveries_dead: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """Everything the ledger's audit reads, as of one moment."""

    accounts: Iterable[Account]
    rows: Iterable[Row | Unreadable]
    tasks: Iterable[Billed]


class Store(Protocol):
    """The truth. Every method may be called again; each read is one statement of its own."""

    async def commit(self, change: Change) -> Outcome:
        """Save all of `change`, or nothing; return only once that is durable.

        In the same commit a new task is admitted if its account and its provider have a free slot,
        neither is over its rate and nobody waits; a task that ends frees its account's slot and closes
        its attempt that was never sent; an attempt that closes frees its provider's slot; and the job of
        a task that has ended goes once none of its attempts is open. A task that is deleted takes its
        deliveries along. Raise StoreUnavailable if nothing can be saved.
        """
        ...

    async def admit(self, at: datetime) -> tuple[Job, ...]:
        """Give every free slot to who is next by `core.admission.Limits`; return whom to run."""
        ...

    async def take_over(self) -> tuple[Job, ...]:
        """Fence off whoever ran the open jobs before, and return them all: once, at start."""
        ...

    async def task(self, task_id: str) -> Task | None:
        """Return a task."""
        ...

    async def task_named(self, key_id: str, namespace: Namespace, token: str) -> Task | None:
        """Return the task that this idempotency key of this key identity belongs to."""
        ...

    async def tasks(self, query: TaskQuery) -> Sequence[Task]:
        """Return the tasks asked for, in order of their ids."""
        ...

    async def events(self, task_id: str, *, after: int = 0) -> Sequence[Event]:
        """Return a task's events with a `seq` above `after`, in order."""
        ...

    async def attempts(self, task_id: str) -> Sequence[Attempt]:
        """Return a task's attempts, first to last."""
        ...

    async def output(self, blob: str) -> Output | None:
        """Return what is known of a stored blob that some task's outputs name."""
        ...

    async def overdue(self, at: datetime, *, limit: int = 100) -> Sequence[Task]:
        """Return tasks that wait for a slot and whose deadline has passed, the oldest first."""
        ...

    async def outdated(self, at: datetime, *, limit: int = 100) -> Sequence[Task]:
        """Return ended tasks that still have files though `result_expires_at` has passed."""
        ...

    async def collect(self, blobs: Sequence[str]) -> Sequence[str]:
        """Forget those of `blobs` that no task needs, and return them: their files may go."""
        ...

    async def prune(self, at: datetime) -> int:
        """Forget idempotency keys whose time has passed; return how many there were."""
        ...

    async def delivery(self, delivery_id: str) -> Delivery | None:
        """Return a webhook delivery."""
        ...

    async def deliveries(self, query: DeliveryQuery) -> Sequence[Delivery]:
        """Return the webhook deliveries asked for."""
        ...

    async def signing(self, account_id: str) -> Signing:
        """Return which secret signs an account's webhooks."""
        ...

    async def standing(self) -> Standing:
        """Count what waits, runs and could not be delivered."""
        ...

    async def key(self, public_id: str) -> Key | None:
        """Return an API key by its public id, revoked or not."""
        ...

    async def keys(self) -> Sequence[Key]:
        """Return all API keys, oldest first."""
        ...

    async def account(self, account_id: str) -> Account | None:
        """Return a customer's account."""
        ...

    async def accounts(self) -> Sequence[Account]:
        """Return all customers' accounts, oldest first."""
        ...

    async def secret(self, name: str) -> bytes:
        """Return 32 random bytes that this installation keeps under `name`, made at first use."""
        ...

    async def books(self) -> Books:
        """Return the whole ledger for its audit."""
        ...

    async def ready(self) -> None:
        """Return if the database answers, or raise StoreUnavailable."""
        ...

    async def close(self) -> None:
        """Finish what was accepted, then close."""
        ...
