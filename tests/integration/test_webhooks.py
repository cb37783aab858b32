"""Webhooks over real sockets: receivers that are slow, rude, huge or gone, beside good ones."""

import asyncio
import gzip
import random
import resource
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import quantiles

import pytest

from filmgate.api.presenter import DialectPresenter
from filmgate.bootstrap import SystemClock
from filmgate.core.admission import Limits
from filmgate.core.change import Change, advance, submission
from filmgate.core.delivery import Delivery, DeliveryState
from filmgate.core.errors import Conflict
from filmgate.core.task import Status
from filmgate.dispatch.hub import Hub
from filmgate.net.addresses import Fence
from filmgate.net.client import SafeClient
from filmgate.ports import Ports
from filmgate.ports.store import DeliveryQuery
from filmgate.service.save import save
from filmgate.store.sqlite import SqliteStore
from filmgate.webhooks import courier as module
from filmgate.webhooks.courier import Courier
from filmgate.webhooks.sender import SafeSender
from tests.calls import WEB
from tests.fakes import ManualClock, a_task
from tests.runs import some_ports
from tests.stores import fund

PATIENCE_S = 30.0
LIMITS = Limits(
    account_concurrency=10_000, account_queue=10_000, total_queue=10_000, provider_slots={"studio": 10_000}
)
MIB = 2**20
Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Receiver:
    """Something that listens on a port of its own."""

    answer: Answer
    url: str = ""
    came_at: dict[str, float] = field(default_factory=dict)  # by path
    ids: Counter[str] = field(default_factory=Counter)
    open: int = 0
    most: int = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read one request, note it and answer it."""
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.came_at[head.split()[1]] = time.monotonic()
            lines = (line.partition(": ") for line in head.lower().splitlines())
            self.ids[dict((name, value) for name, _, value in lines)["webhook-id"]] += 1  # noqa: C402
            await self.answer(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            writer.close()


def saying(head: str, body: bytes = b"") -> Answer:
    """Return a receiver's answer."""

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 {head}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()

    return answer


def repeating(head: bytes, piece: bytes, times: int) -> Answer:
    """Return an answer that goes on and on."""

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n" + head)
        for _n in range(times):
            writer.write(piece)
            await writer.drain()

    return answer


async def nothing(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Take everything and say nothing."""
    while await reader.read(MIB):
        pass


async def trickle(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say a byte a second."""
    for byte in b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n":
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(1)


async def reset(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hang up without a word."""
    writer.transport.abort()


GOOD = saying("200 OK")


@asynccontextmanager
async def receivers(*answers: Answer) -> AsyncIterator[list[Receiver]]:
    """Open a port for each."""
    found = [Receiver(answer) for answer in answers]
    servers = []
    for one in found:
        server = await asyncio.start_server(one.handle, "127.0.0.1", 0)
        one.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        servers.append(server)
    try:
        yield found
    finally:
        for server in servers:
            server.close()


@asynccontextmanager
async def a_site(directory: Path) -> AsyncIterator[Ports]:
    """Open a store whose webhooks may go to this machine."""
    store = SqliteStore.open(directory, limits=LIMITS, serving=True)
    await fund(store, "ada", amount=10**12)
    clock = SystemClock()
    sender = SafeSender(SafeClient(Fence(["127.0.0.0/8"], https_only=True)), clock)
    ports = some_ports(store, {}, clock=ManualClock(datetime.now(UTC)), signals=Hub())
    try:
        yield replace(ports, clock=clock, sender=sender)
    finally:
        await store.close()


async def tell(ports: Ports, n: int, url: str) -> None:
    """End a task whose owner wants to know."""
    now = ports.clock.now()
    task = a_task(n=n, callback_url=url, created_at=now, updated_at=now)
    await save(ports, submission(task))
    await save(ports, advance(task, task.to(Status.CANCELLED, at=ports.clock.now())))


@asynccontextmanager
async def delivering(ports: Ports) -> AsyncIterator[None]:
    """Deliver meanwhile."""
    running = asyncio.create_task(Courier(ports, DialectPresenter(ports, WEB)).run())
    try:
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def once_tried(ports: Ports, count: int) -> list[Delivery]:
    """Return all deliveries once `count` of them have been tried."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            found = list(await ports.store.deliveries(DeliveryQuery(limit=10_000)))
            if sum(bool(one.tries) for one in found) >= count:
                return found
            await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STOP_S", 0.01)


# --- one beside another -------------------------------------------------------------------------


async def test_good_receivers_hear_within_a_second_beside_a_black_hole_and_a_trickle(tmp_path: Path) -> None:
    told_at: dict[str, float] = {}
    async with (
        receivers(nothing, trickle, *[GOOD] * 50) as (hole, slow, *good),
        a_site(tmp_path) as ports,
        delivering(ports),
    ):
        for n in range(20):
            await tell(ports, n, f"{hole.url}/{n}")
            await tell(ports, 100 + n, f"{slow.url}/{n}")
        for n in range(200):
            told_at[f"/{n}"] = time.monotonic()
            await tell(ports, 1_000 + n, f"{good[n % 50].url}/{n}")
        async with asyncio.timeout(PATIENCE_S):
            while sum(len(one.came_at) for one in good) < 200:  # noqa: ASYNC110  (nothing tells)
                await asyncio.sleep(0.01)

        late = sorted(at - told_at[path] for one in good for path, at in one.came_at.items())
        print(f"p50 {late[100]:.3f} s, p99 {quantiles(late, n=100)[98]:.3f} s")
        assert quantiles(late, n=100)[98] < 1
        assert hole.most <= 4
        assert slow.most <= 4


# --- rude ones ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (saying("200 OK"), 200),
        (saying("204 No Content"), 204),
        (repeating(b"content-length: 1073741824\r\n\r\n", b"x" * MIB, 1024), 200),
        (repeating(b"\r\n", b"x" * MIB, 1024), 200),
        (
            saying("200 OK\r\ncontent-encoding: gzip", gzip.compress(b"\0" * 64 * MIB)),
            200,
        ),
        (repeating(b"", b"x-filler: " + b"y" * 1_000 + b"\r\n", 10_000), None),
        (repeating(b"x-filler: ", b"y" * MIB, 10), None),
        (saying("500 Broken", b"<html>" * 100_000), 500),
        (saying("404 Not Found"), 404),
        (saying("999 What"), 999),
        (reset, None),
    ],
    ids="good empty gigabyte endless gzip-bomb many-headers long-header error missing odd reset".split(),
)
async def test_an_answer_costs_nothing_whatever_it_is(
    tmp_path: Path, answer: Answer, status: int | None
) -> None:
    async with receivers(answer) as (one,), a_site(tmp_path) as ports, delivering(ports):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        await tell(ports, 1, f"{one.url}/1")

        (delivery,) = await once_tried(ports, 1)
        grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024

    (this,) = delivery.tries
    assert this.status == status
    assert (this.error is None) is (status is not None)
    assert this.took_s < 5
    assert grown_mb < 20
    assert delivery.state is (DeliveryState.DELIVERED if status and status < 300 else DeliveryState.PENDING)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_a_failure_and_leads_nowhere(tmp_path: Path, status: int) -> None:
    async with receivers(GOOD) as (target,):
        moved = saying(f"{status} Moved\r\nlocation: {target.url}/stolen")
        async with receivers(moved) as (one,), a_site(tmp_path) as ports, delivering(ports):
            await tell(ports, 1, f"{one.url}/1")
            (delivery,) = await once_tried(ports, 1)

    assert delivery.tries[0].status == status
    assert delivery.state is DeliveryState.PENDING
    assert not target.came_at


