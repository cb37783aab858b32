"""A world to run tasks in: a real store, a provider that follows a script, and death at any step."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from filmgate.blobs.local import LocalBlobs
from filmgate.core.admission import Limits
from filmgate.core.attempt import Attempt
from filmgate.core.catalogue import Catalogue
from filmgate.core.change import Change
from filmgate.core.errors import RemoteLost, StoreUnavailable
from filmgate.core.generation import Generation, MediaKind, OutputKind
from filmgate.core.keys import Key
from filmgate.core.task import Status, Task
from filmgate.core.wish import Wish, fulfil
from filmgate.ports import Backend, Ports
from filmgate.ports.blobs import Blob
from filmgate.ports.dispatch import Dispatch
from filmgate.ports.provider import (
    Capabilities,
    ClientReference,
    Failed,
    Made,
    RemoteId,
    Report,
    Running,
    Succeeded,
)
from filmgate.ports.signals import Signals
from filmgate.ports.store import Job, Store
from filmgate.ports.store import Outcome as Answer
from filmgate.service.run_task import run_task
from filmgate.service.submit_task import SubmitTask, submit_task
from filmgate.store.postgres import PostgresStore
from filmgate.store.postgres.connection import Database
from filmgate.store.sqlite import SqliteStore
from tests.fakes import (
    MODELS,
    NOON,
    CountingEntropy,
    ManualClock,
    MemoryBlobs,
    MemoryIntake,
    MemorySender,
    SilentDispatch,
)
from tests.stores import findings, fund

FUNDS: Final = 100_000_000
PRICE: Final = 5_000_000  # of five seconds by `studio`
LIMITS: Final = Limits(account_concurrency=1_000, provider_slots={"studio": 1_000, "sandbox": 1_000})
STUDIO: Final = next(model for model in MODELS if model.id == "studio")

Hook = Callable[[], Awaitable[object]]


class Died(BaseException):
    """The process is gone: nothing may catch this."""


class Fate:
    """Counts the steps at which a process may die, and lets it die at one of them."""

    def __init__(self) -> None:
        self.steps = 0
        self.dies_at = 0

    def decide(self, *, dies_at: int) -> None:
        """Begin to count anew; 0 is to live."""
        self.steps, self.dies_at = 0, dies_at

    def step(self) -> None:
        self.steps += 1
        if self.steps == self.dies_at:
            raise Died


class Mortal:
    """Comes before a real store: the process may die before each call, and right after it was done.

    The next `failures` commits find the disk full, and so does commit number `fails_at`.
    """

    fate: Fate
    failures = 0
    fails_at = 0

    async def commit(self, change: Change) -> Answer:
        self.fate.step()
        self.fails_at -= 1
        if self.fails_at == 0 or self.failures > 0:
            self.failures -= self.failures > 0
            raise StoreUnavailable("the disk is full")
        answer: Answer = await super().commit(change)  # type: ignore[misc]
        self.fate.step()
        return answer

    async def task(self, task_id: str) -> Task | None:
        self.fate.step()
        found: Task | None = await super().task(task_id)  # type: ignore[misc]
        return found

    async def attempts(self, task_id: str) -> Sequence[Attempt]:
        self.fate.step()
        found: Sequence[Attempt] = await super().attempts(task_id)  # type: ignore[misc]
        return found


class MortalSqlite(Mortal, SqliteStore):
    """The store on SQLite, and the process that has it may die."""


class MortalPostgres(Mortal, PostgresStore):
    """The store on PostgreSQL, and the process that has it may die."""


MortalStore = MortalSqlite | MortalPostgres
Place = Path | str  # a directory for SQLite, or the URL of a PostgreSQL database with our schema


def open_mortal(place: Place, *, limits: Limits) -> MortalStore:
    """Open the store that is kept there."""
    if isinstance(place, str):
        return MortalPostgres(Database(place), limits=limits)
    store = MortalSqlite.open(place, limits=limits, serving=True)
    assert isinstance(store, MortalSqlite)
    return store


class MortalBlobs(MemoryBlobs):
    """Blobs in memory; the process may die before and after each copy."""

    def __init__(self, fate: Fate) -> None:
        super().__init__()
        self.fate = fate

    async def keep(self, path: Path) -> Blob:
        self.fate.step()
        blob = await super().keep(path)
        self.fate.step()
        return blob


class MortalIntake(MemoryIntake):
    """A web in memory; the process may die before and after each fetch. `hangs` never answers."""

    def __init__(self, fate: Fate) -> None:
        super().__init__()
        self.fate = fate
        self.hangs = False
        self.given_up = 0

    async def fetch(self, url: str, into: Path, *, kind: MediaKind) -> None:
        self.fate.step()
        if self.hangs:
            try:
                await asyncio.Event().wait()
            finally:
                self.given_up += 1
        await super().fetch(url, into, kind=kind)
        self.fate.step()


@dataclass(slots=True)
class Work:
    """One thing that was started upstream, and what it still has to say."""

    reference: str
    reports: list[Report]

    def next(self) -> Report:
        return self.reports.pop(0) if len(self.reports) > 1 else self.reports[0]


CANCELLED: Final = Failed(code="cancelled", reason="it was cancelled")


@dataclass(slots=True)
class ScriptedProvider:
    """Follows a script. `refusals` come first, one per submission; then work starts and reports.

    With `idempotent` the same reference again finds the same work, even an unknown one anew;
    otherwise every submission starts something. `starts` notes each start by its reference.
    """

    fate: Fate
    reports: list[Report]
    idempotent: bool = True
    refusals: list[Exception] = field(default_factory=list)
    unclear: list[Exception] = field(default_factory=list)  # raised after the work was started
    poll_errors: list[Exception] = field(default_factory=list)
    starts: list[str] = field(default_factory=list)
    inputs: list[list[bytes]] = field(default_factory=list)  # what each submission brought
    works: dict[RemoteId, Work] = field(default_factory=dict)
    cancelled: list[RemoteId] = field(default_factory=list)
    stoppable: bool = True
    before_submit: Hook | None = None
    during_submit: Hook | None = None
    during_poll: Hook | None = None

    async def start(self) -> None:
        """There is nothing to make ready."""

    async def submit(
        self, generation: Generation, *, reference: str, inputs: Sequence[Path] = ()
    ) -> RemoteId:
        self.fate.step()
        self.inputs.append([path.read_bytes() for path in inputs])
        if self.before_submit is not None:
            await self.before_submit()
        if self.refusals:
            raise self.refusals.pop(0)
        remote_id = RemoteId(reference if self.idempotent else f"remote-{len(self.starts) + 1}")
        if remote_id not in self.works:
            self.starts.append(reference)
            self.works[remote_id] = Work(reference, list(self.reports))
        if self.during_submit is not None:
            await self.during_submit()
        self.fate.step()
        if self.unclear:
            raise self.unclear.pop(0)
        return remote_id

    async def poll(self, remote_id: RemoteId) -> Report:
        self.fate.step()
        if self.during_poll is not None:
            await self.during_poll()
        if self.poll_errors:
            raise self.poll_errors.pop(0)
        if remote_id not in self.works:
            raise RemoteLost("never heard of it")
        report = self.works[remote_id].next()
        self.fate.step()
        return report

    async def cancel(self, remote_id: RemoteId) -> None:
        self.fate.step()
        self.cancelled.append(remote_id)
        if remote_id in self.works and self.stoppable:
            self.works[remote_id].reports = [CANCELLED]
        self.fate.step()

    async def forget(self, remote_id: RemoteId) -> None:
        self.fate.step()

    async def close(self) -> None:
        """Nothing is left behind."""


class ClockSignals:
    """Every wait is over at once, and the clock has moved on by it; `hooks` happen one a wait."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.hooks: list[Hook] = []
        self.told: set[str] = set()
        self.waits: list[float] = []

    def tell(self, task_id: str) -> None:
        self.told.add(task_id)

    def watch(self, task_id: str, wake: Callable[[], None]) -> Callable[[], None]:
        raise NotImplementedError("nothing that runs a task watches")

    async def wait(self, task_id: str, *, timeout_s: float) -> bool:
        self.told.clear()
        self.waits.append(timeout_s)
        await asyncio.sleep(0)
        if self.hooks:
            await self.hooks.pop(0)()
        if task_id in self.told:
            return True
        self.clock.advance(timeout_s)
        return False


