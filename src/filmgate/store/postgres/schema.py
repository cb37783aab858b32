"""The schema's migrations: numbered, forward only, applied by whoever starts first, under a lock."""

import asyncio
from datetime import UTC, datetime
from importlib import resources
from typing import Final

import asyncpg
import structlog

from filmgate.core.errors import StoreUnavailable
from filmgate.store import rows
from filmgate.store.postgres.connection import Database, unavailable

CODE: Final = 1  # the newest migration that this code knows
_LOCK: Final = 7_305_081_439
_MINUTES: Final = 600.0  # for a migration of large tables, in seconds
_PAUSE_S: Final = 2.0

_log = structlog.get_logger(__name__)

Migration = tuple[int, str]
# It is gone, it is a standby, or the role may not.
_REFUSED: Final = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InsufficientPrivilegeError,
)


async def migrate(database: Database, migrations: tuple[Migration, ...] | None = None) -> int:
    """Bring the database to this code's schema, one migration a transaction; return its number.

    Others may be serving by the schema before: each migration only adds. Raise StoreUnavailable where
    the database is of a newer Filmgate that no longer lets this one run.
    """
    connection = await database.connect()
    try:
        return await _migrate(connection, migrations or built_in())
    except _REFUSED as error:
        raise unavailable(error) from error
    finally:
        await connection.close()


async def _migrate(connection: asyncpg.Connection, migrations: tuple[Migration, ...]) -> int:
    await connection.execute("SET statement_timeout = 0; SET lock_timeout = 0")
    await connection.execute("SELECT pg_advisory_lock($1)", _LOCK, timeout=_MINUTES)
    await connection.execute(
        "CREATE TABLE IF NOT EXISTS schema_versions (version integer PRIMARY KEY, "
        "oldest_code integer NOT NULL, applied_at bigint NOT NULL)"
    )
    version, oldest = await connection.fetchrow(
        "SELECT coalesce(max(version), 0), coalesce(max(oldest_code), 0) FROM schema_versions"
    )
    if oldest > migrations[-1][0]:
        raise StoreUnavailable(
            f"the database needs Filmgate code {oldest} or later; this is {migrations[-1][0]}"
        )
    # Behind whoever waits for a table that a backup has open, everybody else waits: so not for long.
    await connection.execute("SET lock_timeout = '1s'")
    for number, script in migrations:
        if number > version:
            async with asyncio.timeout(_MINUTES):
                while not await _applied(connection, number, script):  # noqa: ASYNC110  (nothing tells us)
                    await asyncio.sleep(_PAUSE_S)
    return max(int(version), migrations[-1][0])


async def _applied(connection: asyncpg.Connection, number: int, script: str) -> bool:
    """Apply a migration, all of it or nothing; False if somebody has a table open that it needs."""
    try:
        async with connection.transaction():
            # Changes take turns with this: see commit_changes_v1.
            await connection.execute("LOCK TABLE schema_versions IN SHARE ROW EXCLUSIVE MODE")
            await connection.execute(script, timeout=_MINUTES)
            await connection.execute(
                "INSERT INTO schema_versions VALUES ($1, 1, $2)", number, rows.micros(datetime.now(UTC))
            )
    except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
        _log.info("migration_waits", number=number)
        return False
    return True


async def version_of(database: Database) -> int:
    """Return which migration the database has come to, 0 if it has none; change nothing."""
    found = await database.read_row("SELECT to_regclass('schema_versions') IS NOT NULL")
    if found is None or not found[0]:
        return 0
    found = await database.read_row("SELECT coalesce(max(version), 0) FROM schema_versions")
    return int(found[0]) if found else 0


def built_in() -> tuple[Migration, ...]:
    """Return this code's migrations, in order."""
    folder = resources.files("filmgate.store.migrations") / "postgres"
    files = sorted((entry for entry in folder.iterdir() if entry.name.endswith(".sql")), key=lambda e: e.name)
    return tuple((int(entry.name[:4]), entry.read_text()) for entry in files)
