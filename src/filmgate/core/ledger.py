"""Credits: double entry, integer micro-credits, holds that are resolved at most once.

A transfer has one debit and one credit account, so no entry can be unbalanced. A *hold* reserves;
it is *posted*, in whole or in part, or *voided*; a deterministic id makes each unique per task.
Rows are never changed or deleted, and each account's rows form a chain of hashes.
"""

import hashlib
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple

from filmgate.core.errors import InsufficientCredits, InvalidRequest
from filmgate.core.task import Status, Task

FUNDING: Final = "house:funding"  # where credits given to accounts come from
REVENUE: Final = "house:revenue"  # where billed credits go

GENESIS: Final = b"\0" * 32
MOST: Final = 2**62  # micro-credits in one amount or balance: well within a 64-bit column


class TransferKind(StrEnum):
    """What a transfer does."""

    GRANT = "grant"
    HOLD = "hold"
    POST = "post"
    VOID = "void"


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """One row of the ledger: `amount` moves from `debit` to `credit`, or is reserved to.

    `releases` is the part of the account's held credits that a post or void sets free.
    `account_id` is the customer's account, whose chain the row belongs to.
    """

    id: str
    kind: TransferKind
    account_id: str
    debit: str
    credit: str
    amount: int
    at: datetime
    releases: int = 0
    task_id: str | None = None
    memo: str = ""

    def __post_init__(self) -> None:
        """Refuse what could never be a transfer."""
        if not (0 <= self.amount <= MOST and 0 <= self.releases <= MOST):
            raise InvalidRequest(f"{self.amount} is not an amount of micro-credits")


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A customer's account: `balance` and `held` in micro-credits, and the end of its chain."""

    id: str
    name: str
    balance: int = 0
    held: int = 0
    chain_seq: int = 0
    chain_head: bytes = GENESIS

    @property
    def available(self) -> int:
        """What new tasks can still hold."""
        return self.balance - self.held


def grant(account_id: str, amount: int, *, unique: str, at: datetime, memo: str = "") -> Transfer:
    """Return the transfer that gives `amount` to an account; `unique` names this one gift."""
    return Transfer(
        id=f"grant_{unique}",
        kind=TransferKind.GRANT,
        account_id=account_id,
        debit=FUNDING,
        credit=account_id,
        amount=amount,
        at=at,
        memo=memo,
    )


def hold(task: Task) -> Transfer:
    """Return the transfer that reserves a new task's whole price."""
    return Transfer(
        id=f"hold_{task.id}",
        kind=TransferKind.HOLD,
        account_id=task.account_id,
        debit=task.account_id,
        credit=REVENUE,
        amount=task.quote.amount,
        at=task.created_at,
        task_id=task.id,
    )


def resolve(task: Task) -> Transfer:
    """Return the transfer that resolves the hold of a task that has just ended, by how it ended."""
    posted = task.status is Status.SUCCEEDED
    return Transfer(
        id=f"resolve_{task.id}",
        kind=TransferKind.POST if posted else TransferKind.VOID,
        account_id=task.account_id,
        debit=task.account_id,
        credit=REVENUE,
        amount=task.charged if posted else 0,
        releases=task.quote.amount,
        at=task.updated_at,
        task_id=task.id,
    )


def applied(account: Account, transfer: Transfer) -> Account:
    """Return `account` after `transfer`, or raise InsufficientCredits; nothing else may touch one."""
    balance, held = account.balance, account.held
    match transfer.kind:
        case TransferKind.GRANT:
            balance += transfer.amount
        case TransferKind.HOLD:
            held += transfer.amount
        case TransferKind.POST | TransferKind.VOID:
            balance -= transfer.amount
            held -= transfer.releases
    if balance > MOST:
        raise InvalidRequest("the account has as many credits as an account can have")
    if balance < held:
        raise InsufficientCredits("the account has too few credits for this task")
    # Not `assert`: the audit asks the same of rows that anybody may have changed, under -O as well.
    if held < 0:
        raise AssertionError("more was released than was held")
    if transfer.amount > transfer.releases and transfer.kind not in _FREE:
        raise AssertionError("posted more than was held")
    seq = account.chain_seq + 1
    head = link(account.chain_head, seq, transfer)
    return replace(account, balance=balance, held=held, chain_seq=seq, chain_head=head)


_FREE: Final = frozenset({TransferKind.GRANT, TransferKind.HOLD})


def link(head: bytes, seq: int, transfer: Transfer) -> bytes:
    """Return the hash of row `seq` of a chain that stood at `head`: the same on every store."""
    return hashlib.sha256(head + _spelt("v1", str(seq)) + canonical(transfer)).digest()


def canonical(transfer: Transfer) -> bytes:
    """Return a transfer as it is hashed, after its place in the chain."""
    return _spelt(
        transfer.id,
        transfer.kind.value,
        transfer.account_id,
        transfer.debit,
        transfer.credit,
        str(transfer.amount),
        str(transfer.releases),
        transfer.task_id or "",
        transfer.memo,
        str(round(transfer.at.timestamp() * 1_000_000)),
    )


def _spelt(*fields: str) -> bytes:
    # Lengths before the values: no two different rows can spell the same bytes.
    return b"".join(len(part).to_bytes(4, "big") + part for part in (f.encode() for f in fields))


