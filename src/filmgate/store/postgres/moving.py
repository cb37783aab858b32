"""Moves an installation from SQLite to PostgreSQL: all of it in one transaction, or nothing.

The rows are the same on both, but for what each store derives for itself. While they are copied nobody
else may write to either side. Once they have all arrived and have been compared, PostgreSQL commits, and
only then does SQLite's file give way to one that every Filmgate refuses to open.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import apsw
import asyncpg

from filmgate.core.admission import Limits
from filmgate.store.postgres.connection import CONNECT_S, Database
from filmgate.store.postgres.copying import LONG_S, TABLES, CannotMove, Tell, check_books, fill
from filmgate.store.postgres.schema import migrate
from filmgate.store.sqlite import DATABASE, SqliteStore
from filmgate.store.sqlite_backup import sync

KEPT: Final = f"{DATABASE}.moved"
NEVER: Final = 1_000_000_000  # the oldest code that may open what is left in the database's place
BUSY_MS: Final = 5_000
GIVE_UP_S: Final = 6.0  # by then a command that waits for SQLite's lock has given up
TRIES: Final = 3

_SERVER: Final = {
    "application_name": "filmgate-migrate",
    "timezone": "UTC",
    "lock_timeout": "10s",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",  # it waits for us while we read
    "synchronous_commit": "on",  # SQLite's file gives way because of it
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "3",
    "tcp_keepalives_count": "3",
    "jit": "off",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """What was moved: rows of each table. `before`: an earlier move had brought them already."""

    tables: Mapping[str, int]
    before: bool
    kept: Path


async def move(directory: Path, url: str, *, tell: Tell, give_up_s: float = GIVE_UP_S) -> Moved:
    """Move the installation in `directory` to the database at `url`, which must be empty.

    Raise CannotMove if it cannot be done and AlreadyServing while it is served; then both are as they
    were. Killed after PostgreSQL has committed, it is done once it is begun again.
    """
    if not (directory / DATABASE).exists():
        raise CannotMove(f"there is no database in {directory}")
    if is_moved(directory):
        raise CannotMove(f"{directory} was moved before; what was in it is kept as {directory / KEPT}")
    store = SqliteStore.open(directory, limits=Limits(), serving=True)
    try:
        async with _destination(url) as connection:
            with _held(directory) as db, _giving_way(directory) as give_way:
                tell(0, "books")
                await check_books(await store.books(), "SQLite")
                tables, before = await fill(db, connection, tell)
                await _commit(connection)
                give_way()  # nothing is awaited before this: a Ctrl-C cannot come between the two
                # Whoever got in now would write to what is no longer used.
                await asyncio.sleep(give_up_s)
    except asyncpg.LockNotAvailableError as error:
        raise CannotMove("others are at work on the database: stop them") from error
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        raise CannotMove(f"PostgreSQL: {error}") from error
    except apsw.Error as error:
        raise CannotMove(f"{directory / DATABASE}: {error}") from error
    finally:
        await store.close()
    for left in ("-wal", "-shm"):  # of the old one: SQLite leaves them when a file has changed its name
        (directory / f"{DATABASE}{left}").unlink(missing_ok=True)
    return Moved(tables=tables, before=before, kept=directory / KEPT)


def is_moved(directory: Path) -> bool:
    """Say whether what was in `directory` is in PostgreSQL by now; change nothing."""
    path = directory / DATABASE
    if not path.exists():
        return False
    with contextlib.closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as db:
        return bool(
            db.table_exists(None, "schema_versions")
            and db.execute("SELECT max(oldest_code) FROM schema_versions").get == NEVER
        )


async def _commit(connection: asyncpg.Connection) -> None:
    try:
        await connection.execute("COMMIT", timeout=LONG_S)
    except (asyncpg.PostgresConnectionError, asyncpg.InterfaceError, OSError) as error:
        raise CannotMove(
            f"the connection went while PostgreSQL committed ({error}): begin again, which finds out"
        ) from error


# --- both ends, held ------------------------------------------------------------------------------


@contextmanager
def _held(directory: Path) -> Iterator[apsw.Connection]:
    """Give a connection that sees one moment, with everybody else who writes kept out, and its WAL empty."""
    path = directory / DATABASE
    wal = path.with_name(f"{path.name}-wal")
    with contextlib.closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)) as db:
        db.set_busy_timeout(BUSY_MS)
        for _ in range(TRIES):
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            db.execute("BEGIN IMMEDIATE")
            if not wal.exists() or not wal.stat().st_size:
                break
            db.execute("ROLLBACK")
        else:
            raise CannotMove(f"other commands are at work on {path}: try again")
        try:
            yield db
        finally:
            db.execute("ROLLBACK")


@asynccontextmanager
async def _destination(url: str) -> AsyncIterator[asyncpg.Connection]:
    """Give a connection to the database with our schema, in a transaction, with everybody else kept out."""
    try:
        connection = await asyncpg.connect(url, timeout=CONNECT_S, server_settings=_SERVER)
    except ValueError as error:
        raise CannotMove(f"database: {error}") from error
    try:
        await migrate(Database(url))
        await connection.execute("BEGIN")
        names = ", ".join(table.name for table in TABLES)
        await connection.execute(f"LOCK TABLE {names} IN EXCLUSIVE MODE")
        yield connection
    finally:
        # Not politely: a thread may still be reading by it. What was not committed is gone with it.
        connection.terminate()


# --- afterwards -----------------------------------------------------------------------------------


@contextmanager
def _giving_way(directory: Path) -> Iterator[Callable[[], None]]:
    """Give what puts a database that no Filmgate opens in place of SQLite's, which keeps another name.

    With nothing in its place, the next `serve` without a database's URL would make a new one, and then
    remove all files in `blobs/`, of which it knew nothing. Whatever may fail is done beforehand.
    """
    path, kept, closed = (directory / name for name in (DATABASE, KEPT, f"{DATABASE}.closed"))
    if kept.exists() and not kept.samefile(path):
        raise CannotMove(f"{kept} is there from an earlier move: give it another name")
    for left in (kept, closed):
        left.unlink(missing_ok=True)
    given_way = False

    def give_way() -> None:
        nonlocal given_way
        closed.replace(path)
        given_way = True
        sync(directory)

    try:
        _make_closed(closed)
        kept.hardlink_to(path)
        sync(directory)
        yield give_way
    finally:
        if not given_way:
            for left in (kept, closed):
                left.unlink(missing_ok=True)


def _make_closed(path: Path) -> None:
    with contextlib.closing(apsw.Connection(str(path))) as db:
        path.chmod(0o600)
        db.execute("CREATE TABLE schema_versions (version INTEGER, oldest_code INTEGER, applied_at INTEGER)")
        db.execute("INSERT INTO schema_versions VALUES (1, ?, ?)", (NEVER, time.time_ns() // 1_000))
