"""From what a caller said to what is made: defaults filled in, limits kept, errors in their words."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filmgate.core.catalogue import Model
from filmgate.core.errors import InvalidRequest
from filmgate.core.generation import Media, MediaKind
from filmgate.core.wish import AUTO_DURATION, PROMPT_CHARACTERS, Wish, fulfil
from tests.fakes import MODELS

BY_ID: Mapping[str, Model] = {model.id: model for model in MODELS}
SEEDANCE, STUDIO, PICTURES, SORA = (
    BY_ID[name] for name in ("seedance_2_0", "studio", "studio-image", "sora-2")
)


def wish(**said: Any) -> Wish:  # noqa: ANN401  (any field of a wish)
    return Wish(**{"prompt": "a lighthouse", **said})


def test_what_is_left_open_is_the_models_default() -> None:
    made = fulfil(SEEDANCE, wish())

    assert (made.duration_s, made.width, made.height, made.fps) == (5, 1280, 720, 24)
    assert (made.audio, made.watermark, made.return_last_frame, made.n, made.seed) == (
        True,
        False,
        False,
        1,
        None,
    )
    assert (made.aspect_ratio, made.resolution) == (None, None)


def test_a_picture_has_no_length() -> None:
    assert fulfil(PICTURES, wish(n=8)).duration_s == 0

    with pytest.raises(InvalidRequest, match="duration_s"):
        fulfil(PICTURES, wish(duration_s=5))


INSIDE = [
    (SEEDANCE, "duration_s", 4),
    (SEEDANCE, "duration_s", 15),
    (STUDIO, "fps", 8),
    (STUDIO, "fps", 60),
    (STUDIO, "seed", -1),
    (STUDIO, "seed", 0),
    (STUDIO, "seed", 2**32 - 1),
    (PICTURES, "n", 1),
    (PICTURES, "n", 8),
    (STUDIO, "prompt", "x" * PROMPT_CHARACTERS),
    (STUDIO, "size", (64, 64)),
    (STUDIO, "size", (1920, 1080)),
    (SORA, "size", (1024, 1792)),
    (SORA, "size", (1280, 720)),
    (STUDIO, "resolution", "1080P"),
    (SEEDANCE, "aspect_ratio", "adaptive"),
]
OUTSIDE = [
    (SEEDANCE, "duration_s", 3),
    (SEEDANCE, "duration_s", 16),
    (SEEDANCE, "duration_s", 0),
    (SEEDANCE, "duration_s", -2),
    (STUDIO, "fps", 7),
    (STUDIO, "fps", 61),
    (STUDIO, "seed", -2),
    (STUDIO, "seed", 2**32),
    (PICTURES, "n", 0),
    (PICTURES, "n", 9),
    (STUDIO, "n", 2),
    (STUDIO, "prompt", "x" * (PROMPT_CHARACTERS + 1)),
    (STUDIO, "prompt", ""),
    (STUDIO, "prompt", " \n\t"),
    (STUDIO, "size", (62, 64)),
    (STUDIO, "size", (65, 64)),
    (STUDIO, "size", (64, 65)),
    (STUDIO, "size", (1922, 1080)),
    (STUDIO, "size", (0, 0)),
    (SORA, "size", (640, 640)),
    (SEEDANCE, "resolution", "4K"),
    (SEEDANCE, "resolution", "big"),
    (SEEDANCE, "aspect_ratio", "5:4"),
    (SORA, "aspect_ratio", "adaptive"),
]


@pytest.mark.parametrize(("model", "field", "value"), INSIDE)
def test_what_is_at_the_edge_is_inside(model: Model, field: str, value: object) -> None:
    fulfil(model, wish(**{field: value}))


@pytest.mark.parametrize(("model", "field", "value"), OUTSIDE)
def test_what_is_past_the_edge_is_refused_in_the_dialects_words(
    model: Model, field: str, value: object
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        fulfil(model, wish(**{field: value}))
    with pytest.raises(InvalidRequest) as translated:
        fulfil(model, wish(**{field: value}, names={field: "their_word"}))

    assert refused.value.param == field
    assert translated.value.param == "their_word"
    assert translated.value.message.startswith("their_word: ")


@pytest.mark.parametrize(("kind", "most"), [(MediaKind.IMAGE, 9), (MediaKind.VIDEO, 3), (MediaKind.AUDIO, 3)])
def test_as_many_inputs_go_in_as_the_model_takes(kind: MediaKind, most: int) -> None:
    media = (Media(kind=kind, url="https://example.com/1"),)
    assert fulfil(SEEDANCE, wish(media=media * most)).media == media * most

    with pytest.raises(InvalidRequest) as refused:
        fulfil(SEEDANCE, wish(media=media * (most + 1), names={f"{kind}s": "references"}))

    assert refused.value.param == "references"


@pytest.mark.parametrize("model", [model for model in MODELS if model.durations_s != (0, 0)])
@given(prompt=st.text(min_size=1).filter(str.strip), seed=st.none() | st.integers(-1, 2**32 - 1))
def test_a_length_left_to_the_prompt_is_always_the_same_and_within_the_models(
    model: Model, prompt: str, seed: int | None
) -> None:
    asked = wish(prompt=prompt, seed=seed, duration_s=AUTO_DURATION)

    first, again = fulfil(model, asked).duration_s, fulfil(model, asked).duration_s

    shortest, longest = model.durations_s
    assert first == again
    assert shortest <= first <= longest


@pytest.mark.parametrize("model", MODELS)
def test_every_model_can_make_what_it_makes_by_default(model: Model) -> None:
    made = fulfil(model, wish())

    assert made.width % 2 == made.height % 2 == 0
    assert model.durations_s[0] <= made.duration_s <= model.durations_s[1]
