"""Every row of an installation on its way from SQLite to PostgreSQL: copied, read back, compared, audited."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import apsw
import asyncpg
import msgspec

from filmgate.core.ledger import Billed, Row, Unreadable, audit
from filmgate.core.task import Status
from filmgate.ports.store import Books
from filmgate.store import rows

PAGE: Final = 1_000
LONG_S: Final = 36_000.0  # for one statement: the tables may be large

T = TypeVar("T")
Tell = Callable[[int, str], None]  # how many percent of what is done
Values = tuple[Any, ...]


class CannotMove(Exception):
    """Nothing was changed; the message says why, and what can be done about it."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table of PostgreSQL, its columns, and the query of SQLite that has its rows.

    A row is told by the first `key` of its columns.
    """

    name: str
    columns: tuple[str, ...]
    query: str
    key: int = 1

    def named(self, row: Values) -> str:
        """Return which row it is, for whoever has to look for it."""
        return f"{'/'.join(str(part) for part in row[: self.key])} in {self.name}"


def _same(name: str, columns: str, *, key: int = 1) -> Table:
    names = tuple(columns.split())
    return Table(name, names, f"SELECT {', '.join(names)} FROM {name}", key)  # noqa: S608


# Who is referred to comes first.
TABLES: Final = (
    # How many wait is `queued` less `turns.started`: the count begins anew.
    Table(
        "accounts",
        ("id", "name", "balance", "held", "chain_seq", "chain_head", "queued"),
        "SELECT id, name, balance, held, chain_seq, chain_head, coalesce(waits.count, 0) FROM accounts "
        "LEFT JOIN (SELECT account_id, count(*) AS count FROM tasks WHERE waiting = 1 GROUP BY account_id) "
        "AS waits ON waits.account_id = accounts.id",
    ),
    Table(
        "turns",
        ("account_id", "started", "admitted_at", "free_at"),
        "SELECT id, 0, admitted, free_at FROM accounts WHERE admitted > 0",
    ),
    Table(
        "provider_turns",
        ("provider", "free_at"),
        "SELECT provider, free_at FROM provider_slots WHERE free_at > 0",
    ),
    _same("keys", "id identity account_id name hash created_at revoked_at"),
    _same(
        "tasks",
        "id account_id key_id dialect kind model_id lease_no provider priority waiting admitted held "
        "created_at deadline_at status version charged deleted updated_at files_until snapshot",
    ),
    _same("events", "task_id seq kind at status phase progress", key=2),
    _same("attempts", "task_id n provider intent_at remote_id outcome upstream_cost closed_at", key=2),
    Table(
        "jobs",
        ("task_id", "provider"),
        "SELECT task_id, tasks.provider FROM jobs LEFT JOIN tasks ON tasks.id = jobs.task_id",
    ),
    _same("transfers", "id kind account_id debit credit amount releases task_id memo at seq hash"),
    _same("claims", "key_id namespace token task_id fingerprint expires_at", key=3),
    _same("blobs", "id output"),
    _same("blob_uses", "blob task_id", key=2),
    _same("deliveries", "id task_id account_id state version created_at next_at snapshot"),
    _same("signings", "account_id turn rotated_at"),
    _same("secrets", "name value"),
)


class _Digest:
    """What tells one set of rows from another, in whatever order they come."""

    def __init__(self) -> None:
        self.count = 0
        self.last: Values = ()
        self._sum = 0

    def add(self, row: Values) -> None:
        self.count += 1
        self.last = row
        hashed = hashlib.sha256(msgspec.msgpack.encode(row)).digest()
        self._sum = (self._sum + int.from_bytes(hashed)) % (1 << 256)

    @property
    def value(self) -> tuple[int, int]:
        return self.count, self._sum


async def fill(
    db: apsw.Connection, connection: asyncpg.Connection, tell: Tell
) -> tuple[dict[str, int], bool]:
    """Copy every row and see that it has arrived, or raise CannotMove; commit nothing.

    Return how many rows there are in each table, and whether they were there before: from an earlier move.
    """
    target = _Target(connection)
    total = sum(int(db.execute(f"SELECT count(*) FROM ({table.query})").get) for table in TABLES)  # noqa: S608
    occupied = await _occupied(connection)
    digests: dict[str, _Digest] = {}
    copying = _Share(tell, total, "reading" if occupied else "copying")
    for table in TABLES:
        digest = digests[table.name] = _Digest()
        records = _records(db, table, digest, copying)
        if occupied:
            async for _ in records:
                pass
        else:
            await _copy(connection, table, records, digest)
    checking = _Share(tell, total, "checking")
    arrived = await asyncio.to_thread(
        lambda: {table.name: target.digest(table, checking).value for table in TABLES}
    )
    different = [name for name, digest in digests.items() if digest.value != arrived[name]]
    if different and occupied:
        is_ours = "secrets" not in different and digests["secrets"].count > 0
        raise CannotMove(_not_empty(occupied, is_ours=is_ours))
    if different:
        raise CannotMove(f"what arrived in PostgreSQL is not what was sent: {', '.join(different)}")
    await check_books(target.books(), "PostgreSQL")
    if not occupied:
        await connection.execute("ANALYZE", timeout=LONG_S)  # or the first plans are made for empty tables
    return {name: digest.count for name, digest in digests.items()}, bool(occupied)


def _not_empty(occupied: list[str], *, is_ours: bool) -> str:
    if is_ours:
        return (
            "the database has this installation already, and one of the two has gone on since: serve "
            "PostgreSQL, or begin again with an empty database"
        )
    return f"the database is not empty: there are rows in {', '.join(occupied)}; createdb makes another"


async def _occupied(connection: asyncpg.Connection) -> list[str]:
    looks = " UNION ALL ".join(
        f"SELECT '{table.name}' WHERE EXISTS (SELECT FROM {table.name})"  # noqa: S608
        for table in TABLES
    )
    return [name for (name,) in await connection.fetch(looks, timeout=LONG_S)]


async def _copy(
    connection: asyncpg.Connection, table: Table, records: AsyncIterator[Values], digest: _Digest
) -> None:
    try:
        await connection.copy_records_to_table(
            table.name, columns=table.columns, records=records, timeout=LONG_S
        )
    except (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError) as error:
        raise CannotMove(f"PostgreSQL refuses a row of {table.name}: {error}") from error
    except (TypeError, ValueError, OverflowError) as error:
        raise CannotMove(f"{table.named(digest.last)} is damaged: {error}") from error


async def _records(
    db: apsw.Connection, table: Table, digest: _Digest, share: "_Share"
) -> AsyncIterator[Values]:
    found = db.execute(table.query)
    while True:
        try:
            row = next(found, None)
        except UnicodeDecodeError as error:
            where = f"after {table.named(digest.last)}" if digest.last else f"the first of {table.name}"
            raise CannotMove(f"a row holds a text that is not UTF-8: {where}") from error
        if row is None:
            return
        for column, value in zip(table.columns, row, strict=True):
            if isinstance(value, str) and "\0" in value:
                said = f"{column} of {table.named(row)} holds a NUL character"
                raise CannotMove(f"{said}, which PostgreSQL cannot store")
        digest.add(row)
        if share.add():
            await asyncio.sleep(0)  # a Ctrl-C is heard here
        yield row


class _Share:
    """Tells how much of the whole is done, and says when: once a page."""

    def __init__(self, tell: Tell, total: int, doing: str) -> None:
        self._tell, self._total, self._doing = tell, total, doing
        self._done = 0
        tell(0, doing)

    def add(self) -> bool:
        self._done += 1
        if self._done % PAGE and self._done != self._total:
            return False
        self._tell(100 * self._done // max(self._total, self._done), self._doing)
        return True


class _Target:
    """The database that is moved to, as a thread reads it: what is there before anybody else sees it."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self._loop = asyncio.get_running_loop()

    def digest(self, table: Table, share: _Share) -> _Digest:
        digest = _Digest()
        for row in self._read(f"SELECT {', '.join(table.columns)} FROM {table.name}"):  # noqa: S608
            digest.add(row)
            share.add()
        return digest

    def books(self) -> Books:
        return Books(
            accounts=(rows.load_account(row) for row in self._read(f"{rows.ACCOUNTS} ORDER BY id")),
            rows=self._transfers(),
            tasks=self._billed(),
        )

    def _transfers(self) -> Iterator[Row | Unreadable]:
        texts = ", ".join(f"convert_to({name}, 'UTF8')" for name in rows.TRANSFER_TEXTS)
        query = f"SELECT {texts}, amount, releases, at, seq, hash FROM transfers ORDER BY account_id, seq"  # noqa: S608
        return (rows.audit_transfer(row) for row in self._read(query))

    def _billed(self) -> Iterator[Billed]:
        for task_id, account_id, status, held, charged in self._read(
            "SELECT id, account_id, status, held, charged FROM tasks ORDER BY id"
        ):
            yield Billed(id=task_id, account_id=account_id, status=Status(status), held=held, charged=charged)

    def _read(self, query: str) -> Iterator[Values]:
        cursor = self._call(self._open(query))
        while page := self._call(cursor.fetch(PAGE, timeout=LONG_S)):
            yield from map(tuple, page)

    async def _open(self, query: str) -> Any:  # noqa: ANN401  (asyncpg gives its cursors no name)
        return await self._connection.cursor(query, timeout=LONG_S)

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


# --- the books ------------------------------------------------------------------------------------


async def check_books(books: Books, where: str) -> None:
    """Raise CannotMove if the audit finds anything wrong."""

    def find() -> list[str]:
        return [f"{one.row}: {one.problem}" for one in audit(books.accounts, books.rows, books.tasks)]

    if findings := await asyncio.to_thread(find):
        raise CannotMove(
            f"the books in {where} are wrong: {len(findings)} findings, the first: {findings[0]}; "
            "filmgate ledger verify names each"
        )
