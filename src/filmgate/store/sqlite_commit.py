"""What one Change does to a SQLite database, inside a savepoint of the writer's transaction."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import apsw

from filmgate.core import ledger, rate
from filmgate.core.admission import Head, Limits, choose
from filmgate.core.attempt import Attempt, Outcome
from filmgate.core.change import Change, Claim
from filmgate.core.errors import Conflict, FilmgateError, IdempotencyMismatch, LeaseLost, QueueFull
from filmgate.core.ledger import Account
from filmgate.core.task import TERMINAL, Task
from filmgate.ports.store import Committed, Job, Replayed
from filmgate.store import rows


class Refusal(Exception):
    """Nothing of the change may stay."""

    def __init__(self, error: FilmgateError) -> None:
        """Carry what the caller is told."""
        super().__init__(error.message)
        self.error = error


class Replay(Exception):
    """The submission was stored before, as this task."""

    def __init__(self, task: Task) -> None:
        """Carry the task as it is now."""
        super().__init__(task.id)
        self.task = task


@dataclass(slots=True)
class _AccountRow:
    """A customer's account and its admission counters, read once and written once per change."""

    account: Account
    slots: int
    waiting: int
    admitted: int
    free_at: int


@dataclass(frozen=True, slots=True)
class Writer:
    """Applies changes to one connection. `admits`: a new task may start in its own commit."""

    db: apsw.Connection
    limits: Limits
    admits: bool

    def apply(self, change: Change) -> Committed | Replayed:
        """Do all of `change`, or raise Refusal or Replay for the caller to roll back."""
        for account in change.accounts:
            self.db.execute(_OPEN_ACCOUNT, (account.id, account.name, account.chain_head))
        for key in change.keys:
            self.db.execute(_SAVE_KEY, rows.key_row(key))
        for signing in change.signings:
            self.db.execute(_SAVE_SIGNING, rows.signing_row(signing))
        self._write_deliveries(change)
        if change.task is None:
            self._apply_transfers(change)
            self._apply_aside(change)
            return Committed()
        if change.was_version == 0:
            return self._apply_submission(change, change.task)
        self._apply_advance(change, change.task)
        return Committed()

    def admit(self, at: datetime) -> tuple[Job, ...]:
        """Fill every free slot from the waiting."""
        jobs: list[Job] = []
        stamp = rows.micros(at)
        waiting = list(
            self.db.execute("SELECT provider, used, free_at FROM provider_slots WHERE waiting > 0")
        )
        for provider, used, free_at in waiting:
            free = self._free(provider, used, free_at, stamp)
            if free > 0:
                before = len(jobs)
                for head in self._next(provider, free, stamp):
                    jobs.append(Job(task_id=head.task_id, lease_no=1))
                    self._admit_waiting(head, provider, at=stamp, turn=stamp + len(jobs))
                self._pace(provider, len(jobs) - before, free_at, stamp)
        return tuple(jobs)

    def take_over(self) -> tuple[Job, ...]:
        """Fence off every earlier worker."""
        self.db.execute("UPDATE tasks SET lease_no = lease_no + 1 WHERE id IN (SELECT task_id FROM jobs)")
        found = self.db.execute(
            "SELECT id, lease_no FROM tasks WHERE id IN (SELECT task_id FROM jobs) ORDER BY id"
        )
        return tuple(Job(task_id=task_id, lease_no=lease_no) for task_id, lease_no in found)

    def collect(self, blobs: Sequence[str]) -> list[str]:
        """Forget what no task needs."""
        unneeded = [
            blob
            for blob in blobs
            if self.db.execute("SELECT 1 FROM blob_uses WHERE blob = ? LIMIT 1", (blob,)).fetchone() is None
        ]
        for blob in unneeded:
            self.db.execute("DELETE FROM blobs WHERE id = ?", (blob,))
        return unneeded

    # --- a new task ---------------------------------------------------------------------------

    def _apply_submission(self, change: Change, task: Task) -> Committed:
        self._check_claims(change.claims, task)
        row = self._account(task.account_id)
        for transfer in change.transfers:
            self._transfer(row, transfer)
        stamp = rows.micros(task.created_at)
        used, waiting, free_at = self._provider(task.route.provider)
        free = self._free(task.route.provider, used, free_at, stamp)
        has_room = free > 0 and self.limits.account_may_start(slots=row.slots, free_at=row.free_at, at=stamp)
        starts = self.admits and waiting == 0 and has_room
        if not starts:
            self._check_queue(row)
        # The first lease is the admission's; its number is 0 until then.
        stands = (int(starts), int(not starts), int(starts))
        self.db.execute(_INSERT_TASK, (*rows.task_facts(task), *stands, *rows.task_columns(task)))
        for claim in change.claims:
            expires = None if claim.expires_at is None else rows.micros(claim.expires_at)
            self.db.execute(
                _SAVE_CLAIM,
                (claim.key_id, claim.namespace, claim.token, task.id, claim.fingerprint, expires),
            )
        self._write_uses(task)
        self._write_events(change)
        if starts:
            self._start(task.id, task.route.provider, was_waiting=False)
            self._pace(task.route.provider, 1, free_at, stamp)
            row.slots += 1
            row.admitted = stamp
            row.free_at = rate.after(1, rate=self.limits.account_rate, free_at=row.free_at, at=stamp)
        else:
            self.db.execute(_PROVIDER_WAITS, (task.route.provider,))
            row.waiting += 1
        self._write_account(row)
        if starts:
            return Committed(jobs=(Job(task_id=task.id, lease_no=1),))
        return Committed(awaits_turn=has_room)

    def _check_claims(self, claims: tuple[Claim, ...], task: Task) -> None:
        replayed: str | None = None
        for claim in claims:
            found = self.db.execute(_FIND_CLAIM, (claim.key_id, claim.namespace, claim.token)).fetchone()
            if found is None:
                continue
            task_id, print_, expires_at = found
            if expires_at is not None and expires_at <= rows.micros(task.created_at):
                continue
            if print_ != claim.fingerprint:
                message = f"{claim.namespace} {claim.token!r} was used before for a different request"
                raise Refusal(IdempotencyMismatch(message, param=claim.namespace))
            replayed = replayed or task_id
        if replayed is not None:
            raise Replay(self._load(replayed))

    def _check_queue(self, row: _AccountRow) -> None:
        if row.waiting >= self.limits.account_queue:
            raise Refusal(QueueFull(f"{row.waiting} tasks of this account are waiting already"))
        total = self.db.execute("SELECT coalesce(sum(waiting), 0) FROM provider_slots").get
        if total >= self.limits.total_queue:
            raise Refusal(QueueFull("too many tasks are waiting"))

    # --- a task that goes on, or ends ------------------------------------------------------------

    def _apply_advance(self, change: Change, task: Task) -> None:
        found = self.db.execute(_STANDING, (task.id,)).fetchone()
        if found is None:
            raise Refusal(Conflict(f"there is no task {task.id}"))
        version, lease_no, waiting, admitted = found
        if change.lease_no is not None and lease_no != change.lease_no:
            raise Refusal(LeaseLost(f"task {task.id} was taken over"))
        if version != change.was_version:
            raise Refusal(Conflict(f"task {task.id} has changed"))
        self.db.execute(
            _UPDATE_TASK,
            (
                *rows.task_columns(task),
                0 if task.ended else waiting,
                0 if task.ended else admitted,
                task.id,
            ),
        )
        self._write_uses(task)
        self._write_events(change)
        self._write_attempts(change.attempts)
        if not (change.transfers or task.ended):
            return
        row = self._account(task.account_id)
        for transfer in change.transfers:
            self._transfer(row, transfer)
        if task.ended:
            if waiting:
                row.waiting -= 1
                self.db.execute(_PROVIDER_WAITS_LESS, (task.route.provider,))
            if admitted:
                row.slots -= 1
            self._close_unsent(task)
            self._drop_job(task.id)
        self._write_account(row)

    def _close_unsent(self, task: Task) -> None:
        closed = self.db.execute(
            _CLOSE_UNSENT, (Outcome.UNSENT, rows.micros(task.updated_at), task.id)
        ).fetchall()
        for (provider,) in closed:
            self.db.execute(_PROVIDER_USES_LESS, (provider,))

    # --- attempts, transfers and accounts without a task -------------------------------------------

    def _apply_aside(self, change: Change) -> None:
        self._write_attempts(change.attempts)
        for task_id in sorted({attempt.task_id for attempt in change.attempts}):
            lease_no, status = self.db.execute(
                "SELECT lease_no, status FROM tasks WHERE id = ?", (task_id,)
            ).get
            if change.lease_no is not None and lease_no != change.lease_no:
                raise Refusal(LeaseLost(f"task {task_id} was taken over"))
            if status in TERMINAL:
                self._drop_job(task_id)

    def _apply_transfers(self, change: Change) -> None:
        for transfer in change.transfers:
            row = self._account(transfer.account_id)
            self._transfer(row, transfer)
            self._write_account(row)

    def _write_uses(self, task: Task) -> None:
        """Keep book of which files the task needs, from its first to its last."""
        for output in task.outputs:
            self.db.execute(_SAVE_BLOB, (output.blob, rows.dump_output(output)))
        needed = task.blobs
        for blob in sorted(needed):
            self.db.execute(_USE_BLOB, (blob, task.id))
        if task.ended:
            for (used,) in self.db.execute(_USED_BLOBS, (task.id,)).fetchall():
                if used not in needed:
                    self.db.execute("DELETE FROM blob_uses WHERE blob = ? AND task_id = ?", (used, task.id))
        if task.deleted_at is not None:
            self.db.execute("DELETE FROM deliveries WHERE task_id = ?", (task.id,))

    def _write_deliveries(self, change: Change) -> None:
        for delivery in change.deliveries:
            row = rows.delivery_row(delivery)
            saved = self.db.execute(
                *(
                    (_INSERT_DELIVERY, row)
                    if delivery.version == 1
                    else (_UPDATE_DELIVERY, (*row[3:], delivery.id, delivery.version - 1))
                )
            ).fetchone()
            if saved is None:
                raise Refusal(Conflict(f"delivery {delivery.id} has changed"))

    def _write_attempts(self, attempts: tuple[Attempt, ...]) -> None:
        for attempt in attempts:
            was = self.db.execute(
                "SELECT closed_at FROM attempts WHERE task_id = ? AND n = ?", (attempt.task_id, attempt.n)
            ).fetchone()
            self.db.execute(_SAVE_ATTEMPT, rows.attempt_row(attempt))
            was_open = was is not None and was[0] is None
            is_open = attempt.closed_at is None and (was is None or was_open)
            if was_open and not is_open:
                self.db.execute(_PROVIDER_USES_LESS, (attempt.provider,))
            elif was is None and is_open:
                self.db.execute(_PROVIDER_USES, (attempt.provider,))

    def _drop_job(self, task_id: str) -> None:
        self.db.execute(_DROP_JOB, (task_id, task_id))

    # --- the account -------------------------------------------------------------------------------

    def _account(self, account_id: str) -> _AccountRow:
        found = self.db.execute(_ACCOUNT, (account_id,)).fetchone()
        if found is None:
            raise Refusal(Conflict(f"there is no account {account_id}"))
        *account, slots, waiting, admitted, free_at = found
        return _AccountRow(rows.load_account(tuple(account)), slots, waiting, admitted, free_at)

    def _transfer(self, row: _AccountRow, transfer: ledger.Transfer) -> None:
        # Before anything is computed: what was done once need not be possible again.
        if self.db.execute("SELECT 1 FROM transfers WHERE id = ?", (transfer.id,)).fetchone():
            raise Refusal(Conflict(f"transfer {transfer.id} exists"))
        try:
            row.account = ledger.applied(row.account, transfer)
        except FilmgateError as error:
            raise Refusal(error) from error
        self.db.execute(_INSERT_TRANSFER, rows.transfer_row(transfer, row.account))

    def _write_account(self, row: _AccountRow) -> None:
        account = row.account
        self.db.execute(
            _UPDATE_ACCOUNT,
            (
                account.balance,
                account.held,
                account.chain_seq,
                account.chain_head,
                row.slots,
                row.waiting,
                row.admitted,
                row.free_at,
                account.id,
            ),
        )

    # --- admission ---------------------------------------------------------------------------------

    def _free(self, provider: str, used: int, free_at: int, at: int) -> int:
        slots = self.limits.provider_slots.get(provider, 0)
        return self.limits.provider_may_start(provider, free=slots - used, free_at=free_at, at=at)

    def _pace(self, provider: str, starts: int, free_at: int, at: int) -> None:
        if per_minute := self.limits.rate_of(provider):
            free_at = rate.after(starts, rate=per_minute, free_at=free_at, at=at)
            self.db.execute("UPDATE provider_slots SET free_at = ? WHERE provider = ?", (free_at, provider))

    def _next(self, provider: str, free: int, at: int) -> Iterator[Head]:
        heads = [
            head
            for account_id in self._waiting_accounts(provider)
            if (head := self._head(provider, account_id)) is not None
        ]
        # `following` is asked after the caller has admitted the head: its row no longer waits.
        return choose(
            heads,
            free=free,
            at=at,
            limits=self.limits,
            following=lambda head: self._head(provider, head.account_id),
        )

    def _waiting_accounts(self, provider: str) -> list[str]:
        return [account_id for (account_id,) in self.db.execute(_WAITING_ACCOUNTS, {"provider": provider})]

    def _head(self, provider: str, account_id: str) -> Head | None:
        found = self.db.execute(_HEAD, (provider, account_id)).fetchone()
        if found is None:
            return None
        task_id, priority, slots, admitted, free_at = found
        return Head(
            task_id=task_id,
            account_id=account_id,
            priority=priority,
            account_slots=slots,
            account_admitted=admitted,
            account_free_at=free_at,
        )

    def _admit_waiting(self, head: Head, provider: str, *, at: int, turn: int) -> None:
        self.db.execute(
            "UPDATE tasks SET waiting = 0, admitted = 1, lease_no = 1 WHERE id = ?", (head.task_id,)
        )
        self._start(head.task_id, provider, was_waiting=True)
        free_at = rate.after(1, rate=self.limits.account_rate, free_at=head.account_free_at, at=at)
        self.db.execute(
            "UPDATE accounts SET slots = slots + 1, waiting = waiting - 1, admitted = ?, free_at = ? "
            "WHERE id = ?",
            (turn, free_at, head.account_id),
        )

    def _start(self, task_id: str, provider: str, *, was_waiting: bool) -> None:
        self.db.execute("INSERT INTO attempts (task_id, n, provider) VALUES (?, 1, ?)", (task_id, provider))
        self.db.execute("INSERT INTO jobs (task_id) VALUES (?)", (task_id,))
        self.db.execute(_PROVIDER_STARTS_WAITING if was_waiting else _PROVIDER_USES, (provider,))

    def _provider(self, provider: str) -> tuple[int, int, int]:
        found = self.db.execute(
            "SELECT used, waiting, free_at FROM provider_slots WHERE provider = ?", (provider,)
        ).fetchone()
        return found or (0, 0, 0)

    # --- small things ------------------------------------------------------------------------------

    def _write_events(self, change: Change) -> None:
        for event in change.events:
            self.db.execute(_INSERT_EVENT, rows.event_row(event))

    def _load(self, task_id: str) -> Task:
        return rows.load_task(self.db.execute("SELECT snapshot FROM tasks WHERE id = ?", (task_id,)).get)