# --- the audit ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A transfer as it is stored: with its place in the chain and the hash written beside it."""

    transfer: Transfer
    seq: int
    hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A stored row that is no transfer any more: what is left of its id, and why not."""

    id: str
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Billed:
    """What the audit needs to know of a task."""

    id: str
    account_id: str
    status: Status
    held: int
    charged: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something the audit found wrong, and the row that it is about."""

    row: str
    problem: str


def audit(
    accounts: Iterable[Account], rows: Iterable[Row | Unreadable], tasks: Iterable[Billed]
) -> Iterator[Finding]:
    """Recompute every balance, chain and bill from the rows alone, and yield all that is wrong.

    `rows` come grouped by account, each account's in the order of `seq`; an empty result is proof.
    """
    stored = {account.id: account for account in accounts}
    held: dict[str, _Held] = {}
    resolved: dict[str, _Resolved] = {}
    recomputed = {
        account_id: Account(id=account_id, name=account.name) for account_id, account in stored.items()
    }
    for row in rows:
        if isinstance(row, Unreadable):
            yield Finding(row=row.id, problem=f"cannot be read: {row.problem}")
        else:
            yield from _audit_row(row, recomputed, held, resolved)
    for account_id, account in stored.items():
        if recomputed[account_id] != account:
            yield Finding(row=account_id, problem=_difference(account, recomputed[account_id]))
    yield from _audit_tasks(tasks, held, resolved)


class _Held(NamedTuple):
    """What is kept of a hold until its task is read: there may be millions."""

    row: str
    account_id: str
    amount: int


class _Resolved(NamedTuple):
    """What is kept of how a hold was resolved."""

    row: str
    kind: TransferKind
    amount: int


def _audit_row(
    row: Row, accounts: dict[str, Account], held: dict[str, _Held], resolved: dict[str, _Resolved]
) -> Iterator[Finding]:
    transfer = row.transfer
    account = accounts.get(transfer.account_id)
    if account is None:
        yield Finding(row=transfer.id, problem=f"belongs to no account: {transfer.account_id}")
        return
    if row.seq != account.chain_seq + 1:
        yield Finding(row=transfer.id, problem=f"row {row.seq} follows row {account.chain_seq}: a gap")
    if row.hash != link(account.chain_head, row.seq, transfer):
        yield Finding(row=transfer.id, problem="the row is not what its hash says, or not in its place")
    try:
        after = applied(account, transfer)
    except (InsufficientCredits, InvalidRequest, AssertionError) as impossible:
        yield Finding(row=transfer.id, problem=f"impossible at this point: {impossible}")
        after = account
    # Go on from what is written: one broken row is then one finding, not one for each that follows.
    accounts[transfer.account_id] = replace(after, chain_seq=row.seq, chain_head=row.hash)
    yield from _audit_hold(transfer, held, resolved)


def _audit_hold(
    transfer: Transfer, held: dict[str, _Held], resolved: dict[str, _Resolved]
) -> Iterator[Finding]:
    if transfer.kind is TransferKind.GRANT:
        return
    task_id = transfer.task_id or ""
    if transfer.kind is TransferKind.HOLD:
        if task_id in held:
            yield Finding(row=transfer.id, problem="the task has another hold")
        held[task_id] = _Held(transfer.id, sys.intern(transfer.account_id), transfer.amount)
        return
    if task_id in resolved:
        yield Finding(row=transfer.id, problem="the task's hold was resolved before")
    resolved[task_id] = _Resolved(transfer.id, transfer.kind, transfer.amount)
    if task_id not in held:
        yield Finding(row=transfer.id, problem="resolves a hold that does not exist")
    elif held[task_id].amount != transfer.releases:
        yield Finding(row=transfer.id, problem="releases another amount than was held")


def _audit_tasks(
    tasks: Iterable[Billed], held: Mapping[str, _Held], resolved: Mapping[str, _Resolved]
) -> Iterator[Finding]:
    unclaimed = set(held)
    for task in tasks:
        unclaimed.discard(task.id)
        yield from _audit_task(task, held.get(task.id), resolved.get(task.id))
    for task_id in sorted(unclaimed):
        yield Finding(row=held[task_id].row, problem="holds credits for a task that does not exist")


def _audit_task(task: Billed, hold: _Held | None, end: _Resolved | None) -> Iterator[Finding]:
    if hold is None:
        yield Finding(row=task.id, problem="the task has no hold")
        return
    if hold.amount != task.held or hold.account_id != task.account_id:
        yield Finding(row=hold.row, problem="the hold is not the task's quote")
    if task.status in {Status.QUEUED, Status.RUNNING}:
        if end is not None:
            yield Finding(row=end.row, problem=f"resolved, but the task is {task.status}")
        return
    if end is None:
        yield Finding(row=hold.row, problem=f"the task is {task.status}, but its hold is not resolved")
        return
    succeeded = task.status is Status.SUCCEEDED
    if (end.kind is TransferKind.POST) is not succeeded:
        yield Finding(row=end.row, problem=f"a {end.kind} for a task that is {task.status}")
    elif end.amount != task.charged:
        yield Finding(row=end.row, problem=f"billed {end.amount}, but the task says {task.charged}")


def _difference(stored: Account, recomputed: Account) -> str:
    return (
        f"the account says balance {stored.balance}, held {stored.held}, {stored.chain_seq} rows; its "
        f"rows say {recomputed.balance}, {recomputed.held}, {recomputed.chain_seq}"
        + ("" if stored.chain_head == recomputed.chain_head else "; the chain's end differs")
    )
