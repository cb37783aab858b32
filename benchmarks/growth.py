"""What a task costs as the tables grow, by operation; the plans, and how large the databases get."""

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Final

import apsw
import uvloop

from benchmarks import charts, filling, plans
from benchmarks.bench import Bench
from benchmarks.databases import Database, Postgres, Sqlite
from benchmarks.figures import BenchmarkFailed, Figure, Report
from benchmarks.load import Load, generator
from benchmarks.service import ROOT, Service
from benchmarks.submit import MOST_WAITING, submission
from filmgate.core import ids
from filmgate.core.admission import Limits
from filmgate.core.attempt import Attempt, Outcome
from filmgate.core.change import Change, Claim, Namespace, advance
from filmgate.core.change import submission as submission_of
from filmgate.core.task import Phase, Status, Task
from filmgate.ports.cluster import Cluster
from filmgate.ports.store import Committed, Job, Store, TaskQuery
from filmgate.store.postgres import open_store
from filmgate.store.sqlite import SqliteStore

SIZES: Final = (1_000, 10_000, 100_000, 1_000_000)
ORIGINALS: Final = 100  # tasks that went the whole way, each of an account of its own
WAITING: Final = 1_000  # tasks that wait, of all accounts
SLOTS: Final = 64
AT_ONCE: Final = 32  # changes that are asked for at a time
READS: Final = 200
SEED: Final = 13
PLANNED_FROM: Final = 100_000  # a database may well read a table wholly while it is small
IMAGES: Final = ROOT / "docs" / "images"

HOW: Final = f"""\
{ORIGINALS} tasks of as many accounts go the whole way over HTTP, and their books are verified. Then the
database copies their rows under new ids, events, attempts, transfers, files, and idempotency keys with
them, and ANALYZE is run. At each size {WAITING:,} tasks of all accounts wait, and each operation is done
through the store's port, in this process and without HTTP: reads one at a time, of tasks drawn by chance;
changes {AT_ONCE} at a time, as a busy server has them, for all of which the time is shared. Claim and
admit give {AT_ONCE} freed slots to who is next. `no match` lists for a model that the key never used: the
worst that a filter can ask for. The copies' hashes do not chain, which no operation reads. WAL is that of
whole lives, from submit to end; PostgreSQL's includes the pages that it writes whole after a checkpoint."""


def measure(bench: Bench) -> Report:
    """Measure every size on each database."""
    figures: list[Figure] = []
    planned: dict[str, plans.Plans] = {}
    for store in bench.stores:
        grown = _grown(bench, store)
        figures += _figures(store, grown)
        if bench.write:
            _draw(store, grown)
        planned[store] = grown[-1].plans if grown[-1].tasks >= PLANNED_FROM else {}
    if bench.write and all(planned.values()):
        plans.write(planned, bench.most_tasks)
    _check(planned)
    return Report(name="growth", how=HOW, figures=figures)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Size:
    """What was found at one size: microseconds by operation, bytes for each task."""

    tasks: int
    took_us: Mapping[str, Sequence[float]]
    wal_bytes: float
    bytes_by_part: Mapping[str, float]
    filled_s: float
    plans: plans.Plans


def _grown(bench: Bench, store: str) -> list[_Size]:
    sizes = [size for size in SIZES if size <= bench.most_tasks]
    caps = {"account_queue": MOST_WAITING}
    found = []
    with bench.service(
        "growth", store=store, cores=bench.two_cores, database_cores=bench.two_cores, settings=caps
    ) as service:
        _write_originals(bench, service)
        service.stop()
        service.check(tasks=ORIGINALS)
        filling.prepare(service.database)
        copies = 0
        for size in sizes:
            began = time.perf_counter()
            wanted = size // ORIGINALS - 1
            filling.fill(service.database, first=copies + 1, last=wanted)
            copies = wanted
            filled_s = time.perf_counter() - began
            bench.say(f"growth: {store}, {size:,} tasks, filled in {filled_s:.0f} s")
            found.append(uvloop.run(_measure_at(bench, service, size, filled_s)))
    return found


def _write_originals(bench: Bench, service: Service) -> None:
    texts = tuple(submission(key, "a small boat at sunset") for key in service.new_keys(ORIGINALS))
    with generator(bench.load_core) as load:
        load.run(
            Load(port=service.port, requests=texts, connections=10, contains=b'"task_id"', answers=ORIGINALS)
        )
    deadline = time.perf_counter() + 60
    while service.ask("SELECT count(*) FROM tasks WHERE status = 'succeeded'") < ORIGINALS:
        if time.perf_counter() > deadline:
            raise BenchmarkFailed("the first tasks do not end")
        time.sleep(0.1)


