"""How long the built-in renderer takes for a second of film, beside its encoder alone."""

import io
import time
from dataclasses import dataclass
from fractions import Fraction
from typing import cast

import av
import cv2

from benchmarks.bench import Bench, a_film
from benchmarks.client import Client
from benchmarks.databases import SQLITE
from benchmarks.figures import BenchmarkFailed, Figure, Report, Target
from benchmarks.processes import pinned
from filmgate.providers.studio.encode import Planes
from filmgate.providers.studio.order import FilmOrder
from filmgate.providers.studio.stage import stage

SECONDS = 5
FPS = 24
SEED = 7
WITHIN_S = 180.0
PROMPTS = (
    "A lighthouse on a cliff at sunset, waves below, gulls in the wind, the camera slowly pushes in",
    "A red sports car in a neon city at night in heavy rain",
    "A hot air balloon over snowy mountains in the morning, the camera pans left",
)
SIZES = {"480p": (854, 480), "720p": (1280, 720), "1080p": (1920, 1080)}

HOW = f"""\
A {SECONDS} s film with sound at {FPS} frames/s for each of three prompts (a lighthouse at sunset, a car
in neon rain, a balloon over mountains), alone, by a render process that has made a film before: from the
POST to the task's success over HTTP, so queue, files and bill are included; checked for its frames and
its sound. A figure is the median of the prompts. Bare x264 is PyAV's libx264 in one thread, veryfast, the
studio's own settings, on the very frames that the studio drew for these films, ready in memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Way:
    """A size, on how many cores, and what is aimed at."""

    resolution: str
    one_core: bool = False
    target: Target | None = None
    row: str = ""

    @property
    def what(self) -> str:
        return f"{self.resolution} on {'one core' if self.one_core else 'two cores'}"


WAYS = (
    _Way(resolution="480p"),
    _Way(resolution="720p", target=Target(at_most=1.2), row="studio-720"),
    _Way(resolution="1080p"),
    _Way(resolution="480p", one_core=True, target=Target(at_most=1.0), row="studio-480"),
)
COMPARED = {"720p": Target(at_least=0.3), "480p": None}


def measure(bench: Bench) -> Report:
    """Measure every size on two cores, the smallest on one, and the encoder by itself."""
    took: dict[_Way, list[float]] = {}
    for one_core in (False, True):
        ways = [way for way in WAYS if way.one_core is one_core]
        took |= _films(bench, ways, bench.server_core if one_core else bench.two_cores)
    figures = [
        Figure(
            what=way.what,
            unit="s for each second of film",
            values=tuple(seconds / SECONDS for seconds in took[way]),
            target=way.target,
            row=way.row,
            store=SQLITE,
        )
        for way in WAYS
    ]
    for resolution, target in COMPARED.items():
        bare = [_bare_fps(bench, prompt, *SIZES[resolution]) for prompt in PROMPTS]
        figures.append(
            Figure(what=f"bare x264, {resolution}, one thread", unit="frames/s", values=tuple(bare))
        )
        ways = [way for way in WAYS if way.resolution == resolution]
        figures += [_ratio(way, took[way], bare, None if way.one_core else target) for way in ways]
    return Report(name="studio", how=HOW, figures=figures)


def _ratio(way: _Way, took: list[float], bare: list[float], target: Target | None) -> Figure:
    ours = [SECONDS * FPS / seconds for seconds in took]
    return Figure(
        what=f"  the studio's frames/s, {way.what}, of that",
        unit="",
        values=tuple(fps / limit for fps, limit in zip(ours, bare, strict=True)),
        target=target,
        row="studio-x264" if target else "",
        store=SQLITE,
    )


# --- through the service ------------------------------------------------------------------------


def _films(bench: Bench, ways: list[_Way], cores: frozenset[int]) -> dict[_Way, list[float]]:
    with bench.service(f"studio-{len(cores)}", store=SQLITE, cores=cores) as service:
        client = Client(service, service.new_keys()[0])
        service.settle()
        warm_up = a_film(PROMPTS[0], "studio", duration_seconds=1, resolution="480p")
        client.wait(client.submit(warm_up), "completed", within_s=WITHIN_S)
        took: dict[_Way, list[float]] = {way: [] for way in ways}
        for way in ways:
            bench.say(f"studio: {way.what}")
            for prompt in PROMPTS:
                took[way].append(_film(client, prompt, way.resolution))
    return took


def _film(client: Client, prompt: str, resolution: str) -> float:
    body = a_film(prompt, "studio", duration_seconds=SECONDS, resolution=resolution, fps=FPS, seed=SEED)
    began = time.perf_counter()
    task_id = client.submit(body)
    client.wait(task_id, "completed", within_s=WITHIN_S)
    took = time.perf_counter() - began
    _check(client.get(f"/v1/videos/{task_id}/content"), *SIZES[resolution])
    return took


def _check(film: bytes, width: int, height: int) -> None:
    with av.open(io.BytesIO(film)) as file:
        video = file.streams.video[0]
        found = (video.width, video.height, video.frames, len(file.streams.audio))
    if found != (width, height, SECONDS * FPS, 1):
        raise BenchmarkFailed(f"the film is not what was asked for: {found}")


# --- the encoder alone --------------------------------------------------------------------------


def _bare_fps(bench: Bench, prompt: str, width: int, height: int) -> float:
    bench.say(f"studio: bare x264, {height}p")
    order = FilmOrder(prompt=prompt, seed=SEED, width=width, height=height, duration_s=SECONDS, fps=FPS)
    footage = stage(order)
    frames = [
        cast("Planes", cv2.cvtColor(footage.frame(n), cv2.COLOR_BGRA2YUV_I420)) for n in range(SECONDS * FPS)
    ]
    with pinned(bench.server_core):
        return _encode(frames, width, height)


def _encode(frames: list[Planes], width: int, height: int) -> float:
    with av.open(io.BytesIO(), "w", format="mp4") as file:
        stream = file.add_stream("libx264", rate=FPS)
        context = stream.codec_context
        context.width, context.height, context.pix_fmt = width, height, "yuv420p"
        context.thread_count = 1
        context.gop_size = FPS
        stream.options = {"preset": "veryfast", "crf": "22", "mbtree": "0", "sc_threshold": "0"}
        began = time.perf_counter()
        for n, planes in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            frame.pts, frame.time_base = n, Fraction(1, FPS)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
        return len(frames) / (time.perf_counter() - began)
