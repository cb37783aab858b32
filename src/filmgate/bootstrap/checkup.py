"""Looks whether everything that a service needs is there and well; changes nothing."""

import asyncio
import hashlib
import os
import shutil
import stat
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final

import apsw

from filmgate.bootstrap import beside
from filmgate.core.errors import FilmgateError
from filmgate.core.generation import Generation
from filmgate.core.ledger import audit
from filmgate.core.task import Task
from filmgate.media.pool import Probers
from filmgate.ports import Ports
from filmgate.ports.blobs import GRACE, Reader
from filmgate.ports.provider import Failed, Provider, Running, Succeeded
from filmgate.ports.store import Standing, TaskQuery
from filmgate.providers import registry
from filmgate.settings import Settings
from filmgate.store import sqlite

LITTLE_BYTES: Final = 500_000_000  # of free disk: time to act
NOTHING_BYTES: Final = 50_000_000  # nothing more can be promised
SAMPLE: Final = 20  # tasks whose files are looked at, unless it is all of them
PAGE: Final = 500
CHUNK_BYTES: Final = 1 << 20
RENDER_WITHIN_S: Final = 60.0
CLOCK_SLACK: Final = timedelta(seconds=5)
STILL: Final = timedelta(hours=1)  # that long without a change is worth a look

TRIAL: Final = Generation(prompt="a lighthouse at dusk", duration_s=1, width=320, height=180, seed=1)


class State(StrEnum):
    """How something is."""

    OK = "ok"
    WARN = "warn"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at: `said` is what was found, `todo` what can be done about it.

    `details` name every single thing that is wrong, where there may be many.
    """

    check: str
    state: State
    said: str
    todo: str | None = None
    details: tuple[str, ...] = ()


async def examine(settings: Settings, *, deep: bool) -> AsyncIterator[Finding]:
    """Yield what is found, one thing after the other; `deep` looks at every file and row there is."""
    began = _Clocks()
    usable = True
    for finding in _directory(settings.data):
        usable = usable and finding.state is not State.WRONG
        yield finding
    yield _disk(settings.data)
    yield await _renderer(settings)
    if not (settings.data / sqlite.DATABASE).exists() or not usable:
        yield _clock(began, None)
        return
    try:
        async for finding in _stored(settings, began, deep=deep):
            yield finding
    except (apsw.Error, FilmgateError, OSError) as error:
        said = f"it cannot be read: {error}"
        yield Finding(check="database", state=State.WRONG, said=said, todo=_PUT_BACK)


async def _stored(settings: Settings, began: "_Clocks", *, deep: bool) -> AsyncIterator[Finding]:
    schema, served = sqlite.schema_of(settings.data), sqlite.is_served(settings.data)
    yield _database(schema, served=served)
    if schema < sqlite.CODE:  # to open it would be to change it
        yield _clock(began, None)
        return
    if deep:
        yield await asyncio.to_thread(_database_file, settings.data)
    async with beside(settings) as ports:
        yield _clock(began, await _newest(ports))
        yield await _files(ports, deep=deep)
        standing = await ports.store.standing()
        yield _tasks(standing, served=served, deadline=timedelta(seconds=settings.task_deadline_s))
        yield _webhooks(standing)
        yield await _ledger(ports)


_PUT_BACK: Final = "stop the service and put back a backup"


# --- the machine ----------------------------------------------------------------------------------


def _directory(data: Path) -> Iterator[Finding]:
    if not data.exists():
        todo = "filmgate serve makes it; --data or FILMGATE_DATA names another"
        yield Finding(check="data", state=State.WARN, said=f"{data} does not exist yet", todo=todo)
        return
    if not data.is_dir() or not os.access(data, os.R_OK | os.W_OK | os.X_OK):
        todo = f"make it a directory that this user may write: chown -R {_me()} {data}"
        yield Finding(check="data", state=State.WRONG, said=f"{data} cannot be written", todo=todo)
        return
    open_to_others = [
        path for path in (data, data / sqlite.DATABASE) if path.exists() and path.stat().st_mode & 0o077
    ]
    foreign = data.stat().st_uid != os.geteuid()
    if open_to_others:
        mode = stat.filemode(open_to_others[0].stat().st_mode)
        said = f"others may read {open_to_others[0]} ({mode}), which holds the secrets of keys and links"
        yield Finding(check="data", state=State.WARN, said=said, todo=f"chmod -R go= {data}")
    elif foreign:
        said = f"{data} belongs to {data.owner()}, and you are {_me()}"
        todo = f"run commands as {data.owner()}, or files they make may be out of the service's reach"
        yield Finding(check="data", state=State.WARN, said=said, todo=todo)
    else:
        yield Finding(check="data", state=State.OK, said=f"{data}, for its owner only")


def _me() -> str:
    return os.environ.get("USER") or str(os.geteuid())


def _disk(data: Path) -> Finding:
    there = next(path for path in (data, *data.parents) if path.exists())
    free = shutil.disk_usage(there).free
    said = f"{free / 1e9:.1f} GB free"
    if free >= LITTLE_BYTES:
        return Finding(check="disk", state=State.OK, said=said)
    said = f"only {free / 1e6:.0f} MB free"
    todo = "make room, or let results go sooner: result_lifetime_s"
    state = State.WRONG if free < NOTHING_BYTES else State.WARN
    return Finding(check="disk", state=state, said=said, todo=todo)


class _Clocks:
    """The time on the wall and the time that only goes on, taken together."""

    def __init__(self) -> None:
        self.wall, self.steady = datetime.now(UTC), time.monotonic()

    def apart(self, later: "_Clocks") -> timedelta:
        """Return how far the wall's was set since."""
        return later.wall - self.wall - timedelta(seconds=later.steady - self.steady)


