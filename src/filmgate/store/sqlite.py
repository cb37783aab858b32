"""The store on SQLite: one writer thread that commits in groups, and reads in the caller's thread.

Separate writers starve one another and an fsync for each change is slow; one thread that takes all
changes waiting, gives each a savepoint and commits them together is fast and fair. A caller hears
of its change, or of its refusal, only after that commit is on the disk.
"""

import asyncio
import contextlib
import fcntl
import itertools
import os
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any, Final

import apsw
import structlog

from filmgate.core.admission import Limits
from filmgate.core.attempt import Attempt
from filmgate.core.change import Change, Namespace
from filmgate.core.delivery import Delivery
from filmgate.core.errors import AlreadyServing, StoreUnavailable
from filmgate.core.events import Event
from filmgate.core.keys import Key
from filmgate.core.ledger import Account, Billed, Row, Unreadable
from filmgate.core.signing import Signing
from filmgate.core.task import Output, Status, Task
from filmgate.ports.store import Books, DeliveryQuery, Job, Outcome, Refused, Replayed, Standing, TaskQuery
from filmgate.store import rows
from filmgate.store.sqlite_commit import Refusal, Replay, Writer

DATABASE: Final = "filmgate.db"
LOCK: Final = "serve.lock"
CODE: Final = 3  # the newest migration that this code knows

_log = structlog.get_logger(__name__)

_GROUP: Final = 256  # changes in one commit: more would only make each of them wait
_BUSY_MS: Final = 5_000
_WATCH_S: Final = 0.2
_TASK: Final = "SELECT CASE version WHEN ? THEN NULL ELSE snapshot END FROM tasks WHERE id = ?"


@dataclass(frozen=True, slots=True)
class _Order:
    """Something for the writer thread to do, and who waits for it."""

    do: Callable[[Writer], Any]
    reply: asyncio.Future[Any]


