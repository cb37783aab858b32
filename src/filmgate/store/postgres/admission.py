"""Who of the waiting is admitted: read under one lock for all processes, chosen by the core."""

from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Final

import asyncpg

from filmgate.core import rate
from filmgate.core.admission import Head, Limits, choose
from filmgate.ports.cluster import LEASE_S
from filmgate.store.postgres.connection import Database

LOCK: Final = 7_305_081_440  # the same as in submit_v1
ANY_NUMBER: Final = (1 << 31) - 1


async def admit(database: Database, limits: Limits, *, stamp: int) -> list[str]:
    """Give every free slot to who is next, and return the tasks' ids; `stamp` is now, in microseconds."""
    async with database.transaction() as connection:
        # Read after the lock: whoever admitted before has committed.
        await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
        providers: dict[str, int] = {}
        if limits.provider_rates:
            providers |= dict(await connection.fetch("SELECT provider, free_at FROM provider_turns"))
        found = await connection.fetch(
            _CANDIDATES,
            list(limits.provider_slots),
            [limits.slots_of(provider) for provider in limits.provider_slots],
            limits.account_concurrency,
            [
                limits.provider_may_start(one, free=ANY_NUMBER, free_at=providers.get(one, 0), at=stamp)
                for one in limits.provider_slots
            ],
            LEASE_S,
        )
        chosen = list(_choose(found, limits, stamp=stamp))
        if not chosen:
            return []
        stamps = range(stamp + 1, stamp + 1 + len(chosen))
        admitted = await connection.fetch(_ADMIT, chosen, list(stamps))
        accounts = {row["account_id"]: row["free_at"] for row in found}
        await _pace(connection, limits, admitted, accounts | providers, at=stamp)
        return [row["id"] for row in admitted]


async def _pace(
    connection: asyncpg.Connection,
    limits: Limits,
    admitted: Sequence[asyncpg.Record],
    free_at: Mapping[str, int],
    *,
    at: int,
) -> None:
    """Move the stored times of accounts and providers on by what has started."""
    starts = Counter(str(row["account_id"]) for row in admitted if limits.account_rate)
    if starts:
        times = [
            rate.after(n, rate=limits.account_rate, free_at=free_at[one], at=at) for one, n in starts.items()
        ]
        await connection.execute(_PACE_ACCOUNTS, list(starts), times)
    starts = Counter(str(row["provider"]) for row in admitted if limits.rate_of(row["provider"]))
    if starts:
        times = [
            rate.after(n, rate=limits.rate_of(one), free_at=free_at.get(one, 0), at=at)
            for one, n in starts.items()
        ]
        await connection.execute(_PACE_PROVIDERS, list(starts), times)


def _choose(found: Sequence[asyncpg.Record], limits: Limits, *, stamp: int) -> Iterator[str]:
    """Yield whom to admit, one provider after another: what one takes of an account, the next one sees."""
    at = stamp
    used: dict[str, int] = {}
    admitted_at: dict[str, int] = {}
    free_at: dict[str, int] = {}
    for _, of_provider in groupby(found, key=lambda row: str(row["provider"])):
        free = 0
        queues: defaultdict[str, deque[asyncpg.Record]] = defaultdict(deque)
        for row in of_provider:
            free = row["free"]
            queues[row["account_id"]].append(row)
            used.setdefault(row["account_id"], row["used"])
            admitted_at.setdefault(row["account_id"], row["admitted_at"])
            free_at.setdefault(row["account_id"], row["free_at"])

        def head(account_id: str, queues: Mapping[str, deque[asyncpg.Record]] = queues) -> Head | None:
            if not queues[account_id]:
                return None
            row = queues[account_id].popleft()
            return Head(
                task_id=row["id"],
                account_id=account_id,
                priority=row["priority"],
                account_slots=used[account_id],
                account_admitted=admitted_at[account_id],
                account_free_at=free_at[account_id],
            )

        heads = [one for account_id in queues if (one := head(account_id)) is not None]
        for one in choose(heads, free=free, at=at, limits=limits, following=lambda one: head(one.account_id)):
            stamp += 1
            used[one.account_id] += 1
            admitted_at[one.account_id] = stamp
            free_at[one.account_id] = rate.after(
                1, rate=limits.account_rate, free_at=one.account_free_at, at=at
            )
            yield one.task_id


