"""Two hosts that serve, one that has the database and the files, and links between them that fail at random.

Clients on a fourth submit, cancel and follow by SSE. What they wrote down is held against the tables.
"""

import asyncio
import itertools
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path
from typing import Any, Final

import httpx2

from filmgate.ports.cluster import LEASE_S
from tests.e2e.clients import (
    CATALOGUE,
    CREDITS,
    GOES_ON_S,
    SETTLES_WITHIN_S,
    TABLES,
    TAKEN_OVER,
    Client,
    Notes,
    a_film,
    a_seed,
    asking,
    bearer,
    check_money,
    check_tables,
)
from tests.lab import Lab, lab
from tests.postgres import Server, server

TROUBLE_S: Final = float(os.environ.get("FILMGATE_TEST_TROUBLE_S", "50"))
CLIENTS: Final = 12
STARTS_WITHIN_S: Final = 30.0
# Time for the others to hold a host for dead, to look, and to take its tasks over.
DEAD_S: Final = LEASE_S + 8

PORT: Final = 8080
S3_PORT: Final = 9000
# Nothing flows between the two that serve.
LINKS: Final = (("a", "db"), ("b", "db"), ("client", "a"), ("client", "b"))

# Quick work, and work that cuts fall into.
PROMPTS: Final = ("a cat", "#slow=1 a river", "#slow=6 a glacier", "#slow=12 an era", "#fail a wolf")
WEIGHTS: Final = (4, 4, 4, 2, 1)
RENDERED: Final = 4  # so many clients begin with a real film, which one host renders


def test_whatever_link_fails_every_task_ends_once_and_is_seen_to(tmp_path: Path) -> None:
    seed = a_seed()
    notes, over = Notes(), threading.Event()
    rendered: list[str] = []
    with (
        lab("db", "a", "b", "client") as here,
        server(address=here.address("db"), through=here.inside("db")) as postgres,
        serving(here, postgres, tmp_path) as nodes,
        ThreadPoolExecutor(max_workers=1) as pool,
    ):
        key = nodes[0].run("keys", "create", "--name", "ada", "--credits", str(CREDITS)).strip()
        clients = pool.submit(
            here.within, "client", lambda: asyncio.run(_clients(nodes, key, notes, rendered, over, seed))
        )

        def all_seen() -> bool:
            enough = len(notes.accepted) > TROUBLE_S / 2 and notes.broken and rendered
            return bool(enough and _taken_over(nodes[0]))

        try:
            lonely = _trouble(here, nodes, clients, random.Random(seed), all_seen)
        finally:
            here.heal()
            over.set()
        began = time.monotonic()
        clients.result()
        _wait_until(lambda: not _rows(nodes[0], "SELECT 1 FROM jobs"), "jobs are left")
        settled_s = time.monotonic() - began

        taken_over = check_tables(notes, *(_rows(nodes[0], query) for query in TABLES))
        balance = nodes[1].run("credits", "balance", "--json")
        with httpx2.Client(base_url=nodes[0].url, headers=bearer(key), timeout=20) as http:
            here.within("client", lambda: _check_files(nodes, http, rendered))
            billed = here.within("client", lambda: check_money(notes, http, balance))
        for node in nodes:
            node.run("ledger", "verify")

    assert len(notes.accepted) > TROUBLE_S / 2, "the clients got too little done for this to mean anything"
    assert settled_s < SETTLES_WITHIN_S
    assert taken_over, "no task was taken over"
    assert notes.broken, "no stream was broken"
    assert 500 not in notes.answers
    for cut_at, healed_at in lonely:
        asked = [url for at, url in notes.accepted_by if cut_at < at < healed_at]
        assert any(url.startswith(nodes[1].url) for url in asked), "who has the database goes on"
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
    here: Lab,
    nodes: tuple[Node, Node],
    clients: Future[None],
    chance: random.Random,
    all_seen: Callable[[], bool],
) -> list[tuple[float, float]]:
    """Cut links for `TROUBLE_S`, and then until all has been seen that is to be seen, but not for ever.

    Return from when to when host a was without the database, each time.
    """

    def pause(seconds: float) -> None:
        if wait([clients], timeout=seconds).done:
            clients.result()  # they end before they are told only by a failure

    def without_database() -> tuple[float, float]:
        _wait_until(lambda: nodes[0].jobs() >= 3, "host a has nothing to do")
        here.cut("a", "db")
        cut_at = time.monotonic()
        pause(DEAD_S - 10)
        assert nodes[0].asked("/healthz") == 200, "it lives"
        assert nodes[0].asked("/readyz") != 200, "but it has no database"
        pause(cut_at + DEAD_S - time.monotonic())
        healed_at = time.monotonic()
        here.heal()
        return cut_at, healed_at

    began = time.monotonic()
    pause(5)
    lonely = [without_database()]
    while (spent_s := time.monotonic() - began) < TROUBLE_S + GOES_ON_S:
        if spent_s > TROUBLE_S:
            if all_seen():
                break
            if not _taken_over(nodes[0]):  # what it ran had ended before the link was cut
                here.heal()
                lonely.append(without_database())
        one, other = chance.sample(chance.choice(LINKS), 2)
        here.cut(one, other, both_ways=chance.random() < 0.7)
        pause(chance.uniform(0.1, 4))
        if chance.random() < 0.6:
            here.heal()
        pause(chance.uniform(0, 1.5))
    return lonely


