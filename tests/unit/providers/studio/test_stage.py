"""What the stage promises about frames and sound."""

import hashlib
import subprocess
import sys

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from filmgate.providers.studio.order import SAMPLE_RATE, FilmOrder, StillOrder
from filmgate.providers.studio.stage import Film, stage, still

_SCENES = (
    "a sailboat at sunset on the sea",
    "neon city in the rain",
    "a fox in a snowy forest",
    "northern lights over a mountain lake",
    "a rocket in outer space",
    "an astronaut on the moon",
    "an erupting volcano",
    "underwater coral reef, a sea turtle",
    "desert dunes, a camel",
    "a thunderstorm over the sea",
    "hot air balloons over autumn hills, fireflies, petals",
    "foggy beach, a dog",
)


def _film(prompt: str = _SCENES[0], *, seed: int = 1, width: int = 128, height: int = 72) -> Film:
    return stage(FilmOrder(prompt=prompt, seed=seed, width=width, height=height, duration_s=2, fps=12))


def _small_grey(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    grey = cv2.cvtColor(picture, cv2.COLOR_BGRA2GRAY)
    return cv2.resize(grey, (16, 9), interpolation=cv2.INTER_AREA).astype(np.float32)


@pytest.mark.parametrize("prompt", _SCENES)
def test_a_frame_depends_on_nothing_but_its_number(prompt: str) -> None:
    in_order, alone = _film(prompt), _film(prompt)
    frames = [in_order.frame(i).copy() for i in range(8)]

    assert np.array_equal(frames[7], alone.frame(7))
    assert np.array_equal(frames[2], alone.frame(2))
    assert not np.array_equal(frames[2], frames[7]), "a film moves"


def test_another_process_paints_the_same_frames() -> None:
    code = (
        "import hashlib\n"
        "from filmgate.providers.studio.order import FilmOrder\n"
        "from filmgate.providers.studio.stage import stage\n"
        f"order = FilmOrder(prompt={_SCENES[10]!r}, seed=1, width=128, height=72, duration_s=2, fps=12)\n"
        "film = stage(order)\n"
        "print(hashlib.sha256(film.frame(9).tobytes() + film.soundtrack().tobytes()).hexdigest())\n"
    )
    film = _film(_SCENES[10])
    here = hashlib.sha256(film.frame(9).tobytes() + film.soundtrack().tobytes()).hexdigest()

    there = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": hash_seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for hash_seed in ("1", "2")
    ]

    assert there == [here, here]


@pytest.mark.parametrize("prompt", ["the sea at sunset", "a snowy mountain", "neon city", "flower meadow"])
def test_another_seed_is_another_composition(prompt: str) -> None:
    pictures = [_small_grey(_film(prompt, seed=seed).frame(0)) for seed in range(4)]
    differences = [
        float(np.abs(first - second).mean()) for i, first in enumerate(pictures) for second in pictures[:i]
    ]

    assert np.mean(differences) > 9
    assert min(differences) > 3


@pytest.mark.parametrize(
    ("width", "height"), [(64, 64), (64, 148), (148, 64), (96, 224), (224, 96), (130, 98), (72, 128)]
)
def test_frames_have_the_size_asked_for(width: int, height: int) -> None:
    for prompt in (_SCENES[0], _SCENES[2], _SCENES[7]):
        frame = _film(prompt, width=width, height=height).frame(3)

        assert frame.shape == (height, width, 4)
        assert frame.dtype == np.uint8
        assert frame.flags.c_contiguous
        assert (frame[..., 3] == 255).all()
        assert frame[..., :3].std() > 4, "something is shown"


def test_every_row_of_a_tall_frame_is_painted() -> None:
    frame = _film("a dog on a beach", width=64, height=148).frame(0)

    assert frame[-8:, :, :3].max(axis=2).min() > 0


def test_a_large_frame_is_drawn_smaller_and_enlarged() -> None:
    film = stage(FilmOrder(prompt="the sea", seed=1, width=1920, height=1080, duration_s=1, fps=8))

    frame = film.frame(0)

    assert frame.shape == (1080, 1920, 4)
    assert frame.flags.c_contiguous
    assert (frame[..., 3] == 255).all()


def test_frames_outside_the_film_are_refused() -> None:
    film = _film()

    assert film.frame_count == 24
    with pytest.raises(IndexError):
        film.frame(24)
    with pytest.raises(IndexError):
        film.frame(-1)


@pytest.mark.parametrize("prompt", _SCENES)
def test_the_soundtrack_is_exactly_as_long_as_the_film(prompt: str) -> None:
    sound = _film(prompt).soundtrack()

    assert sound.shape == (2 * SAMPLE_RATE, 2)
    assert sound.dtype == np.float32
    assert np.isfinite(sound).all()
    assert 0.3 < np.abs(sound).max() <= 0.9
    assert np.abs(sound[-20:]).max() < 0.01, "it fades out"


def test_the_shortest_and_the_longest_soundtrack() -> None:
    for duration_s in (1, 20):
        order = FilmOrder(prompt="rain", seed=1, width=64, height=64, duration_s=duration_s, fps=8)

        assert stage(order).soundtrack().shape == (duration_s * SAMPLE_RATE, 2)


def test_stills_differ_by_their_number() -> None:
    order = StillOrder(prompt="a castle in the mountains", seed=5, width=160, height=90, n=2)
    first, second = still(order, 0), still(order, 1)

    assert first.shape == (90, 160, 4)
    assert np.abs(_small_grey(first) - _small_grey(second)).mean() > 3
    assert np.array_equal(first, still(order, 0))
    next_seed = StillOrder(prompt="a castle in the mountains", seed=6, width=160, height=90)
    assert np.array_equal(second, still(next_seed, 0))


def test_the_watermark_marks_the_corner_and_nothing_else() -> None:
    plain, marked = (
        still(StillOrder(prompt="the sea", seed=1, width=256, height=144, watermark=watermark), 0)
        for watermark in (False, True)
    )
    changed = np.abs(plain.astype(int) - marked.astype(int)).max(axis=2) > 8

    assert changed[-30:, -110:].any()
    assert not changed[:-30].any()
    assert not changed[:, :-110].any()
