"""What every provider in the registry promises."""

import asyncio
import dataclasses
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import av
import pytest
from PIL import Image

from filmgate.core.errors import RemoteLost
from filmgate.core.generation import Generation, OutputKind
from filmgate.ports.provider import (
    ClientReference,
    Failed,
    Made,
    Provider,
    RemoteId,
    Report,
    Running,
    Succeeded,
)
from filmgate.providers import registry

SPECS = registry()
BUILT_IN = [name for name, spec in SPECS.items() if spec.built_in]

# The sandbox obeys the magic words, to everyone else they are prompt: so one order fits all.
A_FILM = Generation(
    prompt="#slow=0.2 a quiet sea", width=64, height=36, duration_s=1, fps=8, seed=7, return_last_frame=True
)
A_LONG_FILM = Generation(prompt="#stall over a quiet sea", width=1280, height=720, duration_s=20, seed=7)
TWO_PICTURES = Generation(prompt="a quiet sea", width=64, height=36, seed=7, n=2)

HEAVY = {"av", "cv2", "numpy", "PIL"}


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    return tmp_path / "scratch"


@pytest.fixture(params=BUILT_IN)
async def provider(request: pytest.FixtureRequest, scratch: Path) -> AsyncIterator[Provider]:
    spec = SPECS[request.param]
    provider = spec.build(spec.config(), scratch=scratch)
    await provider.start()
    yield provider
    await provider.close()


async def ended(provider: Provider, remote_id: RemoteId) -> Report:
    """Wait for the end of some work, and see that its progress never goes back."""
    said = 0
    async with asyncio.timeout(30):
        while isinstance(report := await provider.poll(remote_id), Running):
            assert report.progress is None or said <= report.progress <= 100
            said = report.progress or 0
            await asyncio.sleep(0.005)
    return report


async def made_by(provider: Provider, generation: Generation) -> tuple[Made, ...]:
    report = await ended(provider, await provider.submit(generation, reference="task_made-1"))
    assert isinstance(report, Succeeded), report
    return report.made


def bytes_of(made: tuple[Made, ...]) -> Mapping[Path, bytes]:
    return {Path(one.source): Path(one.source).read_bytes() for one in made}


def picture_size(picture: Made) -> tuple[int, int]:
    with Image.open(picture.source, formats=["PNG"]) as image:
        image.load()
        return image.size


def left_in(scratch: Path) -> list[Path]:
    return list(scratch.glob("*"))


# --- the registry -------------------------------------------------------------------------------


def test_every_provider_is_listed_once_by_its_own_name_and_in_order() -> None:
    assert {"sandbox", "studio"} <= SPECS.keys()
    assert list(SPECS) == sorted(spec.name for spec in SPECS.values())


def test_looking_at_the_registry_loads_nothing_heavy() -> None:
    looking = "import sys; from filmgate.providers import registry; registry(); print(*sys.modules)"

    loaded = subprocess.run([sys.executable, "-c", looking], capture_output=True, text=True, check=True)

    assert not HEAVY & set(loaded.stdout.split())


@pytest.mark.parametrize("name", SPECS)
def test_no_secret_shows_in_a_configuration(name: str) -> None:
    secret = re.compile(r"key|secret|token|password")

    shown = [field.name for field in dataclasses.fields(SPECS[name].config) if field.repr]

    assert not [one for one in shown if secret.search(one)]


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_built_in_provider_needs_no_configuration(name: str, scratch: Path) -> None:
    SPECS[name].build(SPECS[name].config(), scratch=scratch)


# --- submit and poll ----------------------------------------------------------------------------


async def test_the_same_reference_never_starts_work_twice(provider: Provider) -> None:
    ids = await asyncio.gather(*(provider.submit(A_LONG_FILM, reference="task_x-1") for _ in range(5)))
    assert len(set(ids)) == 1

    await provider.cancel(ids[0])

    assert isinstance(await provider.poll(ids[0]), Failed)
    assert await provider.submit(A_LONG_FILM, reference="task_x-1") == ids[0]
    assert isinstance(await provider.poll(ids[0]), Failed), "what has ended does not begin again"


