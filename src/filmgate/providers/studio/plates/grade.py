"""Grading: the light that a prompt asks for, and what several pictures have in common, on other pictures."""

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np

from filmgate.providers.studio.scene.palette import Palette
from filmgate.providers.studio.scene.pixels import Image, Plane

_IN_FULL_DAY: Final = 1.28  # what sky and sun together add to a white surface by day
_MIDDLE: Final = 0.40  # the mean tone of a picture in full light
_LEVEL: Final = (0.45, 1.3)
_FADED: Final = 0.75
_TINT: Final = (0.7, 1.4)


class Relight:
    """Turns the light of a picture towards a palette's; one that has it already is left alone."""

    def __init__(self, palette: Palette, mean: Plane) -> None:
        """`mean` is the mean colour, BGR, of what is to be graded."""
        light = (palette.ambient_bgr() + palette.key_bgr()) / np.float32(_IN_FULL_DAY)
        gains = np.minimum(light, 1.2) * np.float32(_MIDDLE * 255) / np.maximum(mean, 4)
        level = float(gains.mean())
        # Half by the light alone: a picture of one strong colour must not lose it.
        self._tint = np.clip(np.sqrt(gains / level * light / light.mean()), *_TINT)
        self._level = min(max(level, _LEVEL[0]), _LEVEL[1])

    def apply(self, picture: Image, strength: float) -> Image:
        """Return the picture graded; at 0 it is untouched."""
        if strength <= 0:
            return picture
        level = 1 + (self._level - 1) * strength
        if level < 1:  # eyes see little colour in the dark
            grey = cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_BGRA2GRAY), cv2.COLOR_GRAY2BGRA)
            faded = _FADED * (1 - level)
            picture = np.asarray(cv2.addWeighted(picture, 1 - faded, grey, faded, 0), np.uint8)
        tints = 1 + (self._tint - 1) * np.float32(strength)
        return _looked_up(picture, [_curve(float(tint), level) for tint in tints])


def common_look(pictures: Sequence[Image], share: float) -> list[Image]:
    """Return the pictures, each with its mean and contrast moved towards what all have on average."""
    if len(pictures) < 2:  # noqa: PLR2004  (one alone has nothing in common with others)
        return list(pictures)
    tones = [_mean_and_spread(one) for one in pictures]
    mean = np.mean([mean for mean, _ in tones], axis=0)
    spread = np.mean([spread for _, spread in tones], axis=0)
    steps = np.arange(256, dtype=np.float32)
    graded = []
    for picture, (own_mean, own_spread) in zip(pictures, tones, strict=True):
        gain = 1 + (np.clip(spread / np.maximum(own_spread, 6), 0.7, 1.4) - 1) * share
        shift = own_mean + (mean - own_mean) * share
        curves = [
            np.clip((steps - own_mean[channel]) * gain[channel] + shift[channel], 0, 255).astype(np.uint8)
            for channel in range(3)
        ]
        graded.append(_looked_up(picture, curves))
    return graded


def mean_colour(picture: Image) -> Plane:
    """Return the mean colour of a picture, BGR."""
    return np.array(cv2.mean(picture)[:3], np.float32)


def _mean_and_spread(picture: Image) -> tuple[Plane, Plane]:
    mean, spread = cv2.meanStdDev(picture[..., :3])
    return mean[:, 0].astype(np.float32), spread[:, 0].astype(np.float32)


def _curve(tint: float, level: float) -> Image:
    """Return a tone curve that tints what is between black and white, then darkens or lifts it all."""
    tone = np.arange(256, dtype=np.float32) / 255
    tone = tone * tint / (1 + (tint - 1) * tone)
    tone = tone * level if level <= 1 else tone * level / (1 + (level - 1) * tone)
    return np.clip(tone * 255 + 0.5, 0, 255).astype(np.uint8)


def _looked_up(picture: Image, curves: Sequence[Image]) -> Image:
    table = np.stack([*curves, np.arange(256, dtype=np.uint8)], axis=1)[None]
    return np.asarray(cv2.LUT(picture, table), np.uint8)
