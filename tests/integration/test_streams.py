"""Streams over real sockets: cut and resumed, stalled, behind a proxy, and at the end of the service."""

import asyncio
import json
import random
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import aiohttp
import uvicorn

from filmgate.api.app import App, create_app
from filmgate.api.limits import DeadlineProtocol
from filmgate.core.admission import Limits
from filmgate.core.change import advance, submission
from filmgate.core.task import Phase, Status, Task
from filmgate.dispatch.hub import Hub
from filmgate.ports import Ports
from filmgate.service.manage_keys import create_key
from filmgate.service.save import save
from filmgate.store.sqlite import SqliteStore
from tests.calls import WEB
from tests.fakes import ManualClock, a_task
from tests.runs import some_ports

PATIENCE_S = 30.0
STALLED_S = 0.3
LIMITS = Limits(
    account_concurrency=1_000, account_queue=1_000, total_queue=1_000, provider_slots={"studio": 1_000}
)


class Impatient(DeadlineProtocol):
    """The same, with less time for a client that does not read."""

    stream_stalled_s: ClassVar[float] = STALLED_S


@dataclass(frozen=True)
class Site:
    """A service on a port of its own, and the key of somebody with tasks."""

    ports: Ports
    app: App
    server: uvicorn.Server
    port: int
    key: str
    owner: dict[str, Any]

    async def submit(self, n: int) -> Task:
        """Return a new task."""
        task = replace(a_task(n=n), **self.owner)
        await save(self.ports, submission(task))
        return task

    async def step(self, task: Task, after: Task) -> Task:
        """Save the next change of a task."""
        await save(self.ports, advance(task, after))
        return after

    def address(self, task: Task) -> str:
        return f"http://127.0.0.1:{self.port}/v1/tasks/stream/{task.id}"


@asynccontextmanager
async def a_site(directory: Path) -> AsyncIterator[Site]:
    """Serve a store in `directory`."""
    store = SqliteStore.open(directory, limits=LIMITS, serving=True)
    ports = some_ports(store, {}, clock=ManualClock(), signals=Hub())
    key, secret = await create_key(ports, name="ada", credits_micro=10**12, account_id=None)
    app = create_app(ports, WEB)
    config = uvicorn.Config(
        app,
        http=Impatient,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=5,
    )
    server = uvicorn.Server(config)
    listener = socket.create_server(("127.0.0.1", 0))
    serving = asyncio.create_task(server._serve([listener]))
    owner = {"account_id": key.account_id, "key_id": key.identity}
    try:
        yield Site(ports, app, server, listener.getsockname()[1], secret, owner)
    finally:
        app.streams.close()
        server.should_exit = True
        async with asyncio.timeout(PATIENCE_S):
            await serving
        listener.close()
        await store.close()


async def live(site: Site, task: Task, chance: random.Random) -> None:
    """Have things happen to a task, with pauses, until it ends."""

    async def pause() -> None:
        await asyncio.sleep(chance.choice([0, 0, 0.002, 0.01]))

    task = await site.step(task, task.to(Status.RUNNING, at=task.updated_at))
    for percent in sorted(chance.sample(range(1, 99), chance.randrange(12))):
        await pause()
        task = await site.step(task, task.still(at=task.updated_at, phase=Phase.GENERATING, progress=percent))
    await pause()
    end = chance.choice([Status.FAILED, Status.CANCELLED, Status.SUCCEEDED])
    after = task.to(end, at=task.updated_at)
    await site.step(task, replace(after, charged=task.quote.amount) if end is Status.SUCCEEDED else after)


async def follow(
    session: aiohttp.ClientSession, site: Site, task: Task, chance: random.Random, *, cuts: int
) -> list[tuple[int, str, int]]:
    """Return what a client has put together that was cut off at a random byte so often."""
    heard: list[tuple[int, str, int]] = []
    for n in range(cuts + 1):
        last = {"last-event-id": str(heard[-1][0])} if heard else {}
        headers = {"x-api-key": site.key, **last}
        async with session.get(site.address(task), headers=headers) as response:
            if response.status == 204:
                assert heard[-1][1] in {"completed", "failed", "cancelled"}
                return heard
            assert response.status == 200
            most = chance.randrange(1, 1_500) if n < cuts else 10**9
            body = b""
            while len(body) < most and (piece := await response.content.read(most - len(body))):
                body += piece
            response.close()
        *whole, _ = body.decode().split("\n\n")
        for block in whole:
            fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
            if "id" in fields:
                data = json.loads(fields["data"])
                heard.append((int(fields["id"]), data["status"], data["progress"]))
    return heard


