"""Two hosts that serve, one that has the database and the files, and links between them that fail at random.

Clients on a fourth submit, cancel and follow by SSE. What they wrote down is held against the tables.
"""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx2

from filmgate.ports.cluster import LEASE_S
from tests.lab import Lab, lab
from tests.postgres import Server, server

TROUBLE_S: Final = float(os.environ.get("FILMGATE_TEST_TROUBLE_S", "50"))
CLIENTS: Final = 12
CREDITS: Final = 1_000_000
STARTS_WITHIN_S: Final = 30.0
SETTLES_WITHIN_S: Final = 120.0
# Time for the others to hold a host for dead, to look, and to take its tasks over.
DEAD_S: Final = LEASE_S + 8

PORT: Final = 8080
S3_PORT: Final = 9000
# Nothing flows between the two that serve.
LINKS: Final = (("a", "db"), ("b", "db"), ("client", "a"), ("client", "b"))

CATALOGUE: Final = """
[[models]]
id = "film"
kind = "video"
price = { per_second = 3 }
duration_s = [1, 60]
default_duration_s = 5
ratios = ["16:9"]
resolutions = ["360p"]
any_size = true
expected_s = 1
routes = [{ provider = "sandbox" }]
"""
# Quick work, and work that cuts fall into.
PROMPTS: Final = ("a cat", "#slow=1 a river", "#slow=6 a glacier", "#slow=12 an era", "#fail a wolf")
WEIGHTS: Final = (4, 4, 4, 2, 1)
RENDERED: Final = 4  # so many clients begin with a real film, which one host renders
FIRST_LEASE: Final = 2  # by being admitted, and by being claimed; then by being taken over

WORDS: Final = {
    "queued": "pending",
    "running": "running",
    "succeeded": "completed",
    "failed": "failed",
    "cancelled": "cancelled",
}
ENDS: Final = frozenset({"completed", "failed", "cancelled"})

Seen = tuple[int, str, str]  # an event: its number, its kind, and the task's status then


@dataclass(slots=True)
class Notes:
    """What the clients wrote down: before they sent, and after they were answered."""

    accepted: dict[str, set[str]] = field(default_factory=dict)  # out_task_id -> task ids answered
    accepted_by: list[tuple[float, str]] = field(default_factory=list)  # when, and which host answered
    rendered: set[str] = field(default_factory=set)  # ids of tasks for the studio
    cancelled: set[str] = field(default_factory=set)  # task ids whose cancel was answered "cancelled"
    streams: dict[str, list[Seen]] = field(default_factory=dict)  # task id -> what its stream said
    broken: int = 0  # streams that were cut off and taken up again
    answers: Counter[int] = field(default_factory=Counter)


def test_whatever_link_fails_every_task_ends_once_and_is_seen_to(tmp_path: Path) -> None:
    seed = int(os.environ.get("FILMGATE_TEST_SEED", "0")) or random.randrange(2**32)
    print(f"seed {seed}: FILMGATE_TEST_SEED={seed} repeats the choices")
    notes, over = Notes(), threading.Event()
    with (
        lab("db", "a", "b", "client") as here,
        server(address=here.address("db"), through=here.inside("db")) as postgres,
        serving(here, postgres, tmp_path) as nodes,
        ThreadPoolExecutor(max_workers=1) as pool,
    ):
        made = nodes[0].run("keys", "create", "--name", "ada", "--credits", str(CREDITS))
        headers = {"Authorization": f"Bearer {made.strip()}"}
        clients = pool.submit(
            here.within, "client", lambda: asyncio.run(_clients(nodes, headers, notes, over, seed))
        )
        try:
            lonely = _trouble(here, nodes, clients, random.Random(seed))
        finally:
            here.heal()
            over.set()
        began = time.monotonic()
        clients.result()
        _wait_until(lambda: not _rows(nodes[0], "SELECT 1 FROM jobs"), "jobs are left")
        settled_s = time.monotonic() - began

        taken_over = _check_tables(nodes[0], notes)
        with httpx2.Client(headers=headers, timeout=20) as http:
            here.within("client", lambda: _check_files(nodes, http, notes))
            billed = here.within("client", lambda: _check_money(nodes, http, notes))

    assert len(notes.accepted) > TROUBLE_S / 2, "the clients got too little done for this to mean anything"
    assert taken_over, "no task was taken over"
    assert 500 not in notes.answers
    accepted = [host for at, host in notes.accepted_by if lonely[0] < at < lonely[1]]
    assert "b" in accepted, "who has the database goes on while another has not"
    ends = Counter(seen[-1][2] for seen in notes.streams.values())
    print(
        f"{TROUBLE_S:.0f} s of trouble, all settled {settled_s:.1f} s after it; {len(notes.streams)} tasks, "
        + ", ".join(f"{n} {status}" for status, n in ends.items())
        + f", {taken_over} taken over, {billed} credits billed; "
        f"{sum(map(len, notes.streams.values()))} events, {notes.broken} streams broken and taken up again; "
        f"answers {dict(notes.answers)}"
    )


