"""Several processes over one PostgreSQL are one service: killed, stopped or cut off, it keeps its word.

Real processes, and the clients' own notes, held against the tables at the end.
"""

import asyncio
import itertools
import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import asyncpg
import httpx2
import pytest

from filmgate.bootstrap.supervisor import QUICK_S
from filmgate.ports.cluster import LEASE_S
from filmgate.store.rows import micros
from tests.e2e.clients import (
    CATALOGUE,
    CREDITS,
    EVENTS,
    FIRST_LEASE,
    GOES_ON_S,
    SETTLES_WITHIN_S,
    TABLES,
    TAKEN_OVER,
    WORDS,
    Client,
    Notes,
    a_film,
    a_seed,
    asking,
    bearer,
    check_money,
    check_tables,
    seen_in,
)
from tests.e2e.receiver import Receiver, receiving
from tests.e2e.service import Process, Service, Worker, processes_of
from tests.postgres import server

KILLING_S: Final = float(os.environ.get("FILMGATE_TEST_KILLING_S", "40"))
OUTAGE_S: Final = float(os.environ.get("FILMGATE_TEST_OUTAGE_S", "8"))
CLIENTS: Final = 8
FOLLOWED: Final = 12  # tasks that a client follows at a time: some hang until they are taken over
TAKEN_OVER_WITHIN_S: Final = 45.0
BACK_WITHIN_S: Final = 5.0
REVOKED_WITHIN_S: Final = 5.0
CONNECTIONS: Final = 36
MOST_CONNECTIONS: Final = 120

PROMPTS: Final = ("a cat", "#slow=1 a river", "#slow=5 a glacier", "#fail a wolf", "#moderate a market")
KINDS: Final = {"children", "workers"}  # of those who are killed
RUN_BY: Final = "FROM jobs WHERE worker LIKE '%:' || $1 || ':%'"  # the process with this id


# --- the processes ------------------------------------------------------------------------------


@contextmanager
def together(
    directory: Path, database: str, *, workers: int, **settings: object
) -> Iterator[tuple[Service, list[Worker]]]:
    """Serve, with so many workers beside it; more may be put into the list.

    In the end all of them must stop as they should, and leave nothing.
    """
    catalogue = directory / "catalogue.toml"
    catalogue.write_text(CATALOGUE)
    service = Service(
        directory / "data",
        **{"catalogue": catalogue, "database": database, "fetch_allow": "127.0.0.0/8", **settings},
    )
    service.start()
    beside = [service.worker() for _ in range(workers)]
    try:
        for worker in beside:
            worker.start()
        yield service, beside
        for process in (*beside, service):
            assert process.stop() == 0, process.log.read_text()[-3000:]
    except BaseException:
        for process in (*beside, service):
            with suppress(AssertionError):  # it was not started
                process.kill()
        raise
    assert not processes_of(directory), "a process outlives who started it"


class Tables:
    """What is in the database, as anybody may see it."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Return what a query finds."""
        return [tuple(row) for row in await self._connection.fetch(query, *values)]

    async def until(self, query: str, *values: object, within_s: float = SETTLES_WITHIN_S) -> float:
        """Wait until a query says true, and return for how many seconds."""
        began = time.monotonic()
        while not (await self.rows(query, *values))[0][0]:
            assert time.monotonic() - began < within_s, f"it did not come to this: {query}"
            await asyncio.sleep(0.02)
        return time.monotonic() - began

    async def until_workers(self, count: int) -> None:
        """Wait until so many processes that run tasks are known."""
        await self.until("SELECT count(*) = $1 FROM workers", count, within_s=20)

    async def run_by(self, process: Process) -> int:
        """Return how many tasks a process runs, as the others know it."""
        ((count,),) = await self.rows(f"SELECT count(*) {RUN_BY}", str(process.pid))
        return int(count)


@asynccontextmanager
async def looking(database: str) -> AsyncIterator[Tables]:
    """Look at the tables by a connection of our own."""
    connection = await asyncpg.connect(database)
    try:
        yield Tables(connection)
    finally:
        await connection.close()


# --- the clients --------------------------------------------------------------------------------


