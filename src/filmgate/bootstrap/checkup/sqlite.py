"""SQLite's file: which schema it has, whether somebody serves it, whether it is sound."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import apsw

from filmgate.bootstrap.checkup import stored
from filmgate.bootstrap.checkup.finding import Finding, State
from filmgate.bootstrap.checkup.machine import Clocks, clock
from filmgate.core.errors import FilmgateError
from filmgate.settings import Settings
from filmgate.store import sqlite

PUT_BACK: Final = "stop the service and put back a backup"


async def look(settings: Settings, began: Clocks, *, deep: bool) -> AsyncIterator[Finding]:
    """Yield what is found in the database of the data directory, if there is one."""
    if not (settings.data / sqlite.DATABASE).exists():
        yield clock(began, None)
        return
    try:
        async for finding in _look(settings, began, deep=deep):
            yield finding
    except (apsw.Error, FilmgateError, OSError) as error:
        said = f"it cannot be read: {error}"
        yield Finding(check="database", state=State.WRONG, said=said, todo=PUT_BACK)


async def _look(settings: Settings, began: Clocks, *, deep: bool) -> AsyncIterator[Finding]:
    schema, served = sqlite.schema_of(settings.data), sqlite.is_served(settings.data)
    if schema < sqlite.CODE and (settings.data / f"{sqlite.DATABASE}.moved").exists():
        said, todo = "it was moved to PostgreSQL", "set database to its URL: FILMGATE_DATABASE"
        yield Finding(check="database", state=State.WRONG, said=said, todo=todo)
        return
    yield _schema(schema, served=served)
    if schema < sqlite.CODE:  # to open it would be to change it
        yield clock(began, None)
        return
    if deep:
        yield await asyncio.to_thread(_file, settings)
    async for finding in stored.look(settings, began, served=served, deep=deep):
        yield finding


def _schema(schema: int, *, served: bool) -> Finding:
    by = "served by a running Filmgate" if served else "nobody serves it at the moment"
    if schema == sqlite.CODE:
        return Finding(check="database", state=State.OK, said=f"schema {schema}, {by}")
    said = f"schema {schema}, where this version knows {sqlite.CODE}; {by}"
    todo = "start this version: it copies the database and brings it up to date"
    if schema > sqlite.CODE:
        todo = "use the version of Filmgate that last served it, or a later one"
    return Finding(check="database", state=State.WARN, said=said, todo=todo)


def _file(settings: Settings) -> Finding:
    faults = sqlite.faults_in(settings.data / sqlite.DATABASE)
    if not faults:
        return Finding(check="database", state=State.OK, said="its file is sound")
    said = f"its file is damaged: {faults[0]}"
    return Finding(check="database", state=State.WRONG, said=said, todo=PUT_BACK, details=tuple(faults))
