"""The sky: gradient, glow, sun or moon, stars."""

import math

import cv2
import numpy as np

from filmgate.providers.studio.scene import noise
from filmgate.providers.studio.scene.layers import camera_matrix
from filmgate.providers.studio.scene.pixels import (
    Image,
    Plane,
    blurred,
    colour,
    light,
    mix,
    opaque,
    smoothstep,
    warped,
)
from filmgate.providers.studio.scene.shot import Moment, Shot

_STAR_TINTS = ((255, 240, 222), (214, 228, 255))


class Sky:
    """Everything behind the clouds; it covers the canvas from the top to just below the horizon."""

    def __init__(self, shot: Shot) -> None:
        self._shot = shot
        self._rows = min(shot.height, shot.horizon + int(shot.height * 0.08))
        self._backdrop = opaque(_backdrop(shot))
        self._stars = _stars(shot, self._backdrop.shape[:2]) if shot.palette.stars > 0 else ()

    def draw(self, canvas: Image, moment: Moment) -> None:
        """Fill the canvas with sky."""
        shot = self._shot
        scale, x, y = camera_matrix(shot, moment, left=-shot.margin_x, top=-shot.margin_y, depth=0)
        matrix = np.array([[scale, 0, x], [0, scale, y]], np.float32)
        region = canvas[: self._rows]
        size = (shot.width, self._rows)
        cv2.warpAffine(
            self._backdrop, matrix, size, dst=region, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        canvas[self._rows :] = 0
        for index, stars in enumerate(self._stars):
            twinkle = 0.7 + 0.3 * math.sin(moment.seconds * (2.1 + index) + index * 2)
            cv2.scaleAdd(warped(stars, matrix, *size), twinkle, region, region)


def _backdrop(shot: Shot) -> Plane:
    palette, unit = shot.palette, shot.unit
    width = shot.width + 2 * shot.margin_x
    height = min(shot.horizon, shot.height) + 2 * shot.margin_y
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    column = palette.sky_column(height, min(shot.horizon, shot.height) + shot.margin_y)
    picture = np.repeat(column[:, None, :], width, axis=1)
    sun = colour(palette.sun)
    away = np.hypot(columns - shot.margin_x - shot.sun_x, rows - shot.margin_y - shot.sun_y) / np.float32(
        unit
    )
    halo = np.clip(palette.glow * (0.62 * np.exp(-away / 0.13) + 0.30 * np.exp(-away / 0.42)), 0, 1)
    # A screen rather than a sum: a bright sky keeps its colour around the sun.
    picture = picture + halo[..., None] * sun * (1 - np.minimum(1, picture / 262))
    if palette.disc == "moon":
        size = 0.052 if shot.screenplay.has("moon") else 0.036
        disc = smoothstep(0.0015, -0.0015, away - np.float32(size))
        seas = noise.stretched(noise.tile(shot.dice("moon"), 256, roughness=1.6), width, height)
        face = np.clip(0.93 + 0.06 * seas, 0, 1.05)[..., None] * sun
        picture = mix(picture, face, disc)
    elif palette.disc == "sun":
        disc = smoothstep(0.003, -0.003, away - np.float32(0.046))
        picture = mix(picture, np.minimum(255, np.broadcast_to(sun * 1.2, picture.shape)), disc)
    return picture


def _stars(shot: Shot, size: tuple[int, int]) -> tuple[Image, ...]:
    """Two fields of stars that twinkle out of step, each with its own tint."""
    height, width = size
    dice = shot.dice("stars")
    grain = shot.unit / 720
    count = int(width * height / (900 if shot.screenplay.mood == "space" else 1700) / grain**2)
    fade = np.ones((height, 1), np.float32)
    if shot.has_horizon:
        fade = smoothstep(1.0, 0.35, np.linspace(0, 1, height, dtype=np.float32))[:, None]
    fields = []
    for tint in _STAR_TINTS:
        points = np.zeros((height, width), np.float32)
        brightness = (dice.random(count) ** 6 * 1.5 + 0.12).astype(np.float32)
        points[dice.integers(1, height - 1, count), dice.integers(1, width - 1, count)] = brightness
        bright = np.where(points > 0.6, points, 0)
        spread = blurred(points, max(0.45, 0.55 * grain)) * 2.2 * max(0.7, grain)
        spread += blurred(bright, 2.2 * grain) * 5 * grain
        glow = np.minimum(1, spread * fade * shot.palette.stars)[..., None]
        fields.append(light(glow * np.array(tint[::-1], np.float32)))
    return tuple(fields)
