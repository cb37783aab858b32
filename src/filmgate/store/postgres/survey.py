"""What a look at a PostgreSQL tells: how it is set up, who works on it, and what waits. Changes nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from filmgate.core.errors import StoreUnavailable
from filmgate.ports.cluster import LEASE_S
from filmgate.store.postgres.connection import POOL, Database, reason
from filmgate.store.postgres.schema import version_of

OLDEST: Final = 14  # of PostgreSQL, that we know to work
OF_A_PROCESS: Final = POOL + 1  # connections that one process may open: one more listens


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """The server itself. `ahead` is how far its clock is ahead of ours; `room` is for clients like us."""

    version: int
    name: str
    encoding: str
    read_only: bool
    settings: Mapping[str, str]
    room: int
    connections: int
    ahead: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """A process that runs tasks: so many of each provider's."""

    id: str
    slots: Mapping[str, int]
    silent_s: float

    @property
    def lives(self) -> bool:
        """Whether the others still take it for alive."""
        return self.silent_s < LEASE_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """A server and, where there is our schema, what goes on in it.

    `waiting` is how many tasks of a provider wait to be admitted, or to be claimed by a worker; `duties` are
    those that somebody holds now.
    """

    server: Server
    schema: int
    workers: Sequence[Worker] = ()
    duties: Mapping[str, str] = field(default_factory=dict)
    waiting: Mapping[str, int] = field(default_factory=dict)


async def survey(url: str, *, code: int) -> Survey:
    """Look at the database at `url`; at its tables only if its schema is that of `code` or newer.

    Raise StoreUnavailable, which says why, if it cannot be reached.
    """
    database = Database(url)
    try:
        server = await _server(database)
        schema = await version_of(database)
        if schema < code:
            return Survey(server=server, schema=schema)
        workers = [
            Worker(id=name, slots=msgspec.json.decode(slots), silent_s=float(silent_s))
            for name, slots, silent_s in await database.read(_WORKERS)
        ]
        duties = dict(await database.read(_DUTIES))
        waiting = {provider: int(count) for provider, count in await database.read(_WAITING)}
        return Survey(server=server, schema=schema, workers=workers, duties=duties, waiting=waiting)
    except StoreUnavailable as error:
        raise StoreUnavailable(reason(error)) from error
    finally:
        await database.close()


async def _server(database: Database) -> Server:
    await database.read("SELECT 1")  # so that what follows does not wait for a connection
    began = datetime.now(UTC)
    found = await database.read_row(_SERVER)
    ours = began + (datetime.now(UTC) - began) / 2
    assert found is not None, "an aggregate has a row"
    return Server(
        version=found["version"] // 10_000,
        name=found["name"],
        encoding=found["encoding"],
        read_only=found["read_only"],
        settings={name: found[name] for name in SETTINGS},
        room=found["room"],
        connections=found["connections"],
        ahead=found["at"] - ours,
    )


SETTINGS: Final = ("fsync", "full_page_writes", "synchronous_commit")
_SERVER: Final = """
    SELECT clock_timestamp() AS at,
        current_setting('server_version_num')::integer AS version,
        current_setting('server_version') AS name,
        current_setting('server_encoding') AS encoding,
        pg_is_in_recovery() OR current_setting('default_transaction_read_only')::boolean AS read_only,
        current_setting('fsync') AS fsync,
        current_setting('full_page_writes') AS full_page_writes,
        current_setting('synchronous_commit') AS synchronous_commit,
        current_setting('max_connections')::integer
            - current_setting('superuser_reserved_connections')::integer AS room,
        (SELECT count(*)::integer FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections
"""
_WORKERS: Final = """
    SELECT id, slots::text, extract(epoch FROM clock_timestamp() - beat_at) FROM workers ORDER BY id
"""
_DUTIES: Final = "SELECT name, worker FROM duties WHERE until > clock_timestamp() ORDER BY name"
_WAITING: Final = """
    SELECT provider, count(*) FROM (
        SELECT provider FROM tasks WHERE waiting = 1
        UNION ALL
        SELECT provider FROM jobs WHERE worker IS NULL
    ) AS waits GROUP BY provider ORDER BY provider
"""
