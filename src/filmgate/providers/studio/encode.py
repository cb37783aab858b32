"""Turns rendered pictures and sound into files: MP4 for a film, PNG and WebP for pictures."""

import queue
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self, cast

import av
import cv2
import numpy as np
from av.audio.stream import AudioStream
from av.video.stream import VideoStream
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from filmgate.core.generation import OutputKind
from filmgate.providers.studio.marks import comment, film_metadata, xmp
from filmgate.providers.studio.order import SAMPLE_RATE, FilmOrder, Order
from filmgate.providers.studio.wire import File

Picture = NDArray[np.uint8]  # (height, width, 4), BGRA
Planes = NDArray[np.uint8]  # (height * 3 / 2, width), I420


class Footage(Protocol):
    """A film that can be asked for its frames, in order, and for its sound."""

    @property
    def frame_count(self) -> int:
        """How many frames there are."""
        ...

    def frame(self, index: int, /) -> Picture:
        """Return frame `index`; the array may be reused for the next one."""
        ...

    def soundtrack(self) -> NDArray[np.float32]:
        """Return the whole sound: (samples, 2), -1..1, at `SAMPLE_RATE`."""
        ...


FILM: Final = "film.mp4"
THUMBNAIL: Final = "thumbnail.webp"
LAST_FRAME: Final = "last_frame.png"
SPRITESHEET: Final = "spritesheet.webp"

_PIXELS_720P: Final = 1280 * 720
_THUMBNAIL_WIDTH: Final = 640
_SHEET: Final = (6, 4)  # columns and rows of a spritesheet
_SPRITE_SIDE: Final = 160  # the longer side of one of its pictures
_FRAMES_AHEAD: Final = 4
_AAC_FRAME: Final = 1024  # samples


# --- a film -------------------------------------------------------------------------------------


def write_film(
    footage: Footage, order: FilmOrder, directory: Path, *, on_progress: Callable[[int], None]
) -> tuple[File, ...]:
    """Write the film, thumbnail, spritesheet and, if ordered, last frame; report whole per cents."""
    frames = order.duration_s * order.fps
    if footage.frame_count != frames:
        raise ValueError(f"a film of {footage.frame_count} frames for an order of {frames}")
    sound = _exactly(footage.soundtrack(), order.duration_s * SAMPLE_RATE) if order.audio else None
    said = -1
    # Rendering and encoding both let go of the GIL, so two threads fill two cores.
    with (
        _whole(directory / FILM) as path,
        _Reel(path, order, sound) as reel,
        closing(_ahead(_planes(footage, order, directory))) as ready,
    ):
        for done, planes in enumerate(ready, start=1):
            reel.add(planes)
            percent = done * 99 // frames  # 100 is a whole file
            if percent > said:
                said = percent
                on_progress(percent)
    on_progress(100)
    made = [
        File(kind=OutputKind.VIDEO, name=FILM, mime="video/mp4"),
        File(kind=OutputKind.THUMBNAIL, name=THUMBNAIL, mime="image/webp"),
        File(kind=OutputKind.SPRITESHEET, name=SPRITESHEET, mime="image/webp"),
    ]
    if order.last_frame:
        made.append(File(kind=OutputKind.LAST_FRAME, name=LAST_FRAME, mime="image/png"))
    return tuple(made)


def _planes(footage: Footage, order: FilmOrder, directory: Path) -> Iterator[Planes]:
    """Yield every frame as a fresh I420 array, keeping those that are wanted as pictures too."""
    sheet = _Spritesheet(order)
    for index in range(footage.frame_count):
        picture = footage.frame(index)
        sheet.add(index, picture)
        if index == footage.frame_count // 3:
            write_thumbnail(picture, directory / THUMBNAIL, order)
        if order.last_frame and index == footage.frame_count - 1:
            write_picture(picture, directory / LAST_FRAME, order)
        yield cast("Planes", cv2.cvtColor(picture, cv2.COLOR_BGRA2YUV_I420))
    sheet.write(directory / SPRITESHEET)


def _exactly(sound: NDArray[np.float32], samples: int) -> NDArray[np.float32]:
    """Return `sound` as `samples` contiguous samples a channel, cut or filled up with silence."""
    exact = np.zeros((2, samples), np.float32)
    heard = min(samples, len(sound))
    np.clip(sound[:heard].T, -1, 1, out=exact[:, :heard])
    return exact