# --- one size -----------------------------------------------------------------------------------


async def _measure_at(bench: Bench, service: Service, size: int, filled_s: float) -> _Size:
    database = service.database
    async with _opened(service) as (store, cluster):
        user = await _User.of(service, store, cluster, size)
        await user.keep_waiting()
        took_us: dict[str, list[float]] = {name: [] for name in user.once()}
        lives = 0
        with _wal(database) as wal_bytes:
            for _ in range(3 * bench.rounds):
                for name, us in (await user.live()).items():
                    took_us[name].append(us)
                lives += AT_ONCE
            written = wal_bytes()
        for _ in range(bench.rounds):
            for name, (operation, times) in user.operations.items():
                began = time.perf_counter()
                for _ in range(times):
                    await operation()
                took_us[name].append(1e6 * (time.perf_counter() - began) / times)
        planned: plans.Plans = {}
        if isinstance(database, Sqlite):
            planned = await plans.sqlite_plans(database, user.once())
        await user.end_all()
    if isinstance(database, Postgres) and database.log is not None:
        planned = await _postgres_plans(service, size)
    return _Size(
        tasks=size,
        took_us=took_us,
        wal_bytes=written / lives,
        bytes_by_part=_bytes_by_part(database),
        filled_s=filled_s,
        plans=planned,
    )


async def _postgres_plans(service: Service, size: int) -> plans.Plans:
    assert isinstance(service.database, Postgres)
    async with plans.explaining(service.database), _opened(service) as (store, cluster):
        user = await _User.of(service, store, cluster, size)
        await user.keep_waiting()
        planned = await plans.postgres_plans(service.database, user.once(), store)
        await user.end_all()
    return planned


@asynccontextmanager
async def _opened(service: Service) -> AsyncIterator[tuple[Store, Cluster | None]]:
    limits = Limits(
        account_concurrency=SLOTS,
        account_queue=MOST_WAITING,
        total_queue=MOST_WAITING,
        provider_slots={"sandbox": SLOTS},
    )
    store: Store
    cluster: Cluster | None = None
    if isinstance(service.database, Postgres):
        store, cluster = await open_store(service.database.url, limits=limits)
    else:
        store = SqliteStore.open(service.data, limits=limits, serving=True)
    try:
        yield store, cluster
    finally:
        await store.close()