@dataclass(slots=True, kw_only=True)
class Stage:
    """One world, its provider called `studio`, and ada with a hundred credits."""

    ports: Ports
    store: MortalStore
    provider: ScriptedProvider
    intake: MortalIntake
    clock: ManualClock
    signals: ClockSignals
    fate: Fate

    async def submit(self, prompt: str = "a lighthouse", **more: object) -> Task:
        """Submit five seconds for 5 credits, and return the task."""
        command = a_submission(prompt, **more)
        return (await submit_task(self.ports, command)).task

    async def live(self, *, dies_at: int = 0) -> bool:
        """Be one process: take over and run everything there is; False if it died at that step."""
        self.fate.decide(dies_at=dies_at)
        try:
            for job in await self.store.take_over():
                await run_task(self.ports, job)
        except Died:
            return False
        finally:
            self.fate.dies_at = 0
        return True

    async def task(self, task_id: str) -> Task:
        """Return a task as it is stored."""
        task = await self.store.task(task_id)
        assert task is not None
        return task

    async def check_end_of(self, task_id: str) -> Task:
        """See that a task has ended as it must, whatever happened to it, and return it."""
        task = await self.task(task_id)
        attempts = await self.store.attempts(task_id)
        account = await self.store.account("acct_ada")
        assert account is not None
        assert task.ended
        assert all(attempt.closed_at is not None for attempt in attempts)
        assert not await self.store.take_over(), "no job is left"
        assert not await findings(self.store)
        assert account.held == 0
        assert account.balance == FUNDS - (PRICE if task.status is Status.SUCCEEDED else 0)
        events = await self.store.events(task_id)
        assert [event.seq for event in events] == list(range(1, task.version + 1))
        progress = [event.progress for event in events]
        assert progress == sorted(progress), "progress never goes back"
        assert max(Counter(self.provider.starts).values(), default=0) <= 1, "each reference starts one work"
        return task