async def test_a_stream_that_is_cut_again_and_again_tells_every_event_once_and_in_order(
    tmp_path: Path,
) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    words = {"queued": "pending", "succeeded": "completed"}

    async with a_site(tmp_path) as site, aiohttp.ClientSession() as session:
        for batch in range(10):
            tasks = [await site.submit(20 * batch + n) for n in range(20)]
            async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
                lives = [random.Random(chance.random()) for _ in tasks]
                heard = [
                    group.create_task(follow(session, site, task, random.Random(chance.random()), cuts=5))
                    for task in tasks
                ]
                for task, dice in zip(tasks, lives, strict=True):
                    group.create_task(live(site, task, dice))
            for task, one in zip(tasks, heard, strict=True):
                stored = [
                    (event.seq, words.get(event.status, event.status.value), event.progress)
                    for event in await site.ports.store.events(task.id)
                ]
                assert one.result() == stored
        assert len(site.app.streams) == 0


async def test_a_client_that_does_not_read_is_cut_off_and_one_that_does_is_not(tmp_path: Path) -> None:
    async with a_site(tmp_path) as site:
        task = await site.submit(1)
        # Each event is this long, so that the buffers are soon full.
        task = await site.step(
            task, replace(task.to(Status.RUNNING, at=task.updated_at), out_task_id="x" * 10_000)
        )
        request = (
            f"GET /v1/tasks/stream/{task.id} HTTP/1.1\r\nhost: x\r\nx-api-key: {site.key}\r\n\r\n"
        ).encode()
        stalled, busy = [await _connected(site.port, request) for _ in range(2)]
        reading = asyncio.create_task(_read_all(busy))
        async with asyncio.timeout(PATIENCE_S):
            while len(site.app.streams) != 2:  # noqa: ASYNC110  (nothing tells)
                await asyncio.sleep(0.01)
            while len(site.app.streams) == 2:
                task = await site.step(task, replace(task, version=task.version + 1))
                await asyncio.sleep(0.005)
        await site.step(task, task.to(Status.CANCELLED, at=task.updated_at))
        async with asyncio.timeout(PATIENCE_S):
            read = await reading
        stalled.close()
        busy.close()

    assert b"id: %d\n" % (task.version + 1) in read
    assert task.version < 200, "it is not megabytes that are kept for one that does not read"


async def _read_all(connection: socket.socket) -> bytes:
    read = b""
    while piece := await asyncio.get_running_loop().sock_recv(connection, 2**16):
        read += piece
    return read


async def _connected(port: int, request: bytes) -> socket.socket:
    loop = asyncio.get_running_loop()
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    connection.settimeout(0)
    await loop.sock_connect(connection, ("127.0.0.1", port))
    await loop.sock_sendall(connection, request)
    return connection


async def test_the_first_event_comes_at_once_through_a_proxy(tmp_path: Path) -> None:
    async with a_site(tmp_path) as site, a_proxy(site.port) as port, aiohttp.ClientSession() as session:
        task = await site.submit(1)
        began = time.monotonic()

        address = f"http://127.0.0.1:{port}/v1/tasks/stream/{task.id}"
        async with session.get(
            address, headers={"x-api-key": site.key, "accept-encoding": "gzip"}
        ) as response:
            said = await response.content.readuntil(b"\n\n")
            said += await response.content.readuntil(b"\n\n")
            took_s = time.monotonic() - began
            encoding = response.headers.get("content-encoding")

    assert b"id: 1\n" in said
    assert took_s < 0.5
    assert encoding is None


@asynccontextmanager
async def a_proxy(to: int) -> AsyncIterator[int]:
    """Stand before a port as a proxy does: with a buffer of its own."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(4_096):
            writer.write(piece)
            await writer.drain()
        writer.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", to)
        await asyncio.gather(pump(reader, there_writer), pump(there_reader, writer), return_exceptions=True)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def test_an_open_stream_does_not_hold_up_the_end_of_the_service(tmp_path: Path) -> None:
    async with a_site(tmp_path) as site, aiohttp.ClientSession() as session:
        task = await site.submit(1)
        async with session.get(site.address(task), headers={"x-api-key": site.key}) as response:
            await response.content.readuntil(b"id: 1\n")
            began = time.monotonic()
            site.app.streams.close()
            site.server.should_exit = True
            rest = await response.content.read()
            while site.server.server_state.connections:  # noqa: ASYNC110  (nothing tells)
                await asyncio.sleep(0.01)
            took_s = time.monotonic() - began

    assert rest.endswith(b"event: bye\nretry: 1000\ndata: {}\n\n")
    assert took_s < 2