class _User:
    """Does with a store what a service does, and counts how long it takes."""

    def __init__(self, store: Store, cluster: Cluster | None, originals: Sequence[Task], size: int) -> None:
        """Use `of`."""
        self._store = store
        self._cluster = cluster
        self._originals = originals
        self._copies = size // ORIGINALS - 1
        self._chance = random.Random(SEED)
        self._worker = f"growth:{size}:{os.getpid()}"
        self._admitted: list[Job] = []
        self._running: list[tuple[Task, Attempt, int]] = []
        self.operations: Mapping[str, tuple[Callable[[], Awaitable[object]], int]] = {
            "poll": (self.poll, READS),
            "list, first page": (self.list, READS),
            "list, a deep page": (self.list_deep, READS),
            "list, 1 in 100 matches": (lambda: self.list(status=Status.FAILED), READS // 10),
            "list, no match": (lambda: self.list(model_id="no-such-model"), READS // 20),
        }

    @classmethod
    async def of(cls, service: Service, store: Store, cluster: Cluster | None, size: int) -> "_User":
        """Read what the copies are of, and join those who run tasks."""
        found = service.database.rows("SELECT old FROM bench_originals ORDER BY nth")
        originals = [task for (task_id,) in found if (task := await store.task(task_id)) is not None]
        assert len(originals) == ORIGINALS, "they are never deleted"
        user = cls(store, cluster, originals, size)
        if cluster is not None:
            await cluster.join(user._worker, {"sandbox": SLOTS})
        return user

    def once(self) -> plans.Operations:
        """Return every operation, to be done once."""
        return {name: operation for name, (operation, _) in self.operations.items()} | {
            "submit": lambda: self._submit(1),
            "end": self._end,
            "admit and claim": self._admit,
            "start": self._start,
        }

    # --- reads ----------------------------------------------------------------------------------

    def _some_copy(self) -> tuple[str, str]:
        """Return the id and the key of a task drawn by chance."""
        n = self._chance.randrange(ORIGINALS)
        number = self._chance.randint(1, self._copies) * ORIGINALS + n + 1
        original = self._originals[n]
        return f"task_{number:010d}{original.id[15:]}", original.key_id

    async def poll(self) -> None:
        task_id, _ = self._some_copy()
        if await self._store.task(task_id) is None:
            raise BenchmarkFailed(f"there is no task {task_id}")

    async def list(self, **filters: object) -> None:
        _, key_id = self._some_copy()
        await self._store.tasks(TaskQuery(key_id=key_id, **filters))  # type: ignore[arg-type]

    async def list_deep(self) -> None:
        task_id, key_id = self._some_copy()
        await self._store.tasks(TaskQuery(key_id=key_id, after=task_id))

    # --- changes --------------------------------------------------------------------------------

    async def live(self) -> Mapping[str, float]:
        """End some tasks, admit as many, start them, submit as many; return microseconds for each."""
        took: dict[str, float] = {}
        for name, step in (("end", self._end), ("admit and claim", self._admit), ("start", self._start)):
            began = time.perf_counter()
            done = await step()
            took[name] = 1e6 * (time.perf_counter() - began) / done
        began = time.perf_counter()
        await self._submit(AT_ONCE)
        took["submit"] = 1e6 * (time.perf_counter() - began) / AT_ONCE
        return took

    async def keep_waiting(self) -> None:
        """Have as many tasks wait as shall, and as many run as can."""
        standing = await self._store.standing()
        await self._submit(WAITING + SLOTS - standing.waiting)
        await self._admit()
        await self._start()

    async def end_all(self) -> None:
        """End what runs: another store must find all slots free."""
        while self._running:
            await self._end()
        if self._cluster is not None:
            await self._cluster.leave(self._worker)

    async def _submit(self, count: int) -> int:
        await self._commit([submission_of(task, claims=(_claim(task),)) for task in self._new(count)])
        return count

    def _new(self, count: int) -> Iterator[Task]:
        for _ in range(count):
            now = datetime.now(UTC)
            original = self._chance.choice(self._originals)
            task_id = ids.task_id(now, os.urandom(ids.ENTROPY_BYTES))
            yield replace(
                original,
                id=task_id,
                out_task_id=task_id,
                created_at=now,
                updated_at=now,
                deadline_at=now + timedelta(hours=6),
                started_at=None,
                finished_at=None,
                result_expires_at=None,
                status=Status.QUEUED,
                phase=None,
                version=1,
                attempt=0,
                progress=0,
                charged=0,
                outputs=(),
            )

    async def _admit(self) -> int:
        jobs: Sequence[Job] = await self._store.admit(datetime.now(UTC))
        if self._cluster is not None:
            jobs = await self._cluster.claim(self._worker, "sandbox", most=SLOTS)
        self._admitted += jobs
        if not self._admitted:
            raise BenchmarkFailed("nobody was admitted")
        return len(self._admitted)

    async def _start(self) -> int:
        started = []
        jobs, self._admitted = self._admitted, []
        tasks = await asyncio.gather(*(self._store.task(job.task_id) for job in jobs))
        for job, task in zip(jobs, tasks, strict=True):
            assert task is not None, "it was just admitted"
            now = datetime.now(UTC)
            attempt = Attempt(task_id=task.id, n=1, provider="sandbox", intent_at=now)
            running = replace(task.to(Status.RUNNING, at=now), phase=Phase.SUBMITTING, attempt=1)
            started.append((task, running, attempt, job.lease_no))
        await self._commit(
            [advance(task, running, lease_no=no, attempts=(one,)) for task, running, one, no in started]
        )
        self._running += [(running, attempt, no) for _, running, attempt, no in started]
        return len(started)

    async def _end(self) -> int:
        ending, self._running = self._running[:AT_ONCE], self._running[AT_ONCE:]
        changes = []
        for task, attempt, lease_no in ending:
            now = datetime.now(UTC)
            ended = replace(
                task.to(Status.SUCCEEDED, at=now),
                outputs=self._originals[0].outputs,
                progress=100,
                charged=task.quote.amount,
                result_expires_at=now + timedelta(days=30),
            )
            closed = attempt.close(Outcome.SUCCEEDED, at=now)
            changes.append(advance(task, ended, lease_no=lease_no, attempts=(closed,)))
        await self._commit(changes)
        return len(ending)

    async def _commit(self, changes: Sequence[Change]) -> None:
        for n in range(0, len(changes), AT_ONCE):
            outcomes = await asyncio.gather(*map(self._store.commit, changes[n : n + AT_ONCE]))
            for outcome in outcomes:
                if not isinstance(outcome, Committed):
                    raise BenchmarkFailed(f"a change was not saved: {outcome}")
                if self._cluster is None:  # where there is one, they are claimed
                    self._admitted += outcome.jobs


@contextmanager
def _wal(database: Database) -> Iterator[Callable[[], float]]:
    """Give a function that returns how many bytes of log were written since."""
    if isinstance(database, Postgres):
        ((began,),) = database.rows("SELECT pg_current_wal_lsn()::text")
        yield lambda: float(database.rows(f"SELECT pg_current_wal_lsn() - '{began}'::pg_lsn")[0][0])
        return
    assert isinstance(database, Sqlite), "there are two kinds"
    # A checkpoint would begin the file anew.
    database.each_connection(lambda db: db.wal_autocheckpoint(0))
    database.each_connection(lambda db: db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE))
    log = database.path.with_name(f"{database.path.name}-wal")
    yield lambda: float(log.stat().st_size)
    database.each_connection(lambda db: db.wal_autocheckpoint(4000))


def _bytes_by_part(database: Database) -> dict[str, float]:
    """Return what a task takes on the disk, all its rows together; and of that, an event."""
    ((tasks, events),) = database.rows("SELECT (SELECT count(*) FROM tasks), (SELECT count(*) FROM events)")
    if isinstance(database, Postgres):
        found = database.rows(
            "SELECT sum(pg_table_size(oid)), sum(pg_indexes_size(oid)), pg_total_relation_size('events') "
            "FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        )
        ((table, index, of_events),) = found
        return {
            "bytes for each task": float(table + index) / tasks,
            "of these, indexes": float(index) / tasks,
            "an event": float(of_events) / events,
        }
    ((pages, page_bytes),) = database.rows(
        "SELECT page_count, page_size FROM pragma_page_count, pragma_page_size"
    )
    return {"bytes for each task": pages * page_bytes / tasks}


def _claim(task: Task) -> Claim:
    return Claim(
        key_id=task.key_id, namespace=Namespace.OUT_TASK_ID, token=task.id, fingerprint=task.fingerprint
    )


# --- what it comes to ---------------------------------------------------------------------------


def _figures(store: str, grown: Sequence[_Size]) -> list[Figure]:
    figures = []
    for name in grown[0].took_us:
        figures += [
            Figure(
                what=f"{store}, {name}, {size.tasks:,} tasks"
                if size is grown[0]
                else f"  {size.tasks:,} tasks",
                unit="µs",
                values=tuple(size.took_us[name]),
            )
            for size in grown
        ]
    largest = grown[-1]
    figures.append(
        Figure(what=f"{store}, the log (WAL) of a task's life", unit="bytes", values=(largest.wal_bytes,))
    )
    figures += [
        Figure(what=f"{store}, on the disk: {part}", unit="bytes", values=(value,))
        for part, value in largest.bytes_by_part.items()
    ]
    filled = tuple(size.filled_s for size in grown[-1:])
    return [*figures, Figure(what=f"{store}, to fill in the last nine tenths", unit="s", values=filled)]


def _draw(store: str, grown: Sequence[_Size]) -> None:
    lines = {
        name: [(float(size.tasks), median(size.took_us[name])) for size in grown] for name in grown[0].took_us
    }
    charts.draw(
        IMAGES / f"growth-{store.lower()}.svg",
        f"Microseconds for an operation as the tables grow, {store}",
        lines,
        x="tasks stored",
    )


def _check(planned: Mapping[str, plans.Plans]) -> None:
    wrong = [
        f"{store}, {operation}: {', '.join(plan.wholly)} wholly read by {plan.statement}\n{plan.steps}"
        for store, by_operation in planned.items()
        for operation, of_one in by_operation.items()
        for plan in of_one
        if plan.wholly
    ]
    if wrong:
        raise BenchmarkFailed("a growing table is read from the first row to the last:\n" + "\n".join(wrong))
