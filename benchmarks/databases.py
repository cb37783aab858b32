"""The databases that Filmgate is measured on: SQLite in the data directory, or a real PostgreSQL."""

import asyncio
import os
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import apsw
import asyncpg
import pytest

from benchmarks import processes
from benchmarks.figures import BenchmarkFailed
from filmgate.store.sqlite import DATABASE
from tests.postgres import GIVEN, Server, server

SQLITE: Final = "SQLite"
POSTGRES: Final = "PostgreSQL"
STORES: Final = {"sqlite": (SQLITE,), "postgres": (POSTGRES,), "both": (SQLITE, POSTGRES)}

# What decides how fast a commit is, and what it costs; said with every run.
_TELLING: Final = (
    "shared_buffers fsync synchronous_commit full_page_writes wal_level max_wal_size jit max_connections"
).split()

Result = TypeVar("Result")


class Database(Protocol):
    """One database, empty at first, that a service is then measured on."""

    @property
    def store(self) -> str:
        """`SQLITE` or `POSTGRES`."""
        ...

    @property
    def settings(self) -> Mapping[str, object]:
        """What tells a service to use it."""
        ...

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Return what `statement` selects."""
        ...

    def cpu_s(self) -> float:
        """Return what its own processes have cost so far: 0 where it has none."""
        ...

    def drop(self) -> None:
        """Remove it."""
        ...


class Sqlite:
    """A file in a service's data directory; its work is done by the service's own process."""

    store = SQLITE
    settings: Mapping[str, object] = {}

    def __init__(self, data: Path) -> None:
        """Read what a service keeps in `data`."""
        self.path = data / DATABASE

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """See the protocol."""
        with closing(apsw.Connection(str(self.path), flags=apsw.SQLITE_OPEN_READONLY)) as db:
            return [tuple(row) for row in db.execute(statement)]

    def each_connection(self, do: Callable[[apsw.Connection], object]) -> None:
        """Do something with every connection that this process has open to it, whatever its thread."""
        for db in apsw.connections():
            while True:
                try:
                    if db.filename == str(self.path):
                        do(db)
                    break
                except apsw.ThreadingViolationError:
                    time.sleep(0.001)  # its own thread uses it just now

    def cpu_s(self) -> float:
        """See the protocol."""
        return 0.0

    def drop(self) -> None:
        """See the protocol: it goes with its directory."""


class Postgres:
    """A database of a PostgreSQL server, which is durable."""

    store = POSTGRES

    def __init__(self, host: "PostgresHost") -> None:
        """Create it, and keep a connection: a new one for each question would cost more than the question."""
        self._host = host
        self.url = host.server.create_database()
        self.settings: Mapping[str, object] = {"database": self.url}
        # A loop in a thread of its own: who asks may have one already.
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._loop = asyncio.Runner()
        self._connection = self._run(_connected(self.url))

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """See the protocol."""
        return [tuple(row) for row in self._run(_fetched(self._connection, statement))]

    def as_admin(self, statement: str) -> None:
        """Run a statement with all rights, on a server of our own."""
        self._host.server.sql(statement)

    @property
    def log(self) -> Path | None:
        """What the server writes down, if it is our own."""
        return self._host.log

    def cpu_s(self) -> float:
        """See the protocol."""
        return self._host.cpu_s()

    def drop(self) -> None:
        """See the protocol."""
        self._run(_closed(self._connection))
        self._thread.submit(self._loop.close).result()
        self._thread.shutdown()
        self._host.server.drop(self.url)

    def _run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return self._thread.submit(self._loop.run, work).result()


async def _connected(url: str) -> asyncpg.Connection:
    return await asyncpg.connect(url)


async def _fetched(connection: asyncpg.Connection, statement: str) -> list[asyncpg.Record]:
    found: list[asyncpg.Record] = await connection.fetch(statement, timeout=600)
    return found


async def _closed(connection: asyncpg.Connection) -> None:
    await connection.close()


class PostgresHost:
    """A PostgreSQL server: the one that FILMGATE_TEST_DATABASE_URL names, or one of our own."""

    def __init__(self, one: Server, *, pid: int | None) -> None:
        """Use `postgres_host`; without a `pid`, its processes are not ours to count or to pin."""
        self.server = one
        self._pid = pid

    @property
    def is_ours(self) -> bool:
        """Whether its processes are here, to be counted."""
        return self._pid is not None

    @property
    def log(self) -> Path | None:
        """What the server writes down, if it is our own."""
        postmaster = self.server._postmaster  # noqa: SLF001  (the tests have no use for it)
        return None if postmaster is None else postmaster._log  # noqa: SLF001

    def cpu_s(self) -> float:
        """Return what its processes have cost so far; 0 where they are not ours to count."""
        return 0.0 if self._pid is None else processes.cpu_s(self._pid)

    def pin(self, cores: frozenset[int]) -> None:
        """Let it run on `cores` only, as far as it is ours."""
        if self._pid is not None:
            for member in processes.tree(self._pid):
                os.sched_setaffinity(member, cores)

    def describe(self) -> str:
        """Return its version, and the settings that matter."""
        asked = ", ".join(f"current_setting('{name}')" for name in ("server_version", *_TELLING))
        ((version, *values),) = self.server.sql(f"SELECT {asked}")
        told = ", ".join(f"{name} {value}" for name, value in zip(_TELLING, values, strict=True))
        where = "by a Unix socket" if self.is_ours else f"the one that {GIVEN} names"
        return f"{version}, {where}; {told}"


@contextmanager
def postgres_host() -> Iterator[PostgresHost]:
    """Give a PostgreSQL that stands a power cut."""
    if given := os.environ.get(GIVEN):
        one = Server(given, admin=given)
        try:
            yield PostgresHost(one, pid=None)
        finally:
            one._drop_all()  # noqa: SLF001  (as the tests' own fixture does)
        return
    with ExitStack() as stack:
        try:
            one = stack.enter_context(server(durable=True))
        except pytest.skip.Exception as error:
            raise BenchmarkFailed(str(error)) from error
        ((file,),) = one.sql("SELECT pg_read_file('postmaster.pid', 0, 20)")
        yield PostgresHost(one, pid=int(file.split()[0]))
