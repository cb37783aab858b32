"""Sizes: one table for every dialect."""

import math
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filmgate.core.errors import InvalidRequest
from filmgate.core.generation import (
    ADAPTIVE,
    RATIOS,
    RESOLUTIONS,
    Media,
    MediaKind,
    parse_size,
    ratio_of,
    resolution_of,
    size_of,
)
from tests.fakes import a_generation

KNOWN = {
    ("720p", "16:9"): (1280, 720),
    ("480p", "16:9"): (854, 480),
    ("1080p", "16:9"): (1920, 1080),
    ("720p", "9:16"): (720, 1280),
    ("480p", "9:16"): (480, 854),
    ("4K", "16:9"): (3840, 2160),
    ("1K", "1:1"): (1024, 1024),
    ("720p", "1:1"): (960, 960),
}


@pytest.mark.parametrize(("said", "size"), KNOWN.items())
def test_the_sizes_everybody_knows_are_exact(said: tuple[str, str], size: tuple[int, int]) -> None:
    assert size_of(*said) == size


@pytest.mark.parametrize(("resolution", "ratio"), list(product(RESOLUTIONS, RATIOS)))
def test_every_size_is_even_within_its_pixels_and_of_its_ratio(resolution: str, ratio: str) -> None:
    width, height = size_of(resolution, ratio)

    x, y = RATIOS[ratio]
    assert width % 2 == height % 2 == 0
    assert width * height <= math.prod(RESOLUTIONS[resolution])
    assert abs(math.log(width / height * y / x)) < 0.02
    assert width * height > 0.97 * math.prod(RESOLUTIONS[resolution])


@pytest.mark.parametrize("resolution", RESOLUTIONS)
def test_a_ratio_on_its_side_is_the_size_on_its_side(resolution: str) -> None:
    for ratio in RATIOS:
        x, _, y = ratio.partition(":")
        assert size_of(resolution, f"{y}:{x}") == size_of(resolution, ratio)[::-1]


def test_adaptive_is_the_first_pictures_ratio_and_wide_where_there_is_none() -> None:
    assert size_of("720p", ADAPTIVE) == (1280, 720)
    assert size_of("720p", ADAPTIVE, adaptive=(500, 500)) == (960, 960)
    assert size_of("720p", ADAPTIVE, adaptive=(1080, 1920)) == (720, 1280)


@pytest.mark.parametrize("resolution", RESOLUTIONS)
def test_a_picture_like_a_thread_makes_no_film_like_a_thread(resolution: str) -> None:
    assert size_of(resolution, ADAPTIVE, adaptive=(50_000, 1)) == size_of(resolution, "21:9")
    assert size_of(resolution, ADAPTIVE, adaptive=(1, 50_000)) == size_of(resolution, "9:21")


def test_a_film_takes_the_shape_of_its_first_picture_once_that_is_known() -> None:
    asked = a_generation(
        aspect_ratio=ADAPTIVE,
        width=1280,
        height=720,
        media=(Media(kind=MediaKind.AUDIO, url="a"), Media(kind=MediaKind.IMAGE, url="b")),
    )
    sound, picture = asked.media
    known = (sound, replace(picture, blob="00", width=600, height=600))

    assert (asked.with_media(known).width, asked.with_media(known).height) == (960, 960)
    assert asked.with_media(known).media == known
    assert asked.with_media(asked.media) == asked, "nothing is known yet"
    told = replace(asked, aspect_ratio="16:9")
    assert (told.with_media(known).width, told.with_media(known).height) == (1280, 720)


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("resolution", [name for name in RESOLUTIONS if name.endswith("p")])
def test_a_size_is_known_again_by_its_names(resolution: str, ratio: str) -> None:
    size = size_of(resolution, ratio)

    assert (resolution_of(*size), ratio_of(*size)) == (resolution, ratio)


@pytest.mark.parametrize(("text", "size"), [("1280x720", (1280, 720)), ("1024X1792", (1024, 1792))])
def test_a_literal_size_is_read(text: str, size: tuple[int, int]) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text",
    ["", "x", "1280", "1280x", "x720", "-1x5", "1e3x5", " 1x2", "1x2x3", "1280\u00d7720", "٣x٣", "123456x2"],
)
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_size(text)

    assert refused.value.param == "size"


@given(st.integers(0, 99_999), st.integers(0, 99_999))
def test_every_size_reads_back_as_it_is_written(width: int, height: int) -> None:
    assert parse_size(f"{width}x{height}") == (width, height)
