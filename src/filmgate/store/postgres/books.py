"""The whole ledger, read as of one moment, a page at a time: however long it is."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from typing import Any, Final

import asyncpg

from filmgate.core.ledger import Billed, Row, Unreadable
from filmgate.core.task import Status
from filmgate.ports.store import Books
from filmgate.store import rows
from filmgate.store.postgres.connection import Database

PAGE: Final = 2_000


class Ledger:
    """Reads in a thread and a connection of its own: the audit is not written to await."""

    def __init__(self, database: Database) -> None:
        """Connect nowhere yet."""
        self._database = database
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="filmgate-ledger", daemon=True)
        self._connection: asyncpg.Connection | None = None

    def books(self) -> Books:
        """Return accounts, rows and tasks, to be read once and in this order."""
        self._thread.start()
        return Books(
            accounts=(rows.load_account(tuple(row)) for row in self._read(f"{rows.ACCOUNTS} ORDER BY id")),
            rows=self._transfers(),
            tasks=self._billed(),
        )

    def _transfers(self) -> Iterator[Row | Unreadable]:
        # Texts as bytes: a row that was tampered with is then told like on any other store.
        texts = ", ".join(f"convert_to({name}, 'UTF8')" for name in rows.TRANSFER_TEXTS)
        return (
            rows.audit_transfer(tuple(row))
            for row in self._read(
                f"SELECT {texts}, amount, releases, at, seq, hash FROM transfers ORDER BY account_id, seq"  # noqa: S608
            )
        )

    def _billed(self) -> Iterator[Billed]:
        found = self._read("SELECT id, account_id, status, held, charged FROM tasks ORDER BY id")
        try:
            for task_id, account_id, status, held, charged in found:
                yield Billed(
                    id=task_id, account_id=account_id, status=Status(status), held=held, charged=charged
                )
        finally:
            self._call(self._close())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def _read(self, query: str) -> Iterator[Any]:
        cursor = self._call(self._open(query))
        while page := self._call(cursor.fetch(PAGE)):
            yield from page

    async def _open(self, query: str) -> Any:  # noqa: ANN401  (asyncpg gives its cursors no name)
        if self._connection is None:
            self._connection = await self._database.connect()
            await self._connection.execute(
                "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = '10min';"
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
            )
        return await self._connection.cursor(query, timeout=600)

    async def _close(self) -> None:
        if self._connection is not None:
            await self._connection.close()

    def _call(self, work: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()
