"""Inputs that are elsewhere come to the provider as files, or the task fails for free."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count
from typing import Final

import pytest

from filmgate.core.attempt import Outcome
from filmgate.core.errors import RemoteLost
from filmgate.core.generation import Generation, Media, MediaKind, MediaRole
from filmgate.core.task import Phase, Status, Task
from filmgate.core.wish import Wish, fulfil
from filmgate.ports.provider import Report
from filmgate.service import prepare_inputs
from filmgate.service.cancel_task import cancel_task
from tests.fakes import MemoryBlobs
from tests.runs import STUDIO, Place, Stage, a_stage, a_success, running

PICTURE: Final = b"\x89PNG\r\n\x1a\n" + bytes(8) + (300).to_bytes(4, "big") + (400).to_bytes(4, "big")
FILM: Final = b"\0\0\0\x10ftypisom"
BOTH = pytest.mark.parametrize("idempotent", [True, False], ids=["idempotent", "no reference"])

A_PICTURE: Final = Media(kind=MediaKind.IMAGE, role=MediaRole.FIRST_FRAME, url="https://a.example/1.png")
A_FILM: Final = Media(kind=MediaKind.VIDEO, url="https://a.example/2.mp4")

Build = Callable[..., Awaitable[Stage]]


@pytest.fixture
async def build(places: Callable[[], Place]) -> AsyncIterator[Build]:
    """Return what builds a stage whose web has a picture and a film."""
    stages: list[Stage] = []

    async def one(*reports: Report, idempotent: bool = True) -> Stage:
        stages.append(await a_stage(places(), *reports, idempotent=idempotent))
        stages[-1].intake.web = {"https://a.example/1.png": PICTURE, "https://a.example/2.mp4": FILM}
        return stages[-1]

    yield one
    for stage in stages:
        await stage.store.close()


def made_of(*media: Media, ratio: str | None = None) -> Generation:
    return fulfil(STUDIO, Wish(prompt="a lighthouse", media=media, aspect_ratio=ratio))


async def submitted(stage: Stage, *media: Media, ratio: str | None = None) -> Task:
    return await stage.submit(generation=made_of(*media, ratio=ratio))


def blobs_of(stage: Stage) -> dict[str, bytes]:
    blobs = stage.ports.blobs
    assert isinstance(blobs, MemoryBlobs)
    return blobs.contents


async def test_the_provider_gets_the_files_in_their_order(build: Build) -> None:
    stage = await build(a_success())
    task = await submitted(stage, A_PICTURE, A_FILM)

    await stage.live()

    ended = await stage.check_end_of(task.id)
    picture, film = ended.generation.media
    assert ended.status is Status.SUCCEEDED
    assert stage.provider.inputs == [[PICTURE, FILM]]
    assert (picture.role, picture.mime, picture.width, picture.height) == (
        MediaRole.FIRST_FRAME,
        "image/png",
        300,
        400,
    )
    assert (film.mime, film.duration_s) == ("video/mp4", 1.0)
    assert blobs_of(stage)[str(picture.blob)] == PICTURE
    assert ended.fingerprint == task.fingerprint
    assert [event.phase for event in await stage.store.events(task.id)] == [
        None,
        Phase.PREPARING,
        Phase.SUBMITTING,
        None,
    ]


async def test_an_adaptive_film_takes_the_shape_of_the_picture_that_came(build: Build) -> None:
    stage = await build(a_success())
    task = await submitted(stage, A_PICTURE, ratio="adaptive")

    await stage.live()

    made = (await stage.check_end_of(task.id)).generation
    assert made.width / made.height == pytest.approx(3 / 4, abs=0.01)
    assert made.width * made.height == pytest.approx(task.generation.width * task.generation.height, rel=0.01)


async def test_what_is_here_already_is_not_fetched(build: Build) -> None:
    stage = await build(a_success())
    first = await submitted(stage, A_PICTURE)
    await stage.live()
    (here,) = (await stage.task(first.id)).generation.media

    second = await submitted(stage, here, A_FILM)
    await stage.live()

    assert (await stage.task(second.id)).status is Status.SUCCEEDED
    assert stage.intake.fetched == [A_PICTURE.url, A_FILM.url]
    assert stage.provider.inputs == [[PICTURE], [PICTURE, FILM]]


@pytest.mark.parametrize(
    ("media", "code", "message"),
    [
        (
            (Media(kind=MediaKind.IMAGE, url="https://a.example/none"),),
            "input_unavailable",
            "image: the server answered 404",
        ),
        (
            (Media(kind=MediaKind.IMAGE, url="http://10.0.0.1/"),),
            "input_unavailable",
            "image: address not allowed",
        ),
        (
            (Media(kind=MediaKind.VIDEO, url=A_PICTURE.url),),
            "input_invalid",
            "video: this is an image (image/png), not a video",
        ),
        (
            (A_PICTURE, Media(kind=MediaKind.IMAGE, url="https://a.example/bad")),
            "input_invalid",
            "image 2: the file is damaged",
        ),
    ],
)
async def test_a_bad_input_fails_the_task_for_free(
    build: Build, media: tuple[Media, ...], code: str, message: str
) -> None:
    stage = await build(a_success())
    stage.intake.web["https://a.example/bad"] = b"bad"
    task = await submitted(stage, *media)

    await stage.live()

    ended = await stage.check_end_of(task.id)
    (attempt,) = await stage.store.attempts(task.id)
    assert ended.error is not None
    assert (ended.status, ended.error.code, ended.error.message) == (Status.FAILED, code, message)
    assert attempt.outcome is Outcome.UNSENT
    assert not stage.provider.starts
    assert not blobs_of(stage), "nothing is kept unless all are good"


async def test_inputs_that_are_too_large_together_fail_the_task(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare_inputs, "MOST_BYTES", len(PICTURE) + len(FILM) - 1)
    stage = await build(a_success())
    task = await submitted(stage, A_PICTURE, A_FILM)

    await stage.live()

    ended = await stage.check_end_of(task.id)
    assert ended.error is not None
    assert ended.error.code == "input_invalid"
    assert not blobs_of(stage)


@BOTH
async def test_a_task_with_inputs_ends_once_wherever_the_process_dies(
    build: Build, *, idempotent: bool
) -> None:
    for step in count(1):
        stage = await build(running(10), a_success(), idempotent=idempotent)
        task = await submitted(stage, A_PICTURE, A_FILM)
        lived_through = await stage.live(dies_at=step)
        await stage.live()

        ended = await stage.check_end_of(task.id)
        if ended.status is Status.SUCCEEDED:
            assert all(given == [PICTURE, FILM] for given in stage.provider.inputs), f"step {step}"
        else:
            assert not idempotent
            assert ended.error is not None
            assert ended.error.code == "submit_unknown", f"step {step}"
        if lived_through:
            break

    assert step > 12


async def test_a_cancel_stops_the_fetching_at_once(build: Build) -> None:
    stage = await build(a_success())
    stage.intake.hangs = True
    task = await submitted(stage, A_PICTURE, A_FILM)

    async def cancel() -> None:
        await cancel_task(stage.ports, await stage.task(task.id))

    stage.signals.hooks = [cancel]
    async with asyncio.timeout(5):
        await stage.live()

    ended = await stage.check_end_of(task.id)
    assert ended.status is Status.CANCELLED
    assert stage.intake.given_up == 2
    assert not stage.provider.starts


async def test_fetching_ends_at_the_deadline(build: Build) -> None:
    stage = await build(a_success())
    stage.intake.hangs = True
    task = await submitted(stage, A_PICTURE)

    async with asyncio.timeout(10):
        await stage.live()

    ended = await stage.check_end_of(task.id)
    assert ended.error is not None
    assert ended.error.code == "expired"
    assert stage.intake.given_up == 1
    assert not stage.provider.starts


async def test_work_that_was_lost_is_begun_anew_with_its_inputs(build: Build) -> None:
    stage = await build(a_success())
    stage.provider.poll_errors = [RemoteLost("")]
    task = await submitted(stage, A_PICTURE)

    await stage.live()

    assert (await stage.check_end_of(task.id)).status is Status.SUCCEEDED
    assert stage.provider.inputs == [[PICTURE], [PICTURE]]


async def test_an_input_that_is_gone_by_then_fails_the_task(build: Build) -> None:
    stage = await build(a_success())
    task = await submitted(stage, A_PICTURE)

    async def lose() -> None:
        blobs_of(stage).clear()
        stage.provider.poll_errors = [RemoteLost("")]

    stage.provider.during_submit = lose
    await stage.live()

    ended = await stage.check_end_of(task.id)
    assert ended.error is not None
    assert (ended.error.code, ended.error.message) == (
        "input_unavailable",
        "an image input is no longer stored",
    )
