"""The outside world in memory, and builders of what tests begin with."""

import asyncio
import hashlib
import shutil
import tempfile
import tomllib
import weakref
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from filmgate.core import ids, ledger, rate
from filmgate.core.admission import Head, Limits, choose
from filmgate.core.attempt import Attempt, Outcome
from filmgate.core.catalogue import Catalogue, Model, read_models
from filmgate.core.change import Change, Claim, Namespace
from filmgate.core.delivery import Delivery, DeliveryState
from filmgate.core.errors import (
    Conflict,
    FilmgateError,
    IdempotencyMismatch,
    InputInvalid,
    InputUnavailable,
    InvalidRequest,
    LeaseLost,
    QueueFull,
)
from filmgate.core.events import Event
from filmgate.core.generation import Generation, MediaKind, OutputKind
from filmgate.core.keys import Key, hash_key, new_key
from filmgate.core.ledger import Account, Billed, Row
from filmgate.core.pricing import quote
from filmgate.core.signing import Signing
from filmgate.core.task import Output, Route, Status, Task, TaskError
from filmgate.ports import Backend, Policy, Ports
from filmgate.ports.blobs import Blob
from filmgate.ports.media import Probed
from filmgate.ports.provider import Capabilities, RemoteId, Report, Running
from filmgate.ports.sender import Answered, Unanswered
from filmgate.ports.store import Books, Committed, DeliveryQuery, Job, Refused, Replayed, Standing, TaskQuery
from filmgate.ports.store import Outcome as StoreOutcome

NOON: Final = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
PEPPER: Final = b"pepper" * 6


