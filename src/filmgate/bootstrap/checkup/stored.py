"""What is stored, on whichever database: files, tasks, webhooks, the ledger."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from filmgate.bootstrap import beside
from filmgate.bootstrap.checkup.finding import Finding, State, spelt
from filmgate.bootstrap.checkup.machine import CLOCK_SLACK, Clocks, clock
from filmgate.core.errors import StoreUnavailable
from filmgate.core.ledger import audit
from filmgate.core.task import Task
from filmgate.ports import Ports
from filmgate.ports.blobs import GRACE, Reader
from filmgate.ports.store import Standing, TaskQuery
from filmgate.settings import Settings

SAMPLE: Final = 20  # tasks whose files are looked at, unless it is all of them
PAGE: Final = 500
CHUNK_BYTES: Final = 1 << 20
STILL: Final = timedelta(hours=1)  # that long without a change is worth a look


async def look(settings: Settings, began: Clocks, *, served: bool, deep: bool) -> AsyncIterator[Finding]:
    """Yield what is found; `served` says whether somebody runs tasks."""
    async with beside(settings) as ports:
        yield clock(began, await newest(ports))
        yield await files(ports, deep=deep)
        standing = await ports.store.standing()
        yield tasks(standing, served=served, deadline=timedelta(seconds=settings.task_deadline_s))
        yield webhooks(standing)
        yield await ledger(ports)


async def newest(ports: Ports) -> datetime | None:
    """Return when a task was saved last, as far as the newest one tells."""
    tasks = await ports.store.tasks(TaskQuery(limit=1))
    return max(tasks[0].created_at, tasks[0].updated_at) if tasks else None


async def files(ports: Ports, *, deep: bool) -> Finding:
    """Look whether tasks have their files, whole."""
    try:
        await ports.blobs.kept_before(ports.clock.now() - GRACE, limit=1)
        return await _files(ports, deep=deep)
    except StoreUnavailable as error:
        said = f"the place for them cannot be reached: {error.__cause__ or error}"
        todo = "see that `blobs` names it, and that its keys are right"
        return Finding(check="files", state=State.WRONG, said=said, todo=todo)


async def _files(ports: Ports, *, deep: bool) -> Finding:
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


def tasks(standing: Standing, *, served: bool, deadline: timedelta) -> Finding:
    now = datetime.now(UTC)
    said = f"{standing.tasks} in all, {standing.waiting} wait, {standing.jobs} run"
    if not served and (standing.waiting or standing.jobs):
        todo = "filmgate serve goes on with them"
        return Finding(check="tasks", state=State.WARN, said=f"{said}, and nobody serves them", todo=todo)
    waited = now - (standing.oldest_waiting_at or now)
    if waited > deadline + CLOCK_SLACK:
        said = f"{said}; one has waited for {spelt(waited)}, past its deadline"
        todo = "look for chore_failed in the log, and restart the service"
        return Finding(check="tasks", state=State.WRONG, said=said, todo=todo)
    stood = now - (standing.stillest_job_at or now)
    if stood > STILL:
        said = f"{said}; one has not moved for {spelt(stood)}"
        todo = "filmgate tasks list --status running, and tasks cancel what is stuck"
        state = State.WRONG if stood > deadline + STILL else State.WARN
        return Finding(check="tasks", state=state, said=said, todo=todo)
    return Finding(check="tasks", state=State.OK, said=said)


def webhooks(standing: Standing) -> Finding:
    said = f"{standing.deliveries_pending} to be delivered, {standing.deliveries_dead} given up"
    if not standing.deliveries_dead:
        return Finding(check="webhooks", state=State.OK, said=said)
    todo = "filmgate webhooks list tells why, filmgate webhooks replay tries again"
    return Finding(check="webhooks", state=State.WARN, said=said, todo=todo)


async def ledger(ports: Ports) -> Finding:
    books = await ports.store.books()
    found = await asyncio.to_thread(lambda: list(audit(books.accounts, books.rows, books.tasks)))
    if not found:
        return Finding(check="ledger", state=State.OK, said="the books are right")
    details = tuple(f"{one.row}: {one.problem}" for one in found)
    todo = "filmgate ledger verify names each; compare with a backup before anything is changed"
    said = f"{len(found)} findings in the books"
    return Finding(check="ledger", state=State.WRONG, said=said, todo=todo, details=details)
