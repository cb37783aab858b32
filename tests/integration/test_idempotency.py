"""Many callers at once: one key is one task, one credit is spent once, one end is the end."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filmgate.core.admission import Limits
from filmgate.core.errors import FilmgateError, IdempotencyMismatch, InsufficientCredits
from filmgate.core.ledger import Transfer, TransferKind
from filmgate.core.task import Status, Task
from filmgate.core.wish import Wish, fulfil
from filmgate.ports import Ports
from filmgate.ports.provider import RemoteId, Report
from filmgate.ports.store import Job
from filmgate.service.cancel_task import cancel_task
from filmgate.service.run_task import run_task
from filmgate.service.submit_task import Submitted, submit_task
from filmgate.store.sqlite import SqliteStore
from tests.fakes import IdleProvider, ManualClock, MemoryStore, SilentSignals
from tests.runs import (
    FUNDS,
    LIMITS,
    STUDIO,
    Fate,
    ScriptedProvider,
    a_backend,
    a_key,
    a_submission,
    a_success,
    some_ports,
)
from tests.stores import available, findings, fund

Opens = Callable[[Limits], Ports]
MICRO = 1_000_000


@pytest.fixture
async def opens(tmp_path: Path) -> AsyncIterator[Opens]:
    """Return what opens a real store with given limits, and wires it."""
    stores = []

    def one(limits: Limits) -> Ports:
        stores.append(SqliteStore.open(tmp_path, limits=limits, serving=True))
        studio = a_backend(ScriptedProvider(fate=Fate(), reports=[a_success()]))
        return some_ports(stores[-1], {"studio": studio}, clock=ManualClock(), signals=SilentSignals())

    yield one
    for store in stores:
        await store.close()


ROOMY = Limits(account_concurrency=10, account_queue=100_000, provider_slots={"studio": 10})


async def transfers(ports: Ports) -> list[Transfer]:
    """Return all transfers, as they are stored."""
    books = await ports.store.books()
    return [row.transfer for row in books.rows if hasattr(row, "transfer")]


# --- one key, one task --------------------------------------------------------------------------


async def test_every_key_is_one_task_however_many_send_it_at_once(opens: Opens) -> None:
    """I-1: 300 keys, eight senders each, all released together."""
    ports = opens(ROOMY)
    await fund(ports.store, "ada", amount=3_000 * 5 * MICRO)
    gate = asyncio.Event()

    async def send(token: str) -> Submitted:
        await gate.wait()
        return await submit_task(ports, a_submission(out_task_id=token))

    tokens = [f"film-{n}" for n in range(300) for _ in range(8)]
    random.Random(7).shuffle(tokens)
    senders = [asyncio.create_task(send(token)) for token in tokens]
    await asyncio.sleep(0)
    gate.set()
    answers = await asyncio.gather(*senders)

    ids: dict[str, set[str]] = {}
    for token, answer in zip(tokens, answers, strict=True):
        ids.setdefault(token, set()).add(answer.task.id)
    holds = [one for one in await transfers(ports) if one.kind is TransferKind.HOLD]
    assert all(len(of_token) == 1 for of_token in ids.values())
    assert len(set.union(*ids.values())) == 300
    assert sum(not answer.replayed for answer in answers) == 300
    assert {hold.task_id for hold in holds} == set.union(*ids.values())
    assert len(holds) == 300
    assert not await findings(ports.store)


async def test_one_token_under_two_keys_is_two_tasks_though_one_account_pays(opens: Opens) -> None:
    """I-4, and a key that is rotated keeps its identity, so its retry is a replay."""
    ports = opens(ROOMY)
    await fund(ports.store, "ada", amount=FUNDS)
    other = replace(a_key(), id="other", identity="key_other")
    rotated = replace(a_key(), id="rotated", hash=b"another")

    mine = await submit_task(ports, a_submission(out_task_id="film"))
    others = await submit_task(ports, a_submission(out_task_id="film", key=other))
    again = await submit_task(ports, a_submission(out_task_id="film", key=rotated))

    assert mine.task.id != others.task.id
    assert not others.replayed
    assert again.replayed
    assert again.task.id == mine.task.id


SPELT_OUT: dict[str, Any] = {
    "negative_prompt": "",
    "duration_s": 5,
    "aspect_ratio": "16:9",
    "resolution": "720p",
    "fps": 24,
    "seed": -1,
    "audio": True,
    "watermark": False,
    "return_last_frame": False,
    "n": 1,
}
OTHERWISE: dict[str, Any] = {
    "prompt": "a lighthouse at dawn",
    "negative_prompt": "people",
    "duration_s": 6,
    "aspect_ratio": "1:1",
    "resolution": "1080p",
    "size": (640, 640),
    "fps": 25,
    "seed": 7,
    "audio": False,
    "watermark": True,
    "return_last_frame": True,
    "end_user_id": "u1",
    "extra": {"studio": {"mood": "calm"}},
}

# I-2, in Generation's terms: what a client spells out, and what it leaves to the defaults.
wishes = st.fixed_dictionaries(
    {"prompt": st.sampled_from(["a lighthouse", "a lighthouse ", "灯台 \U0001f30a"])},
    optional={name: st.just(value) for name, value in SPELT_OUT.items()},
)


@settings(max_examples=150)
@given(wish=wishes, again=wishes)
def test_a_request_that_spells_its_defaults_out_is_the_same_request(
    wish: dict[str, Any], again: dict[str, Any]
) -> None:
    first, second = asyncio.run(submitted_twice(wish, {**again, "prompt": wish["prompt"]}))

    assert isinstance(second, Submitted)
    assert second.replayed
    assert second.task.id == first.task.id


@settings(max_examples=150)
@given(wish=wishes, field=st.sampled_from(sorted(OTHERWISE)))
def test_a_request_that_differs_in_one_field_is_another_request(wish: dict[str, Any], field: str) -> None:
    _, second = asyncio.run(submitted_twice(wish, {**wish, field: OTHERWISE[field]}))

    assert isinstance(second, IdempotencyMismatch)


async def submitted_twice(
    wish: dict[str, Any], again: dict[str, Any]
) -> tuple[Submitted, Submitted | FilmgateError]:
    """Submit two wishes under one token, and return what became of both."""
    store = MemoryStore(LIMITS)
    await fund(store, "ada", amount=FUNDS)
    studio = a_backend(ScriptedProvider(fate=Fate(), reports=[a_success()]))
    ports = some_ports(store, {"studio": studio}, clock=ManualClock(), signals=SilentSignals())

    async def send(asked: dict[str, Any]) -> Submitted:
        generation = fulfil(STUDIO, Wish(**asked))
        return await submit_task(ports, a_submission(out_task_id="film", generation=generation))

    first = await send(wish)
    try:
        return first, await send(again)
    except FilmgateError as error:
        assert len(store.rows) == 1, "a refusal leaves no task"
        return first, error


# --- one credit, spent once ---------------------------------------------------------------------


async def test_the_last_thousand_credits_buy_a_thousand_seconds_and_not_one_more(opens: Opens) -> None:
    """L-2: 64 spenders, 5,000 tries."""
    ports = opens(ROOMY)
    await fund(ports.store, "ada", amount=1_000 * MICRO)
    second_of_film = fulfil(STUDIO, Wish(prompt="a lighthouse", duration_s=1))
    tries = iter(range(5_000))
    outcomes: Counter[str] = Counter()

    async def spend() -> None:
        for _ in tries:
            try:
                await submit_task(ports, a_submission(generation=second_of_film))
            except InsufficientCredits:
                outcomes["refused"] += 1
            else:
                outcomes["accepted"] += 1
            assert await available(ports.store) >= 0

    await asyncio.gather(*(spend() for _ in range(64)))

    assert outcomes == {"accepted": 1_000, "refused": 4_000}
    assert await available(ports.store) == 0
    assert not await findings(ports.store)


# --- one end ------------------------------------------------------------------------------------


class Gated(IdleProvider):
    """Finishes all of its work at the moment its gate opens; `all_there` says when all are asked about."""

    def __init__(self, gate: asyncio.Event, chance: random.Random, *, awaited: int) -> None:
        self.gate = gate
        self.chance = chance
        self.awaited = awaited
        self.all_there = asyncio.Event()

    async def poll(self, remote_id: RemoteId) -> Report:
        self.awaited -= 1
        if self.awaited == 0:
            self.all_there.set()
        await self.gate.wait()
        await a_moment(self.chance)
        return a_success()


async def a_moment(chance: random.Random) -> None:
    """Let others go first, a few or many."""
    for _ in range(chance.randrange(12)):
        await asyncio.sleep(0)


@pytest.mark.parametrize("idempotent", [True, False], ids=["idempotent", "no reference"])
async def test_a_cancel_and_a_completion_together_have_one_end(opens: Opens, *, idempotent: bool) -> None:
    """L-3: 400 races; the answer to the cancel is what the ledger says."""
    races = 400
    ports = opens(replace(LIMITS, account_concurrency=races))
    await fund(ports.store, "ada", amount=races * 5 * MICRO)
    gate, chance = asyncio.Event(), random.Random(11)
    backend = a_backend(ScriptedProvider(fate=Fate(), reports=[a_success()], idempotent=idempotent))
    provider = Gated(gate, chance, awaited=races)
    ports = replace(ports, providers={"studio": replace(backend, provider=provider)})
    tasks = [(await submit_task(ports, a_submission())).task for _ in range(races)]
    runs = [asyncio.create_task(run_task(ports, Job(task_id=task.id, lease_no=1))) for task in tasks]
    async with asyncio.timeout(30):
        await provider.all_there.wait()

    async def cancel(task: Task) -> Task:
        await gate.wait()
        await a_moment(chance)
        return await cancel_task(ports, await stored(ports, task))

    cancels = [asyncio.create_task(cancel(task)) for task in tasks]
    await asyncio.sleep(0)
    gate.set()
    answers = await asyncio.gather(*cancels)
    await asyncio.gather(*runs)

    resolved: dict[str | None, list[TransferKind]] = {}
    for transfer in await transfers(ports):
        if transfer.kind in {TransferKind.POST, TransferKind.VOID}:
            resolved.setdefault(transfer.task_id, []).append(transfer.kind)
    for answer in answers:
        billed = answer.status is Status.SUCCEEDED
        assert answer.status in {Status.SUCCEEDED, Status.CANCELLED}
        assert resolved[answer.id] == [TransferKind.POST if billed else TransferKind.VOID]
        assert (await stored(ports, answer)).status is answer.status
    assert {answer.status for answer in answers} == {Status.SUCCEEDED, Status.CANCELLED}, "a race"
    assert not await ports.store.take_over()
    assert not await findings(ports.store)


async def stored(ports: Ports, task: Task) -> Task:
    """Return the task as it is stored now."""
    found = await ports.store.task(task.id)
    assert found is not None
    return found
