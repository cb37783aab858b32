"""The store on PostgreSQL: for as many processes as there are, each change one statement."""

import asyncio
import itertools
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import asyncpg
import msgspec
import structlog

from filmgate.core import rate
from filmgate.core.admission import Limits
from filmgate.core.attempt import Attempt
from filmgate.core.change import Change, Namespace
from filmgate.core.delivery import Delivery
from filmgate.core.errors import (
    Conflict,
    FilmgateError,
    IdempotencyMismatch,
    InsufficientCredits,
    InvalidRequest,
    LeaseLost,
    OutcomeUnknown,
    QueueFull,
    StoreUnavailable,
)
from filmgate.core.events import Event
from filmgate.core.keys import Key
from filmgate.core.ledger import Account
from filmgate.core.signing import Signing
from filmgate.core.task import Output, Task
from filmgate.ports.store import (
    Books,
    Committed,
    DeliveryQuery,
    Job,
    Outcome,
    Refused,
    Replayed,
    Standing,
    TaskQuery,
)
from filmgate.store import rows
from filmgate.store.postgres.admission import admit
from filmgate.store.postgres.books import Ledger
from filmgate.store.postgres.cluster import PostgresCluster
from filmgate.store.postgres.connection import Database, reason
from filmgate.store.postgres.document import document_of
from filmgate.store.postgres.lane import Lane
from filmgate.store.postgres.schema import migrate

FIND_OUT_S: Final = 10.0  # what became of a change whose connection went
FIND_OUT_EVERY_S: Final = 0.2
LANES: Final = 4
GROUP: Final = 64  # in one statement: more would only make each of them wait

_log = structlog.get_logger(__name__)
_encoder: Final = msgspec.json.Encoder()
_REFUSALS: Final[dict[str, type[FilmgateError]]] = {
    "conflict": Conflict,
    "lease_lost": LeaseLost,
    "mismatch": IdempotencyMismatch,
    "queue_full": QueueFull,
    "too_few": InsufficientCredits,
    "too_many": InvalidRequest,
}


async def open_store(url: str, *, limits: Limits) -> "tuple[PostgresStore, PostgresCluster]":
    """Open the database at `url`, brought up to date, and what its processes share."""
    database = Database(url)
    try:
        await migrate(database)
    except StoreUnavailable as error:
        # Whoever starts this is who can mend it: say what it was.
        raise StoreUnavailable(f"database: {reason(error)}") from error
    return PostgresStore(database, limits=limits), PostgresCluster(database)