async def order_and_follow(
    asks: AbstractAsyncContextManager[Client], number: int, callback_url: str, over: asyncio.Event
) -> None:
    """Order films, cancel some, and follow so many at a time, until it is over and all have ended."""
    room = asyncio.Semaphore(FOLLOWED)
    async with asks as client, asyncio.TaskGroup() as following:
        for made in itertools.count():
            await room.acquire()
            if over.is_set():
                return
            out_task_id = f"client-{number}-{made}"
            order = a_film(
                client.chance.choice(PROMPTS),
                client.chance.randint(1, 3),
                out_task_id=out_task_id,
                callback_url=f"{callback_url}/{out_task_id}",
            )
            task_id = await client.submit(order)
            one = following.create_task(client.follow(task_id))
            one.add_done_callback(lambda _: room.release())
            if client.chance.random() < 0.2:
                following.create_task(client.cancel(task_id))


async def submit(http: httpx2.AsyncClient, prompt: str, **more: object) -> str:
    """Submit, and return the task's id."""
    answer = await http.post("/v1/tasks/submit", json=a_film(prompt, **more))
    assert answer.status_code == 200, answer.text
    task_id: str = answer.json()["task_id"]
    return task_id


# --- killed -------------------------------------------------------------------------------------


async def test_whoever_is_killed_nothing_is_lost_billed_twice_or_told_wrongly(
    database: str, tmp_path: Path
) -> None:
    seed = a_seed()
    notes, over, kills = Notes(), asyncio.Event(), Counter[str]()
    with (
        receiving() as receiver,
        together(tmp_path, database, workers=2, processes=2, account_concurrency=200) as (service, workers),
    ):
        key = service.new_key(credits_=CREDITS)
        async with looking(database) as tables:

            async def all_seen() -> bool:
                enough = len(notes.accepted) > KILLING_S and notes.broken and len(kills) == len(KINDS)
                return bool(enough and (await tables.rows(TAKEN_OVER))[0][0])

            async with asyncio.TaskGroup() as clients:
                for number in range(CLIENTS):
                    asks = asking([service.url], key, notes, random.Random(f"{seed}/{number}"))
                    clients.create_task(order_and_follow(asks, number, receiver.url, over))
                await kill_at_random(service, workers, random.Random(seed), kills, all_seen)
                over.set()
                killed_at = time.monotonic()
            await tables.until("SELECT count(*) = 0 FROM tasks WHERE status IN ('queued', 'running')")
            await tables.until("SELECT count(*) = 0 FROM jobs")
            await tables.until("SELECT count(*) = 0 FROM deliveries WHERE next_at IS NOT NULL")
            settled_s = time.monotonic() - killed_at

            taken_over = check_tables(notes, *[await tables.rows(query) for query in TABLES])
            told_again = await check_webhooks(tables, receiver, notes)
        balance = service.run("credits", "balance", "--json").stdout
        with httpx2.Client(base_url=service.url, headers=bearer(key), timeout=10) as http:
            billed = check_money(notes, http, balance)
        verified = service.run("ledger", "verify")
        assert verified.returncode == 0, verified.stdout + verified.stderr
        log = service.log.read_text()

    assert len(notes.accepted) > KILLING_S, "the clients got too little done for this to mean anything"
    assert taken_over, "no task was taken over"
    assert notes.broken, "no stream was broken"
    assert 500 not in notes.answers, log[-5000:]
    print(
        f"{dict(kills)} killed, all settled {settled_s:.1f} s after the last; {len(notes.streams)} tasks, "
        f"{taken_over} taken over, {billed} credits billed; {notes.broken} streams taken up again; "
        f"{len(receiver.got)} webhooks, {told_again} of them a second time; answers {dict(notes.answers)}"
    )


async def kill_at_random(
    service: Service,
    workers: Sequence[Worker],
    chance: random.Random,
    kills: Counter[str],
    all_seen: Callable[[], Awaitable[bool]],
) -> None:
    """Kill one of them after the other: who started an API process starts another one; a worker, we do.

    This goes on for `KILLING_S`, and then until all has been seen that is to be seen, but not for ever.
    """
    began = time.monotonic()
    seen_at: dict[int, float] = {}
    while (spent_s := time.monotonic() - began) < KILLING_S + GOES_ON_S:
        if spent_s > KILLING_S and await all_seen():
            break
        await asyncio.sleep(chance.uniform(0.3, 1.8))
        now = time.monotonic()
        # One that dies as soon as it lives is begun again late, and then there would be nobody to kill.
        children = [pid for pid in service.children if now - seen_at.setdefault(pid, now) > QUICK_S]
        victims: list[int | Worker] = [*children, *workers]
        victim = chance.choice(victims)
        if isinstance(victim, int):
            os.kill(victim, signal.SIGKILL)
            kills["children"] += 1
        else:
            await asyncio.to_thread(victim.kill)
            victim.start()
            kills["workers"] += 1
    assert kills.keys() == KINDS