_OPEN_ACCOUNT: Final = "INSERT INTO accounts (id, name, chain_head) VALUES (?, ?, ?)"
_SAVE_KEY: Final = """
    INSERT INTO keys (id, identity, account_id, name, hash, created_at, revoked_at)
    VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET revoked_at = coalesce(revoked_at, excluded.revoked_at)
"""
_INSERT_TASK: Final = """
    INSERT INTO tasks (id, account_id, key_id, dialect, kind, model_id, provider, priority, held, created_at,
                       deadline_at, lease_no, waiting, admitted, status, version, charged, deleted,
                       updated_at, files_until, snapshot)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_STANDING: Final = "SELECT version, lease_no, waiting, admitted FROM tasks WHERE id = ?"
_UPDATE_TASK: Final = """
    UPDATE tasks SET status = ?, version = ?, charged = ?, deleted = ?, updated_at = ?, files_until = ?,
        snapshot = ?, waiting = ?, admitted = ?
    WHERE id = ?
"""
_INSERT_EVENT: Final = """
    INSERT INTO events (task_id, seq, kind, at, status, phase, progress) VALUES (?, ?, ?, ?, ?, ?, ?)
"""
# What is known of a submission is never forgotten, in whatever order it comes to be known.
_SAVE_ATTEMPT: Final = """
    INSERT INTO attempts (task_id, n, provider, intent_at, remote_id, outcome, upstream_cost, closed_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (task_id, n) DO UPDATE SET
        intent_at = coalesce(intent_at, excluded.intent_at),
        remote_id = coalesce(remote_id, excluded.remote_id),
        outcome = coalesce(outcome, excluded.outcome),
        upstream_cost = coalesce(upstream_cost, excluded.upstream_cost),
        closed_at = coalesce(closed_at, excluded.closed_at)
"""
_CLOSE_UNSENT: Final = """
    UPDATE attempts SET outcome = ?, closed_at = ?
    WHERE task_id = ? AND intent_at IS NULL AND closed_at IS NULL RETURNING provider
"""
_DROP_JOB: Final = """
    DELETE FROM jobs WHERE task_id = ?
    AND NOT EXISTS (SELECT 1 FROM attempts WHERE task_id = ? AND closed_at IS NULL)
"""
_FIND_CLAIM: Final = """
    SELECT task_id, fingerprint, expires_at FROM claims WHERE key_id = ? AND namespace = ? AND token = ?
"""
_SAVE_CLAIM: Final = """
    INSERT INTO claims (key_id, namespace, token, task_id, fingerprint, expires_at)
    VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (key_id, namespace, token) DO UPDATE SET
        task_id = excluded.task_id, fingerprint = excluded.fingerprint, expires_at = excluded.expires_at
"""
_SAVE_BLOB: Final = "INSERT INTO blobs (id, output) VALUES (?, ?) ON CONFLICT (id) DO NOTHING"
_USE_BLOB: Final = "INSERT INTO blob_uses (blob, task_id) VALUES (?, ?) ON CONFLICT DO NOTHING"
_USED_BLOBS: Final = "SELECT blob FROM blob_uses WHERE task_id = ?"
_INSERT_DELIVERY: Final = """
    INSERT INTO deliveries (id, task_id, account_id, state, version, created_at, next_at, snapshot)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING 1
"""
_UPDATE_DELIVERY: Final = """
    UPDATE deliveries SET state = ?, version = ?, created_at = ?, next_at = ?, snapshot = ?
    WHERE id = ? AND version = ? RETURNING 1
"""
_SAVE_SIGNING: Final = """
    INSERT INTO signings (account_id, turn, rotated_at) VALUES (?, ?, ?)
    ON CONFLICT (account_id) DO UPDATE SET turn = excluded.turn, rotated_at = excluded.rotated_at
    WHERE turn < excluded.turn
"""
_ACCOUNT: Final = """
    SELECT id, name, balance, held, chain_seq, chain_head, slots, waiting, admitted, free_at
    FROM accounts WHERE id = ?
"""
_UPDATE_ACCOUNT: Final = """
    UPDATE accounts SET balance = ?, held = ?, chain_seq = ?, chain_head = ?, slots = ?, waiting = ?,
        admitted = ?, free_at = ?
    WHERE id = ?
"""
_INSERT_TRANSFER: Final = """
    INSERT INTO transfers (id, kind, account_id, debit, credit, amount, releases, task_id, memo, at,
                           seq, hash)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_PROVIDER_USES: Final = """
    INSERT INTO provider_slots (provider, used) VALUES (?, 1)
    ON CONFLICT (provider) DO UPDATE SET used = used + 1
"""
_PROVIDER_USES_LESS: Final = "UPDATE provider_slots SET used = used - 1 WHERE provider = ?"
_PROVIDER_WAITS: Final = """
    INSERT INTO provider_slots (provider, waiting) VALUES (?, 1)
    ON CONFLICT (provider) DO UPDATE SET waiting = waiting + 1
"""
_PROVIDER_WAITS_LESS: Final = "UPDATE provider_slots SET waiting = waiting - 1 WHERE provider = ?"
_PROVIDER_STARTS_WAITING: Final = """
    UPDATE provider_slots SET used = used + 1, waiting = waiting - 1 WHERE provider = ?
"""
# One index seek per account that waits, however many tasks each has: a loose index scan.
_WAITING_ACCOUNTS: Final = """
    WITH RECURSIVE waits (account_id) AS (
        SELECT min(account_id) FROM tasks WHERE waiting = 1 AND provider = :provider
        UNION ALL
        SELECT (SELECT min(account_id) FROM tasks
                WHERE waiting = 1 AND provider = :provider AND account_id > waits.account_id)
        FROM waits WHERE waits.account_id IS NOT NULL
    )
    SELECT account_id FROM waits WHERE account_id IS NOT NULL
"""
_HEAD: Final = """
    SELECT tasks.id, tasks.priority, accounts.slots, accounts.admitted, accounts.free_at
    FROM tasks JOIN accounts ON accounts.id = tasks.account_id
    WHERE tasks.waiting = 1 AND tasks.provider = ? AND tasks.account_id = ?
    ORDER BY tasks.priority DESC, tasks.id LIMIT 1
"""
