"""The built-in provider: a procedural film renderer, in child processes, and no AI model."""

import asyncio
import hashlib
import logging
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from filmgate.core.errors import ProviderRejected, RemoteLost
from filmgate.core.generation import Generation, MediaKind, MediaRole, OutputKind
from filmgate.ports.provider import (
    Capabilities,
    ClientReference,
    Failed,
    Made,
    RemoteId,
    Report,
    Running,
    Spec,
    Succeeded,
)
from filmgate.providers.studio.order import FilmOrder, Input, Labels, Marks, StillOrder
from filmgate.providers.studio.pool import Pool, RenderFailed
from filmgate.providers.studio.wire import File, Job

_LOG: Final = logging.getLogger(__name__)

MAX_DURATION_S: Final = 20
MAX_FPS: Final = 60
MAX_PIXELS: Final = 1920 * 1080
MIN_SIDE: Final = 16
MAX_SIDE: Final = 4096
MAX_STILLS: Final = 10
MAX_REFERENCES: Final = 9
MAX_CLIPS: Final = 3
MAX_SOUNDS: Final = 3

CANCELLED: Final = Failed(code="cancelled", reason="The work was cancelled.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The keys of `[providers.studio]`.

    `slots` is how many orders are made at a time: left out, as many as this machine has cores. A
    child is replaced after `jobs_per_child` orders, and killed where it takes `memory_mb`. `labels`
    puts a visible label on all work, as the rules of the EU or of China ask of AI services; whatever
    it is, each file says in its metadata that it was generated. `producer` is the name or code that
    the Chinese record gives for whoever runs the service.
    """

    slots: int | None = None
    jobs_per_child: int = 50
    memory_mb: int = 2048
    labels: Labels = "none"
    producer: str = "Filmgate"


class Studio:
    """Makes films on this machine; everything it knows is in memory and in its scratch directory."""

    def __init__(self, config: Config, *, scratch: Path) -> None:
        """Keep unfinished and unfetched work under `scratch`, which nobody else uses."""
        self._config = config
        self._scratch = scratch
        self._work: dict[RemoteId, _Work] = {}
        self._pool = Pool(
            config.slots or _cores(),
            jobs_per_child=config.jobs_per_child,
            memory_bytes=config.memory_mb << 20,
        )

    async def start(self) -> None:
        """Drop what a predecessor that was killed left behind, and warm a child in the background."""
        await asyncio.to_thread(_empty, self._scratch)
        self._pool.warm()

    async def submit(
        self, generation: Generation, *, reference: str, inputs: Sequence[Path] = ()
    ) -> RemoteId:
        """Begin, under the reference as the id; a second time changes nothing."""
        remote_id = RemoteId(reference)
        if remote_id not in self._work:
            marks = Marks(labels=self._config.labels, producer=self._config.producer, work_id=reference)
            job = _job(generation, _inputs(generation, inputs), marks, self._scratch)
            work = _Work(job)
            self._work[remote_id] = work
            work.task = asyncio.ensure_future(self._make(work))
        return remote_id

    async def poll(self, remote_id: RemoteId) -> Report:
        """Answer from memory, which a restart empties: the same reference then begins anew."""
        if remote_id not in self._work:
            raise RemoteLost("the studio knows of no such work")
        return self._work[remote_id].report

    async def cancel(self, remote_id: RemoteId) -> None:
        """Stop the work; its child is gone, and its core free, on return."""
        if remote_id in self._work:
            await self._work[remote_id].stop()

    async def forget(self, remote_id: RemoteId) -> None:
        """Stop the work if need be, and remove its files."""
        work = self._work.get(remote_id)
        if work is not None:
            await work.stop()
            self._work.pop(remote_id, None)
            await asyncio.to_thread(shutil.rmtree, work.job.directory, ignore_errors=True)

    async def close(self) -> None:
        """Stop all work, end all children and remove all files."""
        await asyncio.gather(*(work.stop() for work in self._work.values()))
        await self._pool.close()
        await asyncio.to_thread(_empty, self._scratch)

    async def _make(self, work: "_Work") -> None:
        try:
            files = await self._pool.run(work.job, work.progressed)
            work.report = Succeeded(made=tuple(_made(file, work.job) for file in files))
        except asyncio.CancelledError:
            work.report = CANCELLED
            raise
        except RenderFailed as failure:
            work.report = Failed(code=failure.code, reason=str(failure))
        except Exception:  # noqa: BLE001  (a bug of ours: logged, and the task must still end)
            _LOG.exception("the studio failed")
            work.report = Failed(code="provider_failed", reason="The studio failed.")
        finally:
            if not isinstance(work.report, Succeeded):
                await asyncio.to_thread(shutil.rmtree, work.job.directory, ignore_errors=True)


class _Work:
    """One submission: how it stands, and the task that is at it."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.report: Report = Running(progress=0)
        self.task: asyncio.Task[None] | None = None
        self._began_at: float | None = None  # on the loop's clock, with the first frame

    def progressed(self, percent: int) -> None:
        now = asyncio.get_running_loop().time()
        self._began_at = now if self._began_at is None else self._began_at
        eta_s = (now - self._began_at) * (100 - percent) / percent if percent else None
        self.report = Running(progress=percent, eta_s=eta_s)

    async def stop(self) -> None:
        assert self.task is not None
        self.task.cancel()
        await asyncio.wait([self.task])
        if isinstance(self.report, Running):  # cancelled before its first step
            self.report = CANCELLED


# --- generation -> order ------------------------------------------------------------------------


def _job(generation: Generation, inputs: tuple[Input, ...], marks: Marks, scratch: Path) -> Job:
    _check(generation)
    _check_media(generation)
    seed = generation.seed
    if seed is None:  # from the reference, so that work begun anew is the same work
        seed = int.from_bytes(hashlib.sha256(marks.work_id.encode()).digest()[:4])
    directory = scratch / _directory_name(marks.work_id)
    if generation.duration_s == 0:
        still = StillOrder(
            prompt=generation.prompt,
            seed=seed,
            width=generation.width,
            height=generation.height,
            n=generation.n,
            watermark=generation.watermark,
            inputs=inputs,
            marks=marks,
        )
        return Job(directory=directory, still=still)
    film = FilmOrder(
        prompt=generation.prompt,
        seed=seed,
        width=generation.width,
        height=generation.height,
        duration_s=generation.duration_s,
        fps=generation.fps,
        audio=generation.audio,
        watermark=generation.watermark,
        last_frame=generation.return_last_frame,
        inputs=inputs,
        marks=marks,
    )
    return Job(directory=directory, film=film)


def _inputs(generation: Generation, files: Sequence[Path]) -> tuple[Input, ...]:
    return tuple(
        Input(kind=media.kind, role=media.role, path=file, duration_s=media.duration_s)
        for media, file in zip(generation.media, files, strict=True)
    )


def _check(generation: Generation) -> None:
    """Raise `ProviderRejected` with the first thing that cannot be made."""
    width, height = generation.width, generation.height
    if not 0 <= generation.duration_s <= MAX_DURATION_S:
        msg = f"the studio makes films of 1 to {MAX_DURATION_S} s"
    elif width % 2 or height % 2:
        msg = f"the studio needs an even width and height, not {width}x{height}"
    elif min(width, height) < MIN_SIDE or max(width, height) > MAX_SIDE:
        msg = f"the studio makes pictures of {MIN_SIDE} to {MAX_SIDE} pixels a side, not {width}x{height}"
    elif width * height > MAX_PIXELS:
        msg = f"{width}x{height} is more than the studio makes: 1080p, or as many pixels in another shape"
    elif generation.duration_s and not 1 <= generation.fps <= MAX_FPS:
        msg = f"the studio makes 1 to {MAX_FPS} frames a second"
    elif generation.duration_s and generation.n != 1:
        msg = "the studio makes one film at a time"
    elif not 1 <= generation.n <= MAX_STILLS:
        msg = f"the studio makes 1 to {MAX_STILLS} pictures at a time"
    else:
        return
    raise ProviderRejected(msg)


def _check_media(generation: Generation) -> None:
    """Raise `ProviderRejected` where there is more media than a film can be made of."""
    firsts = generation.of(MediaKind.IMAGE, MediaRole.FIRST_FRAME)
    lasts = generation.of(MediaKind.IMAGE, MediaRole.LAST_FRAME)
    pictures = generation.of(MediaKind.IMAGE)
    clips, sounds = generation.of(MediaKind.VIDEO), generation.of(MediaKind.AUDIO)
    if len(firsts) > 1 or len(lasts) > 1:
        msg = "a film has one first frame and one last frame"
    elif len(pictures) - len(firsts) - len(lasts) > MAX_REFERENCES:
        msg = f"the studio takes up to {MAX_REFERENCES} reference pictures"
    elif len(clips) > MAX_CLIPS or len(sounds) > MAX_SOUNDS:
        msg = f"the studio takes up to {MAX_CLIPS} clips and {MAX_SOUNDS} sounds"
    elif sounds and not generation.duration_s:
        msg = "a picture has no sound"
    else:
        return
    raise ProviderRejected(msg)


def _directory_name(reference: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", reference):
        raise ValueError(f"a reference that is no file name: {reference!r}")
    return reference


def _made(file: File, job: Job) -> Made:
    order = job.film or job.still
    assert order is not None
    small = file.kind in {OutputKind.THUMBNAIL, OutputKind.SPRITESHEET}  # their size follows from the film's
    return Made(
        kind=file.kind,
        source=job.directory / file.name,
        mime=file.mime,
        width=None if small else order.width,
        height=None if small else order.height,
        duration_s=float(job.film.duration_s) if job.film and file.kind is OutputKind.VIDEO else None,
    )


# --- this machine -------------------------------------------------------------------------------


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):  # a container may use fewer than there are
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _empty(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for entry in directory.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)


SPEC: Final = Spec(
    name="studio",
    capabilities=Capabilities(
        client_reference=ClientReference.IDEMPOTENT,
        media=frozenset(MediaKind),
        cancels=True,
        poll_interval_s=0.2,
    ),
    config=Config,
    build=Studio,
    slots=None,
    built_in=True,
)
