"""kill -9 of the service under load, again and again: nothing accepted is lost or billed twice.

Everything is checked from the outside, against what the clients wrote down themselves.
"""

import asyncio
import json
import os
import random
import statistics
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx2
from standardwebhooks import Webhook

from tests.e2e.clients import (
    CREDITS,
    ENDS,
    SETTLES_WITHIN_S,
    a_seed,
    bearer,
    check_balance,
    until_answered,
)
from tests.e2e.receiver import Receiver, receiving
from tests.e2e.service import Service, processes_of

KILLS: Final = int(os.environ.get("FILMGATE_TEST_KILLS", "50"))
CLIENTS: Final = 6

# What the clients ask for: mostly quick work, some that is cut off half-way, some real films.
PROMPTS: Final = (
    ("sandbox", "a cat", 1),
    ("sandbox", "#slow=0.4 a river", 1),
    ("sandbox", "#slow=2 a glacier", 1),
    ("sandbox", "#fail a wolf", 1),
    ("sandbox", "#moderate a market", 1),
    ("seedance_2_0", "a small boat at sunset", 4),
    ("studio", "a lighthouse in the rain", 1),
)


@dataclass(slots=True)
class Notes:
    """What the clients wrote down: before they sent, and after they were answered."""

    accepted: dict[str, set[str]] = field(default_factory=dict)  # out_task_id -> task ids answered
    bodies: dict[str, dict[str, Any]] = field(default_factory=dict)
    cancelled: set[str] = field(default_factory=set)  # out_task_ids whose cancel was answered "cancelled"
    finished: dict[str, str] = field(default_factory=dict)  # out_task_id -> the final status someone saw
    deleted: dict[str, int] = field(default_factory=dict)  # out_task_id -> credits it had cost
    answers: Counter[int] = field(default_factory=Counter)
    receiver_url: str = ""