class SqliteStore:
    """`ports.store.Store` in one file; see there for what each method promises."""

    @classmethod
    def open(cls, directory: Path, *, limits: Limits, serving: bool) -> "SqliteStore":
        """Open the database in `directory`, made if need be.

        One process at a time is `serving`: it migrates, admits and takes over. Others may open it
        beside that one, for short changes. Raise AlreadyServing if there is one.
        """
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / DATABASE
        lock = _lock(directory) if serving else None
        if lock is not None:
            _migrate(path)
        elif not _is_current(path):
            # A command before the first start: there is nobody to migrate but us.
            with contextlib.closing(_lock(directory)):
                _migrate(path)
        return cls(path, lock=lock, limits=limits)

    def __init__(self, path: Path, *, lock: "_Lock | None", limits: Limits) -> None:
        """Use `open`."""
        self._path = path
        self._lock = lock
        self._db = _connect(path)
        self._known = rows.KnownTasks()
        self._secrets: dict[str, bytes] = {}
        self._orders: queue.SimpleQueue[_Order | None] = queue.SimpleQueue()
        self._watch: tuple[asyncio.AbstractEventLoop, Callable[[], None]] | None = None
        self._closed = False
        writer = Writer(_connect(path), limits, admits=lock is not None)
        self._thread = threading.Thread(
            target=self._write, args=(writer,), name="filmgate-sqlite-writer", daemon=True
        )
        self._thread.start()

    def watch(self, callback: Callable[[], None]) -> None:
        """Call back in the running loop whenever another process has changed the database."""
        self._watch = (asyncio.get_running_loop(), callback)

    # --- changes ------------------------------------------------------------------------------

    async def commit(self, change: Change) -> Outcome:
        """See the port."""
        outcome: Outcome = await self._order(lambda writer: writer.apply(change))
        return outcome

    async def admit(self, at: datetime) -> tuple[Job, ...]:
        """See the port."""
        jobs: tuple[Job, ...] = await self._order(lambda writer: writer.admit(at))
        return jobs

    async def take_over(self) -> tuple[Job, ...]:
        """See the port."""
        jobs: tuple[Job, ...] = await self._order(lambda writer: writer.take_over())
        return jobs

    async def secret(self, name: str) -> bytes:
        """See the port."""
        if name not in self._secrets:
            fresh = os.urandom(32)
            await self._order(
                lambda writer: writer.db.execute(
                    "INSERT INTO secrets (name, value) VALUES (?, ?) ON CONFLICT (name) DO NOTHING",
                    (name, fresh),
                ).fetchall()
            )
            self._secrets[name] = self._db.execute("SELECT value FROM secrets WHERE name = ?", (name,)).get
        return self._secrets[name]

    async def ready(self) -> None:
        """See the port."""
        if self._closed or not self._thread.is_alive():
            raise StoreUnavailable("the store is closed")
        self._db.execute("SELECT 1 FROM schema_versions").fetchall()

    async def close(self) -> None:
        """See the port."""
        if self._closed:
            return
        self._closed = True
        self._orders.put(None)
        await asyncio.to_thread(self._thread.join)
        self._db.close()
        if self._lock is not None:
            self._lock.close()

    # --- reads: one autocommit statement each, in the loop's thread: 10 to 20 microseconds -----

    async def task(self, task_id: str) -> Task | None:
        """See the port."""
        known = self._known.of(task_id)
        found = self._db.execute(_TASK, (known and known.version, task_id)).fetchone()
        if found is None:
            return None
        return self._known.keep(found[0]) if found[0] is not None else known

    async def task_named(self, key_id: str, namespace: Namespace, token: str) -> Task | None:
        """See the port."""
        found = self._db.execute(
            "SELECT tasks.snapshot FROM claims JOIN tasks ON tasks.id = claims.task_id "
            "WHERE claims.key_id = ? AND claims.namespace = ? AND claims.token = ?",
            (key_id, namespace, token),
        ).fetchone()
        return None if found is None else rows.load_task(found[0])

    async def tasks(self, query: TaskQuery) -> Sequence[Task]:
        """See the port."""
        where, values = _where(rows.which_tasks(query))
        order = "ASC" if query.ascending else "DESC"
        found = self._db.execute(
            f"SELECT snapshot FROM tasks WHERE {where} ORDER BY id {order} LIMIT ?",  # noqa: S608
            (*values, query.limit),
        )
        return [rows.load_task(snapshot) for (snapshot,) in found]

    async def events(self, task_id: str, *, after: int = 0) -> Sequence[Event]:
        """See the port."""
        found = self._db.execute(
            "SELECT task_id, seq, kind, at, status, phase, progress FROM events "
            "WHERE task_id = ? AND seq > ? ORDER BY seq",
            (task_id, after),
        )
        return [rows.load_event(row) for row in found]

    async def attempts(self, task_id: str) -> Sequence[Attempt]:
        """See the port."""
        found = self._db.execute(
            "SELECT task_id, n, provider, intent_at, remote_id, outcome, upstream_cost, closed_at "
            "FROM attempts WHERE task_id = ? ORDER BY n",
            (task_id,),
        )
        return [rows.load_attempt(row) for row in found]

    async def output(self, blob: str) -> Output | None:
        """See the port."""
        found = self._db.execute(
            "SELECT output FROM blobs WHERE id = ? "
            "AND EXISTS (SELECT 1 FROM blob_uses WHERE blob = blobs.id)",
            (blob,),
        ).fetchone()
        return None if found is None else rows.load_output(found[0])

    async def overdue(self, at: datetime, *, limit: int = 100) -> Sequence[Task]:
        """See the port."""
        found = self._db.execute(
            "SELECT snapshot FROM tasks WHERE waiting = 1 AND deadline_at <= ? ORDER BY deadline_at LIMIT ?",
            (rows.micros(at), limit),
        )
        return [rows.load_task(snapshot) for (snapshot,) in found]

    async def outdated(self, at: datetime, *, limit: int = 100) -> Sequence[Task]:
        """See the port."""
        found = self._db.execute(
            "SELECT snapshot FROM tasks WHERE files_until <= ? ORDER BY files_until LIMIT ?",
            (rows.micros(at), limit),
        )
        return [rows.load_task(snapshot) for (snapshot,) in found]

    async def collect(self, blobs: Sequence[str]) -> Sequence[str]:
        """See the port."""
        unneeded: Sequence[str] = await self._order(lambda writer: writer.collect(blobs))
        return unneeded

    async def prune(self, at: datetime) -> int:
        """See the port."""
        return len(
            await self._order(
                lambda writer: writer.db.execute(
                    "DELETE FROM claims WHERE expires_at <= ? RETURNING 1", (rows.micros(at),)
                ).fetchall()
            )
        )

    async def delivery(self, delivery_id: str) -> Delivery | None:
        """See the port."""
        found = self._db.execute("SELECT snapshot FROM deliveries WHERE id = ?", (delivery_id,)).fetchone()
        return None if found is None else rows.load_delivery(found[0])

    async def deliveries(self, query: DeliveryQuery) -> Sequence[Delivery]:
        """See the port."""
        where, values = _where(rows.which_deliveries(query))
        order = "created_at DESC, id" if query.due_at is None else "next_at, id"
        found = self._db.execute(
            f"SELECT snapshot FROM deliveries WHERE {where} ORDER BY {order} LIMIT ?",  # noqa: S608
            (*values, query.limit),
        )
        return [rows.load_delivery(snapshot) for (snapshot,) in found]

    async def signing(self, account_id: str) -> Signing:
        """See the port."""
        found = self._db.execute(
            "SELECT account_id, turn, rotated_at FROM signings WHERE account_id = ?", (account_id,)
        ).fetchone()
        return Signing(account_id=account_id) if found is None else rows.load_signing(found)

    async def standing(self) -> Standing:
        """See the port."""
        return rows.load_standing(self._db.execute(rows.STANDING).get)

    async def key(self, public_id: str) -> Key | None:
        """See the port."""
        found = self._db.execute(f"{rows.KEYS} WHERE id = ?", (public_id,)).fetchone()
        return None if found is None else rows.load_key(found)

    async def keys(self) -> Sequence[Key]:
        """See the port."""
        return [rows.load_key(row) for row in self._db.execute(f"{rows.KEYS} ORDER BY created_at, id")]

    async def account(self, account_id: str) -> Account | None:
        """See the port."""
        found = self._db.execute(f"{rows.ACCOUNTS} WHERE id = ?", (account_id,)).fetchone()
        return None if found is None else rows.load_account(found)

    async def accounts(self) -> Sequence[Account]:
        """See the port."""
        return [rows.load_account(row) for row in self._db.execute(f"{rows.ACCOUNTS} ORDER BY id")]

    async def books(self) -> Books:
        """See the port."""
        db = _connect(self._path)
        db.execute("BEGIN")  # one moment for all three, while the writer goes on
        return Books(
            accounts=[rows.load_account(row) for row in db.execute(f"{rows.ACCOUNTS} ORDER BY id")],
            rows=_transfers(db),
            tasks=_billed(db),
        )

    # --- the writer thread ---------------------------------------------------------------------

    async def _order(self, do: Callable[[Writer], Any]) -> Any:  # noqa: ANN401
        if self._closed:
            raise StoreUnavailable("the store is closed")
        reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._orders.put(_Order(do, reply))
        return await reply

    def _write(self, writer: Writer) -> None:
        foreign = _data_version(writer.db)
        while True:
            group, last = self._next_group()
            if group:
                _deliver(_commit(writer, group))
            if (now := _data_version(writer.db)) != foreign:
                foreign = now
                self._tell_watcher()
            if last:
                writer.db.close()
                return

    def _next_group(self) -> tuple[list[_Order], bool]:
        group: list[_Order] = []
        try:
            order = self._orders.get(timeout=_WATCH_S)
            while order is not None:
                group.append(order)
                if len(group) == _GROUP:
                    return group, False
                order = self._orders.get_nowait()
        except queue.Empty:
            return group, False
        return group, True

    def _tell_watcher(self) -> None:
        if self._watch is not None:
            loop, callback = self._watch
            with contextlib.suppress(RuntimeError):  # the loop has closed: nobody is left to tell
                loop.call_soon_threadsafe(callback)


