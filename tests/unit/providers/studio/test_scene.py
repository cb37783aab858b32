"""What the parts of a scene promise each other."""

from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings, strategies

from filmgate.providers.studio.scene import noise
from filmgate.providers.studio.scene.makeup import dress
from filmgate.providers.studio.scene.palette import PALETTES
from filmgate.providers.studio.scene.pixels import Image, lay_over, layer, opaque, place
from filmgate.providers.studio.scene.scenery import build
from filmgate.providers.studio.scene.shot import Shot, compose
from filmgate.providers.studio.scene.stamp import Stance, stamp
from filmgate.providers.studio.screenplay import Mood, read_prompt
from filmgate.providers.studio.subjects import cast, drawings, own_words


def _shot(prompt: str, seed: int = 1) -> Shot:
    return compose(read_prompt(prompt), prompt=prompt, seed=seed, width=160, height=90, duration_s=4)


def test_noise_has_no_seam() -> None:
    texture = noise.tile(np.random.default_rng(1), 64, roughness=1.8)
    across_the_seam = np.abs(texture[:, 0] - texture[:, -1]).mean()
    inside = np.abs(np.diff(texture, axis=1)).mean()

    assert across_the_seam < 1.5 * inside
    assert abs(float(texture.mean())) < 1e-3
    assert abs(float(texture.std()) - 1) < 1e-3


def test_every_mood_has_a_palette_whose_sky_reaches_from_top_to_horizon() -> None:
    assert set(PALETTES) == set(get_args(Mood))
    for palettes in PALETTES.values():
        for palette in palettes:
            stops = [stop for stop, _ in palette.sky]
            assert stops == sorted(stops)
            assert (stops[0], stops[-1]) == (0, 1)


def test_laying_over_mixes_by_cover() -> None:
    canvas = opaque(np.full((2, 2, 3), 100, np.float32))
    half = layer(np.full((2, 2, 3), 200, np.float32), np.full((2, 2), 0.5, np.float32))

    lay_over(canvas, half)

    assert np.abs(canvas[..., :3].astype(int) - 150).max() <= 2


def test_what_falls_outside_the_canvas_is_cut() -> None:
    canvas = np.zeros((20, 20, 4), np.uint8)
    sprite = np.full((8, 8, 4), 255, np.uint8)

    place(canvas, sprite, -100, 5)
    stamp(canvas, sprite, Stance(x=200, y=200))
    assert not canvas.any()

    stamp(canvas, sprite, Stance(x=0, y=8, cut_below=4))
    assert canvas[:4, :4].any()
    assert not canvas[4:].any()


@pytest.mark.parametrize("prompt", ["a cat at night", "a cat at dusk", "a cat in a storm", "a cat at sunset"])
def test_a_subject_is_never_lost_in_the_dark(prompt: str) -> None:
    cat = cast()["cat"]
    drawn = drawings(cat, 60)[0]
    own = drawn[..., :3][drawn[..., 3] > 250].mean()

    shot = next(shot for shot in (_shot(prompt, seed) for seed in range(20)) if not shot.backlit)
    costume = dress(shot, cat, 60, distance=1.0)
    lit = costume.pictures[0][..., :3][costume.pictures[0][..., 3] > 250].mean()

    assert lit > 0.38 * own


def test_seeds_choose_sun_horizon_and_subject() -> None:
    shots = [_shot("a cat in a meadow", seed) for seed in range(12)]

    assert len({shot.horizon for shot in shots}) > 5
    assert {shot.sun_side for shot in shots} == {-1, 1}
    assert len({shot.palette for shot in shots}) > 1
    assert max(shot.subject_x for shot in shots) - min(shot.subject_x for shot in shots) > 0.25


def test_a_move_in_grows_and_a_still_camera_stands() -> None:
    inwards, still = _shot("a cat, zoom in"), _shot("a cat, static shot")

    assert inwards.moment(4).zoom > inwards.moment(0).zoom + 0.1
    assert still.moment(4).zoom == still.moment(0).zoom
    assert still.moment(4).pan_x == still.moment(0).pan_x


def test_some_seeds_set_a_subject_dark_against_a_low_sun() -> None:
    shots = [_shot("a horse on a hill at sunset", seed) for seed in range(20)]
    backlit = [shot for shot in shots if shot.backlit]

    assert 3 < len(backlit) < 17
    assert min(shot.horizon for shot in backlit) > 0.74 * 90, "the sky is behind it"
    assert not any(_shot("a horse on a hill at noon", seed).backlit for seed in range(20))
    assert not any(_shot("a horse in a street at sunset", seed).backlit for seed in range(20))


def _frame(prompt: str, seed: int = 1, width: int = 160, height: int = 90) -> Image:
    shot = compose(read_prompt(prompt), prompt=prompt, seed=seed, width=width, height=height, duration_s=4)
    canvas: Image = np.zeros((height, width, 4), np.uint8)
    for element in build(shot):
        element.draw(canvas, shot.moment(1.5))
    return canvas


@pytest.mark.parametrize(
    "prompt",
    [
        "a woman walks down a neon street at night",
        "a cat sleeping on a sofa, rain at the window",
        "a cup of coffee on a table",
        "a butterfly on a flower, macro",
        "a red car on a mountain road",
        "birds over a lake",
        "a girl under a cherry tree",
        "a fisherman in a small boat",
        "a whale jumping over a small boat",
        "a couple dancing under a street lamp",
        "quarterly synergy",
        "अमूर्त विचार",
    ],
)
@pytest.mark.parametrize(("width", "height"), [(160, 90), (90, 160), (66, 64)])
def test_every_kind_of_scene_fills_a_frame_of_any_shape(prompt: str, width: int, height: int) -> None:
    frame = _frame(prompt, width=width, height=height)

    assert frame[..., :3].std() > 4, "something is shown"
    assert (frame[..., :3].max(axis=2) > 0).mean() > 0.97, "nothing is left out"


@pytest.mark.parametrize(
    "prompt", ["a forest at night", "a street at night", "a room at night", "a cat in a storm", "dusk"]
)
def test_dark_hours_can_be_read(prompt: str) -> None:
    tones = np.median([_frame(prompt, seed)[..., :3].max(axis=2) for seed in range(3)], axis=(1, 2))

    assert tones.min() > 30


@settings(max_examples=40, deadline=None)
@given(prompt=strategies.text(max_size=60), seed=strategies.integers(-(2**70), 2**70))
def test_no_prompt_of_any_script_breaks_the_studio(prompt: str, seed: int) -> None:
    frame = _frame(prompt, seed, width=64, height=64)

    assert frame.shape == (64, 64, 4)


@settings(max_examples=60, deadline=None)
@given(
    prompt=strategies.lists(strategies.sampled_from(sorted(own_words())), min_size=1, max_size=5).map(
        " ".join
    )
)
def test_any_words_of_the_cast_together_make_a_picture(prompt: str) -> None:
    assert _frame(prompt, width=64, height=64)[..., :3].std() > 2


@pytest.mark.parametrize(("width", "height"), [(2048, 64), (64, 2048), (64, 64), (16, 16)])
@pytest.mark.parametrize(
    "prompt", ["the sea", "a fox in a meadow", "aurora over snow", "a cat on a sofa", "a car on a road"]
)
def test_no_shape_of_a_frame_breaks_the_studio(prompt: str, width: int, height: int) -> None:
    assert _frame(prompt, width=width, height=height).shape == (height, width, 4)
