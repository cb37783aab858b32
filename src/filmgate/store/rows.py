"""Between our values and their rows: the same on every database."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

import msgspec

from filmgate.core.attempt import Attempt, Outcome
from filmgate.core.delivery import Delivery
from filmgate.core.errors import FilmgateError
from filmgate.core.events import Event, EventKind
from filmgate.core.keys import Key
from filmgate.core.ledger import Account, Row, Transfer, TransferKind, Unreadable
from filmgate.core.signing import Signing
from filmgate.core.task import Output, Phase, Status, Task
from filmgate.ports.store import DeliveryQuery, Standing, TaskQuery

_encoder: Final = msgspec.json.Encoder()
_tasks: Final = msgspec.json.Decoder(Task)
_outputs: Final = msgspec.json.Decoder(Output)
_deliveries: Final = msgspec.json.Decoder(Delivery)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def micros(at: datetime) -> int:
    """Return a time as microseconds since 1970, exactly."""
    return (at - _EPOCH) // _MICROSECOND


def time(us: int) -> datetime:
    """Return microseconds since 1970 as aware UTC."""
    return _EPOCH + timedelta(microseconds=us)


def dump_task(task: Task) -> str:
    """Return the task's snapshot."""
    return _encoder.encode(task).decode()


@lru_cache(maxsize=4_096)  # clients poll: the same snapshot is read many times before it changes
def load_task(snapshot: str) -> Task:
    """Return the task of a snapshot: one value for all who ask, which nobody may change."""
    return _tasks.decode(snapshot)


class KnownTasks:
    """Tasks as they were last read: of one that has not changed since, its row need not say all again.

    A row is asked for its snapshot, `CASE version WHEN` the known one's `THEN NULL`.
    """

    def __init__(self, *, most: int = 4_096) -> None:
        """Know nothing yet, and never more than `most`."""
        self._most = most
        self._tasks: dict[str, Task] = {}

    def of(self, task_id: str) -> Task | None:
        """Return the task as it was last read, if it was."""
        return self._tasks.get(task_id)

    def keep(self, snapshot: str) -> Task:
        """Return the task of a snapshot that was just read."""
        task = load_task(snapshot)
        if len(self._tasks) >= self._most:
            self._tasks.clear()
        self._tasks[task.id] = task
        return task


def dump_output(output: Output) -> str:
    """Return an output as JSON."""
    return _encoder.encode(output).decode()


def load_output(text: str) -> Output:
    """Return the output of its JSON."""
    return _outputs.decode(text)


FACTS: Final = (
    "id",
    "account_id",
    "key_id",
    "dialect",
    "kind",
    "model_id",
    "provider",
    "priority",
    "held",
    "created_at",
    "deadline_at",
)
COLUMNS: Final = ("status", "version", "charged", "deleted", "updated_at", "files_until", "snapshot")


def task_facts(task: Task) -> tuple[Any, ...]:
    """Return what the store asks by and nothing ever changes, in the order of `FACTS`."""
    return (
        task.id,
        task.account_id,
        task.key_id,
        task.dialect,
        "video" if task.generation.duration_s else "image",
        task.model_id,
        task.route.provider,
        task.priority,
        task.quote.amount,
        micros(task.created_at),
        micros(task.deadline_at),
    )


def task_columns(task: Task) -> tuple[Any, ...]:
    """Return what the store asks by and every change may move, in the order of `COLUMNS`."""
    files_until = task.result_expires_at if task.ended and task.blobs else None
    return (
        task.status,
        task.version,
        task.charged,
        int(task.deleted_at is not None),
        micros(task.updated_at),
        maybe_micros(files_until),
        dump_task(task),
    )


Condition = tuple[str, tuple[object, ...]]  # SQL with {} where each value goes


