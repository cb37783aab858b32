"""Clients who ask until they are answered and write down what they saw, to be held against the tables."""

import asyncio
import json
import os
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import httpx2

CREDITS: Final = 1_000_000  # of the account that they use
SETTLES_WITHIN_S: Final = 120.0
# How long trouble may go on beyond its time, until chance has brought each thing that it is about.
GOES_ON_S: Final = 60.0
FIRST_LEASE: Final = 2  # by being admitted, and by being claimed; then by being taken over

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
WORDS: Final = {
    "queued": "pending",
    "running": "running",
    "succeeded": "completed",
    "failed": "failed",
    "cancelled": "cancelled",
}
ENDS: Final = frozenset({"completed", "failed", "cancelled"})

EVENTS: Final = "SELECT task_id, seq, kind, status FROM events ORDER BY task_id, seq"
# What `check_tables` is given the rows of.
TABLES: Final = (
    "SELECT id, status, lease_no FROM tasks",
    EVENTS,
    "SELECT task_id, outcome FROM attempts",
)
# Whether any task was taken over.
TAKEN_OVER: Final = f"SELECT count(*) > 0 FROM tasks WHERE lease_no > {FIRST_LEASE}"  # noqa: S608

Seen = tuple[int, str, str]  # an event: its number, its kind, and the task's status then
Rows = Sequence[tuple[Any, ...]]


def a_seed() -> int:
    """Return the seed of this run's choices, and print it."""
    seed = int(os.environ.get("FILMGATE_TEST_SEED", "0")) or random.randrange(2**32)
    print(f"seed {seed}: FILMGATE_TEST_SEED={seed} repeats the choices")
    return seed


def bearer(key: str) -> dict[str, str]:
    """Return the header that says who asks."""
    return {"Authorization": f"Bearer {key}"}


def a_film(prompt: str, seconds: int = 5, /, **more: object) -> dict[str, Any]:
    """Return an order in dialect B; `more` goes beside its `params`, or replaces the model."""
    params = {"prompt": prompt, "duration_seconds": seconds, "resolution": "360p"}
    return {"model": "film", "params": params, **more}