def _clock(began: _Clocks, newest: datetime | None) -> Finding:
    now = _Clocks()
    said = f"{now.wall:%Y-%m-%d %H:%M:%S} UTC"
    if newest is not None and newest > now.wall + CLOCK_SLACK:
        said = f"it is {said}, but a task was saved {_span(newest - now.wall)} from now: the clock went back"
        todo = "set it: deadlines, links and keys go by it (timedatectl tells whether it is kept in step)"
        return Finding(check="clock", state=State.WRONG, said=said, todo=todo)
    moved = began.apart(now)
    if abs(moved) > timedelta(seconds=1):
        said = f"it was set by {moved.total_seconds():+.1f} s while this looked"
        todo = "let it be kept in step in small steps (timedatectl tells by what)"
        return Finding(check="clock", state=State.WARN, said=said, todo=todo)
    return Finding(check="clock", state=State.OK, said=said)


async def _newest(ports: Ports) -> datetime | None:
    newest = await ports.store.tasks(TaskQuery(limit=1))
    return max(newest[0].created_at, newest[0].updated_at) if newest else None


async def _renderer(settings: Settings) -> Finding:
    spec = registry()["studio"]
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="filmgate-doctor-") as scratch:
        studio: Provider = spec.build(settings.providers["studio"].config, scratch=Path(scratch))
        probers = Probers()
        try:
            async with asyncio.timeout(RENDER_WITHIN_S):
                await studio.start()
                problem = await _try_out(studio, probers)
        except TimeoutError:
            problem = f"nothing within {RENDER_WITHIN_S:.0f} s"
        except (FilmgateError, OSError) as error:
            problem = str(error)
        finally:
            await probers.close()
            await studio.close()
    if problem is None:
        said = f"a clip of {TRIAL.duration_s} s in {time.monotonic() - began:.1f} s, start included"
        return Finding(check="renderer", state=State.OK, said=said)
    todo = 'see what it says: filmgate render "a lighthouse" -o clip.mp4'
    return Finding(check="renderer", state=State.WRONG, said=problem, todo=todo)


async def _try_out(studio: Provider, probers: Probers) -> str | None:
    """Return what is wrong with the studio, if anything is."""
    remote_id = await studio.submit(TRIAL, reference="doctor")
    while isinstance(report := await studio.poll(remote_id), Running):  # noqa: ASYNC110  (providers are asked)
        await asyncio.sleep(0.05)
    match report:
        case Failed(reason=reason):
            return reason
        case Succeeded(made=made):
            probed = await probers.probe(made[0].source)
            if (probed.width, probed.height) != (TRIAL.width, TRIAL.height) or not probed.duration_s:
                return f"a clip of the wrong shape: {probed.width}x{probed.height}, {probed.duration_s} s"
    return None


# --- what is stored -------------------------------------------------------------------------------


def _database(schema: int, *, served: bool) -> Finding:
    by = "served by a running Filmgate" if served else "nobody serves it at the moment"
    if schema == sqlite.CODE:
        return Finding(check="database", state=State.OK, said=f"schema {schema}, {by}")
    said = f"schema {schema}, where this version knows {sqlite.CODE}; {by}"
    todo = "start this version: it copies the database and brings it up to date"
    if schema > sqlite.CODE:
        todo = "use the version of Filmgate that last served it, or a later one"
    return Finding(check="database", state=State.WARN, said=said, todo=todo)


def _database_file(data: Path) -> Finding:
    faults = sqlite.faults_of(data)
    if not faults:
        return Finding(check="database", state=State.OK, said="its file is sound")
    said = f"its file is damaged: {faults[0]}"
    return Finding(check="database", state=State.WRONG, said=said, todo=_PUT_BACK, details=tuple(faults))