async def check_webhooks(tables: Tables, receiver: Receiver, notes: Notes) -> int:
    """See that every end was told as it was, by one name; return how often one was told again."""
    told: dict[str, set[str]] = {}
    ends = {task_id: WORDS[status] for task_id, status in await tables.rows("SELECT id, status FROM tasks")}
    for path, headers, body in receiver.got:
        said = json.loads(body)["data"]
        assert {said["task_id"]} == notes.accepted[path.removeprefix("/")]
        assert said["status"] == ends[said["task_id"]], "what was told is how it ended"
        told.setdefault(said["task_id"], set()).add(headers["webhook-id"])
    assert told.keys() == ends.keys(), "the end of every task was told"
    assert {len(ids) for ids in told.values()} == {1}, "and is one event, however often it was told"
    return len(receiver.got) - len(told)


# --- stopped, and taken over ----------------------------------------------------------------------


async def test_a_workers_tasks_go_on_elsewhere_at_once_when_it_stops_and_in_time_when_it_dies(
    database: str, tmp_path: Path
) -> None:
    """D-6, too: one that was only asleep finds that it counts as dead, and does no harm."""
    settings = {"processes": 2, "run": False, "account_concurrency": 100}
    with together(tmp_path, database, workers=1, **settings) as (service, workers):
        first, sleeper, third = *workers, service.worker(), service.worker()
        workers += [sleeper, third]
        key = service.new_key(credits_=CREDITS)
        async with (
            looking(database) as tables,
            httpx2.AsyncClient(base_url=service.url, headers=bearer(key), timeout=30) as http,
        ):
            tasks = [await submit(http, "#slow=600 an era") for _ in range(5)]
            await tables.until("SELECT count(*) = 5 FROM tasks WHERE status = 'running'", within_s=20)
            assert await tables.run_by(first) == 5
            sleeper.start()
            await tables.until_workers(2)

            assert await asyncio.to_thread(first.stop) == 0
            handed_s = await tables.until(f"SELECT count(*) = 5 {RUN_BY}", str(sleeper.pid))

            assert handed_s < 3, "whoever stops lets go at once"
            first.start()
            third.start()
            await tables.until_workers(3)
            os.kill(sleeper.pid, signal.SIGSTOP)
            while await tables.run_by(first) < 2:
                tasks.append(await submit(http, "#slow=600 an era"))
                await asyncio.sleep(0.1)
            leases = "SELECT id, lease_no + (worker NOT LIKE '%:' || $1 || ':%')::int "
            of_tasks = "FROM tasks JOIN jobs ON jobs.task_id = tasks.id ORDER BY id"
            expected = await tables.rows(leases + of_tasks, str(third.pid))
            child = service.children[0]
            os.kill(child, signal.SIGKILL)
            first.kill()
            taken_s = await tables.until(f"SELECT count(*) = $2 {RUN_BY}", str(third.pid), len(tasks))

            assert taken_s < TAKEN_OVER_WITHIN_S
            assert child not in service.children
            assert len(service.children) == 2, "who serves is begun again when it dies"
            os.kill(sleeper.pid, signal.SIGCONT)
            await tables.until_workers(2)
            assert "taken_for_dead" in service.log.read_text()
            assert await tables.run_by(third) == len(tasks)
            assert await tables.rows(f"SELECT id, lease_no {of_tasks}") == expected, "taken over once"
            first.start()
            for task_id in tasks:
                answer = await http.post("/v1/tasks/cancel", json={"task_id": task_id})
                assert answer.json()["status"] == "cancelled"
            await tables.until("SELECT count(*) = 0 FROM jobs", within_s=10)
            await tables.until("SELECT count(*) = 0 FROM attempts WHERE outcome <> 'cancelled'")
        assert service.run("ledger", "verify").returncode == 0
    print(f"{len(tasks)} tasks: handed over in {handed_s:.2f} s, taken over from the dead in {taken_s:.1f} s")