_CANDIDATES: Final = """
    WITH RECURSIVE provider (name, free) AS (
        SELECT name, least(asked.may_start, coalesce(asked.slots, (
            SELECT sum((workers.slots ->> name)::integer) FROM workers
            WHERE beat_at > clock_timestamp() - $5 * interval '1 s'
        ), 0) - (SELECT count(*) FROM attempts WHERE provider = name AND closed_at IS NULL))
        FROM unnest($1::text[], $2::integer[], $4::integer[]) AS asked (name, slots, may_start)
    ),
    -- One index seek per account that waits, however many tasks each has: a loose index scan.
    waits (provider, account_id) AS (
        SELECT name, (SELECT min(account_id) FROM tasks WHERE waiting = 1 AND tasks.provider = name)
        FROM provider WHERE free > 0
        UNION ALL
        SELECT provider, (SELECT min(account_id) FROM tasks WHERE waiting = 1
            AND tasks.provider = waits.provider AND tasks.account_id > waits.account_id)
        FROM waits WHERE account_id IS NOT NULL
    )
    SELECT waits.provider, provider.free::integer, waits.account_id, standing.used::integer,
        coalesce(turns.admitted_at, 0) AS admitted_at, coalesce(turns.free_at, 0) AS free_at, head.id,
        head.priority
    FROM waits
    JOIN provider ON provider.name = waits.provider
    LEFT JOIN turns ON turns.account_id = waits.account_id
    CROSS JOIN LATERAL (
        SELECT count(*) AS used FROM tasks WHERE account_id = waits.account_id AND admitted = 1
    ) AS standing
    CROSS JOIN LATERAL (
        SELECT id, priority FROM tasks
        WHERE waiting = 1 AND tasks.provider = waits.provider AND tasks.account_id = waits.account_id
        ORDER BY priority DESC, id
        LIMIT greatest(least(provider.free, $3::bigint - standing.used), 0)
    ) AS head
    ORDER BY waits.provider, waits.account_id, head.priority DESC, head.id
"""
# Who is being cancelled at this moment is left alone: the next look sees what became of it.
_ADMIT: Final = """
    WITH chosen AS (
        SELECT * FROM unnest($1::text[], $2::bigint[]) AS asked (id, stamp)
    ),
    locked AS (
        SELECT tasks.id, chosen.stamp FROM tasks JOIN chosen USING (id) WHERE tasks.waiting = 1
        FOR NO KEY UPDATE OF tasks SKIP LOCKED
    ),
    admitted AS (
        UPDATE tasks SET waiting = 0, admitted = 1, lease_no = 1 FROM locked WHERE tasks.id = locked.id
        RETURNING tasks.id, provider, account_id, stamp
    ),
    sent AS (INSERT INTO attempts (task_id, n, provider) SELECT id, 1, provider FROM admitted),
    queued AS (INSERT INTO jobs (task_id, provider) SELECT id, provider FROM admitted),
    turned AS (
        INSERT INTO turns (account_id, started, admitted_at)
        SELECT account_id, count(*), max(stamp) FROM admitted GROUP BY account_id
        ON CONFLICT (account_id) DO UPDATE SET started = turns.started + excluded.started,
            admitted_at = excluded.admitted_at
    )
    SELECT id, account_id, provider FROM admitted ORDER BY stamp
"""
_PACE_ACCOUNTS: Final = """
    UPDATE turns SET free_at = paced.free_at
    FROM unnest($1::text[], $2::bigint[]) AS paced (account_id, free_at)
    WHERE turns.account_id = paced.account_id
"""
_PACE_PROVIDERS: Final = """
    INSERT INTO provider_turns SELECT * FROM unnest($1::text[], $2::bigint[])
    ON CONFLICT (provider) DO UPDATE SET free_at = excluded.free_at
"""