async def a_stage(
    place: Place,
    *reports: Report,
    idempotent: bool = True,
    refusals: Sequence[Exception] = (),
    limits: Limits = LIMITS,
) -> Stage:
    """Return a world over the store in `place`, with a provider of this script."""
    fate, clock = Fate(), ManualClock()
    signals = ClockSignals(clock)
    store = open_mortal(place, limits=limits)
    store.fate = fate
    await fund(store, "ada", amount=FUNDS)
    provider = ScriptedProvider(
        fate=fate,
        reports=list(reports) or [a_success()],
        idempotent=idempotent,
        refusals=list(refusals),
    )
    ports = some_ports(store, {"studio": a_backend(provider)}, clock=clock, signals=signals)
    intake = MortalIntake(fate)
    ports = replace(ports, blobs=MortalBlobs(fate), media=intake)
    return Stage(
        ports=ports,
        store=store,
        provider=provider,
        intake=intake,
        clock=clock,
        signals=signals,
        fate=fate,
    )


async def a_film_in(data: Path, *, at: datetime) -> Task:
    """Leave a data directory with one film in it, finished then, which nobody serves; return its task."""
    data.mkdir(mode=0o700)  # noqa: ASYNC240  (nobody waits for it)
    stage = await a_stage(data)
    stage.clock.at = at
    stage.ports = replace(stage.ports, blobs=LocalBlobs(data / "blobs", now=stage.clock.now))
    task = await stage.submit()
    await stage.live()
    ended = await stage.task(task.id)
    await stage.store.close()
    return ended


def a_backend(provider: ScriptedProvider, *, poll_interval_s: float = 0) -> Backend:
    """Return the provider as one of its capability class."""
    reference = ClientReference.IDEMPOTENT if provider.idempotent else ClientReference.NONE
    return Backend(
        provider=provider,
        capabilities=Capabilities(
            client_reference=reference,
            media=frozenset(MediaKind),
            cancels=True,
            poll_interval_s=poll_interval_s,
        ),
    )


def some_ports(
    store: Store,
    providers: dict[str, Backend],
    *,
    clock: ManualClock,
    signals: Signals,
    dispatch: Dispatch | None = None,
) -> Ports:
    """Return all of the outside around a store and its providers."""
    return Ports(
        store=store,
        dispatch=dispatch or SilentDispatch(),
        signals=signals,
        blobs=MemoryBlobs(),
        media=MemoryIntake(),
        sender=MemorySender(),
        clock=clock,
        entropy=CountingEntropy(),
        catalogue=Catalogue(models=MODELS, providers=frozenset(providers), fallback=True),
        providers=providers,
    )


def a_key(name: str = "ada") -> Key:
    """Return somebody's key."""
    return Key(
        id=name, identity=f"key_{name}", account_id=f"acct_{name}", name=name, hash=b"", created_at=NOON
    )


def a_submission(prompt: str = "a lighthouse", **more: object) -> SubmitTask:
    """Return a submission of five seconds for 5 credits; `more` overrules its fields."""
    command = SubmitTask(
        key=a_key(),
        dialect="loova",
        model=STUDIO,
        model_name="studio",
        generation=fulfil(STUDIO, Wish(prompt=prompt)),
    )
    return replace(command, **more)  # type: ignore[arg-type]


def a_success() -> Succeeded:
    """Return a report of one finished film: this very file, for want of a better one."""
    made = Made(kind=OutputKind.VIDEO, source=Path(__file__), mime="video/mp4", width=1280, height=720)
    return Succeeded(made=(made,), upstream_cost="0.25 USD")


def job_of(task: Task, lease_no: int = 1) -> Job:
    """Return the job of an admitted task."""
    return Job(task_id=task.id, lease_no=lease_no)


def running(progress: int) -> Running:
    """Return a report of work that goes on."""
    return Running(progress=progress)