async def test_fifty_kills_lose_nothing_and_bill_nothing_twice(tmp_path: Path) -> None:
    seed = a_seed()
    chance = random.Random(seed)
    # Slots enough that what a kill cut off does not keep all else waiting until the end.
    service = Service(tmp_path / "data", account_concurrency=64, fetch_allow="127.0.0.0/8")
    service.start()
    key = service.new_key(credits_=CREDITS)
    secret = service.run("webhooks", "secret").stdout.strip()
    notes = Notes()

    over = asyncio.Event()
    restarts = []
    with receiving() as receiver:
        http = httpx2.AsyncClient(base_url=service.url, headers=bearer(key), timeout=5)
        notes.receiver_url = receiver.url
        clients = [
            asyncio.create_task(_client(http, notes, over, random.Random(f"{seed}/{n}"), n))
            for n in range(CLIENTS)
        ]
        for _ in range(KILLS):
            await asyncio.sleep(chance.uniform(0.05, 0.6))
            service.kill()
            restarts.append(await asyncio.to_thread(service.start))
        over.set()
        await asyncio.gather(*clients)
        began = time.monotonic()
        tasks = await _all_ended(http, notes)
        settled_s = time.monotonic() - began
        await _all_told(service)
        await http.aclose()
    doubled = _check_webhooks(receiver, tasks, notes, secret)

    assert len(notes.accepted) > KILLS, "the clients got too little done for this to mean anything"
    assert {len(ids) for ids in notes.accepted.values()} == {1}, "one idempotency key has one task"
    for out_task_id, task in tasks.items():
        assert {task["task_id"]} == notes.accepted[out_task_id]
        assert task["status"] in ENDS
        if out_task_id in notes.cancelled:
            assert task["status"] == "cancelled", "an answered cancel stays"
        assert notes.finished.get(out_task_id, task["status"]) == task["status"], "an end stays the end"
    assert 500 not in notes.answers, service.log.read_text()[-5000:]

    billed = sum(task.get("credits_used", 0) for task in tasks.values()) + sum(notes.deleted.values())
    check_balance(service.run("credits", "balance", "--json").stdout, billed=billed)
    verified = service.run("ledger", "verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr

    assert service.stop() == 0
    left = processes_of(tmp_path)
    assert not left, f"render processes outlived the service: {left}"
    print(
        f"{KILLS} kills, serving again after {statistics.median(restarts):.2f} s (median, "
        f"{max(restarts):.2f} at most), all ended {settled_s:.1f} s after the last; {len(tasks)} tasks, "
        + ", ".join(f"{n} {status}" for status, n in Counter(t["status"] for t in tasks.values()).items())
        + f", {len(notes.deleted)} deleted, {billed} credits billed; {len(receiver.got)} webhooks, "
        f"{doubled} of them a second time"
    )


async def _client(
    http: httpx2.AsyncClient, notes: Notes, over: asyncio.Event, chance: random.Random, number: int
) -> None:
    """Submit, now and then cancel, poll to the end: every request again until it is answered."""
    answered = partial(until_answered, answers=notes.answers, within_s=60)
    made = 0
    while not over.is_set():
        made += 1
        out_task_id = f"client-{number}-{made}"
        model, prompt, seconds = chance.choices(PROMPTS, weights=(80, 60, 10, 20, 20, 2, 4))[0]
        params = {"prompt": prompt, "duration_seconds": seconds, "resolution": "360p"}
        body = {"model": model, "params": params, "out_task_id": out_task_id}
        body["callback_url"] = f"{notes.receiver_url}/{out_task_id}"
        notes.bodies[out_task_id] = body
        answer = await answered(lambda: http.post("/v1/tasks/submit", json=body))  # noqa: B023
        assert answer.status_code == 200, answer.text
        notes.accepted.setdefault(out_task_id, set()).add(answer.json()["task_id"])
        if chance.random() < 0.15:
            # The same intent once more, as after a lost answer: it must be the same task.
            again = await answered(lambda: http.post("/v1/tasks/submit", json=body))  # noqa: B023
            notes.accepted[out_task_id].add(again.json()["task_id"])
        if chance.random() < 0.15:
            await asyncio.sleep(chance.uniform(0, 0.3))
            cancel = {"out_task_id": out_task_id}
            answer = await answered(lambda: http.post("/v1/tasks/cancel", json=cancel))  # noqa: B023
            if answer.json()["status"] == "cancelled":
                notes.cancelled.add(out_task_id)
        await asyncio.sleep(chance.uniform(0, 0.05))
        query = {"out_task_id": out_task_id}
        seen = await answered(lambda: http.post("/v1/tasks/query", json=query))  # noqa: B023
        if seen.json()["status"] in ENDS:
            notes.finished[out_task_id] = seen.json()["status"]
            if chance.random() < 0.15:
                # What has ended can be deleted; a lost answer is asked for again, and is then 404.
                gone = f"/v1/videos/{seen.json()['task_id']}"
                answer = await answered(lambda: http.delete(gone))  # noqa: B023
                assert answer.status_code in {200, 404}, answer.text
                notes.deleted[out_task_id] = seen.json().get("credits_used", 0)


async def _all_ended(http: httpx2.AsyncClient, notes: Notes) -> dict[str, dict[str, Any]]:
    """Return every accepted task at its end; fail if one is gone or does not end."""

    async def query(out_task_id: str) -> httpx2.Response:
        asked = {"out_task_id": out_task_id}
        return await until_answered(
            lambda: http.post("/v1/tasks/query", json=asked), notes.answers, within_s=SETTLES_WITHIN_S
        )

    tasks: dict[str, dict[str, Any]] = {}
    deadline = time.monotonic() + SETTLES_WITHIN_S
    kept = notes.accepted.keys() - notes.deleted.keys()
    while len(tasks) < len(kept):
        for out_task_id in kept - tasks.keys():
            answer = await query(out_task_id)
            assert answer.status_code == 200, f"{out_task_id} was accepted, and is lost: {answer.text}"
            if answer.json()["status"] in ENDS:
                tasks[out_task_id] = answer.json()
        open_ = kept - tasks.keys()
        assert time.monotonic() < deadline, f"these do not end: {sorted(open_)[:10]}"
        await asyncio.sleep(0.2)
    for out_task_id in notes.deleted:
        answer = await query(out_task_id)
        assert answer.status_code == 404, f"{out_task_id} was deleted, and is there: {answer.text}"
    return tasks


async def _all_told(service: Service) -> None:
    """Wait until no webhook is left to be delivered; none of them may have been given up."""
    deadline = time.monotonic() + SETTLES_WITHIN_S
    while pending := json.loads(service.run("webhooks", "list", "--state", "pending", "--json").stdout):
        assert time.monotonic() < deadline, f"these are not delivered: {pending[:3]}"
        await asyncio.sleep(0.2)
    assert not json.loads(service.run("webhooks", "list", "--state", "dead", "--json").stdout)


def _check_webhooks(receiver: Receiver, tasks: dict[str, dict[str, Any]], notes: Notes, secret: str) -> int:
    """Check what was told of each task against the task itself; return how often it was told again."""
    told: dict[str, set[str]] = {}
    for path, headers, body in receiver.got:
        # By the signature alone: by now it may be older than a receiver would take it.
        at = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
        signature = Webhook(secret).sign(headers["webhook-id"], at, body.decode())
        assert headers["webhook-signature"] == signature
        said = json.loads(body)
        out_task_id = path.removeprefix("/")
        told.setdefault(out_task_id, set()).add(headers["webhook-id"])
        assert {said["data"]["task_id"]} == notes.accepted[out_task_id]
        if out_task_id in tasks:
            assert said["data"]["status"] == tasks[out_task_id]["status"], "what was told is how it ended"
    assert tasks.keys() <= told.keys(), "the end of every task was told, unless it was deleted"
    assert {len(ids) for ids in told.values()} == {1}, "and is one event, however often it was told"
    return len(receiver.got) - len(told)