async def test_who_dies_and_is_started_again_goes_on_at_once(database: str, tmp_path: Path) -> None:
    """Where it worked, it leaves its name; nobody has to wait until its lease is over."""
    with together(tmp_path, database, workers=1, run=False) as (service, (worker,)):
        key = service.new_key(credits_=CREDITS)
        async with (
            looking(database) as tables,
            httpx2.AsyncClient(base_url=service.url, headers=bearer(key), timeout=30) as http,
        ):
            tasks = [await submit(http, "#slow=600 an era") for _ in range(3)]
            await tables.until(f"SELECT count(*) = 3 {RUN_BY}", str(worker.pid), within_s=20)

            worker.kill()
            worker.start()
            again_s = await tables.until(f"SELECT count(*) = 3 {RUN_BY}", str(worker.pid))

            assert again_s < LEASE_S / 2
            leases = {lease_no for (lease_no,) in await tables.rows("SELECT lease_no FROM tasks")}
            assert leases == {FIRST_LEASE + 1}, "the dead can change nothing any more"
            for task_id in tasks:
                await http.post("/v1/tasks/cancel", json={"task_id": task_id})
    print(f"going on {again_s:.2f} s after it was started again")


# --- revoked ------------------------------------------------------------------------------------


async def test_a_revoked_key_dies_in_all_processes(database: str, tmp_path: Path) -> None:
    with together(tmp_path, database, workers=0, processes=3) as (service, _):
        key = service.new_key(credits_=CREDITS)
        async with httpx2.AsyncClient(base_url=service.url, headers=bearer(key), timeout=30) as http:
            stalled = await submit(http, "#stall")
        uses = (polled_until_refused, waited_until_refused, streamed_until_closed)
        connections: list[httpx2.AsyncClient] = []
        ends: list[asyncio.Task[datetime]] = []
        async with asyncio.TaskGroup() as group:
            while len(connections) < CONNECTIONS or min(held_by(service)) == 0:
                assert len(connections) < MOST_CONNECTIONS, "the kernel deals them out to all who serve"
                http = httpx2.AsyncClient(base_url=service.url, headers=bearer(key), timeout=30)
                connections.append(http)
                ends.append(group.create_task(_timed(uses[len(ends) % 3](http, stalled))))
                await until_held(service, len(connections))
            revoked = await asyncio.to_thread(service.run, "keys", "revoke", key)
            assert revoked.returncode == 0, revoked.stderr
        for http in connections:
            await http.aclose()
        async with looking(database) as tables:
            ((revoked_at,),) = await tables.rows("SELECT revoked_at FROM keys")

    ended_s = [(micros(task.result()) - revoked_at) / 1e6 for task in ends]
    assert min(ended_s) > 0, "they were good until then"
    assert max(ended_s) < REVOKED_WITHIN_S, f"poll, long poll, stream, and so on: {ended_s}"
    print(f"{len(ends)} connections, refused at most {max(ended_s):.2f} s after the key was revoked")


async def _timed(work: Awaitable[None]) -> datetime:
    await work
    return datetime.now(UTC)


async def until_held(service: Service, connections: int) -> None:
    """Wait until the processes that serve have so many connections together."""
    async with asyncio.timeout(20):
        while sum(held_by(service)) < connections:  # noqa: ASYNC110  (nobody tells us)
            await asyncio.sleep(0.01)


def held_by(service: Service) -> list[int]:
    """Return how many connections each process that serves has."""
    # One of them only runs tasks.
    return sorted(len(connections_of(pid, service.port)) for pid in service.children)[1:]


def connections_of(pid: int, port: int) -> set[str]:
    """Return the sockets of a process that are connections to a port of this machine."""
    ours = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1].endswith(f":{port:04X}") and fields[3] == "01":  # established
            ours.add(f"socket:[{fields[9]}]")
    held = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            held.add(str(entry.readlink()))
    return held & ours


async def polled_until_refused(http: httpx2.AsyncClient, task_id: str) -> None:
    while (answer := await http.get(f"/v1/videos/{task_id}")).status_code == 200:  # noqa: ASYNC110  (a poll)
        await asyncio.sleep(0.1)
    assert answer.status_code == 401


async def waited_until_refused(http: httpx2.AsyncClient, task_id: str) -> None:
    while (answer := await http.get(f"/v1/videos/{task_id}?wait=60")).status_code == 200:
        pass
    assert answer.status_code == 401


async def streamed_until_closed(http: httpx2.AsyncClient, task_id: str) -> None:
    async with http.stream("GET", f"/v1/videos/{task_id}/events") as answer:
        assert answer.status_code == 200
        said = "".join([text async for text in answer.aiter_text()])
    assert "event: bye" not in said