def _where(conditions: Iterable[rows.Condition]) -> tuple[str, list[object]]:
    texts, values = zip(*conditions, strict=True) if (conditions := list(conditions)) else ((), ())
    return " AND ".join(texts).replace("{}", "?") or "true", [*itertools.chain(*values)]


_Replies = list[tuple[asyncio.Future[Any], Any]]


def _commit(writer: Writer, group: list[_Order]) -> _Replies:
    """Do every order in one transaction, and return what to answer once it is over."""
    replies: _Replies = []
    try:
        writer.db.execute("BEGIN IMMEDIATE")
        for order in group:
            replies.append((order.reply, _in_savepoint(writer, order)))
        writer.db.execute("COMMIT")
    except Exception as error:  # noqa: BLE001  (whatever it was, nothing of the group was saved)
        _log.exception("commit failed", changes=len(group))
        _roll_back(writer.db)
        failed = StoreUnavailable("the database could not save this; try again")
        failed.__cause__ = error
        return [(order.reply, failed) for order in group]
    return replies


def _in_savepoint(writer: Writer, order: _Order) -> Any:  # noqa: ANN401
    writer.db.execute("SAVEPOINT change")
    try:
        result = order.do(writer)
    except Refusal as refusal:
        result = Refused(error=refusal.error)
    except Replay as replay:
        result = Replayed(task=replay.task)
    except (apsw.FullError, apsw.IOError, apsw.CorruptError, apsw.ReadOnlyError, apsw.NoMemError):
        raise  # the whole transaction may be gone with it
    except Exception as error:  # noqa: BLE001  (a bug in one change must not fail its neighbours)
        result = error
    else:
        writer.db.execute("RELEASE change")
        return result
    writer.db.execute("ROLLBACK TO change")
    writer.db.execute("RELEASE change")
    return result