class ManualClock:
    """Time that stands still until it is told to go on."""

    def __init__(self, at: datetime = NOON) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    def advance(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


class CountingEntropy:
    """Bytes that never repeat and are the same in every run."""

    def __init__(self) -> None:
        self.drawn = 0

    def __call__(self, size: int, /) -> bytes:
        self.drawn += 1
        return hashlib.shake_256(str(self.drawn).encode()).digest(size)


class SilentDispatch:
    """Notes what it should run, and runs nothing."""

    def __init__(self) -> None:
        self.started: list[Job] = []
        self.times_freed = 0

    def start(self, jobs: tuple[Job, ...]) -> None:
        self.started.extend(jobs)

    def freed(self) -> None:
        self.times_freed += 1


class SilentSignals:
    """Notes who was told, and wakes nobody."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def tell(self, task_id: str) -> None:
        self.told.append(task_id)

    async def wait(self, task_id: str, *, timeout_s: float) -> bool:
        return False

    def watch(self, task_id: str, wake: Callable[[], None]) -> Callable[[], None]:
        return lambda: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """Something that was sent."""

    url: str
    headers: Mapping[str, str]
    body: bytes


class MemorySender:
    """Notes what it is to post, and answers as it was told to: 200 when that is used up."""

    def __init__(self) -> None:
        self.posts: list[Post] = []
        self.answers: list[Answered | Unanswered] = []

    def check_url(self, url: str) -> None:
        if (urlsplit(url).hostname or "").startswith(("127.", "10.", "169.254.", "localhost", "[", ":")):
            raise InvalidRequest("address not allowed")

    async def post(self, url: str, *, headers: Mapping[str, str], body: bytes) -> Answered | Unanswered:
        self.posts.append(Post(url=url, headers=headers, body=body))
        await asyncio.sleep(0)
        return self.answers.pop(0) if self.answers else Answered(status=200)


@dataclass(slots=True)
class MemoryReader:
    """An open blob in memory."""

    content: bytes
    closed: bool = False

    @property
    def size_bytes(self) -> int:
        return len(self.content)

    def read(self, offset: int, length: int) -> bytes:
        assert not self.closed, "a closed reader is not read"
        return self.content[offset : offset + length]

    def close(self) -> None:
        self.closed = True


class MemoryBlobs:
    """Blobs in memory; those that are asked for by path, in a directory that goes with this."""

    def __init__(self, *, now: Callable[[], datetime] = lambda: NOON) -> None:
        self.contents: dict[str, bytes] = {}
        self.kept_at: dict[str, datetime] = {}
        self.readers: list[MemoryReader] = []
        self._now = now
        self._directory: Path | None = None

    async def keep(self, path: Path) -> Blob:
        return self.put(path.read_bytes())  # noqa: ASYNC240  (small files of tests)

    async def renew(self, blob: str) -> bool:
        if blob not in self.contents:
            return False
        self.kept_at[blob] = self._now()
        return True

    async def open(self, blob: str) -> MemoryReader | None:
        if blob not in self.contents:
            return None
        self.readers.append(MemoryReader(self.contents[blob]))
        return self.readers[-1]

    async def path(self, blob: str) -> Path | None:
        if blob not in self.contents:
            return None
        if self._directory is None:
            self._directory = Path(tempfile.mkdtemp(prefix="filmgate-blobs-"))
            weakref.finalize(self, shutil.rmtree, self._directory)
        path = self._directory / blob
        path.write_bytes(self.contents[blob])
        return path

    async def link(self, blob: str, *, lifetime_s: int, disposition: str, mime: str) -> str | None:
        return None

    async def delete(self, blob: str, *, kept_before: datetime | None = None) -> bool:
        kept_at = self.kept_at.get(blob)
        if kept_at is not None and kept_before is not None and kept_at >= kept_before:
            return False
        self.contents.pop(blob, None)
        self.kept_at.pop(blob, None)
        return True

    async def kept_before(self, at: datetime, *, after: str = "", limit: int = 1_000) -> Sequence[str]:
        return sorted(blob for blob, kept_at in self.kept_at.items() if kept_at < at and blob > after)[:limit]

    def put(self, content: bytes) -> Blob:
        blob = hashlib.sha256(content).hexdigest()
        self.contents[blob] = content
        self.kept_at[blob] = self._now()
        return Blob(id=blob, size_bytes=len(content))


class MemoryIntake:
    """A web of files in a dictionary. A file is what it begins with; a picture, if with nothing known."""

    def __init__(self) -> None:
        self.web: dict[str, bytes] = {}
        self.fetched: list[str] = []

    @asynccontextmanager
    async def scratch(self) -> AsyncIterator[Path]:
        with tempfile.TemporaryDirectory() as directory:
            yield Path(directory)

    def check_url(self, url: str) -> None:
        if (urlsplit(url).hostname or "").startswith(("127.", "10.", "169.254.", "localhost", "[", ":")):
            raise InputUnavailable("address not allowed")

    async def fetch(self, url: str, into: Path, *, kind: MediaKind) -> None:
        self.check_url(url)
        self.fetched.append(url)
        await asyncio.sleep(0)
        if url not in self.web:
            raise InputUnavailable("the server answered 404")
        into.write_bytes(self.web[url])  # noqa: ASYNC240  (small files of tests)

    async def probe(self, path: Path) -> Probed:
        content = path.read_bytes()  # noqa: ASYNC240
        size = len(content)
        if not content or content.startswith((b"#EXTM3U", b"<", b"bad")):
            raise InputInvalid("the file is damaged")
        if content[4:8] == b"ftyp":
            clip = Probed(kind=MediaKind.VIDEO, mime="video/mp4", size_bytes=size)
            return replace(clip, width=320, height=180, duration_s=1.0)
        if content.startswith((b"RIFF", b"ID3")):
            return Probed(kind=MediaKind.AUDIO, mime="audio/wav", size_bytes=size, duration_s=1.0)
        if content.startswith(b"\x89PNG"):
            width, height = (int.from_bytes(content[at : at + 4], "big") for at in (16, 20))
        else:
            width, height = 640, 360
        return Probed(kind=MediaKind.IMAGE, mime="image/png", size_bytes=size, width=width, height=height)

    async def close(self) -> None:
        """Nothing was started."""


class IdleProvider:
    """Accepts everything and finishes nothing."""

    async def start(self) -> None:
        """Nothing."""

    async def submit(
        self, generation: Generation, *, reference: str, inputs: Sequence[Path] = ()
    ) -> RemoteId:
        return RemoteId(reference)

    async def poll(self, remote_id: RemoteId) -> Report:
        return Running()

    async def cancel(self, remote_id: RemoteId) -> None:
        """Nothing."""

    async def forget(self, remote_id: RemoteId) -> None:
        """Nothing."""

    async def close(self) -> None:
        """Nothing."""


@dataclass(slots=True)
class _Row:
    task: Task
    lease_no: int = 0
    waiting: bool = False
    admitted: bool = False


class MemoryStore:
    """`ports.store.Store` in dictionaries, by the letter of its docstrings."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits(provider_slots={"studio": 2, "sandbox": 256})
        self.rows: dict[str, _Row] = {}
        self.books_: dict[str, Account] = {}
        self.admitted_at: dict[str, int] = {}
        self.free_at: dict[str, int] = {}  # of accounts and of providers
        self.ledger: list[Row] = []
        self.log: list[Event] = []
        self.tries: dict[tuple[str, int], Attempt] = {}
        self.claims: dict[tuple[str, Namespace, str], tuple[str, Claim]] = {}
        self.jobs: set[str] = set()
        self.outputs: dict[str, Output] = {}
        self.uses: set[tuple[str, str]] = set()
        self.outbox: dict[str, Delivery] = {}
        self.turns: dict[str, Signing] = {}
        self.known: dict[str, Key] = {}
        self.secrets: dict[str, bytes] = {"key-pepper": PEPPER}
        self.key_reads = 0
        self.fails: FilmgateError | None = None

    # --- changes ------------------------------------------------------------------------------

    async def commit(self, change: Change) -> StoreOutcome:
        if self.fails is not None:
            raise self.fails
        kept = self._snapshot()
        try:
            return self._apply(change)
        except Exception as error:
            self.__dict__.update(kept)
            if isinstance(error, FilmgateError):
                return Refused(error=error)
            raise

    async def admit(self, at: datetime) -> tuple[Job, ...]:
        jobs: list[Job] = []
        stamp = micros(at)
        for provider in sorted({row.task.route.provider for row in self.rows.values() if row.waiting}):
            for head in choose(
                self._heads(provider),
                free=self._slots(provider, stamp),
                at=stamp,
                limits=self.limits,
                following=partial(self._after, provider),
            ):
                row = self.rows[head.task_id]
                row.waiting = False
                jobs.append(Job(task_id=head.task_id, lease_no=1))
                self._start(row, at=stamp, turn=stamp + len(jobs))
        return tuple(jobs)

    async def take_over(self) -> tuple[Job, ...]:
        for task_id in self.jobs:
            self.rows[task_id].lease_no += 1
        return tuple(Job(task_id=one, lease_no=self.rows[one].lease_no) for one in sorted(self.jobs))

    def _snapshot(self) -> dict[str, object]:
        names = (
            "books_ admitted_at free_at ledger log tries claims jobs outputs uses outbox turns known".split()
        )
        copies: dict[str, object] = {name: self.__dict__[name].copy() for name in names}
        return copies | {"rows": {task_id: replace(row) for task_id, row in self.rows.items()}}

    def _apply(self, change: Change) -> Committed | Replayed:
        self._save_others(change)
        task = change.task
        if task is not None and change.was_version > 0:
            self._check_standing(change, task)
        elif task is not None and (replayed := self._check_claims(change, task)) is not None:
            return Replayed(task=replayed)
        for transfer in change.transfers:
            self._transfer(transfer)
        self._save_attempts(change)
        self.log.extend(change.events)
        if task is None:
            for task_id in {attempt.task_id for attempt in change.attempts}:
                self._check_lease(change, self.rows[task_id])
                self._drop_job(task_id)
            return Committed()
        if change.was_version == 0:
            return self._insert(change, task)
        self._advance(task)
        return Committed()

    def _save_others(self, change: Change) -> None:
        for account in change.accounts:
            self.books_[account.id] = account
        for key in change.keys:
            known = self.known.get(key.id, key)
            self.known[key.id] = replace(known, revoked_at=known.revoked_at or key.revoked_at)
        for signing in change.signings:
            known_turn = self.turns.get(signing.account_id)
            if known_turn is None or known_turn.turn < signing.turn:
                self.turns[signing.account_id] = signing
        for delivery in change.deliveries:
            self._save_delivery(delivery)

    def _save_delivery(self, delivery: Delivery) -> None:
        known = self.outbox.get(delivery.id)
        if (known.version if known else 0) != delivery.version - 1:
            raise Conflict(f"delivery {delivery.id} has changed")
        self.outbox[delivery.id] = delivery

    def _keep_uses(self, task: Task) -> None:
        for output in task.outputs:
            self.outputs.setdefault(output.blob, output)
        self.uses = {(blob, user) for blob, user in self.uses if user != task.id}
        self.uses |= {(blob, task.id) for blob in task.blobs}

    def _transfer(self, transfer: ledger.Transfer) -> None:
        if any(row.transfer.id == transfer.id for row in self.ledger):
            raise Conflict(f"transfer {transfer.id} exists")
        if transfer.account_id not in self.books_:
            raise Conflict(f"there is no account {transfer.account_id}")
        after = ledger.applied(self.books_[transfer.account_id], transfer)
        self.books_[transfer.account_id] = after
        self.ledger.append(Row(transfer=transfer, seq=after.chain_seq, hash=after.chain_head))

    def _check_claims(self, change: Change, task: Task) -> Task | None:
        replayed: Task | None = None
        for claim in change.claims:
            task_id, known = self.claims.get((claim.key_id, claim.namespace, claim.token), ("", None))
            if known is None or (known.expires_at is not None and known.expires_at <= task.created_at):
                continue
            if known.fingerprint != claim.fingerprint:
                message = f"{claim.namespace} {claim.token!r} was used before for a different request"
                raise IdempotencyMismatch(message, param=claim.namespace)
            replayed = replayed or self.rows[task_id].task
        return replayed

    def _insert(self, change: Change, task: Task) -> Committed:
        rows = self.rows.values()
        provider, account_id, stamp = task.route.provider, task.account_id, micros(task.created_at)
        has_room = self._slots(provider, stamp) > 0 and self.limits.account_may_start(
            slots=self._running(account_id), free_at=self.free_at.get(account_id, 0), at=stamp
        )
        starts = has_room and not any(row.waiting for row in rows if row.task.route.provider == provider)
        if not starts:
            waiting = [row.task.account_id for row in rows if row.waiting]
            if waiting.count(task.account_id) >= self.limits.account_queue:
                raise QueueFull("too many tasks of this account are waiting already")
            if len(waiting) >= self.limits.total_queue:
                raise QueueFull("too many tasks are waiting")
        row = self.rows[task.id] = _Row(task, waiting=not starts)
        self._keep_uses(task)
        for claim in change.claims:
            self.claims[claim.key_id, claim.namespace, claim.token] = (task.id, claim)
        if not starts:
            return Committed(awaits_turn=has_room)
        self._start(row, at=stamp, turn=stamp)
        return Committed(jobs=(Job(task_id=task.id, lease_no=row.lease_no),))

    def _check_standing(self, change: Change, task: Task) -> None:
        row = self.rows.get(task.id)
        if row is None:
            raise Conflict(f"there is no task {task.id}")
        self._check_lease(change, row)
        if row.task.version != change.was_version:
            raise Conflict(f"task {task.id} has changed")

    def _advance(self, task: Task) -> None:
        row = self.rows[task.id]
        row.task = task
        self._keep_uses(task)
        if task.deleted_at is not None:
            self.outbox = {name: one for name, one in self.outbox.items() if one.task_id != task.id}
        if task.ended:
            row.waiting = row.admitted = False
            for at, attempt in self.tries.items():
                if attempt.task_id == task.id and attempt.intent_at is None:
                    self.tries[at] = attempt.close(Outcome.UNSENT, at=task.updated_at)
            self._drop_job(task.id)

    def _check_lease(self, change: Change, row: _Row) -> None:
        if change.lease_no is not None and change.lease_no != row.lease_no:
            raise LeaseLost(f"task {row.task.id} was taken over")

    def _save_attempts(self, change: Change) -> None:
        for attempt in change.attempts:
            known = self.tries.get((attempt.task_id, attempt.n), attempt)
            self.tries[attempt.task_id, attempt.n] = replace(
                attempt,
                intent_at=known.intent_at or attempt.intent_at,
                remote_id=known.remote_id or attempt.remote_id,
                outcome=known.outcome or attempt.outcome,
                upstream_cost=known.upstream_cost or attempt.upstream_cost,
                closed_at=known.closed_at or attempt.closed_at,
            )

    def _drop_job(self, task_id: str) -> None:
        still_open = any(one.closed_at is None for one in self.tries.values() if one.task_id == task_id)
        if self.rows[task_id].task.ended and not still_open:
            self.jobs.discard(task_id)

    def _start(self, row: _Row, *, at: int, turn: int) -> None:
        row.admitted = True
        row.lease_no = 1
        self.tries[row.task.id, 1] = Attempt(task_id=row.task.id, n=1, provider=row.task.route.provider)
        self.jobs.add(row.task.id)
        self.admitted_at[row.task.account_id] = turn
        provider = row.task.route.provider
        for name, per_minute in (
            (row.task.account_id, self.limits.account_rate),
            (provider, self.limits.rate_of(provider)),
        ):
            self.free_at[name] = rate.after(1, rate=per_minute, free_at=self.free_at.get(name, 0), at=at)

    def _slots(self, provider: str, at: int) -> int:
        used = sum(one.closed_at is None for one in self.tries.values() if one.provider == provider)
        free = self.limits.provider_slots.get(provider, 0) - used
        return self.limits.provider_may_start(
            provider, free=free, free_at=self.free_at.get(provider, 0), at=at
        )

    def _running(self, account_id: str) -> int:
        return sum(row.admitted for row in self.rows.values() if row.task.account_id == account_id)

    def _heads(self, provider: str) -> Iterable[Head]:
        waiting = {row.task.account_id for row in self.rows.values() if row.waiting}
        heads = (self._head(provider, account_id) for account_id in waiting)
        return [head for head in heads if head is not None]

    def _after(self, provider: str, head: Head) -> Head | None:
        return self._head(provider, head.account_id)

    def _head(self, provider: str, account_id: str) -> Head | None:
        waiting = [
            (-row.task.priority, row.task.id)
            for row in self.rows.values()
            if row.waiting and row.task.account_id == account_id and row.task.route.provider == provider
        ]
        if not waiting:
            return None
        priority, task_id = min(waiting)
        return Head(
            task_id=task_id,
            account_id=account_id,
            priority=-priority,
            account_slots=self._running(account_id),
            account_admitted=self.admitted_at.get(account_id, 0),
            account_free_at=self.free_at.get(account_id, 0),
        )

    # --- reads --------------------------------------------------------------------------------

    async def task(self, task_id: str) -> Task | None:
        row = self.rows.get(task_id)
        return None if row is None else row.task

    async def task_named(self, key_id: str, namespace: Namespace, token: str) -> Task | None:
        task_id, _ = self.claims.get((key_id, namespace, token), ("", None))
        return await self.task(task_id)

    async def tasks(self, query: TaskQuery) -> Sequence[Task]:
        found = [row.task for row in self.rows.values() if _matches(row.task, query)]
        found = [task for task in found if task.id not in {query.after, query.before}]
        return sorted(found, key=lambda task: task.id, reverse=not query.ascending)[: query.limit]

    async def events(self, task_id: str, *, after: int = 0) -> Sequence[Event]:
        return [event for event in self.log if event.task_id == task_id and event.seq > after]

    async def attempts(self, task_id: str) -> Sequence[Attempt]:
        return [one for _, one in sorted(self.tries.items()) if one.task_id == task_id]

    async def output(self, blob: str) -> Output | None:
        used = any(one == blob for one, _ in self.uses)
        return self.outputs.get(blob) if used else None

    async def overdue(self, at: datetime, *, limit: int = 100) -> Sequence[Task]:
        late = [row.task for row in self.rows.values() if row.waiting and row.task.deadline_at <= at]
        return sorted(late, key=lambda task: task.deadline_at)[:limit]

    async def outdated(self, at: datetime, *, limit: int = 100) -> Sequence[Task]:
        return [
            row.task
            for row in self.rows.values()
            if row.task.ended
            if row.task.blobs and row.task.result_expires_at is not None and row.task.result_expires_at <= at
        ][:limit]

    async def collect(self, blobs: Sequence[str]) -> Sequence[str]:
        used = {blob for blob, _ in self.uses}
        unneeded = [blob for blob in blobs if blob not in used]
        for blob in unneeded:
            self.outputs.pop(blob, None)
        return unneeded

    async def prune(self, at: datetime) -> int:
        before = len(self.claims)
        self.claims = {
            name: (task_id, claim)
            for name, (task_id, claim) in self.claims.items()
            if claim.expires_at is None or claim.expires_at > at
        }
        return before - len(self.claims)

    async def delivery(self, delivery_id: str) -> Delivery | None:
        return self.outbox.get(delivery_id)

    async def deliveries(self, query: DeliveryQuery) -> Sequence[Delivery]:
        found = [
            one
            for one in self.outbox.values()
            if query.account_id in {None, one.account_id}
            if query.task_id in {None, one.task_id}
            if query.state in {None, one.state}
            if query.due_at is None or one.is_due(query.due_at)
            if query.due_after is None or (one.next_at or NOON, one.id) > query.due_after
        ]
        if query.due_at is None:
            found.sort(key=lambda one: (-micros(one.created_at), one.id))
        else:
            found.sort(key=lambda one: (one.next_at or NOON, one.id))
        return found[: query.limit]

    async def signing(self, account_id: str) -> Signing:
        return self.turns.get(account_id, Signing(account_id=account_id))

    async def standing(self) -> Standing:
        waiting = [row.task.created_at for row in self.rows.values() if row.waiting]
        working = [self.rows[task_id].task.updated_at for task_id in self.jobs]
        return Standing(
            tasks=len(self.rows),
            waiting=len(waiting),
            jobs=len(self.jobs),
            oldest_waiting_at=min(waiting, default=None),
            stillest_job_at=min(working, default=None),
            deliveries_pending=sum(one.next_at is not None for one in self.outbox.values()),
            deliveries_dead=sum(one.state is DeliveryState.DEAD for one in self.outbox.values()),
        )

    async def key(self, public_id: str) -> Key | None:
        self.key_reads += 1
        return self.known.get(public_id)

    async def keys(self) -> Sequence[Key]:
        return sorted(self.known.values(), key=lambda key: (key.created_at, key.id))

    async def account(self, account_id: str) -> Account | None:
        return self.books_.get(account_id)

    async def accounts(self) -> Sequence[Account]:
        return sorted(self.books_.values(), key=lambda account: account.id)

    async def secret(self, name: str) -> bytes:
        return self.secrets.setdefault(name, hashlib.sha256(name.encode()).digest())

    async def books(self) -> Books:
        tasks = [row.task for row in self.rows.values()]
        rows = sorted(self.ledger, key=lambda row: (row.transfer.account_id, row.seq))
        return Books(
            accounts=list(self.books_.values()),
            rows=rows,
            tasks=[
                Billed(
                    id=task.id,
                    account_id=task.account_id,
                    status=task.status,
                    held=task.quote.amount,
                    charged=task.charged,
                )
                for task in tasks
            ],
        )

    async def ready(self) -> None:
        """There is always memory."""

    async def close(self) -> None:
        """Nothing is kept."""


def micros(at: datetime) -> int:
    """Return a time as microseconds since 1970, exactly."""
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _matches(task: Task, query: TaskQuery) -> bool:
    wanted = {
        task.key_id: query.key_id,
        task.account_id: query.account_id,
        task.dialect: query.dialect,
        _kind(task): query.kind,
        task.status: query.status,
        task.model_id: query.model_id,
    }
    return (
        task.deleted_at is None
        and (query.created_from is None or task.created_at >= query.created_from)
        and (query.created_before is None or task.created_at < query.created_before)
        and all(value is None or value == found for found, value in wanted.items())
        and (query.after is None or (task.id > query.after) is query.ascending)
        and (query.before is None or (task.id < query.before) is query.ascending)
    )


def _kind(task: Task) -> str:
    return "video" if task.generation.duration_s else "image"


# --- builders -----------------------------------------------------------------------------------


def models() -> tuple[Model, ...]:
    """Return the models of the catalogue that is shipped."""
    text = resources.files("filmgate").joinpath("catalogue.toml").read_text(encoding="utf-8")
    return read_models(tomllib.loads(text, parse_float=Decimal)["models"])


MODELS: Final = models()
EVERY_INPUT: Final = Capabilities(media=frozenset(MediaKind))


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Everything outside, and handles on it for a test."""

    ports: Ports
    store: MemoryStore
    blobs: MemoryBlobs
    intake: MemoryIntake
    clock: ManualClock
    dispatch: SilentDispatch
    keys: dict[str, str] = field(default_factory=dict)  # name -> the key itself

    def put(self, task: Task) -> Task:
        """Have a task there as if it had come so far; its money is not told."""
        self.store.rows[task.id] = _Row(task)
        self.store._keep_uses(task)
        return task

    def identity(self, name: str) -> str:
        """Return what the tasks of somebody's key belong to."""
        return f"key_{name}"


def a_world(
    *,
    limits: Limits | None = None,
    media: Capabilities = EVERY_INPUT,
    fallback: bool = True,
    **credits_of: int,
) -> World:
    """Return a world in which each of `credits_of` has a key, and an account with so many credits."""
    clock = ManualClock()
    store, blobs, dispatch = MemoryStore(limits), MemoryBlobs(now=clock.now), SilentDispatch()
    media_in = MemoryIntake()
    providers = {
        "studio": Backend(provider=IdleProvider(), capabilities=media),
        "sandbox": Backend(provider=IdleProvider(), capabilities=media),
    }
    ports = Ports(
        store=store,
        dispatch=dispatch,
        signals=SilentSignals(),
        blobs=blobs,
        media=media_in,
        sender=MemorySender(),
        clock=clock,
        entropy=CountingEntropy(),
        catalogue=Catalogue(models=MODELS, providers=frozenset(providers), fallback=fallback),
        providers=providers,
        policy=Policy(),
    )
    world = World(ports=ports, store=store, blobs=blobs, intake=media_in, clock=clock, dispatch=dispatch)
    for name, amount in (credits_of or {"ada": 1_000_000}).items():
        add_key(world, name, amount)
    return world


def add_key(world: World, name: str, amount: int) -> str:
    """Open an account with `amount` credits for `name`, and return the key to it."""
    key_id, secret = new_key(hashlib.sha256(name.encode()).digest())
    account = Account(id=f"acct_{name}", name=name)
    gift = ledger.grant(account.id, amount * 1_000_000, unique=name, at=NOON)
    after = ledger.applied(account, gift)
    world.store.books_[account.id] = after
    world.store.ledger.append(Row(transfer=gift, seq=after.chain_seq, hash=after.chain_head))
    world.store.known[key_id] = Key(
        id=key_id,
        identity=world.identity(name),
        account_id=account.id,
        name=name,
        hash=hash_key(secret, PEPPER),
        created_at=NOON,
    )
    world.keys[name] = secret
    return secret


def a_generation(**changes: object) -> Generation:
    """Return five seconds of 720p."""
    first = Generation(prompt="a lighthouse at dusk", duration_s=5, width=1280, height=720, seed=7)
    return replace(first, **changes)  # type: ignore[arg-type]


def a_task(status: Status = Status.QUEUED, *, n: int = 1, **changes: object) -> Task:
    """Return ada's task number `n` in `status`, half a minute after it was made; `changes` overrule."""
    later = NOON + timedelta(seconds=30)
    model = next(model for model in MODELS if model.id == "studio")
    generation = a_generation()
    task = Task(
        id=ids.task_id(NOON, n.to_bytes(10, "big")),
        account_id="acct_ada",
        key_id="key_ada",
        dialect="openai",
        model="studio",
        model_id="studio",
        route=Route(provider="studio"),
        generation=generation,
        quote=quote(generation, model.price),
        fingerprint="1:00",
        created_at=NOON,
        updated_at=NOON,
        deadline_at=NOON + timedelta(hours=6),
    )
    if status is not Status.QUEUED:
        task = replace(task, status=status, version=3, updated_at=later, started_at=NOON, progress=40)
    match status:
        case Status.QUEUED | Status.RUNNING:
            pass
        case Status.SUCCEEDED:
            task = replace(
                task,
                finished_at=later,
                progress=100,
                charged=task.quote.amount,
                outputs=(an_output(),),
                result_expires_at=later + timedelta(days=1),
            )
        case Status.FAILED:
            error = TaskError(code="moderated", message="The prompt was refused.")
            task = replace(task, finished_at=later, error=error)
        case Status.CANCELLED:
            task = replace(task, finished_at=later)
    return replace(task, **changes)  # type: ignore[arg-type]


def an_output(kind: OutputKind = OutputKind.VIDEO, *, content: bytes = b"film") -> Output:
    """Return a finished file of five seconds, or of one frame."""
    moving = kind is OutputKind.VIDEO
    return Output(
        kind=kind,
        blob=hashlib.sha256(content).hexdigest(),
        mime="video/mp4" if moving else "image/png",
        size_bytes=len(content),
        width=1280,
        height=720,
        duration_s=5.0 if moving else None,
    )