# --- full ---------------------------------------------------------------------------------------

SLOTS: Final = 9
OF_ONE_ACCOUNT: Final = 4
SHARES: Final = {"ada": 200, "ben": 50, "eve": 50}  # tasks
URGENT: Final = 5  # of ada's last


async def test_hard_limits_turns_and_webhooks_are_those_of_one_service(database: str, tmp_path: Path) -> None:
    """Three processes accept and three run: caps hold, O-2 holds, and each end is told once."""
    limits = {"account_concurrency": OF_ONE_ACCOUNT, "providers__sandbox__slots": SLOTS}
    most: Counter[str] = Counter()
    over = asyncio.Event()
    with (
        receiving() as receiver,
        together(tmp_path, database, workers=3, processes=3, run=False, **limits) as (service, _),
    ):
        keys = {name: service.new_key(credits_=10_000) for name in SHARES}
        async with looking(database) as tables, looking(database) as watching:
            await tables.until_workers(3)
            sampling = asyncio.create_task(sample(watching, most, over))
            ids = {
                name: await submit_many(service, keys[name], count, f"{receiver.url}/{name}")
                for name, count in SHARES.items()
            }
            # What no dialect lets a caller say yet.
            urgent = sorted(ids["ada"])[-URGENT:]
            await tables.rows(
                "UPDATE tasks SET priority = 9 WHERE id = ANY($1) AND waiting = 1 RETURNING 1", urgent
            )
            # Between two jobs there may be none for a moment, so it is the tasks that are asked after.
            await tables.until("SELECT count(*) = 0 FROM tasks WHERE status IN ('queued', 'running')")
            await tables.until("SELECT count(*) = 0 FROM jobs")
            await tables.until("SELECT count(*) = 0 FROM deliveries WHERE next_at IS NOT NULL")
            over.set()
            looks, ran = await sampling
            starts = [
                task_id
                for (task_id,) in await tables.rows(
                    "SELECT task_id FROM events WHERE seq = 2 ORDER BY at, task_id"
                )
            ]
            leases = Counter(await tables.rows("SELECT lease_no, status FROM tasks"))

    assert leases == {(FIRST_LEASE, "succeeded"): sum(SHARES.values())}, "each was run by one"
    assert len(ran) == 3, "each of the workers has had some"
    assert most.pop("sandbox") == SLOTS, "the slots are all used, and never more"
    assert len(most) == len(SHARES)
    assert set(most.values()) == {OF_ONE_ACCOUNT}
    orders = {name: [n for n, task_id in enumerate(starts) if task_id in ids[name]] for name in SHARES}
    for name in ("ben", "eve"):
        adas = sum(n < orders[name][-1] for n in orders["ada"])
        assert adas < 150, f"{name}'s last waited for {adas} of ada's"
    adas_order = [task_id for task_id in starts if task_id in ids["ada"]]
    assert max(adas_order.index(task_id) for task_id in urgent) < 100, "urgent ones go first"
    told = Counter(json.loads(body)["data"]["task_id"] for _, _, body in receiver.got)
    assert told.keys() == set().union(*ids.values())
    assert set(told.values()) == {1}, "there is one sender"
    print(f"{looks} looks; the urgent were ada's {[adas_order.index(task_id) for task_id in urgent]}")


async def submit_many(service: Service, key: str, count: int, callback_url: str) -> set[str]:
    """Submit so many at once, by several connections; return the tasks' ids."""
    async with httpx2.AsyncClient(
        base_url=service.url,
        headers=bearer(key),
        timeout=30,
        limits=httpx2.Limits(max_connections=12, max_keepalive_connections=12),
    ) as http:
        each = (submit(http, "#slow=0.1", callback_url=callback_url) for _ in range(count))
        return set(await asyncio.gather(*each))


async def sample(tables: Tables, most: Counter[str], over: asyncio.Event) -> tuple[int, set[str]]:
    """Note the most that ever ran of each provider and account; return how often it looked, and who ran."""
    looks = 0
    ran: set[str] = set()
    while not over.is_set():
        ran.update(*await tables.rows("SELECT worker FROM jobs WHERE worker IS NOT NULL"))
        for name, count in await tables.rows(
            "SELECT provider, count(*) FROM attempts WHERE closed_at IS NULL GROUP BY 1 "
            "UNION ALL SELECT account_id, count(*) FROM tasks WHERE admitted = 1 GROUP BY 1"
        ):
            most[name] = max(most[name], count)
        looks += 1
        await asyncio.sleep(0.01)
    return looks, ran