@dataclass(slots=True)
class Notes:
    """What the clients wrote down: before they sent, and after they were answered."""

    accepted: dict[str, set[str]] = field(default_factory=dict)  # out_task_id -> task ids answered
    accepted_by: list[tuple[float, str]] = field(default_factory=list)  # when, and which URL answered
    cancelled: set[str] = field(default_factory=set)  # task ids whose cancel was answered "cancelled"
    streams: dict[str, list[Seen]] = field(default_factory=dict)  # task id -> what its streams said
    broken: int = 0  # streams that were cut off and taken up again
    answers: Counter[int] = field(default_factory=Counter)

    def end(self, task_id: str) -> str:
        """Return the status that a followed task was last seen in."""
        return self.streams[task_id][-1][2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """Sends each request to any of `urls`, again until it is answered; each stream has its own connection.

    A stream that is quiet for one of `quiet_s`, whichever chance says, is given up and taken up again.
    """

    urls: Sequence[str]
    notes: Notes
    chance: random.Random
    within_s: float
    quiet_s: Sequence[float]
    http: httpx2.AsyncClient
    streams: httpx2.AsyncClient

    async def submit(self, order: dict[str, Any]) -> str:
        """Submit, now and then twice, as after an answer that was lost; return the task's id."""
        task_id = await self._submit(order)
        if self.chance.random() < 0.2:
            assert await self._submit(order) == task_id
        return task_id

    async def _submit(self, order: dict[str, Any]) -> str:
        answer = await self._post("/v1/tasks/submit", order)
        task_id: str = answer.json()["task_id"]
        self.notes.accepted.setdefault(order["out_task_id"], set()).add(task_id)
        self.notes.accepted_by.append((time.monotonic(), str(answer.request.url)))
        return task_id

    async def cancel(self, task_id: str) -> None:
        """Cancel it a little later, if it has not ended by then."""
        await asyncio.sleep(self.chance.uniform(0, 3))
        answer = await self._post("/v1/tasks/cancel", {"task_id": task_id})
        if answer.json()["status"] == "cancelled":
            self.notes.cancelled.add(task_id)

    async def follow(self, task_id: str) -> None:
        """Read the task's events to its end, by as many streams as that takes."""
        seen = self.notes.streams.setdefault(task_id, [])
        deadline = time.monotonic() + self.within_s
        while not seen or seen[-1][2] not in ENDS:
            assert time.monotonic() < deadline, f"{task_id} does not end: {seen}"
            try:
                await self._stream(task_id, seen)
            except httpx2.TransportError:
                self.notes.broken += 1
                await asyncio.sleep(0.05)

    async def _stream(self, task_id: str, seen: list[Seen]) -> None:
        """Add what comes on one connection to `seen`."""
        address = f"{self.chance.choice(self.urls)}/v1/tasks/stream/{task_id}"
        resumed = {"Last-Event-ID": str(seen[-1][0])} if seen else {}
        patience = httpx2.Timeout(self.chance.choice(self.quiet_s), connect=2)
        async with self.streams.stream("GET", address, headers=resumed, timeout=patience) as answer:
            self.notes.answers[answer.status_code] += 1
            if answer.status_code == 503:
                await asyncio.sleep(0.2)
                return
            assert answer.status_code == 200, (await answer.aread(), seen)
            async for event in _events(answer):
                assert not seen or event[0] > seen[-1][0], f"{event} after {seen}"
                seen.append(event)

    async def _post(self, path: str, body: dict[str, Any]) -> httpx2.Response:
        answer = await until_answered(
            lambda: self.http.post(self.chance.choice(self.urls) + path, json=body),
            self.notes.answers,
            within_s=self.within_s,
        )
        assert answer.status_code == 200, answer.text
        return answer


@asynccontextmanager
async def asking(
    urls: Sequence[str],
    key: str,
    notes: Notes,
    chance: random.Random,
    *,
    within_s: float = SETTLES_WITHIN_S,
    quiet_s: Sequence[float] = (18,),  # there is a comment every 15 s
) -> AsyncIterator[Client]:
    """Give a client, which bears with no answer to a request, and no end of a task, for `within_s`."""
    timeout = httpx2.Timeout(5, connect=2)
    alone = httpx2.Limits(max_keepalive_connections=0)
    async with (
        httpx2.AsyncClient(headers=bearer(key), timeout=timeout) as http,
        httpx2.AsyncClient(headers=bearer(key), limits=alone) as streams,
    ):
        yield Client(
            urls=urls,
            notes=notes,
            chance=chance,
            within_s=within_s,
            quiet_s=quiet_s,
            http=http,
            streams=streams,
        )


async def until_answered(
    send: Callable[[], Awaitable[httpx2.Response]], answers: Counter[int], *, within_s: float
) -> httpx2.Response:
    """Send until there is an answer that does not ask to come again; count them all."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            answer = await send()
        except httpx2.TransportError:
            await asyncio.sleep(0.02)
            continue
        answers[answer.status_code] += 1
        if answer.status_code not in {429, 503}:
            return answer
        await asyncio.sleep(0.1)
    raise AssertionError(f"no answer within {within_s:g} s")


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


def check_tables(notes: Notes, tasks: Rows, events: Rows, attempts: Rows) -> int:
    """Hold the clients' notes against what `TABLES` found; return how many tasks were taken over."""
    ends = {task_id: WORDS[status] for task_id, status, _ in tasks}
    assert {len(ids) for ids in notes.accepted.values()} == {1}, "one idempotency key has one task"
    assert ends.keys() == set().union(*notes.accepted.values()), "no task is lost, and none was made twice"
    assert all(ends[task_id] == "cancelled" for task_id in notes.cancelled), "an answered cancel stays"

    assert notes.streams == seen_in(events), "a stream is the task's events, all and once"
    for task_id, end in ends.items():
        seen = notes.streams[task_id]
        assert [seq for seq, _, _ in seen] == list(range(1, len(seen) + 1)), "numbered without gaps"
        assert [word for _, _, word in seen if word in ENDS] == [end], "a task ends once"

    outcomes: dict[str, str | None] = dict(attempts)
    assert len(attempts) == len(outcomes), "nothing was begun under a second name"
    assert all(outcomes.values()), "and nothing is left running"
    for task_id, status, _ in tasks:
        assert status in {"cancelled", outcomes[task_id]}, "and it ended as its attempt did"
    return sum(lease_no > FIRST_LEASE for _, _, lease_no in tasks)


def seen_in(events: Iterable[tuple[Any, ...]]) -> dict[str, list[Seen]]:
    """Return the events of each task as its streams must have said them."""
    seen: dict[str, list[Seen]] = {}
    for task_id, seq, kind, status in events:
        seen.setdefault(task_id, []).append((seq, kind, WORDS[status]))
    return seen


def check_money(notes: Notes, http: httpx2.Client, balance: str) -> int:
    """Hold what `credits balance --json` said against what the tasks say they cost; return that."""
    billed = 0
    for task_id in notes.streams:
        answer = http.get("/v1/tasks/query", params={"task_id": task_id})
        assert answer.status_code == 200, answer.text
        billed += answer.json().get("credits_used", 0)
    check_balance(balance, billed=billed)
    return billed


def check_balance(balance: str, *, billed: int) -> None:
    """Hold what `credits balance --json` said against what the only account was billed."""
    (account,) = json.loads(balance)
    assert account["balance"] == CREDITS - billed, "the account paid for what succeeded, once"
    assert account["held"] == 0, "nothing stays held once all tasks have ended"
