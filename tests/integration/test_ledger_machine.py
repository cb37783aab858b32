"""L-1: whatever is done to a real store, in whatever order, money and slots are what a model says.

Two models: `MemoryStore` says what each change is answered and what is there afterwards, and plain
sums, which share nothing with our code, say what each account must hold.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Coroutine
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import apsw
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from filmgate.core import ledger
from filmgate.core.admission import Limits
from filmgate.core.attempt import Attempt, Outcome
from filmgate.core.change import Change, Claim, advance, aside, submission
from filmgate.core.task import Status, Task
from filmgate.ports.store import Committed, Refused, Replayed
from filmgate.ports.store import Outcome as Answer
from filmgate.store.sqlite import DATABASE, SqliteStore
from tests.fakes import NOON, MemoryStore
from tests.stores import a_claim, an_order, ended, findings, fund

# `LEDGER_HISTORIES=1000` for a long run; the default takes some ten seconds.
HISTORIES = int(os.environ.get("LEDGER_HISTORIES", "40"))
STEPS = 40

NAMES = ["ada", "ben"]
LIMITS = Limits(account_concurrency=2, account_queue=3, total_queue=5, provider_slots={"sandbox": 3})
T = TypeVar("T")


class LedgerMachine(RuleBasedStateMachine):
    """One store on disk, and beside it what it must be like."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.directory = Path(tempfile.mkdtemp())
        self.store = SqliteStore.open(self.directory, limits=LIMITS, serving=True)
        self.model = MemoryStore(LIMITS)
        self.granted = dict.fromkeys(NAMES, 0)
        self.open: dict[str, Task] = {}
        self.ended: dict[str, Task] = {}
        self.n = 0

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def commit(self, change: Change) -> Answer:
        """Commit to both, and see that both say the same."""
        real, expected = self.wait(self.store.commit(change)), self.wait(self.model.commit(change))
        self.agree(real, expected)
        if isinstance(real, Committed) and change.task is not None:
            self.note(change.task)
        return real

    def agree(self, real: Answer, expected: Answer) -> None:
        if isinstance(expected, Refused):
            assert isinstance(real, Refused), f"{real}, and not {expected}"
            assert type(real.error) is type(expected.error)
        else:
            assert real == expected

    def note(self, task: Task) -> None:
        self.open.pop(task.id, None)
        (self.ended if task.ended else self.open)[task.id] = task

    def teardown(self) -> None:
        self.wait(self.store.close())
        self.loop.close()
        shutil.rmtree(self.directory)

    # --- what happens -----------------------------------------------------------------------

    @initialize(amount=st.integers(0, 100))
    def accounts(self, amount: int) -> None:
        for store in (self.store, self.model):
            self.wait(fund(store, *NAMES, amount=amount))
        self.granted = dict.fromkeys(NAMES, amount)

    @rule(name=st.sampled_from(NAMES), amount=st.integers(1, 50))
    def grant(self, name: str, amount: int) -> None:
        self.n += 1
        gift = ledger.grant(f"acct_{name}", amount, unique=f"gift {self.n}", at=NOON)
        assert isinstance(self.commit(Change(transfers=(gift,))), Committed)
        assert isinstance(self.commit(Change(transfers=(gift,))), Refused)
        self.granted[name] += amount

    @rule(
        name=st.sampled_from(NAMES),
        price=st.integers(0, 40),
        priority=st.integers(0, 1),
        token=st.none() | st.sampled_from(["x", "y"]),
        fingerprint=st.sampled_from(["1:00", "1:00", "1:11"]),
    )
    def submit(self, name: str, price: int, priority: int, token: str | None, fingerprint: str) -> None:
        self.n += 1
        at = NOON + timedelta(seconds=self.n)
        task = an_order(name, self.n, price=price, priority=priority, created_at=at, fingerprint=fingerprint)
        claims: tuple[Claim, ...] = (a_claim(task, token),) if token else ()
        before = self.granted.copy()
        answer = self.commit(submission(task, claims=claims))
        if isinstance(answer, Replayed):
            known = {**self.open, **self.ended}
            assert answer.task == known[answer.task.id]
        assert before == self.granted

    @rule()
    def admit(self) -> None:
        self.n += 1
        at = NOON + timedelta(seconds=self.n)
        assert self.wait(self.store.admit(at)) == self.wait(self.model.admit(at))

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def send(self, data: st.DataObject) -> None:
        task = data.draw(st.sampled_from(list(self.open.values())))
        attempts = self.attempts(task)
        if task.status is Status.QUEUED and attempts:
            intent = replace(attempts[-1], intent_at=NOON)
            self.commit(advance(task, task.to(Status.RUNNING, at=NOON), attempts=(intent,)))

    @precondition(lambda self: self.open)
    @rule(data=st.data(), part=st.integers(0, 100), closes=st.booleans())
    def succeed(self, data: st.DataObject, part: int, *, closes: bool) -> None:
        task = data.draw(st.sampled_from(list(self.open.values())))
        if task.status is Status.RUNNING:
            self.commit(self.success(task, part=part, closes=closes))

    @precondition(lambda self: self.open)
    @rule(data=st.data(), status=st.sampled_from([Status.FAILED, Status.CANCELLED]))
    def stop(self, data: st.DataObject, status: Status) -> None:
        task = data.draw(st.sampled_from(list(self.open.values())))
        self.commit(advance(task, ended(task, status)))

    @precondition(lambda self: self.open)
    @rule(data=st.data(), cancel_first=st.booleans())
    def race(self, data: st.DataObject, *, cancel_first: bool) -> None:
        task = data.draw(st.sampled_from(list(self.open.values())))
        if task.status is not Status.RUNNING:
            return
        racers = [advance(task, ended(task, Status.CANCELLED)), self.success(task, part=100, closes=True)]
        racers = racers if cancel_first else racers[::-1]

        async def both() -> list[Answer]:
            return await asyncio.gather(*(self.store.commit(racer) for racer in racers))

        real = self.wait(both())
        for racer, answer in zip(racers, real, strict=True):
            self.agree(answer, self.wait(self.model.commit(racer)))
        winners = [r.task for r, a in zip(racers, real, strict=True) if isinstance(a, Committed)]
        assert len(winners) == 1
        assert winners[0] is not None
        self.note(winners[0])

    @precondition(lambda self: self.ended)
    @rule(data=st.data(), status=st.sampled_from([Status.SUCCEEDED, Status.CANCELLED]))
    def resolve_again(self, data: st.DataObject, status: Status) -> None:
        task = data.draw(st.sampled_from(list(self.ended.values())))
        again = ledger.resolve(replace(task, status=status, charged=task.quote.amount))
        assert isinstance(self.commit(Change(transfers=(again,))), Refused)
        before = replace(task, version=task.version - 1)
        assert isinstance(self.commit(replace(advance(before, task), transfers=(again,))), Refused)

    @precondition(lambda self: self.ended)
    @rule(data=st.data())
    def close_late(self, data: st.DataObject) -> None:
        task = data.draw(st.sampled_from(list(self.ended.values())))
        for attempt in self.attempts(task):
            self.commit(aside(replace(attempt, closed_at=None).close(Outcome.CANCELLED, at=NOON)))

    @rule()
    def take_over(self) -> None:
        assert self.wait(self.store.take_over()) == self.wait(self.model.take_over())

    @rule()
    def restart(self) -> None:
        self.wait(self.store.close())
        self.store = SqliteStore.open(self.directory, limits=LIMITS, serving=True)

    def success(self, task: Task, *, part: int, closes: bool) -> Change:
        after = ended(task, Status.SUCCEEDED, charged=task.quote.amount * part // 100)
        closed = tuple(one.close(Outcome.SUCCEEDED, at=NOON) for one in self.attempts(task) if closes)
        return advance(task, after, attempts=closed)

    def attempts(self, task: Task) -> list[Attempt]:
        return list(self.wait(self.store.attempts(task.id)))

    # --- what is true after every step --------------------------------------------------------

    @invariant()
    def every_balance_is_the_sum_of_what_happened(self) -> None:
        for name in NAMES:
            account = self.wait(self.store.account(f"acct_{name}"))
            if account is None:  # nobody has an account yet
                return
            billed = sum(task.charged for task in self.ended.values() if task.account_id == account.id)
            held = sum(task.quote.amount for task in self.open.values() if task.account_id == account.id)
            assert (account.balance, account.held) == (self.granted[name] - billed, held)
            assert account.balance >= account.held >= 0
            assert account == self.wait(self.model.account(account.id))

    @invariant()
    def the_audit_finds_nothing(self) -> None:
        assert not self.wait(findings(self.store))

    @invariant()
    def every_task_and_attempt_is_as_the_model_says(self) -> None:
        for task in [*self.open.values(), *self.ended.values()]:
            assert self.wait(self.store.task(task.id)) == task
            assert self.attempts(task) == self.wait(self.model.attempts(task.id))
            assert len(self.wait(self.store.events(task.id))) == task.version

    @invariant()
    def counters_and_jobs_are_what_the_rows_say(self) -> None:
        db = apsw.Connection(str(self.directory / DATABASE), flags=apsw.SQLITE_OPEN_READONLY)
        wrong = {what: db.execute(query).fetchall() for what, query in CONTRADICTIONS.items()}
        db.close()

        assert not any(wrong.values()), wrong


# Each finds rows that say something else than the rows they are counted from.
CONTRADICTIONS = {
    "account slots": """
        SELECT id, slots FROM accounts WHERE slots != (
            SELECT count(*) FROM tasks WHERE account_id = accounts.id AND admitted = 1)""",
    "account queue": """
        SELECT id, waiting FROM accounts WHERE waiting != (
            SELECT count(*) FROM tasks WHERE account_id = accounts.id AND waiting = 1)""",
    "provider slots": """
        SELECT provider, used FROM provider_slots WHERE used != (
            SELECT count(*) FROM attempts WHERE provider = provider_slots.provider AND closed_at IS NULL)""",
    "provider queue": """
        SELECT provider, waiting FROM provider_slots WHERE waiting != (
            SELECT count(*) FROM tasks WHERE provider = provider_slots.provider AND waiting = 1)""",
    "admitted or waiting": """
        SELECT id FROM tasks WHERE admitted + waiting != (status IN ('queued', 'running'))""",
    "caps": """
        SELECT id FROM accounts WHERE slots > 2 OR waiting > 3
        UNION SELECT provider FROM provider_slots WHERE used > 3 OR waiting > 5""",
    "jobs": """
        SELECT id FROM tasks WHERE (id IN (SELECT task_id FROM jobs)) != (
            admitted = 1 OR EXISTS (SELECT 1 FROM attempts WHERE task_id = id AND closed_at IS NULL))""",
    "versions": """
        SELECT id FROM tasks WHERE version != (SELECT max(seq) FROM events WHERE task_id = id)""",
}

LedgerMachine.TestCase.settings = settings(
    max_examples=HISTORIES, stateful_step_count=STEPS, deadline=None, print_blob=True
)
TestLedger = LedgerMachine.TestCase