class PostgresStore:
    """`ports.store.Store` in a database that others use as well; see there for what each method promises."""

    def __init__(self, database: Database, *, limits: Limits) -> None:
        """Use a database that `schema.migrate` has brought up to date."""
        self._db = database
        self._limits = limits
        self._secrets: dict[str, bytes] = {}
        self._waiting = 0  # in all, as far as we know: counted anew by `admit`
        self._admitting = asyncio.Lock()
        # An account's changes share a lane: in one statement they do not queue for its row.
        self._commits: tuple[Lane[_Order, Outcome], ...] = tuple(
            Lane(self._save, most=GROUP) for _ in range(LANES)
        )
        self._known = rows.KnownTasks()
        self._tasks: Lane[str, Task | None] = Lane(self._read_tasks, most=GROUP)
        self._events: Lane[tuple[str, int], Sequence[Event]] = Lane(self._news, most=GROUP)

    # --- changes ------------------------------------------------------------------------------

    async def commit(self, change: Change) -> Outcome:
        """See the port."""
        order = _Order(
            change=change,
            document=document_of(change),
            limits=await self._limits_for(change.task) if change.task and not change.was_version else "{}",
        )
        try:
            return await self._commits[hash(order.queue) % LANES].ask(order)
        except OutcomeUnknown:
            return await self._find_out(order)

    async def _save(self, orders: Sequence["_Order"]) -> Sequence[Outcome | Exception]:
        """Do all in one transaction; what one change does wrong must not undo its neighbours."""
        # As every process does, so that nobody waits in a circle.
        in_order = sorted(orders, key=lambda order: order.queue)
        try:
            found = await self._db.fetch(
                "SELECT * FROM commit_changes_v1($1, $2)",
                [order.document for order in in_order],
                [order.limits for order in in_order],
            )
        except (asyncpg.PostgresError, StoreUnavailable) as error:
            if isinstance(error, OutcomeUnknown) or len(orders) == 1:
                raise
            return [await self._save_alone(order) for order in orders]
        answers = {
            id(order): self._outcome(order.change, *row) for order, row in zip(in_order, found, strict=True)
        }
        return [answers[id(order)] for order in orders]

    async def _save_alone(self, order: "_Order") -> Outcome | Exception:
        try:
            (outcome,) = await self._save([order])
        except (asyncpg.PostgresError, StoreUnavailable) as error:
            return error
        return outcome

    def _outcome(self, change: Change, outcome: str, said: str, about: str) -> Outcome:
        match outcome:
            case "started":
                assert change.task is not None, "only a task starts"
                return Committed(jobs=(Job(task_id=change.task.id, lease_no=1),))
            case "waits" | "awaits_turn":
                self._waiting += 1
                return Committed(awaits_turn=outcome == "awaits_turn")
            case "done":
                return Committed()
            case "replayed":
                return Replayed(task=rows.load_task(said))
            case "mismatch":
                message = f"{about} {said!r} was used before for a different request"
                return Refused(error=IdempotencyMismatch(message, param=about))
            case _:
                return Refused(error=_REFUSALS[outcome](said))

    async def _find_out(self, order: "_Order") -> Outcome:
        """Do it again until there is an answer: what was done before is then told from what was not."""
        loop = asyncio.get_running_loop()
        until = loop.time() + FIND_OUT_S
        while True:
            await asyncio.sleep(FIND_OUT_EVERY_S)
            outcome = await self._save_alone(order)
            if isinstance(outcome, StoreUnavailable):
                if loop.time() > until:
                    raise outcome
                continue
            if isinstance(outcome, Exception):
                raise outcome
            if isinstance(outcome, Refused | Replayed) and await self._is_done(order.change):
                _log.info("commit_was_done", task_id=order.change.task and order.change.task.id)
                return Committed(awaits_turn=order.change.task is not None)
            return outcome

    async def _is_done(self, change: Change) -> bool:
        """Say whether exactly this change is in the database."""
        if change.task is not None:
            saved = await self.events(change.task.id, after=change.task.version - 1)
            return bool(saved) and saved[0] == change.events[0]
        found = await self._db.read(
            "SELECT id FROM transfers WHERE id = ANY($1) UNION ALL SELECT id FROM deliveries "
            "WHERE snapshot = ANY($2)",
            [transfer.id for transfer in change.transfers],
            [rows.delivery_row(delivery)[-1] for delivery in change.deliveries],
        )
        wanted = len(change.transfers) + len(change.deliveries)
        return 0 < wanted == len(found)  # of attempts alone, a refusal is the truth: they may be saved twice

    async def _limits_for(self, task: Task) -> str:
        limits = self._limits
        if self._waiting >= limits.total_queue:
            await self._count_waiting()  # some were cancelled, or admitted elsewhere
        rates = {"account_rate": limits.account_rate, "rate": limits.rate_of(task.route.provider)}
        return _encoder.encode(
            {
                "slots": limits.slots_of(task.route.provider),
                **{
                    name: (rate.interval(one), rate.burst(one), rate.BELIEVED)
                    for name, one in rates.items()
                    if one
                },
                "account_concurrency": limits.account_concurrency,
                "account_queue": limits.account_queue,
                "queue_is_full": self._waiting >= limits.total_queue,
            }
        ).decode()

    async def _count_waiting(self) -> None:
        found = await self._db.read_row("SELECT count(*) FROM tasks WHERE waiting = 1")
        self._waiting = found[0] if found else 0

    async def admit(self, at: datetime) -> tuple[Job, ...]:
        """See the port."""
        async with self._admitting:  # one of a process's is enough to queue for the lock
            await self._count_waiting()
            if not self._waiting:
                return ()
            admitted = await admit(self._db, self._limits, stamp=rows.micros(at))
            self._waiting -= len(admitted)
        return tuple(Job(task_id=task_id, lease_no=1) for task_id in admitted)

    async def take_over(self) -> tuple[Job, ...]:
        """See the port."""
        found = await self._db.fetch(
            "UPDATE tasks SET lease_no = lease_no + 1 FROM jobs WHERE tasks.id = jobs.task_id "
            "RETURNING tasks.id, tasks.lease_no"
        )
        return tuple(Job(task_id=task_id, lease_no=lease_no) for task_id, lease_no in sorted(found))

    async def secret(self, name: str) -> bytes:
        """See the port."""
        if name not in self._secrets:
            await self._db.fetch(
                "INSERT INTO secrets (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
                name,
                os.urandom(32),
            )
            found = await self._db.read_row("SELECT value FROM secrets WHERE name = $1", name)
            assert found is not None, "it was just made"
            self._secrets[name] = found[0]
        return self._secrets[name]

    async def collect(self, blobs: Sequence[str]) -> Sequence[str]:
        """See the port."""
        found = await self._db.fetch("SELECT collect_v1($1)", list(blobs))
        unneeded = {blob for (blob,) in found}
        return [blob for blob in blobs if blob in unneeded]

    async def prune(self, at: datetime) -> int:
        """See the port."""
        return len(
            await self._db.fetch("DELETE FROM claims WHERE expires_at <= $1 RETURNING 1", rows.micros(at))
        )

    async def ready(self) -> None:
        """See the port."""
        await self._db.read("SELECT 1")

    async def close(self) -> None:
        """See the port."""
        await self._db.close()

    # --- reads: one statement each --------------------------------------------------------------

    async def task(self, task_id: str) -> Task | None:
        """See the port."""
        return await self._tasks.ask(task_id)

    async def _read_tasks(self, task_ids: Sequence[str]) -> Sequence[Task | None]:
        known = [self._known.of(task_id) for task_id in task_ids]
        versions = [task and task.version for task in known]
        found = dict(await self._db.read(_TASKS, list(task_ids), versions))
        return [
            None if task_id not in found else self._known.keep(found[task_id]) if found[task_id] else task
            for task_id, task in zip(task_ids, known, strict=True)
        ]

    async def task_named(self, key_id: str, namespace: Namespace, token: str) -> Task | None:
        """See the port."""
        found = await self._db.read_row(
            "SELECT tasks.snapshot FROM claims JOIN tasks ON tasks.id = claims.task_id "
            "WHERE claims.key_id = $1 AND claims.namespace = $2 AND claims.token = $3",
            key_id,
            namespace,
            token,
        )
        return None if found is None else rows.load_task(found[0])

    async def tasks(self, query: TaskQuery) -> Sequence[Task]:
        """See the port."""
        where, values = _where(rows.which_tasks(query))
        order = "ASC" if query.ascending else "DESC"
        found = await self._db.read(
            f"SELECT snapshot FROM tasks WHERE {where} ORDER BY id {order} LIMIT {query.limit:d}",  # noqa: S608
            *values,
        )
        return [rows.load_task(snapshot) for (snapshot,) in found]

    async def events(self, task_id: str, *, after: int = 0) -> Sequence[Event]:
        """See the port."""
        return await self._events.ask((task_id, after))

    async def _news(self, asked: Sequence[tuple[str, int]]) -> Sequence[Sequence[Event]]:
        found = await self._db.read(_EVENTS, [task_id for task_id, _ in asked], [after for _, after in asked])
        answers: list[list[Event]] = [[] for _ in asked]
        for n, *row in found:
            answers[n - 1].append(rows.load_event(tuple(row)))
        return answers

    async def attempts(self, task_id: str) -> Sequence[Attempt]:
        """See the port."""
        found = await self._db.read(
            "SELECT task_id, n, provider, intent_at, remote_id, outcome, upstream_cost, closed_at "
            "FROM attempts WHERE task_id = $1 ORDER BY n",
            task_id,
        )
        return [rows.load_attempt(row) for row in found]

    async def output(self, blob: str) -> Output | None:
        """See the port."""
        found = await self._db.read_row(
            "SELECT output FROM blobs WHERE id = $1 AND EXISTS (SELECT FROM blob_uses WHERE blob = blobs.id)",
            blob,
        )
        return None if found is None else rows.load_output(found[0])

    async def overdue(self, at: datetime, *, limit: int = 100) -> Sequence[Task]:
        """See the port."""
        found = await self._db.read(
            "SELECT snapshot FROM tasks WHERE waiting = 1 AND deadline_at <= $1 "
            "ORDER BY deadline_at LIMIT $2",
            rows.micros(at),
            limit,
        )
        return [rows.load_task(snapshot) for (snapshot,) in found]

    async def outdated(self, at: datetime, *, limit: int = 100) -> Sequence[Task]:
        """See the port."""
        found = await self._db.read(
            "SELECT snapshot FROM tasks WHERE files_until <= $1 ORDER BY files_until LIMIT $2",
            rows.micros(at),
            limit,
        )
        return [rows.load_task(snapshot) for (snapshot,) in found]

    async def delivery(self, delivery_id: str) -> Delivery | None:
        """See the port."""
        found = await self._db.read_row("SELECT snapshot FROM deliveries WHERE id = $1", delivery_id)
        return None if found is None else rows.load_delivery(found[0])

    async def deliveries(self, query: DeliveryQuery) -> Sequence[Delivery]:
        """See the port."""
        where, values = _where(rows.which_deliveries(query))
        order = "created_at DESC, id" if query.due_at is None else "next_at, id"
        found = await self._db.read(
            f"SELECT snapshot FROM deliveries WHERE {where} ORDER BY {order} LIMIT {query.limit:d}",  # noqa: S608
            *values,
        )
        return [rows.load_delivery(snapshot) for (snapshot,) in found]

    async def signing(self, account_id: str) -> Signing:
        """See the port."""
        found = await self._db.read_row(
            "SELECT account_id, turn, rotated_at FROM signings WHERE account_id = $1", account_id
        )
        return Signing(account_id=account_id) if found is None else rows.load_signing(tuple(found))

    async def standing(self) -> Standing:
        """See the port."""
        found = await self._db.read_row(rows.STANDING)
        assert found is not None, "an aggregate has a row"
        return rows.load_standing(tuple(found))

    async def key(self, public_id: str) -> Key | None:
        """See the port."""
        found = await self._db.read_row(f"{rows.KEYS} WHERE id = $1", public_id)
        return None if found is None else rows.load_key(tuple(found))

    async def keys(self) -> Sequence[Key]:
        """See the port."""
        return [
            rows.load_key(tuple(row)) for row in await self._db.read(f"{rows.KEYS} ORDER BY created_at, id")
        ]

    async def account(self, account_id: str) -> Account | None:
        """See the port."""
        found = await self._db.read_row(f"{rows.ACCOUNTS} WHERE id = $1", account_id)
        return None if found is None else rows.load_account(tuple(found))

    async def accounts(self) -> Sequence[Account]:
        """See the port."""
        return [rows.load_account(tuple(row)) for row in await self._db.read(f"{rows.ACCOUNTS} ORDER BY id")]

    async def books(self) -> Books:
        """See the port."""
        return Ledger(self._db).books()