# --- without a database ---------------------------------------------------------------------------

# What each dialect is asked while the database is away, and how it says why not.
ASKED: Final = (
    ("POST", "/v1/videos", {"model": "film", "prompt": "a cat"}, "error.message"),
    ("POST", "/v1/tasks/submit", {"model": "film", "params": {"prompt": "a cat"}}, "error.message"),
    ("POST", "/api/v1/video/seedance-2", {"model": "film", "prompt": "a cat"}, "message"),
    ("GET", "/v1/videos/{}", None, "error.message"),
    ("GET", "/v1/tasks/query?task_id={}", None, "error.message"),
    ("GET", "/v1/tasks?task_id={}", None, "message"),
)


@pytest.mark.parametrize("mode", ["fast", "kill"])
async def test_while_the_database_is_away_everyone_is_told_and_after_it_all_goes_on(
    tmp_path: Path, mode: str
) -> None:
    with server() as own:
        database = own.create_database()
        with together(tmp_path, database, workers=1, processes=2, graceful_shutdown_s=3) as (service, _):
            key = service.new_key(credits_=CREDITS)
            notes = Notes()
            async with (
                asking([service.url], key, notes, random.Random(1)) as client,
                httpx2.AsyncClient(base_url=service.url, headers=bearer(key), timeout=20) as http,
            ):
                tasks = [await submit(http, f"#slow={OUTAGE_S + 8}") for _ in range(4)]
                async with looking(database) as tables:
                    await tables.until("SELECT count(*) = 4 FROM tasks WHERE status = 'running'", within_s=20)
                following = [asyncio.create_task(client.follow(task_id)) for task_id in tasks]
                assert (await http.get("/readyz")).status_code == 200
                await asyncio.to_thread(own.stop if mode == "fast" else own.kill)
                gone_at = time.monotonic()

                while time.monotonic() - gone_at < OUTAGE_S:
                    for method, path, body, why in ASKED:
                        answer = await http.request(method, path.format(tasks[0]), json=body)
                        assert answer.status_code == 503, answer.text
                        assert int(answer.headers["retry-after"]) > 0
                        said = answer.json()
                        for name in why.split("."):
                            said = said[name]
                        assert "database" in said
                    assert (await http.get("/healthz")).status_code == 200
                    assert (await http.get("/readyz")).status_code == 503
                    await asyncio.sleep(0.3)

                await asyncio.to_thread(own.start)
                back_at, back = time.monotonic(), datetime.now(UTC)
                quick = await accepted(http)
                accepted_s = time.monotonic() - back_at
                async with looking(database) as tables:
                    await tables.until("SELECT status = 'succeeded' FROM tasks WHERE id = $1", quick)
                    quick_s = time.monotonic() - back_at
                    moved_s = quick_s + await tables.until(
                        "SELECT count(*) = 4 FROM tasks WHERE id = ANY($1) AND updated_at > $2",
                        tasks,
                        micros(back),
                    )
                    await asyncio.gather(*following)
                    assert (await http.get("/readyz")).status_code == 200
                    found = dict(await tables.rows("SELECT id, status FROM tasks"))
                    stored = seen_in(await tables.rows(EVENTS))
            assert service.run("ledger", "verify").returncode == 0
    assert found == dict.fromkeys([*tasks, quick], "succeeded"), "what was refused left nothing"
    assert notes.streams == {task_id: stored[task_id] for task_id in tasks}
    assert max(accepted_s, quick_s, moved_s) < BACK_WITHIN_S
    print(
        f"back after {OUTAGE_S} s: accepted in {accepted_s:.2f} s, made in {quick_s:.2f} s, "
        f"what ran had moved in {moved_s:.2f} s; {notes.broken} streams broken"
    )


async def accepted(http: httpx2.AsyncClient) -> str:
    """Submit until it is accepted, and return the task's id."""
    while True:
        answer = await http.post("/v1/videos", json={"model": "film", "prompt": "a cat"})
        if answer.status_code == 200:
            task_id: str = answer.json()["id"]
            return task_id
        assert answer.status_code == 503, answer.text
        await asyncio.sleep(0.05)
