"""Connections to PostgreSQL: each call is one statement, and every trouble has one name."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import asyncpg

from filmgate.core.errors import InvalidSettings, OutcomeUnknown, StoreUnavailable

CONNECT_S: Final = 5.0
CLOSE_S: Final = 2.0
STATEMENT_S: Final = 10.0  # nothing that serves a request takes so long; a link that is cut does
POOL: Final = 8  # changes share four lanes, and reads of tasks one

# What the server keeps to, whatever becomes of us: a client that is gone must not hold a lock.
_SERVER: Final = {
    "application_name": "filmgate",
    "timezone": "UTC",
    "statement_timeout": "15s",
    "lock_timeout": "8s",
    "idle_in_transaction_session_timeout": "5s",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "3",
    "tcp_keepalives_count": "3",
    "jit": "off",  # its plans pay off after seconds
}

# The server said that it did nothing: to try again is safe, and may help.
_UNDONE: Final = (
    asyncpg.TransactionRollbackError,  # deadlocks among them
    asyncpg.LockNotAvailableError,
    asyncpg.InsufficientResourcesError,
    asyncpg.QueryCanceledError,
    asyncpg.ReadOnlySQLTransactionError,  # it has become a standby
)
# The connection is gone, and with it the knowledge of what became of the statement.
_LOST: Final = (OSError, EOFError, TimeoutError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError,
                asyncpg.OperatorInterventionError, asyncpg.InternalClientError)  # fmt: skip


class Database:
    """Connections, opened when they are needed and kept; errors are StoreUnavailable, or bugs.

    A list of our own: to borrow from asyncpg's pool costs three times what a small statement does.
    """

    def __init__(self, url: str, *, size: int = POOL) -> None:
        """Connect nowhere yet. Raise InvalidSettings if `url` makes no sense."""
        if not url.startswith(("postgresql://", "postgres://")):
            raise InvalidSettings("database: must look like postgresql://user@host/name")
        self._url = url
        self._free: list[asyncpg.Connection] = []
        self._lent = asyncio.Semaphore(size)
        self._closed = False

    async def fetch(self, query: str, *args: object) -> Sequence[asyncpg.Record]:
        """Run one statement, durable when this returns, and return its rows."""
        async with self._connection() as connection:
            try:
                found: Sequence[asyncpg.Record] = await connection.fetch(query, *args)
            except _UNDONE as error:
                raise unavailable(error) from error
            except _LOST as error:
                raise self._lost(error) from error
            return found

    async def read(self, query: str, *args: object) -> Sequence[asyncpg.Record]:
        """Run one statement that changes nothing: once more, should its connection have died unnoticed."""
        try:
            return await self.fetch(query, *args)
        except OutcomeUnknown:
            return await self.fetch(query, *args)

    async def read_row(self, query: str, *args: object) -> asyncpg.Record | None:
        """Return the first row of a statement that changes nothing."""
        found = await self.read(query, *args)
        return found[0] if found else None

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[asyncpg.Connection]:
        """Run several statements as one: for what is rare, since each is a round trip under locks."""
        async with self._connection() as connection:
            try:
                async with connection.transaction():
                    yield connection
            except _UNDONE as error:
                raise unavailable(error) from error
            except _LOST as error:
                raise self._lost(error) from error

    async def connect(self) -> asyncpg.Connection:
        """Return a connection of the caller's own, beside the pool."""
        try:
            connection: asyncpg.Connection = await asyncpg.connect(
                self._url, timeout=CONNECT_S, command_timeout=STATEMENT_S, server_settings=_SERVER
            )
        except (*_LOST, asyncpg.PostgresError) as error:
            raise unavailable(error) from error
        return connection

    async def close(self) -> None:
        """Close every connection; one that is lent closes when it comes back."""
        self._closed = True
        free, self._free = self._free, []
        for connection in free:
            try:
                await connection.close(timeout=CLOSE_S)
            except _LOST:
                connection.terminate()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[asyncpg.Connection]:
        try:
            async with asyncio.timeout(CONNECT_S):
                await self._lent.acquire()
        except TimeoutError as error:
            raise unavailable(error) from error
        try:
            connection = self._take() or await self.connect()
            try:
                yield connection
            except BaseException:
                connection.terminate()  # it may be in the middle of something
                raise
            finally:
                self._give_back(connection)
        finally:
            self._lent.release()

    def _lost(self, error: BaseException) -> OutcomeUnknown:
        # What cut off one has most likely cut off the others as well.
        while self._free:
            self._free.pop().terminate()
        return OutcomeUnknown(*unavailable(error).args)

    def _take(self) -> asyncpg.Connection | None:
        while self._free:
            connection = self._free.pop()  # the last one used: the likeliest to be alive
            if not connection.is_closed():
                return connection
        return None

    def _give_back(self, connection: asyncpg.Connection) -> None:
        if self._closed:
            connection.terminate()
        elif not connection.is_closed():
            self._free.append(connection)


def unavailable(error: BaseException) -> StoreUnavailable:
    """Return the error that everyone but us is to see."""
    failed = StoreUnavailable("the database cannot be reached or is too busy; try again")
    failed.__cause__ = error
    return failed


def reason(error: StoreUnavailable) -> str:
    """Return what went wrong, for whoever can mend it."""
    return str(error.__cause__ or error) or "it does not answer"