_TASKS: Final = """
    SELECT id, CASE tasks.version WHEN asked.version THEN NULL ELSE snapshot END
    FROM unnest($1::text[], $2::integer[]) AS asked (task_id, version) JOIN tasks ON id = asked.task_id
"""
_EVENTS: Final = """
    SELECT asked.n, events.task_id, seq, kind, at, status, phase, progress
    FROM unnest($1::text[], $2::bigint[]) WITH ORDINALITY AS asked (task_id, after, n)
    JOIN events ON events.task_id = asked.task_id AND seq > asked.after
    ORDER BY asked.n, seq
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    """A change on its way, as the database takes it."""

    change: Change
    document: str
    limits: str

    @property
    def queue(self) -> str:
        """Whose row it would queue for: an account's, else that of whatever it is about."""
        change = self.change
        if change.task is not None:
            return change.task.account_id
        if change.transfers:
            return change.transfers[0].account_id
        if change.deliveries:
            return change.deliveries[0].account_id
        return change.attempts[0].task_id if change.attempts else ""


def _where(conditions: Iterable[rows.Condition]) -> tuple[str, list[object]]:
    numbers = itertools.count(1)
    texts: list[str] = []
    values: list[Any] = []
    for text, given in conditions:
        texts.append(text.format(*(f"${next(numbers)}" for _ in given)))
        values += given
    return " AND ".join(texts) or "true", values
