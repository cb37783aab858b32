"""Fingerprints: equal for the same request however it is said, different for any other."""

from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filmgate.core.fingerprint import fingerprint
from filmgate.core.generation import ADAPTIVE, Generation, Media, MediaKind, MediaRole
from filmgate.core.wish import Wish, fulfil
from tests.fakes import MODELS, a_generation

STUDIO = next(model for model in MODELS if model.id == "studio")
AS_SAID = {"aspect_ratio", "resolution"}  # said again by width and height
A_PICTURE = Media(kind=MediaKind.IMAGE, url="https://example.com/i")
ANOTHER: dict[str, Any] = {
    "prompt": "a lighthouse at dawn",
    "negative_prompt": "people",
    "media": (A_PICTURE,),
    "duration_s": 6,
    "width": 1282,
    "height": 722,
    "fps": 25,
    "seed": 8,
    "audio": False,
    "watermark": True,
    "return_last_frame": True,
    "n": 2,
    "end_user_id": "u1",
    "extra": {"studio": {"mood": "calm"}},
}


def test_spelling_the_defaults_out_changes_nothing() -> None:
    short = Wish(prompt="a lighthouse")
    long = Wish(
        prompt="a lighthouse",
        negative_prompt="",
        duration_s=5,
        aspect_ratio="16:9",
        resolution="720p",
        fps=24,
        seed=-1,
        audio=True,
        watermark=False,
        return_last_frame=False,
        n=1,
    )
    literal = Wish(prompt="a lighthouse", size=(1280, 720))

    prints = {fingerprint("studio", fulfil(STUDIO, wish)) for wish in (short, long, literal)}

    assert len(prints) == 1


def test_every_field_that_is_made_counts() -> None:
    assert set(ANOTHER) | AS_SAID == {field.name for field in fields(Generation)}


@given(
    changes=st.fixed_dictionaries({}, optional={name: st.just(value) for name, value in ANOTHER.items()}),
    field=st.sampled_from(sorted(ANOTHER)),
)
def test_any_one_field_makes_another_print(changes: dict[str, Any], field: str) -> None:
    without = {name: value for name, value in changes.items() if name != field}
    first = replace(a_generation(), **without)

    second = replace(first, **{field: ANOTHER[field]})

    assert fingerprint("studio", first) != fingerprint("studio", second)


@pytest.mark.parametrize(
    "other",
    [
        (replace(A_PICTURE, url="https://example.com/j"),),
        (replace(A_PICTURE, role=MediaRole.FIRST_FRAME),),
        (replace(A_PICTURE, kind=MediaKind.VIDEO),),
        (A_PICTURE, A_PICTURE),
        (),
    ],
)
def test_inputs_count_by_what_they_are_and_are_for(other: tuple[Media, ...]) -> None:
    first, second = a_generation(media=(A_PICTURE,)), a_generation(media=other)

    assert fingerprint("studio", first) != fingerprint("studio", second)


def test_an_input_that_is_held_counts_by_its_content_and_not_by_where_it_came_from() -> None:
    here, there = (replace(A_PICTURE, url=url, blob="ab" * 32) for url in ("https://a/1", "https://b/2"))

    assert fingerprint("studio", a_generation(media=(here,))) == fingerprint(
        "studio", a_generation(media=(there,))
    )


def test_the_model_counts_and_the_version_is_said() -> None:
    first, second = (fingerprint(name, a_generation()) for name in ("studio", "sandbox"))

    assert first != second
    assert first.startswith("1:")


def test_the_order_of_keys_does_not_count() -> None:
    first = a_generation(extra={"studio": {"a": 1, "b": 2}, "x": {}})
    second = a_generation(extra={"x": {}, "studio": {"b": 2, "a": 1}})

    assert fingerprint("studio", first) == fingerprint("studio", second)


def test_the_shape_of_the_first_picture_is_another_wish_than_that_shape_spelled_out() -> None:
    adaptive = fulfil(STUDIO, Wish(prompt="a lighthouse", aspect_ratio=ADAPTIVE, media=(A_PICTURE,)))
    wide = fulfil(STUDIO, Wish(prompt="a lighthouse", media=(A_PICTURE,)))
    spelled = fulfil(
        STUDIO,
        Wish(prompt="a lighthouse", aspect_ratio=ADAPTIVE, resolution="720p", media=(A_PICTURE,)),
    )
    probed = adaptive.with_media((replace(A_PICTURE, width=600, height=600),))

    assert fingerprint("m", adaptive) != fingerprint("m", wide)
    assert fingerprint("m", adaptive) == fingerprint("m", spelled) == fingerprint("m", probed)
