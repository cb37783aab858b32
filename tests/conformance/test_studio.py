"""What the studio promises beyond every provider: exact films, and children that never get loose."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path

import av
import pytest
import uvloop
from PIL import Image

from filmgate.core.errors import ProviderRejected
from filmgate.core.generation import Generation, Media, MediaKind, MediaRole, OutputKind
from filmgate.ports.provider import Failed, Made, RemoteId, Report, Running, Succeeded
from filmgate.providers.studio import Config, Studio
from filmgate.providers.studio.order import FilmOrder
from filmgate.providers.studio.pool import Pool, RenderFailed
from filmgate.providers.studio.wire import Job
from tests.studio_inputs import a_clip, a_picture, a_sound, saved

A_FILM = Generation(prompt="a quiet sea", width=64, height=36, duration_s=1, fps=8, seed=7)
A_PICTURE = Media(kind=MediaKind.IMAGE, blob="a", mime="image/png")
A_LONG_FILM = Generation(prompt="a quiet sea", width=1280, height=720, duration_s=20, seed=7)

needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for children in /proc")


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    return tmp_path / "scratch"


@pytest.fixture
async def studio(scratch: Path) -> AsyncIterator[Studio]:
    studio = Studio(Config(slots=1), scratch=scratch)
    await studio.start()
    yield studio
    await studio.close()


async def until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not happened():  # noqa: ASYNC110  (what happens is in another process)
            await asyncio.sleep(0.01)


async def ended(studio: Studio, remote_id: RemoteId) -> Report:
    await until(lambda: not isinstance(studio._work[remote_id].report, Running))
    return await studio.poll(remote_id)


async def under_way(studio: Studio, remote_id: RemoteId) -> None:
    """Wait until a child is at work on it."""
    await until(lambda: studio._work[remote_id].report != Running(progress=0))
    assert isinstance(await studio.poll(remote_id), Running)


async def made_by(
    studio: Studio, generation: Generation, reference: str = "task_x-1", inputs: Sequence[Path] = ()
) -> tuple[Made, ...]:
    report = await ended(studio, await studio.submit(generation, reference=reference, inputs=inputs))
    assert isinstance(report, Succeeded), report
    return report.made


def children(parent: int | None = None) -> set[int]:
    """Return the living children of this process, or of `parent`, that run a module of ours.

    Other tests' servers may be children of it, too.
    """
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, ppid = stat.read_text().rpartition(")")[2].split()[:2]
            command = stat.with_name("cmdline").read_bytes()
        except OSError:
            continue
        if int(ppid) == (parent or os.getpid()) and state != "Z" and b"\0-m\0filmgate." in command:
            found.add(int(stat.parent.name))
    return found


def left_in(scratch: Path) -> list[Path]:
    return list(scratch.iterdir())


def environment(child: int) -> bytes:
    return Path(f"/proc/{child}/environ").read_bytes()


def within(seconds: float, happened: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


# --- what is made -------------------------------------------------------------------------------


@pytest.mark.parametrize("audio", [True, False], ids=["sound", "silent"])
async def test_a_film_is_exactly_what_was_asked_for(studio: Studio, *, audio: bool) -> None:
    asked = replace(A_FILM, width=98, height=54, duration_s=2, fps=15, audio=audio)

    film = (await made_by(studio, asked))[0]

    assert (film.kind, film.width, film.height, film.duration_s) == (OutputKind.VIDEO, 98, 54, 2)
    with av.open(str(film.source)) as file:
        video = file.streams.video[0]
        assert (video.width, video.height) == (98, 54)
        assert len(list(file.decode(video))) == 30
        assert file.duration == 2 * av.time_base
        assert bool(file.streams.audio) is audio


async def test_the_same_seed_makes_the_same_film(studio: Studio) -> None:
    first = await made_by(studio, A_FILM, "task_a-1")
    second = await made_by(studio, A_FILM, "task_b-1")

    assert pixels(first[0]) == pixels(second[0])


async def test_without_a_seed_the_reference_decides_so_that_a_restart_repeats_the_film(
    studio: Studio,
) -> None:
    first = pixels((await made_by(studio, replace(A_FILM, seed=None), "task_a-1"))[0])
    await studio.forget(RemoteId("task_a-1"))

    second = pixels((await made_by(studio, replace(A_FILM, seed=None), "task_a-1"))[0])

    assert first == second


def pixels(film: Made) -> list[bytes]:
    with av.open(str(film.source)) as file:
        return [frame.to_ndarray(format="rgb24").tobytes() for frame in file.decode(video=0)]


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"duration_s": 21}, "1 to 20 s"),
        ({"duration_s": -1}, "1 to 20 s"),
        ({"width": 65}, "even"),
        ({"width": 1922, "height": 1080}, "1080p"),
        ({"width": 8, "height": 8}, "pixels a side"),
        ({"fps": 0}, "frames a second"),
        ({"fps": 61}, "frames a second"),
        ({"n": 2}, "one film"),
        ({"duration_s": 0, "n": 0}, "pictures at a time"),
        ({"media": (A_PICTURE,) * 10}, "9 reference pictures"),
        ({"media": (replace(A_PICTURE, role=MediaRole.FIRST_FRAME),) * 2}, "one first frame"),
        ({"media": (replace(A_PICTURE, kind=MediaKind.AUDIO),) * 4}, "3 sounds"),
        ({"media": (replace(A_PICTURE, kind=MediaKind.AUDIO),), "duration_s": 0}, "no sound"),
    ],
    ids=lambda value: value if isinstance(value, str) else ",".join(value),
)
async def test_what_cannot_be_made_is_refused_at_once(
    scratch: Path, wrong: dict[str, object], word: str
) -> None:
    studio = Studio(Config(), scratch=scratch)
    asked = replace(A_FILM, **wrong)  # type: ignore[arg-type]

    with pytest.raises(ProviderRejected, match=word):
        await studio.submit(asked, reference="task_x-1", inputs=[scratch / "a.png"] * len(asked.media))


async def test_a_film_comes_with_what_players_and_lists_want(studio: Studio) -> None:
    made = await made_by(studio, replace(A_FILM, return_last_frame=True))

    assert [file.kind for file in made] == [
        OutputKind.VIDEO,
        OutputKind.THUMBNAIL,
        OutputKind.SPRITESHEET,
        OutputKind.LAST_FRAME,
    ]
    assert all(file.source.stat().st_size for file in made)


# --- what is given ------------------------------------------------------------------------------


def with_media(*given: tuple[MediaKind, MediaRole, Path]) -> tuple[Generation, list[Path]]:
    """Return a film of such inputs, and their files."""
    media = tuple(Media(kind=kind, role=role, blob=path.name, duration_s=1) for kind, role, path in given)
    return replace(A_FILM, media=media), [path for _, _, path in given]


async def test_pictures_clips_and_sounds_together_make_the_same_film_each_time(
    studio: Studio, tmp_path: Path
) -> None:
    asked, files = with_media(
        (MediaKind.AUDIO, MediaRole.REFERENCE, a_sound(tmp_path / "a.wav")),
        (MediaKind.IMAGE, MediaRole.LAST_FRAME, saved(a_picture(2), tmp_path / "b.png")),
        (MediaKind.VIDEO, MediaRole.SOURCE, a_clip(tmp_path / "c.mp4")),
        (MediaKind.IMAGE, MediaRole.FIRST_FRAME, saved(a_picture(1), tmp_path / "a.png")),
        (MediaKind.IMAGE, MediaRole.REFERENCE, saved(a_picture(3), tmp_path / "r.png")),
    )

    first = await made_by(studio, asked, "task_a-1", files)
    second = await made_by(studio, asked, "task_b-1", files)

    assert pixels(first[0]) == pixels(second[0])
    assert first[0].source.read_bytes() == second[0].source.read_bytes()


@pytest.mark.parametrize(
    ("kind", "name"), [(MediaKind.IMAGE, "a.png"), (MediaKind.VIDEO, "a.mp4"), (MediaKind.AUDIO, "a.wav")]
)
async def test_an_input_that_cannot_be_used_is_the_callers_fault_and_harms_nobody(
    studio: Studio, tmp_path: Path, kind: MediaKind, name: str
) -> None:
    (tmp_path / name).write_bytes(b"\x89PNG\r\n\x1a\n" + os.urandom(500))
    asked, files = with_media((kind, MediaRole.REFERENCE, tmp_path / name))

    report = await ended(studio, await studio.submit(asked, reference="task_x-1", inputs=files))

    assert isinstance(report, Failed)
    assert report.code == "input_invalid"
    assert report.reason.startswith(f"Input 1 ({kind}) is damaged")
    assert str(tmp_path) not in report.reason
    assert await made_by(studio, A_FILM, "task_y-1")


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for children in /proc")
async def test_large_pictures_stay_within_the_memory_of_a_child(scratch: Path, tmp_path: Path) -> None:
    large = tmp_path / "large.png"
    Image.new("RGBA", (8200, 6100), (30, 60, 90, 200)).save(large, compress_level=1)
    asked, files = with_media(*[(MediaKind.IMAGE, MediaRole.REFERENCE, large)] * 3)
    studio = Studio(Config(slots=1, memory_mb=1024), scratch=scratch)

    assert await made_by(studio, asked, inputs=files)

    await studio.close()


async def test_labels_are_the_operators_choice(scratch: Path) -> None:
    studio = Studio(Config(slots=1, labels="cn", producer="Acme"), scratch=scratch)

    film = (await made_by(studio, A_FILM))[0]

    with av.open(str(film.source)) as file:
        assert json.loads(file.metadata["AIGC"])["ContentProducer"] == "Acme"
        assert json.loads(file.metadata["AIGC"])["ProduceID"] == "task_x-1"
    await studio.close()


@pytest.mark.parametrize("reference", ["", "..", "../task", "a/b", ".hidden"])
async def test_a_reference_never_leads_out_of_the_scratch_directory(scratch: Path, reference: str) -> None:
    studio = Studio(Config(), scratch=scratch)

    with pytest.raises(ValueError, match="no file name"):
        await studio.submit(A_FILM, reference=reference)


async def test_what_a_killed_predecessor_left_is_swept(scratch: Path) -> None:
    (scratch / "task_dead-1").mkdir(parents=True)
    (scratch / "task_dead-1" / "film.mp4.part").write_bytes(b"half a film")
    studio = Studio(Config(), scratch=scratch)

    await studio.start()

    assert not left_in(scratch)
    await studio.close()


# --- children -----------------------------------------------------------------------------------


@needs_proc
async def test_cancelling_frees_the_child_at_once(studio: Studio) -> None:
    remote_id = await studio.submit(A_LONG_FILM, reference="task_x-1")
    await under_way(studio, remote_id)
    working = children()

    await studio.cancel(remote_id)

    assert len(working) == 1
    assert not working & children()
    assert await made_by(studio, A_FILM, "task_y-1"), "the slot is free again"


@needs_proc
@pytest.mark.parametrize(
    ("blow", "word"), [(signal.SIGKILL, "killed"), (signal.SIGSEGV, "crashed"), (signal.SIGTERM, "SIGTERM")]
)
async def test_a_child_that_dies_fails_its_work_and_nothing_else(
    studio: Studio, blow: signal.Signals, word: str
) -> None:
    remote_id = await studio.submit(A_LONG_FILM, reference="task_x-1")
    await under_way(studio, remote_id)

    for child in children():
        os.kill(child, blow)

    report = await ended(studio, remote_id)
    assert isinstance(report, Failed)
    assert report.code == "provider_failed"
    assert word in report.reason
    assert await made_by(studio, A_FILM, "task_y-1")


@needs_proc
async def test_a_child_that_died_idle_costs_nobody_anything(studio: Studio) -> None:
    await made_by(studio, A_FILM)
    for child in children():
        os.kill(child, signal.SIGKILL)
    await until(lambda: not any(child.alive for child in studio._pool._alive))

    assert await made_by(studio, A_FILM, "task_y-1")


async def test_an_order_that_takes_too_much_memory_is_stopped(scratch: Path) -> None:
    studio = Studio(Config(slots=1, memory_mb=1), scratch=scratch)

    report = await ended(studio, await studio.submit(A_LONG_FILM, reference="task_x-1"))

    assert isinstance(report, Failed)
    assert "more memory" in report.reason
    await studio.close()


async def test_a_child_that_says_nothing_is_stopped(scratch: Path) -> None:
    pool = Pool(1, jobs_per_child=9, memory_bytes=1 << 30, silence_s=0.01)
    order = FilmOrder(prompt="", seed=1, width=64, height=36, duration_s=1)

    with pytest.raises(RenderFailed, match="hung"):
        await pool.run(Job(directory=scratch, film=order), lambda _: None)

    await pool.close()


async def test_a_render_that_fails_says_why_in_a_sentence(studio: Studio, scratch: Path) -> None:
    (scratch / "task_x-1").write_text("a file where a directory should be")

    report = await ended(studio, await studio.submit(A_FILM, reference="task_x-1"))

    assert isinstance(report, Failed)
    assert report.reason == "The studio could not write its files: file exists."


@needs_proc
async def test_a_child_is_replaced_after_its_share_of_jobs(scratch: Path) -> None:
    studio = Studio(Config(slots=1, jobs_per_child=1), scratch=scratch)
    await made_by(studio, A_FILM, "task_a-1")
    first = children()

    await made_by(studio, A_FILM, "task_b-1")

    assert within(2, lambda: not first & children()) or children() != first
    await studio.close()
    assert not children()


@needs_proc
async def test_a_child_holds_none_of_our_secrets(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, scratch: Path
) -> None:
    monkeypatch.setenv("FILMGATE_SECRET", "open sesame")

    await made_by(studio, A_FILM)

    for child in children():
        assert b"sesame" not in environment(child)


@needs_proc
async def test_closing_leaves_no_child(scratch: Path) -> None:
    studio = Studio(Config(slots=2), scratch=scratch)
    await studio.start()
    ids = [await studio.submit(A_LONG_FILM, reference=f"task_{k}-1") for k in range(3)]
    await under_way(studio, ids[0])

    await studio.close()

    assert not children()
    assert not left_in(scratch)


@needs_proc
def test_a_killed_service_leaves_no_child(scratch: Path) -> None:
    service = subprocess.Popen(
        [sys.executable, "-c", A_SERVICE, str(scratch)], stdout=subprocess.PIPE, text=True
    )
    with service:
        assert service.stdout is not None
        assert service.stdout.readline() == "rendering\n"
        orphans = children(service.pid)

        service.kill()

        assert orphans
        assert within(2, lambda: not any(Path(f"/proc/{child}").exists() for child in orphans))


A_SERVICE = """
import asyncio, sys
from pathlib import Path
from filmgate.core.generation import Generation
from filmgate.providers.studio import Config, Studio

async def serve():
    studio = Studio(Config(slots=1), scratch=Path(sys.argv[1]))
    film = Generation(prompt="a quiet sea", width=1280, height=720, duration_s=20, seed=7)
    remote_id = await studio.submit(film, reference="task_x-1")
    while not (await studio.poll(remote_id)).progress:
        await asyncio.sleep(0.01)
    print("rendering", flush=True)
    await asyncio.sleep(60)

asyncio.run(serve())
"""


@needs_proc
def test_the_loop_of_production_is_fine_too(scratch: Path) -> None:
    async def serve() -> None:
        studio = Studio(Config(slots=1), scratch=scratch)
        await studio.start()
        await made_by(studio, A_FILM, "task_a-1")
        remote_id = await studio.submit(A_LONG_FILM, reference="task_b-1")
        await under_way(studio, remote_id)
        await studio.cancel(remote_id)
        assert isinstance(await studio.poll(remote_id), Failed)
        await studio.close()

    uvloop.run(serve())

    assert not children()
