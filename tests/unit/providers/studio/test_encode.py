"""Files are exactly as long, as large and as coloured as the pictures and sound that went in."""

import hashlib
import itertools
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from filmgate.core.generation import OutputKind
from filmgate.providers.studio import encode
from filmgate.providers.studio.encode import write_film, write_picture, write_thumbnail
from filmgate.providers.studio.order import SAMPLE_RATE, FilmOrder

AAC_FRAME = 1024
AN_ORDER = FilmOrder(prompt="open sesame", seed=1, width=64, height=36, duration_s=1)
RED, GREEN, BLUE, GREY = (255, 0, 0), (0, 255, 0), (0, 0, 255), (128, 128, 128)


class Footage:
    """Frames of noise, or of one colour, in a buffer used again and again."""

    def __init__(self, order: FilmOrder, rgb: tuple[int, int, int] | None = None) -> None:
        self._order = order
        self._rgb = rgb
        self._buffer = np.zeros((order.height, order.width, 4), np.uint8)
        self.frame_count = order.duration_s * order.fps

    def frame(self, index: int) -> NDArray[np.uint8]:
        if self._rgb is None:
            chance = np.random.default_rng(index)
            coarse = chance.integers(0, 255, (self._order.height // 2, self._order.width // 2, 4), np.uint8)
            self._buffer[:] = coarse.repeat(2, axis=0).repeat(2, axis=1)
        else:
            self._buffer[:] = (*self._rgb[::-1], 255)
        return self._buffer

    def soundtrack(self) -> NDArray[np.float32]:
        at = np.arange(self._order.duration_s * SAMPLE_RATE) / SAMPLE_RATE
        tone = 0.2 * np.sin(math.tau * 440 * at)
        return np.repeat(tone[:, None], 2, axis=1).astype(np.float32)


def filmed(order: FilmOrder, directory: Path, rgb: tuple[int, int, int] | None = None) -> Path:
    write_film(Footage(order, rgb), order, directory, on_progress=lambda _: None)
    return directory / encode.FILM


def boxes(film: bytes) -> Iterator[str]:
    """Yield the names of the outermost boxes of an MP4, in order."""
    at = 0
    while at < len(film):
        yield film[at + 4 : at + 8].decode()
        at += int.from_bytes(film[at : at + 4])


# --- a film -------------------------------------------------------------------------------------

COMBINATIONS = list(
    itertools.product([(64, 36), (18, 26), (98, 54)], [1, 7, 8, 24, 25, 30, 50, 60], [1, 2], [True, False])
)


@pytest.mark.parametrize(("size", "fps", "duration_s", "audio"), COMBINATIONS)
def test_picture_and_sound_end_exactly_together(
    tmp_path: Path, size: tuple[int, int], fps: int, duration_s: int, *, audio: bool
) -> None:
    order = replace(AN_ORDER, width=size[0], height=size[1], fps=fps, duration_s=duration_s, audio=audio)

    with av.open(str(filmed(order, tmp_path))) as film:
        video = film.streams.video[0]
        assert (video.width, video.height, video.pix_fmt) == (*size, "yuv420p")
        assert video.average_rate == fps
        assert film.duration == duration_s * av.time_base
        assert video.time_base is not None
        assert video.duration is not None
        assert video.duration * video.time_base == duration_s
        frames = list(film.decode(video))
        assert [frame.pts * video.time_base * fps for frame in frames if frame.pts is not None] == list(
            range(duration_s * fps)
        )
        assert [index for index, frame in enumerate(frames) if frame.key_frame] == [
            second * fps for second in range(duration_s)
        ]
        assert len(film.streams.audio) == audio
        for sound in film.streams.audio:
            assert (sound.rate, sound.channels) == (SAMPLE_RATE, 2)
            assert sound.duration == duration_s * SAMPLE_RATE
            assert sound.start_time == 0


def test_all_of_the_sound_is_there(tmp_path: Path) -> None:
    with av.open(str(filmed(replace(AN_ORDER, duration_s=2), tmp_path))) as film:
        heard = np.concatenate([frame.to_ndarray() for frame in film.decode(audio=0)], axis=1)

    assert 0 <= heard.shape[1] - 2 * SAMPLE_RATE < AAC_FRAME
    loudness = np.sqrt((heard[:, : 2 * SAMPLE_RATE].reshape(2, 20, -1) ** 2).mean(axis=2))
    np.testing.assert_allclose(loudness, 0.2 / math.sqrt(2), rtol=0.1)


@pytest.mark.parametrize("seconds", [0.0, 0.4, 3.0], ids=["none", "too-short", "too-long"])
def test_a_soundtrack_of_another_length_is_cut_or_filled_up(tmp_path: Path, seconds: float) -> None:
    order = AN_ORDER
    footage = Footage(order)
    footage.soundtrack = lambda: np.zeros((int(seconds * SAMPLE_RATE), 2), np.float32)  # type: ignore[method-assign]

    write_film(footage, order, tmp_path, on_progress=lambda _: None)

    with av.open(str(tmp_path / encode.FILM)) as film:
        assert film.streams.audio[0].duration == SAMPLE_RATE


@pytest.mark.parametrize("rgb", [RED, GREEN, BLUE, GREY])
@pytest.mark.parametrize("size", [(64, 36), (1280, 720)], ids=["small", "hd"])
def test_colours_come_back_as_they_went_in(
    tmp_path: Path, size: tuple[int, int], rgb: tuple[int, int, int]
) -> None:
    order = replace(AN_ORDER, width=size[0], height=size[1], fps=2, audio=False)

    with av.open(str(filmed(order, tmp_path, rgb))) as film:
        context = film.streams.video[0].codec_context
        assert (context.colorspace, context.color_primaries, context.color_trc) == (6, 6, 6)
        assert context.color_range == 1
        frame = next(film.decode(video=0))
        shown = frame.to_ndarray(format="rgb24").reshape(-1, 3).mean(axis=0)

    np.testing.assert_allclose(shown, rgb, atol=4)


def test_a_player_can_start_before_it_has_the_whole_file(tmp_path: Path) -> None:
    film = filmed(replace(AN_ORDER, duration_s=2), tmp_path)

    order = list(boxes(film.read_bytes()))

    assert order.index("moov") < order.index("mdat")
    with av.open(str(film)) as file:
        kinds = "".join(packet.stream.type[0] for packet in file.demux() if packet.size)
    assert "a" * 60 not in kinds, "sound lies between the frames"
    assert "v" * 30 not in kinds


def test_the_file_says_that_it_is_generated_and_nothing_of_the_prompt(tmp_path: Path) -> None:
    film = filmed(replace(AN_ORDER, last_frame=True), tmp_path)

    with av.open(str(film)) as file:
        said = dict(file.metadata)

    assert said["DigitalSourceType"].endswith("/algorithmicMedia")
    assert "Generated" in said["comment"]
    assert "AIGC" not in said, "that is for where the law asks for it"
    for path in tmp_path.iterdir():
        assert b"sesame" not in path.read_bytes()


def test_the_same_frames_make_the_same_file(tmp_path: Path) -> None:
    # A size at which x264's mbtree reads what lies about in memory: other rubbish, another file.
    order = replace(AN_ORDER, width=160, height=90, fps=8, audio=False)
    chance = np.random.default_rng(0)
    prints = set()

    for k in range(8):
        rubbish = [np.full(size, k * 30, np.uint8) for size in chance.integers(1_000, 3_000_000, 20)]
        del rubbish[::2]
        prints.add(hashlib.sha256(filmed(order, tmp_path).read_bytes()).digest())

    assert len(prints) == 1


def test_progress_comes_per_cent_by_cent_and_100_only_for_a_whole_file(tmp_path: Path) -> None:
    order = replace(AN_ORDER, fps=60, duration_s=3, audio=False)
    said: list[int] = []

    def on_progress(percent: int) -> None:
        said.append(percent)
        assert (percent == 100) == (tmp_path / encode.FILM).exists()

    write_film(Footage(order), order, tmp_path, on_progress=on_progress)

    assert said == list(range(101))


def test_a_film_of_the_wrong_length_is_a_bug(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="24 frames for an order of 48"):
        write_film(Footage(AN_ORDER), replace(AN_ORDER, duration_s=2), tmp_path, on_progress=lambda _: None)


def test_an_error_while_rendering_stops_the_encoder_and_leaves_no_film(tmp_path: Path) -> None:
    order = replace(AN_ORDER, last_frame=True)
    footage = Footage(order)
    draw = footage.frame

    def frame(index: int) -> NDArray[np.uint8]:
        if index == 20:
            raise ZeroDivisionError
        return draw(index)

    footage.frame = frame  # type: ignore[method-assign]

    with pytest.raises(ZeroDivisionError):
        write_film(footage, order, tmp_path, on_progress=lambda _: None)

    assert not (tmp_path / encode.FILM).exists()


def test_an_error_while_encoding_stops_the_renderer(tmp_path: Path) -> None:
    order = replace(AN_ORDER, duration_s=20)

    def on_progress(percent: int) -> None:
        if percent == 5:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_film(Footage(order), order, tmp_path, on_progress=on_progress)

    assert not (tmp_path / encode.FILM).exists()


class Clock:
    """Frames that are as bright as they are late."""

    def __init__(self, order: FilmOrder) -> None:
        self._order = order
        self.frame_count = order.duration_s * order.fps

    def frame(self, index: int) -> NDArray[np.uint8]:
        tone = 250 * index // self.frame_count
        return np.full((self._order.height, self._order.width, 4), tone, np.uint8)

    def soundtrack(self) -> NDArray[np.float32]:
        return np.zeros((0, 2), np.float32)


@pytest.mark.parametrize(
    ("size", "cell"), [((640, 360), (160, 90)), ((360, 640), (90, 160)), ((64, 36), (64, 36))]
)
@pytest.mark.parametrize("fps", [1, 24, 30])
def test_a_spritesheet_shows_even_moments_row_by_row(
    tmp_path: Path, size: tuple[int, int], cell: tuple[int, int], fps: int
) -> None:
    order = replace(AN_ORDER, width=size[0], height=size[1], fps=fps, duration_s=2, audio=False)

    write_film(Clock(order), order, tmp_path, on_progress=lambda _: None)

    with Image.open(tmp_path / encode.SPRITESHEET) as image:
        assert (image.format, image.size) == ("WEBP", (6 * cell[0], 4 * cell[1]))
        shown = np.asarray(image.convert("L"))
    middles = shown[cell[1] // 2 :: cell[1], cell[0] // 2 :: cell[0]].ravel()
    frames = 2 * fps
    np.testing.assert_allclose(middles, [250 * (k * frames // 24) // frames for k in range(24)], atol=6)


# --- pictures -----------------------------------------------------------------------------------


def test_the_last_frame_is_the_last_frame_to_the_pixel(tmp_path: Path) -> None:
    order = replace(AN_ORDER, last_frame=True)

    files = write_film(Footage(order), order, tmp_path, on_progress=lambda _: None)

    assert [file.kind for file in files] == [
        OutputKind.VIDEO,
        OutputKind.THUMBNAIL,
        OutputKind.SPRITESHEET,
        OutputKind.LAST_FRAME,
    ]
    with Image.open(tmp_path / encode.LAST_FRAME) as image:
        assert image.mode == "RGB"
        shown = np.asarray(image)
    np.testing.assert_array_equal(shown, Footage(order).frame(23)[:, :, 2::-1])


@pytest.mark.parametrize(
    ("size", "small"),
    [((1280, 720), (640, 360)), ((64, 36), (64, 36)), ((720, 1280), (360, 640))],
    ids=["wide", "tiny", "tall"],
)
def test_a_thumbnail_is_small_and_never_larger_than_the_picture(
    tmp_path: Path, size: tuple[int, int], small: tuple[int, int]
) -> None:
    order = replace(AN_ORDER, width=size[0], height=size[1])

    write_thumbnail(Footage(order, RED).frame(0), tmp_path / "thumbnail.webp", order)

    with Image.open(tmp_path / "thumbnail.webp") as image:
        assert (image.format, image.size) == ("WEBP", small)
        np.testing.assert_allclose(np.asarray(image.convert("RGB")).mean(axis=(0, 1)), RED, atol=4)


@pytest.mark.parametrize("name", ["picture.png", "thumbnail.webp"])
def test_a_picture_says_that_it_is_generated(tmp_path: Path, name: str) -> None:
    write = write_picture if name.endswith("png") else write_thumbnail

    write(Footage(AN_ORDER).frame(0), tmp_path / name, AN_ORDER)

    assert b"algorithmicMedia" in (tmp_path / name).read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == [name], "nothing half-written is left"
