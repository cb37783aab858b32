"""What processes share beside the rows: who lives, who runs what, who is told. See `ports.cluster`."""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Mapping
from typing import Final

import asyncpg
import msgspec

from filmgate.ports.cluster import BEAT_S, LEASE_S
from filmgate.ports.store import Job
from filmgate.store.postgres.connection import Database, unavailable

CHANNEL: Final = "filmgate"
GAP_S: Final = LEASE_S / 2  # without a beat, after which nobody can say who else has died meanwhile
_encoder: Final = msgspec.json.Encoder()


class PostgresCluster:
    """Implements `ports.cluster.Cluster`; leases go by the server's clock, and by nobody else's."""

    def __init__(self, database: Database) -> None:
        """Use the store's own connections, and one more to listen."""
        self._db = database

    async def join(self, worker: str, slots: Mapping[str, int]) -> None:
        """See the port."""
        await self._db.fetch(_JOIN, worker, _encoder.encode(slots).decode())

    async def beat(self, worker: str) -> bool:
        """See the port."""
        return bool(await self._db.fetch(_BEAT, worker, GAP_S))

    async def leave(self, worker: str) -> None:
        """See the port."""
        await self._db.fetch("DELETE FROM duties WHERE worker = $1", worker)
        await self._db.fetch("DELETE FROM workers WHERE id = $1", worker)  # its jobs are free by that

    async def bury(self, worker: str) -> int:
        """See the port."""
        return len(await self._db.fetch(_BURY, worker, LEASE_S, GAP_S))

    async def claim(self, worker: str, provider: str, *, most: int) -> tuple[Job, ...]:
        """See the port."""
        try:
            found = await self._db.fetch(_CLAIM, worker, provider, most)
        except asyncpg.ForeignKeyViolationError:  # buried: it has no right to any
            return ()
        return tuple(Job(task_id=task_id, lease_no=lease_no) for task_id, lease_no in found)

    async def give_back(self, worker: str, provider: str, *, running: Collection[str]) -> None:
        """See the port."""
        await self._db.fetch(
            "UPDATE jobs SET worker = NULL WHERE worker = $1 AND provider = $2 AND task_id <> ALL($3)",
            worker,
            provider,
            list(running),
        )

    async def hold_duty(self, duty: str, worker: str) -> bool:
        """See the port."""
        return bool(
            await self._db.fetch(
                "INSERT INTO duties VALUES ($1, $2, clock_timestamp() + $3 * interval '1 s') "
                "ON CONFLICT (name) DO UPDATE SET worker = excluded.worker, until = excluded.until "
                "WHERE duties.worker = excluded.worker OR duties.until < clock_timestamp() RETURNING 1",
                duty,
                worker,
                LEASE_S,
            )
        )

    async def notify(self, note: str) -> None:
        """See the port."""
        await self._db.fetch("SELECT pg_notify($1, $2)", CHANNEL, note)

    async def listen(self, heard: Callable[[str], None], *, ready: Callable[[], None]) -> None:
        """See the port."""
        connection = await self._db.connect()
        try:
            gone = asyncio.Event()
            connection.add_termination_listener(lambda _: gone.set())
            await connection.add_listener(CHANNEL, lambda *note: heard(str(note[-1])))
            ready()
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(BEAT_S):
                        await gone.wait()
                # A link that was cut says nothing, for ever: so it is asked.
                await connection.execute("SELECT 1", timeout=BEAT_S)
        except Exception as error:
            raise unavailable(error) from error
        finally:
            connection.terminate()


_JOIN: Final = """
    INSERT INTO workers (id, slots, beat_at, since) VALUES ($1, $2, clock_timestamp(), clock_timestamp())
    ON CONFLICT (id) DO UPDATE SET slots = excluded.slots, beat_at = excluded.beat_at, since = excluded.since
"""
_BEAT: Final = """
    UPDATE workers SET beat_at = clock_timestamp(), since =
        CASE WHEN beat_at < clock_timestamp() - $2 * interval '1 s' THEN clock_timestamp() ELSE since END
    WHERE id = $1 RETURNING 1
"""
# Its jobs are free by the foreign key. Who beats at this moment is waited for, and then is not dead.
_BURY: Final = """
    DELETE FROM workers WHERE beat_at < clock_timestamp() - $2 * interval '1 s'
        AND EXISTS (
            SELECT FROM workers AS me WHERE me.id = $1
                AND me.since < clock_timestamp() - $2 * interval '1 s'
                AND me.beat_at > clock_timestamp() - $3 * interval '1 s'
        )
    RETURNING 1
"""
# A job whose task somebody is changing at this moment is left to the next look: whoever changes a task
# locks it first, and then its job.
_CLAIM: Final = """
    WITH free AS (
        SELECT jobs.task_id FROM jobs JOIN tasks ON tasks.id = jobs.task_id
        WHERE jobs.worker IS NULL AND jobs.provider = $2
        ORDER BY jobs.task_id LIMIT $3 FOR UPDATE SKIP LOCKED
    ),
    taken AS (
        UPDATE jobs SET worker = $1 FROM free WHERE jobs.task_id = free.task_id RETURNING jobs.task_id
    )
    UPDATE tasks SET lease_no = lease_no + 1 FROM taken WHERE tasks.id = taken.task_id
    RETURNING tasks.id, tasks.lease_no
"""
