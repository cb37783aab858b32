"""What the parts of a scene promise each other."""

from typing import get_args

import numpy as np
import pytest

from filmgate.providers.studio.scene import noise
from filmgate.providers.studio.scene.makeup import dress
from filmgate.providers.studio.scene.palette import PALETTES
from filmgate.providers.studio.scene.pixels import lay_over, layer, opaque, place
from filmgate.providers.studio.scene.shot import Shot, compose
from filmgate.providers.studio.scene.stamp import Stance, stamp
from filmgate.providers.studio.screenplay import Mood, read_prompt
from filmgate.providers.studio.subjects import cast, drawing


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
    drawn = drawing(cat, 60)
    own = drawn[..., :3][drawn[..., 3] > 250].mean()

    costume = dress(_shot(prompt), cat, 60, distance=1.0)
    lit = costume.picture[..., :3][costume.picture[..., 3] > 250].mean()

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