def _roll_back(db: apsw.Connection) -> None:
    # SQLite has often ended the transaction itself by now, and then refuses to end it again.
    if db.in_transaction:
        with contextlib.suppress(apsw.Error):
            db.execute("ROLLBACK")


def _deliver(replies: _Replies) -> None:
    """Answer everyone of a group: one wake-up of each loop, not one per change."""
    loops: dict[asyncio.AbstractEventLoop, _Replies] = {}
    for reply, result in replies:
        loops.setdefault(reply.get_loop(), []).append((reply, result))
    for loop, own in loops.items():
        with contextlib.suppress(RuntimeError):  # the loop has closed: nobody is left to answer
            loop.call_soon_threadsafe(_settle, own)


def _settle(replies: _Replies) -> None:
    for reply, result in replies:
        if reply.done():  # the caller has gone; the change stays
            continue
        if isinstance(result, Exception):
            reply.set_exception(result)
        else:
            reply.set_result(result)


def _connect(path: Path) -> apsw.Connection:
    db = apsw.Connection(str(path))
    db.set_busy_timeout(_BUSY_MS)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA foreign_keys = ON")
    db.execute("PRAGMA cache_size = -65536")
    db.execute("PRAGMA wal_autocheckpoint = 4000")
    return db


def _data_version(db: apsw.Connection) -> int | None:
    """Return a number that another process's change moves; None is news too, and so is what follows it."""
    try:
        return int(db.execute("PRAGMA data_version").get)
    except apsw.Error:  # the disk, most likely: no reason to end the one thread that writes
        return None


def _transfers(db: apsw.Connection) -> Iterator[Row | Unreadable]:
    # Texts as bytes: a row that was tampered with need not be text any more.
    texts = ", ".join(f"CAST({text} AS BLOB)" for text in rows.TRANSFER_TEXTS)
    found = db.execute(
        f"SELECT {texts}, amount, releases, at, seq, hash "  # noqa: S608
        "FROM transfers ORDER BY account_id, seq"
    )
    return (rows.audit_transfer(row) for row in found)