async def _files(ports: Ports, *, deep: bool) -> Finding:
    """Look whether tasks have their files, whole."""
    count, faults, seen = 0, [], set[str]()
    async for task in _with_files(ports, most=None if deep else SAMPLE):
        count += 1
        for blob in sorted(task.blobs - seen):
            seen.add(blob)
            fault = await _fault_of(ports, blob)
            if fault is not None and await _still_needs(ports, task, blob):
                faults.append(f"{blob} of {task.id} is {fault}")
    if faults:
        said = f"{len(faults)} of {len(seen)} files are missing or damaged"
        todo = "put them back from a backup of blobs/, or: filmgate tasks delete"
        return Finding(check="files", state=State.WRONG, said=said, todo=todo, details=tuple(faults))
    said = f"{len(seen)} files of {count} tasks are whole"
    if not deep:
        return Finding(check="files", state=State.OK, said=f"{said}; --deep looks at all" if count else said)
    orphans = await _count_orphans(ports, seen)
    left = f"{orphans} files of no task wait to be removed" if orphans else "none is left over"
    return Finding(check="files", state=State.OK, said=f"{said}; {left}")


async def _with_files(ports: Ports, *, most: int | None) -> AsyncIterator[Task]:
    """Yield tasks that need files, the newest first."""
    query = TaskQuery(limit=PAGE)
    found = 0
    while page := await ports.store.tasks(query):
        for task in page:
            if task.blobs:
                found += 1
                yield task
                if found == most:
                    return
        query = TaskQuery(limit=PAGE, after=page[-1].id)


async def _fault_of(ports: Ports, blob: str) -> str | None:
    try:
        reader = await ports.blobs.open(blob)
        if reader is None:
            return "missing"
        try:
            return None if await asyncio.to_thread(_hash, reader) == blob else "damaged"
        finally:
            reader.close()
    except OSError as error:
        return f"unreadable ({error.strerror})"


def _hash(reader: Reader) -> str:
    digest = hashlib.sha256()
    for offset in range(0, reader.size_bytes, CHUNK_BYTES):
        digest.update(reader.read(offset, CHUNK_BYTES))
    return digest.hexdigest()


async def _still_needs(ports: Ports, task: Task, blob: str) -> bool:
    """Ask again: its time may have passed while this looked."""
    now = await ports.store.task(task.id)
    return now is not None and blob in now.blobs


async def _count_orphans(ports: Ports, needed: Iterable[str]) -> int:
    needed, count, after = frozenset(needed), 0, ""
    while page := await ports.blobs.kept_before(ports.clock.now() - GRACE, after=after):
        count += len(set(page) - needed)
        after = page[-1]
    return count


def _tasks(standing: Standing, *, served: bool, deadline: timedelta) -> Finding:
    now = datetime.now(UTC)
    said = f"{standing.tasks} in all, {standing.waiting} wait, {standing.jobs} run"
    if not served and (standing.waiting or standing.jobs):
        todo = "filmgate serve goes on with them"
        return Finding(check="tasks", state=State.WARN, said=f"{said}, and nobody serves them", todo=todo)
    waited = now - (standing.oldest_waiting_at or now)
    if waited > deadline + CLOCK_SLACK:
        said = f"{said}; one has waited for {_span(waited)}, past its deadline"
        todo = "look for chore_failed in the log, and restart the service"
        return Finding(check="tasks", state=State.WRONG, said=said, todo=todo)
    stood = now - (standing.stillest_job_at or now)
    if stood > STILL:
        said = f"{said}; one has not moved for {_span(stood)}"
        todo = "filmgate tasks list --status running, and tasks cancel what is stuck"
        state = State.WRONG if stood > deadline + STILL else State.WARN
        return Finding(check="tasks", state=state, said=said, todo=todo)
    return Finding(check="tasks", state=State.OK, said=said)


def _webhooks(standing: Standing) -> Finding:
    said = f"{standing.deliveries_pending} to be delivered, {standing.deliveries_dead} given up"
    if not standing.deliveries_dead:
        return Finding(check="webhooks", state=State.OK, said=said)
    todo = "filmgate webhooks list tells why, filmgate webhooks replay tries again"
    return Finding(check="webhooks", state=State.WARN, said=said, todo=todo)


async def _ledger(ports: Ports) -> Finding:
    books = await ports.store.books()
    found = await asyncio.to_thread(lambda: list(audit(books.accounts, books.rows, books.tasks)))
    if not found:
        return Finding(check="ledger", state=State.OK, said="the books are right")
    details = tuple(f"{one.row}: {one.problem}" for one in found)
    todo = "filmgate ledger verify names each; compare with a backup before anything is changed"
    said = f"{len(found)} findings in the books"
    return Finding(check="ledger", state=State.WRONG, said=said, todo=todo, details=details)


def _span(span: timedelta) -> str:
    minutes = round(span.total_seconds() / 60)
    if minutes < 1:
        return f"{span.total_seconds():.0f} s"
    if minutes < 120:  # noqa: PLR2004  (two hours)
        return f"{minutes} min"
    return f"{minutes / 60:.0f} h" if minutes < 48 * 60 else f"{minutes / 1440:.0f} days"