def which_tasks(query: TaskQuery) -> Iterator[Condition]:
    """Yield the conditions that say which tasks are asked for."""
    yield "deleted = 0", ()
    equal = ("key_id", "account_id", "dialect", "kind", "status", "model_id")
    for column in equal:
        if (value := getattr(query, column)) is not None:
            yield f"{column} = {{}}", (value,)
    if query.created_from is not None:
        yield "created_at >= {}", (micros(query.created_from),)
    if query.created_before is not None:
        yield "created_at < {}", (micros(query.created_before),)
    later, earlier = ("id > {}", "id < {}") if query.ascending else ("id < {}", "id > {}")
    if query.after is not None:
        yield later, (query.after,)
    if query.before is not None:
        yield earlier, (query.before,)


def which_deliveries(query: DeliveryQuery) -> Iterator[Condition]:
    """Yield the conditions that say which deliveries are asked for."""
    for column in ("account_id", "task_id", "state"):
        if (value := getattr(query, column)) is not None:
            yield f"{column} = {{}}", (value,)
    if query.due_at is not None:
        yield "next_at <= {}", (micros(query.due_at),)
    if query.due_after is not None:
        at, delivery_id = query.due_after
        yield "(next_at, id) > ({}, {})", (micros(at), delivery_id)


DELIVERY: Final = ("id", "task_id", "account_id", "state", "version", "created_at", "next_at", "snapshot")


def delivery_row(delivery: Delivery) -> tuple[Any, ...]:
    """Return a delivery in the order of `DELIVERY`."""
    return (
        delivery.id,
        delivery.task_id,
        delivery.account_id,
        delivery.state,
        delivery.version,
        micros(delivery.created_at),
        maybe_micros(delivery.next_at),
        _encoder.encode(delivery).decode(),
    )


def load_delivery(snapshot: str) -> Delivery:
    """Return the delivery of a snapshot."""
    return _deliveries.decode(snapshot)


SIGNING: Final = ("account_id", "turn", "rotated_at")


def signing_row(signing: Signing) -> tuple[Any, ...]:
    """Return a signing in the order of `SIGNING`."""
    return (signing.account_id, signing.turn, maybe_micros(signing.rotated_at))


def load_signing(row: tuple[Any, ...]) -> Signing:
    """Return the signing of a row."""
    account_id, turn, rotated_at = row
    return Signing(account_id=account_id, turn=turn, rotated_at=maybe_time(rotated_at))


EVENT: Final = ("task_id", "seq", "kind", "at", "status", "phase", "progress")


def event_row(event: Event) -> tuple[Any, ...]:
    """Return an event in the order of `EVENT`."""
    return (event.task_id, event.seq, event.kind, micros(event.at), event.status, event.phase, event.progress)


def load_event(row: tuple[Any, ...]) -> Event:
    """Return the event of a row."""
    task_id, seq, kind, at, status, phase, progress = row
    return Event(
        task_id=task_id,
        seq=seq,
        kind=EventKind(kind),
        at=time(at),
        status=Status(status),
        phase=Phase(phase) if phase else None,
        progress=progress,
    )


ATTEMPT: Final = (
    "task_id",
    "n",
    "provider",
    "intent_at",
    "remote_id",
    "outcome",
    "upstream_cost",
    "closed_at",
)


def attempt_row(attempt: Attempt) -> tuple[Any, ...]:
    """Return an attempt in the order of `ATTEMPT`."""
    return (
        attempt.task_id,
        attempt.n,
        attempt.provider,
        maybe_micros(attempt.intent_at),
        attempt.remote_id,
        attempt.outcome,
        attempt.upstream_cost,
        maybe_micros(attempt.closed_at),
    )


def load_attempt(row: tuple[Any, ...]) -> Attempt:
    """Return the attempt of a row."""
    task_id, n, provider, intent_at, remote_id, outcome, upstream_cost, closed_at = row
    return Attempt(
        task_id=task_id,
        n=n,
        provider=provider,
        intent_at=maybe_time(intent_at),
        remote_id=remote_id,
        outcome=Outcome(outcome) if outcome else None,
        upstream_cost=upstream_cost,
        closed_at=maybe_time(closed_at),
    )


KEY: Final = ("id", "identity", "account_id", "name", "hash", "created_at", "revoked_at")