def _billed(db: apsw.Connection) -> Iterator[Billed]:
    found = db.execute("SELECT id, account_id, status, held, charged FROM tasks ORDER BY id")
    return (
        Billed(id=task_id, account_id=account_id, status=Status(status), held=held, charged=charged)
        for task_id, account_id, status, held, charged in found
    )


# --- the lock and the schema ----------------------------------------------------------------------


class _Lock:
    """The right to serve a directory: gone with the process, however it ends."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def close(self) -> None:
        """Give it up."""
        os.close(self._descriptor)


def is_served(directory: Path) -> bool:
    """Say whether a process serves this directory now."""
    try:
        descriptor = os.open(directory / LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def schema_of(directory: Path) -> int:
    """Return which migration a directory's database has come to, 0 if there is none; change nothing."""
    path = directory / DATABASE
    if not path.exists():
        return 0
    with contextlib.closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as db:
        return _schema(db)


def faults_in(path: Path) -> list[str]:
    """Return what SQLite finds wrong with a database file; change nothing."""
    with contextlib.closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as db:
        found = [line for (line,) in db.execute("PRAGMA quick_check(20)")]
    return [] if found == ["ok"] else found


def _lock(directory: Path) -> _Lock:
    descriptor = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise AlreadyServing(f"another Filmgate serves {directory}") from None
    return _Lock(descriptor)


def _is_current(path: Path) -> bool:
    if not path.exists():
        return False
    with contextlib.closing(_connect(path)) as db:
        return _schema(db) >= CODE


def _schema(db: apsw.Connection) -> int:
    if db.table_exists(None, "schema_versions"):
        return int(db.execute("SELECT coalesce(max(version), 0) FROM schema_versions").get)
    return 0


def _migrate(path: Path) -> None:
    """Bring the database to this code's schema, one migration a transaction; copy it first."""
    with contextlib.closing(_connect(path)) as db:
        path.chmod(0o600)  # it holds the secrets that links and keys are signed with
        version = _schema(db)
        oldest = _oldest_code(db) if version else 0
        if oldest > CODE and path.with_name(f"{path.name}.moved").exists():
            raise StoreUnavailable(
                f"{path.parent} was moved to PostgreSQL: set database to its URL "
                "(FILMGATE_DATABASE or --database)"
            )
        if oldest > CODE:
            raise StoreUnavailable(f"the database needs Filmgate code {oldest} or later; this is {CODE}")
        if 0 < version < CODE:
            _back_up(db, path, version)
        for number, script in _migrations():
            if number > version:
                with db:
                    db.execute(
                        "CREATE TABLE IF NOT EXISTS schema_versions (version INTEGER PRIMARY KEY, "
                        "oldest_code INTEGER NOT NULL, applied_at INTEGER NOT NULL)"
                    )
                    db.execute(script)
                    db.execute(
                        "INSERT INTO schema_versions VALUES (?, ?, ?)",
                        (number, 1, rows.micros(datetime.now(UTC))),
                    )


def _oldest_code(db: apsw.Connection) -> int:
    return int(db.execute("SELECT max(oldest_code) FROM schema_versions").get)


def _back_up(db: apsw.Connection, path: Path, version: int) -> None:
    copy = path.with_name(f"{path.name}.before-{version + 1}")
    partial = path.with_name(f"{copy.name}.partial")
    partial.unlink(missing_ok=True)
    # By SQLite itself: a command beside us may be writing while we copy.
    with contextlib.closing(apsw.Connection(str(partial))) as target:
        partial.chmod(0o600)
        with target.backup("main", db, "main") as backup:
            backup.step()
    partial.replace(copy)


def _migrations() -> list[tuple[int, str]]:
    folder = resources.files("filmgate.store.migrations") / "sqlite"
    files = sorted((entry for entry in folder.iterdir() if entry.name.endswith(".sql")), key=lambda e: e.name)
    return [(int(entry.name[:4]), entry.read_text()) for entry in files]
