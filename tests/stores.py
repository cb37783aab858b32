"""What tests of a store do again and again: fund an account, submit, run, end, audit."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from filmgate.core import ledger
from filmgate.core.attempt import Attempt, Outcome
from filmgate.core.change import Change, Claim, Namespace, advance, aside, submission
from filmgate.core.errors import FilmgateError
from filmgate.core.ledger import Account, Finding
from filmgate.core.pricing import Quote, Unit
from filmgate.core.task import Phase, Route, Status, Task
from filmgate.ports.store import Committed, Refused, Store
from filmgate.ports.store import Outcome as Answer
from tests.fakes import NOON, a_task


def an_order(
    name: str = "ada", n: int = 1, *, price: int = 10, provider: str = "sandbox", **changes: object
) -> Task:
    """Return task number `n`, new, of somebody's account, at a price in micro-credits."""
    return a_task(
        n=n,
        account_id=f"acct_{name}",
        key_id=f"key_{name}",
        route=Route(provider=provider),
        quote=Quote(unit=Unit.SECOND, rate=price, units=1),
        **changes,  # type: ignore[arg-type]
    )


def a_claim(
    task: Task,
    token: str = "mine",
    *,
    namespace: Namespace = Namespace.OUT_TASK_ID,
    expires_at: datetime | None = None,
) -> Claim:
    """Return the claim of `task` to an idempotency key."""
    return Claim(
        key_id=task.key_id,
        namespace=namespace,
        token=token,
        fingerprint=task.fingerprint,
        expires_at=expires_at,
    )


async def fund(store: Store, *names: str, amount: int = 1_000_000) -> None:
    """Open an account for each of `names` and give it `amount` micro-credits."""
    for name in names:
        account = Account(id=f"acct_{name}", name=name)
        gift = ledger.grant(account.id, amount, unique=name, at=NOON)
        await committed(store, Change(accounts=(account,), transfers=(gift,)))


async def committed(store: Store, change: Change) -> Committed:
    """Commit what must not be refused."""
    answer = await store.commit(change)
    assert isinstance(answer, Committed), answer
    return answer


async def refusal(store: Store, change: Change) -> FilmgateError:
    """Commit what must be refused, and return why it was."""
    answer = await store.commit(change)
    assert isinstance(answer, Refused), answer
    return answer.error


async def submit(store: Store, task: Task, *claims: Claim) -> Answer:
    """Submit a new task."""
    return await store.commit(submission(task, claims=claims))


async def send(store: Store, task: Task, *, lease_no: int | None = None) -> Task:
    """Save the intent to send an admitted task upstream, and return the task running."""
    attempt = (await store.attempts(task.id))[-1]
    at = task.updated_at + timedelta(seconds=1)
    after = replace(task.to(Status.RUNNING, at=at), phase=Phase.SUBMITTING, attempt=attempt.n)
    intent = replace(attempt, intent_at=at)
    await committed(store, advance(task, after, lease_no=lease_no, attempts=(intent,)))
    return after


def ended(task: Task, status: Status, *, charged: int | None = None) -> Task:
    """Return `task` at its end; a success is billed in full unless `charged` says less."""
    after = task.to(status, at=task.updated_at + timedelta(seconds=1))
    if status is Status.SUCCEEDED:
        return replace(after, progress=100, charged=task.quote.amount if charged is None else charged)
    return after


async def end(store: Store, task: Task, status: Status = Status.SUCCEEDED) -> Task:
    """End a task and close all its attempts, and return it as it then is."""
    after = ended(task, status)
    closed = tuple(
        one.close(Outcome.SUCCEEDED, at=after.updated_at)
        for one in await store.attempts(task.id)
        if one.intent_at is not None
    )
    await committed(store, advance(task, after, attempts=closed))
    return after


async def close_attempt(store: Store, attempt: Attempt, outcome: Outcome = Outcome.CANCELLED) -> None:
    """Close an attempt aside from its task."""
    await committed(store, aside(attempt.close(outcome, at=NOON)))


async def available(store: Store, name: str = "ada") -> int:
    """Return what somebody's new tasks can still hold."""
    account = await store.account(f"acct_{name}")
    assert account is not None
    return account.available


async def findings(store: Store) -> list[Finding]:
    """Return all that the audit finds wrong."""
    books = await store.books()
    return list(ledger.audit(books.accounts, books.rows, books.tasks))


async def started(store: Store, task_ids: Iterable[str]) -> set[str]:
    """Return which of the tasks have been admitted."""
    return {task_id for task_id in task_ids if await store.attempts(task_id)}