def key_row(key: Key) -> tuple[Any, ...]:
    """Return a key in the order of `KEY`."""
    return (
        key.id,
        key.identity,
        key.account_id,
        key.name,
        key.hash,
        micros(key.created_at),
        maybe_micros(key.revoked_at),
    )


KEYS: Final = "SELECT id, identity, account_id, name, hash, created_at, revoked_at FROM keys"


def load_key(row: tuple[Any, ...]) -> Key:
    """Return the key of a row."""
    key_id, identity, account_id, name, hashed, created_at, revoked_at = row
    return Key(
        id=key_id,
        identity=identity,
        account_id=account_id,
        name=name,
        hash=hashed,
        created_at=time(created_at),
        revoked_at=maybe_time(revoked_at),
    )


def transfer_row(transfer: Transfer, account: Account) -> tuple[Any, ...]:
    """Return a transfer in the order of its columns; `account` is as it stands after it."""
    return (
        transfer.id,
        transfer.kind,
        transfer.account_id,
        transfer.debit,
        transfer.credit,
        transfer.amount,
        transfer.releases,
        transfer.task_id,
        transfer.memo,
        micros(transfer.at),
        account.chain_seq,
        account.chain_head,
    )


TRANSFER_TEXTS: Final = ("id", "kind", "account_id", "debit", "credit", "task_id", "memo")


def audit_transfer(row: tuple[Any, ...]) -> Row | Unreadable:
    """Return the ledger row of a row whose texts are bytes: whatever was done to it, it is told."""
    *texts, amount, releases, at, seq, hashed = row
    texts = [None if text is None else text.decode(errors="replace") for text in texts]
    try:
        return _load_transfer((*texts, amount, releases, at, seq, hashed))
    except (FilmgateError, ValueError, TypeError, ArithmeticError) as error:
        return Unreadable(id=texts[0], problem=str(error))


def _load_transfer(row: tuple[Any, ...]) -> Row:
    id_, kind, account_id, debit, credit, task_id, memo, amount, releases, at, seq, hashed = row
    transfer = Transfer(
        id=id_,
        kind=TransferKind(kind),
        account_id=account_id,
        debit=debit,
        credit=credit,
        amount=amount,
        releases=releases,
        task_id=task_id,
        memo=memo,
        at=time(at),
    )
    return Row(transfer=transfer, seq=seq, hash=hashed)


STANDING: Final = """
    SELECT
        (SELECT count(*) FROM tasks),
        (SELECT count(*) FROM tasks WHERE waiting = 1),
        (SELECT min(created_at) FROM tasks WHERE waiting = 1),
        (SELECT count(*) FROM jobs),
        (SELECT min(tasks.updated_at) FROM jobs JOIN tasks ON tasks.id = jobs.task_id),
        (SELECT count(*) FROM deliveries WHERE next_at IS NOT NULL),
        (SELECT count(*) FROM deliveries WHERE state = 'dead')
"""


def load_standing(row: tuple[Any, ...]) -> Standing:
    """Return the standing of its row."""
    tasks, waiting, oldest, jobs, stillest, pending, dead = row
    return Standing(
        tasks=tasks,
        waiting=waiting,
        jobs=jobs,
        oldest_waiting_at=maybe_time(oldest),
        stillest_job_at=maybe_time(stillest),
        deliveries_pending=pending,
        deliveries_dead=dead,
    )


ACCOUNTS: Final = "SELECT id, name, balance, held, chain_seq, chain_head FROM accounts"


def load_account(row: tuple[Any, ...]) -> Account:
    """Return the account of a row."""
    account_id, name, balance, held, chain_seq, chain_head = row
    return Account(
        id=account_id, name=name, balance=balance, held=held, chain_seq=chain_seq, chain_head=chain_head
    )


def maybe_micros(at: datetime | None) -> int | None:
    """Return a time as microseconds since 1970, and None as None."""
    return None if at is None else micros(at)


def maybe_time(us: int | None) -> datetime | None:
    """Return microseconds since 1970 as aware UTC, and None as None."""
    return None if us is None else time(us)