# --- the clients --------------------------------------------------------------------------------


async def _clients(
    nodes: tuple[Node, Node], key: str, notes: Notes, rendered: list[str], over: threading.Event, seed: int
) -> None:
    async with asyncio.TaskGroup() as group:
        for number in range(CLIENTS):
            asks = asking(
                [node.url for node in nodes],
                key,
                notes,
                random.Random(f"{seed}/{number}"),
                within_s=TROUBLE_S + GOES_ON_S + SETTLES_WITHIN_S,
                quiet_s=(4, 18),  # some go when it is quiet; others know that there is a comment every 15 s
            )
            group.create_task(_order_and_follow(asks, number, rendered, over))


async def _order_and_follow(
    asks: AbstractAsyncContextManager[Client], number: int, rendered: list[str], over: threading.Event
) -> None:
    """Order one film after the other. `RENDERED` clients order real ones until they have one, and note it."""
    has_film = number >= RENDERED
    async with asks as client:
        for made in itertools.count(1):
            if over.is_set():
                return
            (prompt,) = client.chance.choices(PROMPTS, weights=WEIGHTS)
            order = a_film(prompt, client.chance.randint(1, 3), out_task_id=f"client-{number}-{made}")
            if not has_film:
                order["model"] = "studio"
            task_id = await client.submit(order)
            async with asyncio.TaskGroup() as following:
                following.create_task(client.follow(task_id))
                if client.chance.random() < 0.15:
                    following.create_task(client.cancel(task_id))
            if not has_film and client.notes.end(task_id) == "completed":
                rendered.append(task_id)
                has_film = True


# --- the checks ---------------------------------------------------------------------------------


def _check_files(nodes: tuple[Node, Node], http: httpx2.Client, rendered: list[str]) -> None:
    """Ask both hosts for what was made, wherever it was."""
    assert rendered, "no film was made"
    for task_id in rendered:
        path = f"/v1/videos/{task_id}/content?format=binary"
        one, other = (http.get(node.url + path) for node in nodes)
        assert one.status_code == other.status_code == 200, (one.text, other.text)
        assert one.content == other.content
        assert one.content[4:8] == b"ftyp"


def _taken_over(node: Node) -> bool:
    ((some,),) = _rows(node, TAKEN_OVER)
    return bool(some)


def _rows(node: Node, question: str) -> list[tuple[Any, ...]]:
    return node._lab.within("db", lambda: node.postgres.sql(question, url=node.database))


def _wait_until(true: Callable[[], bool], otherwise: str, *, within_s: float = SETTLES_WITHIN_S) -> None:
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.1)


def _filmgate() -> list[str]:
    return [sys.executable, "-m", "filmgate"]