async def test_an_idempotent_provider_knows_finished_work_by_its_reference(provider: Provider) -> None:
    first = await made_by(provider, A_FILM)
    were = bytes_of(first)

    again = await made_by(provider, A_FILM)

    assert again == first
    assert bytes_of(again) == were


async def test_polling_changes_nothing(provider: Provider) -> None:
    remote_id = await provider.submit(A_FILM, reference="task_x-1")
    report = await ended(provider, remote_id)
    assert isinstance(report, Succeeded)
    were = bytes_of(report.made)

    again = [await provider.poll(remote_id) for _ in range(3)]

    assert again == [report] * 3
    assert bytes_of(report.made) == were


async def test_unknown_work_is_lost_work(provider: Provider) -> None:
    with pytest.raises(RemoteLost):
        await provider.poll(RemoteId("task_never-1"))


# --- what is made -------------------------------------------------------------------------------


async def test_a_film_is_what_the_provider_says_it_is(provider: Provider) -> None:
    made = {one.kind: one for one in await made_by(provider, A_FILM)}

    film = made[OutputKind.VIDEO]
    assert film.mime == "video/mp4"
    with av.open(str(film.source)) as file:
        video = file.streams.video[0]
        assert (video.width, video.height) == (film.width, film.height)
        assert file.duration is not None
        assert file.duration / av.time_base == film.duration_s
        assert len(list(file.decode(video))) == video.frames > 0


async def test_an_ordered_last_frame_comes_with_the_film(provider: Provider) -> None:
    made = {one.kind: one for one in await made_by(provider, A_FILM)}

    film, last = made[OutputKind.VIDEO], made[OutputKind.LAST_FRAME]
    assert last.mime == "image/png"
    assert (last.width, last.height) == (film.width, film.height)
    assert picture_size(last) == (film.width, film.height)


async def test_pictures_are_what_the_provider_says_they_are(provider: Provider) -> None:
    made = await made_by(provider, TWO_PICTURES)

    assert [one.kind for one in made] == [OutputKind.IMAGE] * 2
    for one in made:
        assert one.mime == "image/png"
        assert picture_size(one) == (one.width, one.height)


# --- cancel, forget, close ----------------------------------------------------------------------


async def test_cancelled_work_ends_at_once(provider: Provider) -> None:
    remote_id = await provider.submit(A_LONG_FILM, reference="task_x-1")
    assert isinstance(await provider.poll(remote_id), Running)

    async with asyncio.timeout(2):
        await provider.cancel(remote_id)

    report = await provider.poll(remote_id)
    assert isinstance(report, Failed)
    assert report.code == "cancelled"
    await provider.cancel(remote_id)
    assert await provider.poll(remote_id) == report


async def test_cancelling_finished_or_unknown_work_is_fine(provider: Provider) -> None:
    remote_id = await provider.submit(A_FILM, reference="task_x-1")
    report = await ended(provider, remote_id)

    await provider.cancel(remote_id)
    await provider.cancel(RemoteId("task_never-1"))

    assert await provider.poll(remote_id) == report


@pytest.mark.parametrize("generation", [A_FILM, A_LONG_FILM], ids=["finished", "running"])
async def test_forgotten_work_is_gone_with_its_files(
    provider: Provider, scratch: Path, generation: Generation
) -> None:
    remote_id = await provider.submit(generation, reference="task_x-1")
    if generation is A_FILM:
        await ended(provider, remote_id)

    await provider.forget(remote_id)
    await provider.forget(remote_id)

    assert not left_in(scratch)
    with pytest.raises(RemoteLost):
        await provider.poll(remote_id)


async def test_closing_leaves_nothing_behind(provider: Provider, scratch: Path) -> None:
    await made_by(provider, A_FILM)
    await provider.submit(A_LONG_FILM, reference="task_x-1")

    await provider.close()
    await provider.close()

    assert not left_in(scratch)


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_built_in_provider_makes_what_it_can_do_known(name: str) -> None:
    can = SPECS[name].capabilities

    assert can.client_reference is ClientReference.IDEMPOTENT
    assert can.cancels