# --- the hosts ----------------------------------------------------------------------------------


class Node:
    """`filmgate serve` in a host of its own, with a directory of its own."""

    def __init__(self, here: Lab, host: str, postgres: Server, url: str, directory: Path) -> None:
        self.host = host
        self.postgres = postgres
        self.database = url
        self.url = f"http://{here.address(host)}:{PORT}"
        self._lab = here
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        catalogue = directory / "catalogue.toml"
        catalogue.write_text(CATALOGUE)
        ours = {
            "HOST": here.address(host),
            "PORT": str(PORT),
            "PUBLIC_URL": self.url,
            "DATA": str(directory / "data"),
            "DATABASE": url,
            "BLOBS": "s3://films/test",
            "CATALOGUE": str(catalogue),
            "ACCOUNT_CONCURRENCY": "64",
        }
        self._environment = {
            **{
                name: value
                for name, value in os.environ.items()
                if not name.startswith(("FILMGATE_", "AWS_"))
            },
            **{f"FILMGATE_{name}": value for name, value in ours.items()},
            "AWS_ENDPOINT_URL": f"http://{here.address('db')}:{S3_PORT}",
            "AWS_ACCESS_KEY_ID": "any",
            "AWS_SECRET_ACCESS_KEY": "any",
            "AWS_REGION": "us-east-1",
        }

    def start(self) -> None:
        """Start it, and return once it is ready."""
        with self._log.open("ab") as log:
            command = [*_filmgate(), "serve"]
            self._process = self._lab.spawn(
                self.host, command, log=log, cwd=self._directory, environment=self._environment
            )
        try:
            _wait_until(lambda: self.asked("/readyz") == 200, "it is not ready", within_s=STARTS_WITHIN_S)
        except AssertionError as error:
            raise AssertionError(f"host {self.host}: {error}\n{self._log.read_text()[-3000:]}") from error

    def asked(self, path: str) -> int | None:
        """Return the status that a client is answered with; None if there is no answer."""
        try:
            return self._lab.within("client", lambda: httpx2.get(self.url + path, timeout=2)).status_code
        except httpx2.TransportError:
            return None

    def jobs(self) -> int:
        """Return how many tasks this host runs, as the others know it."""
        assert self._process is not None
        workers = [worker for (worker,) in _rows(self, "SELECT worker FROM jobs WHERE worker IS NOT NULL")]
        return sum(f":{self._process.pid}:" in worker for worker in workers)

    def run(self, *arguments: str) -> str:
        """Run another `filmgate` command in this host, and return what it prints."""
        ran = subprocess.run(
            [*self._lab.inside(self.host), *_filmgate(), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=self._environment,
            timeout=60,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    def stop(self) -> None:
        """Ask it to stop; it must still be there, and stop as it should."""
        assert self._process is not None
        assert self._process.poll() is None, f"host {self.host} died:\n{self._log.read_text()[-3000:]}"
        self._process.send_signal(signal.SIGTERM)
        assert self._process.wait(30) == 0, self._log.read_text()[-3000:]

    @property
    def _log(self) -> Path:
        return self._directory / "service.log"


@contextmanager
def serving(here: Lab, postgres: Server, directory: Path) -> Iterator[tuple[Node, Node]]:
    """Serve on hosts a and b, over a database and an S3 on host db."""
    with (directory / "s3.log").open("wb") as log:
        address = here.address("db")
        s3 = [sys.executable, "-m", "moto.server", "-H", address, "-p", str(S3_PORT)]
        here.spawn("db", s3, log=log, cwd=directory)

    def made_bucket() -> bool:
        try:
            return here.within("db", lambda: httpx2.put(f"http://{address}:{S3_PORT}/films")).is_success
        except httpx2.TransportError:
            return False

    _wait_until(made_bucket, "there is no S3", within_s=STARTS_WITHIN_S)
    url = postgres.create_database()
    nodes = []
    for host in ("a", "b"):
        (directory / host).mkdir()
        nodes.append(Node(here, host, postgres, url, directory / host))
        nodes[-1].start()
    one, other = nodes
    yield one, other
    for node in nodes:
        node.stop()


def _trouble(
    here: Lab, nodes: tuple[Node, Node], clients: Future[None], chance: random.Random
) -> tuple[float, float]:
    """Cut links for `TROUBLE_S`, and return from when to when host a was without the database."""

    def pause(seconds: float) -> None:
        if wait([clients], timeout=seconds).done:
            clients.result()  # they end before they are told only by a failure

    began = time.monotonic()
    pause(5)
    _wait_until(lambda: nodes[0].jobs() >= 3, "host a has nothing to do")
    here.cut("a", "db")
    lonely = time.monotonic()
    pause(DEAD_S - 10)
    assert nodes[0].asked("/healthz") == 200, "it lives"
    assert nodes[0].asked("/readyz") != 200, "but it has no database"
    pause(lonely + DEAD_S - time.monotonic())
    together = time.monotonic()
    here.heal()
    while time.monotonic() - began < TROUBLE_S:
        one, other = chance.sample(chance.choice(LINKS), 2)
        here.cut(one, other, both_ways=chance.random() < 0.7)
        pause(chance.uniform(0.1, 4))
        if chance.random() < 0.6:
            here.heal()
        pause(chance.uniform(0, 1.5))
    return lonely, together


# --- the clients --------------------------------------------------------------------------------


async def _clients(
    nodes: tuple[Node, Node], headers: dict[str, str], notes: Notes, over: threading.Event, seed: int
) -> None:
    timeout = httpx2.Timeout(5, connect=2)
    deadline = time.monotonic() + TROUBLE_S + SETTLES_WITHIN_S
    async with (
        httpx2.AsyncClient(headers=headers, timeout=timeout) as http,
        asyncio.TaskGroup() as group,
    ):
        for number in range(CLIENTS):
            client = Client(http, nodes, notes, random.Random(f"{seed}/{number}"), number, deadline)
            group.create_task(client.run(over))


@dataclass(frozen=True, slots=True)
class Client:
    """Submits and follows one task after the other; every request goes to either host until answered."""

    http: httpx2.AsyncClient
    nodes: tuple[Node, Node]
    notes: Notes
    chance: random.Random
    number: int
    deadline: float

    async def run(self, over: threading.Event) -> None:
        made = 0
        while not over.is_set():
            made += 1
            out_task_id = f"client-{self.number}-{made}"
            (prompt,) = self.chance.choices(PROMPTS, weights=WEIGHTS)
            renders = made == 1 and self.number < RENDERED
            order = {
                "model": "studio" if renders else "film",
                "params": {
                    "prompt": prompt,
                    "duration_seconds": self.chance.randint(1, 3),
                    "resolution": "360p",
                },
                "out_task_id": out_task_id,
            }
            task_id = await self.submit(out_task_id, order)
            if renders:
                self.notes.rendered.add(task_id)
            if self.chance.random() < 0.15:  # as after an answer that was lost
                assert await self.submit(out_task_id, order) == task_id
            async with asyncio.TaskGroup() as group:
                group.create_task(self.follow(task_id))
                if self.chance.random() < 0.15:
                    group.create_task(self.cancel(task_id))

    async def submit(self, out_task_id: str, order: dict[str, Any]) -> str:
        answer = await self._answered(lambda url: self.http.post(f"{url}/v1/tasks/submit", json=order))
        assert answer.status_code == 200, answer.text
        task_id: str = answer.json()["task_id"]
        self.notes.accepted.setdefault(out_task_id, set()).add(task_id)
        (host,) = (node.host for node in self.nodes if node.url in str(answer.request.url))
        self.notes.accepted_by.append((time.monotonic(), host))
        return task_id

    async def cancel(self, task_id: str) -> None:
        await asyncio.sleep(self.chance.uniform(0, 3))
        body = {"task_id": task_id}
        answer = await self._answered(lambda url: self.http.post(f"{url}/v1/tasks/cancel", json=body))
        assert answer.status_code == 200, answer.text
        if answer.json()["status"] == "cancelled":
            self.notes.cancelled.add(task_id)

    async def follow(self, task_id: str) -> None:
        """Read the task's events to its end, from one host or the other."""
        seen = self.notes.streams.setdefault(task_id, [])
        while not seen or seen[-1][2] not in ENDS:
            assert time.monotonic() < self.deadline, f"{task_id} does not end: {seen}"
            try:
                await self._stream(task_id, seen)
            except httpx2.TransportError:
                self.notes.broken += 1
                await asyncio.sleep(0.05)

    async def _stream(self, task_id: str, seen: list[Seen]) -> None:
        """Add what comes on one connection to `seen`."""
        address = f"{self.chance.choice(self.nodes).url}/v1/tasks/stream/{task_id}"
        resumed = {"Last-Event-ID": str(seen[-1][0])} if seen else {}
        # Some go when it is quiet; others know that there is a comment every 15 s.
        patience = httpx2.Timeout(self.chance.choice((4, 18)), connect=2)
        async with self.http.stream("GET", address, headers=resumed, timeout=patience) as answer:
            self.notes.answers[answer.status_code] += 1
            if answer.status_code in {429, 503}:
                await asyncio.sleep(0.2)
                return
            assert answer.status_code == 200, (await answer.aread(), seen)
            async for event in _events(answer):
                assert not seen or event[0] > seen[-1][0], f"{event} after {seen}"
                seen.append(event)

    async def _answered(self, send: Callable[[str], Awaitable[httpx2.Response]]) -> httpx2.Response:
        while time.monotonic() < self.deadline:
            try:
                answer = await send(self.chance.choice(self.nodes).url)
            except httpx2.TransportError:
                await asyncio.sleep(0.05)
                continue
            self.notes.answers[answer.status_code] += 1
            if answer.status_code not in {429, 503}:
                return answer
            await asyncio.sleep(0.2)
        raise AssertionError("no answer, from neither host")


async def _events(answer: httpx2.Response) -> AsyncIterator[Seen]:
    """Yield the events of a stream that came whole and have a number."""
    said: dict[str, str] = {}
    async for line in answer.aiter_lines():
        name, _, value = line.partition(": ")
        said[name] = value
        if not line:
            if "id" in said:
                yield int(said["id"]), said["event"], json.loads(said["data"])["status"]
            said = {}


# --- the checks ---------------------------------------------------------------------------------


def _check_tables(node: Node, notes: Notes) -> int:
    """Hold the clients' notes against the tables; return how many tasks were taken over."""
    tasks = {
        task_id: (WORDS[status], lease)
        for task_id, status, lease in _rows(node, "SELECT id, status, lease_no FROM tasks")
    }
    assert {len(ids) for ids in notes.accepted.values()} == {1}, "one idempotency key has one task"
    assert tasks.keys() == set().union(*notes.accepted.values()), "no task is lost, and none was made twice"
    assert all(tasks[task_id][0] == "cancelled" for task_id in notes.cancelled), "an answered cancel stays"

    events: dict[str, list[Seen]] = {task_id: [] for task_id in tasks}
    for task_id, seq, kind, status in _rows(
        node, "SELECT task_id, seq, kind, status FROM events ORDER BY task_id, seq"
    ):
        events[task_id].append((seq, kind, WORDS[status]))
    for task_id, (status, _) in tasks.items():
        assert notes.streams[task_id] == events[task_id], "a stream is the task's events, all and once"
        assert [word for _, _, word in events[task_id] if word in ENDS] == [status], "a task ends once"

    attempts = _rows(node, "SELECT task_id, n, outcome FROM attempts")
    assert len(attempts) == len({task_id for task_id, _, _ in attempts}), "nothing was begun anew"
    assert all(outcome for _, _, outcome in attempts), "and nothing is left running"
    outcomes = {task_id: outcome for task_id, _, outcome in attempts}
    for task_id, (status, _) in tasks.items():
        assert status == "cancelled" or outcomes[task_id] == {"completed": "succeeded"}.get(status, status)
    return sum(lease > FIRST_LEASE for _, lease in tasks.values())


def _check_files(nodes: tuple[Node, Node], http: httpx2.Client, notes: Notes) -> None:
    """Ask both hosts for what was made, wherever it was: films of one second, no two of them the same."""
    films = [task_id for task_id in notes.rendered if notes.streams[task_id][-1][2] == "completed"]
    assert films
    for task_id in films:
        path = f"/v1/videos/{task_id}/content?format=binary"
        one, other = (_got(http, node.url + path).content for node in nodes)
        assert one == other
        assert one[4:8] == b"ftyp"


def _check_money(nodes: tuple[Node, Node], http: httpx2.Client, notes: Notes) -> int:
    """Hold the account against what its tasks say they cost; return that."""
    billed = 0
    for task_id in notes.streams:
        billed += _got(http, f"{nodes[0].url}/v1/tasks/query?task_id={task_id}").json().get("credits_used", 0)
    (account,) = json.loads(nodes[1].run("credits", "balance", "--json"))
    assert (account["balance"], account["held"]) == (CREDITS - billed, 0), "what succeeded is paid, once"
    for node in nodes:
        node.run("ledger", "verify")
    return billed


def _got(http: httpx2.Client, url: str) -> httpx2.Response:
    answer = http.get(url)
    assert answer.status_code == 200, answer.text
    return answer


def _rows(node: Node, question: str) -> list[tuple[Any, ...]]:
    return node._lab.within("db", lambda: node.postgres.sql(question, url=node.database))


def _wait_until(true: Callable[[], bool], otherwise: str, *, within_s: float = SETTLES_WITHIN_S) -> None:
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.1)


def _filmgate() -> list[str]:
    return [sys.executable, "-m", "filmgate"]
