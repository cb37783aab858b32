"""After a task's end: its files go in time, it can be deleted, and no file goes that is needed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from filmgate.blobs.local import LocalBlobs
from filmgate.core.admission import Limits
from filmgate.core.change import Namespace
from filmgate.core.errors import IdempotencyMismatch, TaskNotFound
from filmgate.core.events import EventKind
from filmgate.core.generation import Media, MediaKind, OutputKind
from filmgate.core.task import Status, Task
from filmgate.dispatch.janitor import Janitor
from filmgate.ports import Policy, Ports
from filmgate.ports.blobs import GRACE, Blob
from filmgate.ports.provider import Made, Report, Succeeded
from filmgate.ports.store import TaskQuery
from filmgate.service.cancel_task import cancel_task
from filmgate.service.collect_garbage import collect_garbage
from filmgate.service.delete_task import delete_task
from filmgate.service.expire_results import expire_results
from filmgate.service.expire_waiting import expire_waiting
from filmgate.service.read_tasks import read_task, read_task_named
from filmgate.service.run_task import run_task
from filmgate.service.submit_task import submit_task
from tests.runs import FUNDS, LIMITS, PRICE, Stage, a_key, a_stage, a_submission, running

DAY_S = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """A stage whose files are on a disk, as old as its clock says."""

    stage: Stage
    blobs: LocalBlobs
    files: Path

    @property
    def ports(self) -> Ports:
        return self.stage.ports

    def write(self, content: bytes) -> Path:
        path = self.files / "made"
        path.write_bytes(content)
        return path

    async def keep(self, content: bytes) -> Blob:
        return await self.blobs.keep(self.write(content))

    def makes(self, content: bytes) -> None:
        """Let what is submitted from now on come out as this film."""
        self.stage.provider.reports = [self.success(content)]

    def success(self, content: bytes) -> Report:
        path = self.files / f"film-{content.hex()[:20]}"
        path.write_bytes(content)
        return Succeeded(made=(Made(kind=OutputKind.VIDEO, source=path, mime="video/mp4"),))

    async def film(self, content: bytes = b"a film", **more: object) -> Task:
        """Return a task that has come to its end, with this film."""
        self.makes(content)
        task = await self.stage.submit("a film", **more)
        await self.stage.live()
        return await self.stage.task(task.id)

    async def has(self, blob: str) -> bool:
        return await self.blobs.path(blob) is not None

    async def clean(self) -> int:
        """Collect garbage by the usual grace."""
        return await collect_garbage(self.ports, kept_before=self.stage.clock.now() - GRACE)

    def pass_grace(self) -> None:
        self.stage.clock.advance(GRACE.total_seconds() + 1)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """Return a house with nothing in it."""
    async with a_house(tmp_path) as house:
        yield house


@asynccontextmanager
async def a_house(directory: Path, limits: Limits = LIMITS) -> AsyncIterator[House]:
    """Be in a house for as long as this lasts."""
    stage = await a_stage(directory, limits=limits)
    blobs = LocalBlobs(directory / "blobs", now=stage.clock.now)
    studio = stage.ports.providers["studio"]
    studio = replace(studio, capabilities=replace(studio.capabilities, media=frozenset(MediaKind)))
    stage.ports = replace(stage.ports, blobs=blobs, providers={"studio": studio})
    files = directory / "files"
    files.mkdir()
    try:
        yield House(stage=stage, blobs=blobs, files=files)
    finally:
        await stage.store.close()


def with_input(blob: Blob) -> dict[str, object]:
    """Return what makes a submission use a stored picture."""
    media = Media(kind=MediaKind.IMAGE, blob=blob.id, mime="image/png", width=16, height=16)
    command = a_submission()
    return {"generation": replace(command.generation, media=(media,))}


# --- deadlines ----------------------------------------------------------------------------------


async def test_a_task_that_waits_past_its_deadline_expires_and_is_free(tmp_path: Path) -> None:
    async with a_house(tmp_path, replace(LIMITS, provider_slots={"studio": 1})) as house:
        runs = await house.stage.submit("the one that runs")
        waits = [await house.stage.submit("one that waits") for _ in range(3)]
        house.stage.clock.advance(Policy().deadline_s - 1)
        assert await expire_waiting(house.ports, at=house.stage.clock.now()) == 0
        house.stage.clock.advance(1)

        assert await expire_waiting(house.ports, at=house.stage.clock.now()) == 3

        for task in [await house.stage.task(one.id) for one in waits]:
            assert task.error is not None
            assert (task.status, task.error.code, task.charged) == (Status.FAILED, "expired", 0)
            assert task.result_expires_at == house.stage.clock.now() + timedelta(days=30)
        account = await house.stage.store.account("acct_ada")
        assert account is not None
        assert (account.balance, account.held) == (FUNDS, PRICE), "only what runs is held for"
        assert not (await house.stage.task(runs.id)).ended, "its run keeps its deadline"
        assert await expire_waiting(house.ports, at=house.stage.clock.now()) == 0


async def test_a_task_that_is_admitted_while_it_expires_ends_once(tmp_path: Path) -> None:
    async with a_house(tmp_path, replace(LIMITS, provider_slots={"studio": 1})) as house:
        first, late = await house.stage.submit(), await house.stage.submit()
        house.stage.clock.advance(Policy().deadline_s)
        await cancel_task(house.ports, first)

        (job,) = await house.stage.store.admit(house.stage.clock.now())
        assert job.task_id == late.id
        assert await expire_waiting(house.ports, at=house.stage.clock.now()) == 0, (
            "an admitted one is its run's to end"
        )
        await run_task(house.ports, job)

        ended = await house.stage.check_end_of(late.id)
        assert ended.error is not None
        assert ended.error.code == "expired"
        assert not house.stage.provider.starts


# --- results ------------------------------------------------------------------------------------


async def test_files_go_when_their_time_has_passed_and_the_task_stays(house: House) -> None:
    task = await house.film()
    (output,) = task.outputs
    house.stage.clock.advance(30 * DAY_S - 1)
    assert await expire_results(house.ports, at=house.stage.clock.now()) == 0
    house.stage.clock.advance(1)

    assert await expire_results(house.ports, at=house.stage.clock.now()) == 1
    assert await house.clean() == 1

    after = await read_task(house.ports, a_key(), task.id)
    assert (after.status, after.charged, after.generation.prompt) == (
        Status.SUCCEEDED,
        task.charged,
        task.generation.prompt,
    )
    assert not after.outputs
    assert await house.stage.store.output(output.blob) is None
    assert not await house.has(output.blob)
    last = (await house.stage.store.events(task.id))[-1]
    assert (last.kind, last.seq, last.status) == (EventKind.EXPIRED, task.version + 1, Status.SUCCEEDED)
    assert await expire_results(house.ports, at=house.stage.clock.now()) == 0
    await house.stage.check_end_of(task.id)


@pytest.mark.parametrize("end", ["succeeded", "failed", "cancelled"])
async def test_inputs_go_with_every_end(house: House, end: str) -> None:
    picture = await house.keep(b"a picture")
    house.makes(b"a film")
    task = await house.stage.submit("a film", **with_input(picture))
    house.pass_grace()
    assert await house.clean() == 0, "a task that has not ended needs its inputs"
    if end == "cancelled":
        await cancel_task(house.ports, task)
    elif end == "failed":
        house.stage.clock.advance(Policy().deadline_s)
    await house.stage.live()
    ended = await house.stage.check_end_of(task.id)
    assert ended.status == end
    house.stage.clock.advance(29 * DAY_S)
    await expire_results(house.ports, at=house.stage.clock.now())
    await house.clean()
    assert await house.has(picture.id), "inputs stay as long as outputs do"
    house.stage.clock.advance(2 * DAY_S)

    await expire_results(house.ports, at=house.stage.clock.now())
    await house.clean()

    assert not await house.has(picture.id)


async def test_a_lifetime_of_zero_is_for_ever(house: House) -> None:
    house.stage.ports = replace(house.ports, policy=Policy(result_lifetime_s=0))
    task = await house.film()

    house.stage.clock.advance(10_000 * DAY_S)
    await expire_results(house.ports, at=house.stage.clock.now())
    await house.clean()

    assert task.result_expires_at is None
    assert await house.has(task.outputs[0].blob)


# --- deletion -----------------------------------------------------------------------------------


async def test_a_deleted_task_leaves_a_skeleton_and_its_ledger(house: House) -> None:
    picture = await house.keep(b"a picture")
    task = await house.film(
        b"a film", **with_input(picture), metadata={"mine": 1}, callback_url="https://example.com/"
    )

    await delete_task(house.ports, task)

    left = await house.stage.task(task.id)
    assert (left.generation.prompt, left.generation.media, left.outputs) == ("", (), ())
    assert (left.metadata, left.callback_url) == ({}, None)
    assert (left.status, left.charged, left.deleted_at) == (
        Status.SUCCEEDED,
        task.charged,
        house.stage.clock.now(),
    )
    assert (await house.stage.store.events(task.id))[-1].kind is EventKind.DELETED
    assert not await house.stage.store.tasks(TaskQuery(key_id=task.key_id))
    with pytest.raises(TaskNotFound):
        await read_task(house.ports, a_key(), task.id)
    house.pass_grace()
    assert await house.clean() == 2
    await house.stage.check_end_of(task.id)


async def test_deleting_twice_is_deleting_once(house: House) -> None:
    task = await house.film()
    await delete_task(house.ports, task)
    once = await house.stage.task(task.id)

    await delete_task(house.ports, task)
    await delete_task(house.ports, once)

    assert await house.stage.task(task.id) == once


async def test_deleting_a_running_task_cancels_it_and_stops_it_upstream(house: House) -> None:
    house.stage.provider.reports = [running(10)]
    task = await house.stage.submit()
    house.stage.signals.hooks = [lambda: delete_task(house.ports, task)]

    await house.stage.live()

    left = await house.stage.check_end_of(task.id)
    assert left.status is Status.CANCELLED
    assert left.deleted_at is not None
    assert house.stage.provider.cancelled
    kinds = [(one.kind, one.status) for one in await house.stage.store.events(task.id)]
    assert kinds[-2:] == [(EventKind.STATUS, Status.CANCELLED), (EventKind.DELETED, Status.CANCELLED)]


async def test_a_task_that_ends_while_it_is_deleted_is_deleted_all_the_same(house: House) -> None:
    house.makes(b"a film")
    task = await house.stage.submit()
    stale = task
    await house.stage.live()

    await delete_task(house.ports, stale)

    left = await house.stage.check_end_of(task.id)
    assert (left.status, left.charged) == (Status.SUCCEEDED, PRICE), "what was made and billed was so"
    assert left.deleted_at is not None


@pytest.mark.parametrize("namespace", Namespace)
async def test_the_idempotency_key_of_a_deleted_task_makes_no_second_one(
    house: House, namespace: Namespace
) -> None:
    named = {"out_task_id" if namespace is Namespace.OUT_TASK_ID else "idempotency_key": "mine"}
    task = await house.film(b"a film", **named)
    await delete_task(house.ports, task)

    with pytest.raises(TaskNotFound, match="deleted"):
        await submit_task(house.ports, a_submission("a film", **named))
    with pytest.raises(IdempotencyMismatch):
        await submit_task(house.ports, a_submission("something else", **named))
    with pytest.raises(TaskNotFound):
        await read_task_named(house.ports, a_key(), "mine")

    account = await house.stage.store.account("acct_ada")
    assert account is not None
    assert (account.balance, account.held) == (FUNDS - PRICE, 0)


# --- garbage ------------------------------------------------------------------------------------


async def test_what_nobody_ever_needed_goes_after_its_grace(house: House) -> None:
    orphan = await house.keep(b"of a submission that was refused")

    house.stage.clock.advance(GRACE.total_seconds())
    assert await house.clean() == 0
    house.stage.clock.advance(1)
    assert await house.clean() == 1
    assert not await house.has(orphan.id)
    assert await house.clean() == 0


async def test_a_file_of_two_tasks_stays_until_both_are_done_with_it(house: House) -> None:
    first, second = await house.film(b"the same"), await house.film(b"the same")
    (output,) = first.outputs
    assert second.outputs == first.outputs

    await delete_task(house.ports, first)
    house.pass_grace()
    assert await house.clean() == 0
    assert await house.stage.store.output(output.blob) == output

    await delete_task(house.ports, second)
    assert await house.clean() == 1
    assert not await house.has(output.blob)


async def test_a_film_of_one_task_that_another_uses_stays(house: House) -> None:
    film = await house.film(b"the source")
    (source,) = film.outputs
    house.pass_grace()
    assert await house.blobs.renew(source.blob)
    remix = await house.stage.submit("a film", **with_input(Blob(id=source.blob, size_bytes=0)))

    await delete_task(house.ports, film)
    house.pass_grace()

    assert await house.clean() == 0
    assert await house.has(source.blob)
    assert not (await house.stage.task(remix.id)).ended


@pytest.mark.parametrize("how", ["kept", "renewed"])
async def test_a_file_that_is_stored_anew_between_collect_and_delete_stays(house: House, how: str) -> None:
    task = await house.film(b"the same")
    (output,) = task.outputs
    await delete_task(house.ports, task)
    house.pass_grace()

    class Meanwhile(LocalBlobs):
        async def delete(self, blob: str, **more: object) -> bool:
            # The store has forgotten it by now; somebody stores it again, and commits only later.
            if how == "kept":
                await house.keep(b"the same")
            else:
                assert await house.blobs.renew(output.blob)
            return await house.blobs.delete(blob, **more)  # type: ignore[arg-type]

    meanwhile = Meanwhile(house.blobs._directory, now=house.stage.clock.now)
    ports = replace(house.ports, blobs=meanwhile)
    removed = await collect_garbage(ports, kept_before=house.stage.clock.now() - GRACE)

    assert removed == 0
    again = await house.film(b"the same")
    assert await house.stage.store.output(again.outputs[0].blob) == output
    assert await house.has(output.blob)


async def test_dying_between_collect_and_delete_leaves_a_file_that_goes_the_next_time(house: House) -> None:
    task = await house.film()
    (output,) = task.outputs
    await delete_task(house.ports, task)
    house.pass_grace()

    assert await house.stage.store.collect([output.blob]) == [output.blob]

    assert await house.has(output.blob)
    assert await house.clean() == 1
    assert not await house.has(output.blob)


async def test_a_task_whose_commit_comes_late_finds_its_file(house: House) -> None:
    """The collection runs at every moment between the copy and the commit, and takes nothing."""
    house.makes(b"a film")
    task = await house.stage.submit()
    commits = house.stage.store.commit

    async def commit_later(change: object) -> object:
        house.stage.clock.advance(GRACE.total_seconds() - 1)
        assert await house.clean() == 0
        return await commits(change)  # type: ignore[arg-type]

    house.stage.store.commit = commit_later  # type: ignore[method-assign,assignment]
    await house.stage.live()

    ended = await house.stage.check_end_of(task.id)
    assert await house.has(ended.outputs[0].blob)


async def test_a_great_many_files_go_in_one_collection(house: House) -> None:
    for n in range(1_100):
        await house.keep(f"orphan {n}".encode())
    needed = await house.film(b"needed")
    house.pass_grace()

    assert await house.clean() == 1_100
    assert await house.has(needed.outputs[0].blob)


# --- the janitor --------------------------------------------------------------------------------


@pytest.mark.parametrize("jump_s", [-30 * DAY_S, -7_200, 0, 7_200, 30 * DAY_S])
async def test_no_file_that_is_young_goes_wherever_the_clock_jumps(house: House, jump_s: float) -> None:
    janitor = Janitor(house.ports)
    house.stage.clock.advance(60)
    before = await house.keep(b"kept before the jump")
    house.stage.clock.advance(jump_s)
    after = await house.keep(b"kept after the jump")

    house.stage.clock.advance(600)
    assert await janitor.collect() == 0

    assert await house.has(before.id)
    assert await house.has(after.id)
    for _ in range(3):  # with the clock at rest they go, unless it was set back before they were made
        house.stage.clock.advance(GRACE.total_seconds() + 1)
        await janitor.collect()
    assert not await house.has(after.id)


async def test_a_clock_that_leaps_ahead_and_back_again_expires_nothing(tmp_path: Path) -> None:
    async with a_house(tmp_path, replace(LIMITS, provider_slots={"studio": 1})) as house:
        janitor = Janitor(house.ports)
        film = await house.film(idempotency_key="mine")
        await house.stage.submit("runs")
        waits = await house.stage.submit("waits")

        house.stage.clock.advance(40 * DAY_S)
        done = [await chore.do() for chore in janitor.chores if chore.name != "collect_garbage"]
        house.stage.clock.advance(-40 * DAY_S)

        assert done == [0, 0, 0]
        assert await house.stage.task(film.id) == film
        assert await house.stage.task(waits.id) == waits


async def test_every_chore_does_its_own(tmp_path: Path) -> None:
    async with a_house(tmp_path, replace(LIMITS, provider_slots={"studio": 1})) as house:
        janitor = Janitor(house.ports)
        old = await house.film(idempotency_key="mine")
        await house.stage.submit("runs")
        waits = await house.stage.submit("waits")
        house.stage.clock.advance(40 * DAY_S)
        await janitor.collect()  # which takes note of the time

        done = {chore.name: await chore.do() for chore in janitor.chores}

        assert done == {"expire_waiting": 1, "expire_results": 1, "collect_garbage": 1, "prune_claims": 1}
        assert (await house.stage.task(waits.id)).status is Status.FAILED
        assert not (await house.stage.task(old.id)).outputs