class _Reel:
    """An MP4 being written: frames go in, sound is laid between them."""

    def __init__(self, path: Path, order: FilmOrder, sound: NDArray[np.float32] | None) -> None:
        self._order = order
        self._sound = sound
        self._frames = 0
        self._heard = 0
        self._file = av.open(
            str(path), "w", format="mp4", options={"movflags": "+faststart+use_metadata_tags"}
        )
        self._file.metadata.update(film_metadata(order))
        self._video = self._video_stream()
        self._audio = None if sound is None else self._audio_stream()

    def _video_stream(self) -> VideoStream:
        order = self._order
        stream = self._file.add_stream("libx264", rate=order.fps)
        context = stream.codec_context
        context.width, context.height, context.pix_fmt = order.width, order.height, "yuv420p"
        context.time_base = Fraction(1, order.fps)
        context.thread_count = 1  # more of them cost CPU and win no time beside the render thread
        # A keyframe every second and nowhere else: players seek, cutters cut, on whole seconds.
        context.gop_size = order.fps
        # x264's mbtree reads memory it never wrote, so that the same frames become different files at
        # some sizes; without it, crf 22 looks and weighs about what crf 21 does with it.
        stream.options = {
            "preset": "superfast" if order.width * order.height > _PIXELS_720P else "veryfast",
            "crf": "22",
            "mbtree": "0",
            "sc_threshold": "0",
        }
        # OpenCV's I420 is BT.601, limited range, at any size; unsaid, players guess BT.709 for HD.
        context.colorspace = context.color_primaries = context.color_trc = 6
        context.color_range = 1
        return stream

    def _audio_stream(self) -> AudioStream:
        stream = self._file.add_stream("aac", rate=SAMPLE_RATE)
        stream.layout = "stereo"
        stream.bit_rate = 160_000
        return stream

    def add(self, planes: Planes) -> None:
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts = self._frames
        frame.duration = 1
        frame.time_base = Fraction(1, self._order.fps)
        self._file.mux(self._video.encode(frame))
        self._frames += 1
        self._lay_sound(upto=self._frames * SAMPLE_RATE // self._order.fps)

    def _lay_sound(self, *, upto: int) -> None:
        """Encode the sound up to a sample: between the frames, so that a player can stream."""
        if self._audio is None or self._sound is None:
            return
        end = self._sound.shape[1]
        while self._heard < end and (self._heard + _AAC_FRAME <= upto or upto == end):
            piece = np.ascontiguousarray(self._sound[:, self._heard : self._heard + _AAC_FRAME])
            frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout="stereo")
            frame.sample_rate = SAMPLE_RATE
            frame.time_base = Fraction(1, SAMPLE_RATE)
            frame.pts = self._heard
            self._file.mux(self._audio.encode(frame))
            self._heard += piece.shape[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._file.mux(self._video.encode(None))
                if self._audio is not None:
                    self._file.mux(self._audio.encode(None))
        finally:
            self._file.close()


# --- pictures -----------------------------------------------------------------------------------


def write_picture(picture: Picture, path: Path, order: Order) -> None:
    """Write a PNG of the picture at full size."""
    marks = PngImagePlugin.PngInfo()
    marks.add_text("Comment", comment(order))
    marks.add_itxt("XML:com.adobe.xmp", xmp(order))
    with _whole(path) as part:
        _rgb(picture).save(part, "PNG", pnginfo=marks, compress_level=3)


def write_thumbnail(picture: Picture, path: Path, order: Order) -> None:
    """Write a small WebP of the picture, never larger than it is."""
    image = _rgb(picture)
    image.thumbnail((_THUMBNAIL_WIDTH, _THUMBNAIL_WIDTH), reducing_gap=2.0)
    _write_webp(image, path, order, quality=80, method=4)


class _Spritesheet:
    """Small pictures of even moments of a film, row by row: what a player shows while one seeks."""

    def __init__(self, order: FilmOrder) -> None:
        self._order = order
        scale = min(1.0, _SPRITE_SIDE / max(order.width, order.height))
        self._size = (max(2, round(order.width * scale)), max(2, round(order.height * scale)))
        columns, rows = _SHEET
        self._sheet = np.zeros((rows * self._size[1], columns * self._size[0], 4), np.uint8)
        frames, cells = order.duration_s * order.fps, columns * rows
        self._frame_of = [cell * frames // cells for cell in range(cells)]

    def add(self, index: int, picture: Picture) -> None:
        """Keep frame `index` small, in each of the cells that it is for."""
        if index not in self._frame_of:
            return
        width, height = self._size
        small = cv2.resize(picture, self._size, interpolation=cv2.INTER_AREA)
        for cell, frame in enumerate(self._frame_of):
            if frame == index:
                row, column = divmod(cell, _SHEET[0])
                top, left = row * height, column * width
                self._sheet[top : top + height, left : left + width] = small

    def write(self, path: Path) -> None:
        """Write all of them as one WebP."""
        _write_webp(_rgb(self._sheet), path, self._order, quality=72, method=2)


def _write_webp(image: Image.Image, path: Path, order: Order, *, quality: int, method: int) -> None:
    with _whole(path) as part:
        image.save(part, "WEBP", quality=quality, method=method, xmp=xmp(order).encode())


def picture_name(index: int) -> str:
    """Return the file name of picture `index` of a still order."""
    return f"picture-{index}.png"


def _rgb(picture: Picture) -> Image.Image:
    return Image.fromarray(cv2.cvtColor(picture, cv2.COLOR_BGRA2RGB))


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """Give a path to write to that takes its real name only once the file is whole."""
    part = path.with_name(path.name + ".part")
    yield part
    part.replace(path)


# --- two threads --------------------------------------------------------------------------------


def _ahead(planes: Iterator[Planes]) -> Generator[Planes, None, None]:
    """Yield what another thread makes, a few frames ahead; its error is raised here."""
    ready: queue.Queue[Planes | BaseException | None] = queue.Queue(_FRAMES_AHEAD)
    unwanted = threading.Event()

    def make() -> None:
        end: BaseException | None = None
        try:
            for made in planes:
                if unwanted.is_set():
                    return
                ready.put(made)
        except BaseException as error:  # noqa: BLE001  (raised again by the other thread)
            end = error
        ready.put(end)

    maker = threading.Thread(target=make, name="render", daemon=True)
    maker.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        unwanted.set()
        while not ready.empty():  # lets a maker that waits for room see that it may stop
            ready.get_nowait()
        maker.join()