async def test_a_receiver_that_is_gone_is_never_asked_again(tmp_path: Path) -> None:
    async with receivers(saying("410 Gone")) as (one,), a_site(tmp_path) as ports, delivering(ports):
        await tell(ports, 1, f"{one.url}/1")
        (delivery,) = await once_tried(ports, 1)

    assert delivery.state is DeliveryState.GONE
    assert len(one.came_at) == 1


async def test_an_address_that_is_not_allowed_is_not_dialled(tmp_path: Path) -> None:
    async with receivers(GOOD) as (one,), a_site(tmp_path) as ports:
        elsewhere = SafeSender(SafeClient(Fence(["10.0.0.0/8"], https_only=True)), ports.clock)
        async with delivering(replace(ports, sender=elsewhere)):
            await tell(ports, 1, f"{one.url}/1")
            (delivery,) = await once_tried(ports, 1)

    assert delivery.tries[0].error == "address not allowed"
    assert not one.came_at


async def test_every_event_arrives_though_receivers_fail_and_the_sender_dies(tmp_path: Path) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    dice = random.Random(seed)

    async def moody(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        mood = dice.random()
        if mood < 0.1:
            writer.transport.abort()
        elif mood < 0.15:
            await saying("200 OK")(reader, writer)
            writer.transport.abort()
        else:
            await saying("200 OK")(reader, writer)

    async with receivers(*[moody] * 5) as several, a_site(tmp_path) as ports:
        for n in range(200):
            await tell(ports, n, f"{several[n % 5].url}/{n}")
        states: Counter[DeliveryState] = Counter()
        async with asyncio.timeout(PATIENCE_S):
            while set(states) != {DeliveryState.DELIVERED}:
                async with delivering(ports):
                    await asyncio.sleep(dice.uniform(0.01, 0.1))
                pending = DeliveryQuery(state=DeliveryState.PENDING, limit=1_000)
                for one in await ports.store.deliveries(pending):
                    if one.tries:  # its minute is over
                        with suppress(Conflict):  # the one that was stopped is saved late
                            await save(ports, _due_now(ports, one))
                every = await ports.store.deliveries(DeliveryQuery(limit=1_000))
                states = Counter(one.state for one in every)

    ids: Counter[str] = sum((one.ids for one in several), Counter())
    assert states == {DeliveryState.DELIVERED: 200}
    assert len(ids) == 200, "each event has one id, however often it came"


def _due_now(ports: Ports, delivery: Delivery) -> Change:
    return Change(deliveries=(delivery.again(at=ports.clock.now()),))
