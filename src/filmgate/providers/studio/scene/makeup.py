"""Make-up: a subject's flat drawing, lit, hazed and edged with light so that it belongs to the scene."""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from filmgate.providers.studio.scene.pixels import (
    Image,
    Plane,
    blurred,
    colour,
    layer,
    light,
    mix,
    resized,
    smoothstep,
)
from filmgate.providers.studio.scene.shot import Shot
from filmgate.providers.studio.subjects import Subject, drawings

_FADED: Final = 0.16  # how far a drawing's own colours step back: they are louder than any scene
_LEAST: Final = 0.62  # no subject is darker than this share of its own brightness: it must be seen
_AGAINST_LIGHT: Final = 0.4  # what is left of its brightness where it stands before a low sun


@dataclass(frozen=True, slots=True)
class Costume:
    """The pictures an actor is drawn with: one for each point of its stride, all of one size."""

    pictures: tuple[Image, ...]
    halo: Image | None
    shadow: Image
    contact: Image
    reflection: Image


def dress(shot: Shot, subject: Subject, height: int, *, distance: float, look: int = 0) -> Costume:
    """Draw a subject `height` pixels tall in the light of the shot."""
    pad = max(3, height // 14)
    flats = [
        np.pad(flat, ((pad, 0), (pad, pad), (0, 0))) for flat in drawings(subject, max(8, height), look=look)
    ]
    worn = [_worn(shot, subject, flat, distance) for flat in flats]
    lit, alpha = worn[0]
    wet = layer(lit * 0.8, alpha * np.linspace(0.12, 0.62, alpha.shape[0], dtype=np.float32)[:, None])
    soft = max(0.8, height / 90)
    return Costume(
        pictures=tuple(layer(lit, alpha) for lit, alpha in worn),
        halo=_halo(shot, alpha) if subject.glows and shot.palette.bloom_from < 200 else None,
        shadow=_shadow(shot, alpha, soft),
        contact=_contact(shot, alpha.shape[1]),
        reflection=blurred(wet, max(0.6, soft * 0.7)),
    )


def _worn(shot: Shot, subject: Subject, flat: Image, distance: float) -> tuple[Plane, Plane]:
    """Return a drawing's colours in the light and air of the scene, and what it covers."""
    height = flat.shape[0]
    alpha = flat[..., 3].astype(np.float32) / 255
    tones = flat[..., :3].astype(np.float32)
    faded = tones.mean(axis=2, keepdims=True)
    tones = tones + (faded - tones) * np.float32(_FADED)
    lit = _lit(shot, subject, tones, alpha)
    if shot.backlit and not subject.glows:
        lit = lit * np.float32(_AGAINST_LIGHT)
    share = np.float32(0.05 + 0.05 * min(3.0, distance)) * (2.2 if shot.screenplay.has("fog") else 1)
    lit = lit + (colour(shot.palette.haze) - lit) * np.minimum(share, np.float32(0.45))
    return np.clip(lit + _rim(shot, alpha, height), 0, 255), alpha


def _lit(shot: Shot, subject: Subject, tones: Plane, alpha: Plane) -> Plane:
    """Light the drawing as if it bulged towards the viewer."""
    height = alpha.shape[0]
    bulge = blurred(alpha, max(1.0, height * 0.07))
    slope = cv2.Sobel(bulge, cv2.CV_32F, 1, 0, ksize=3) * np.float32(height * 0.035)
    facing = np.clip(0.52 - slope * shot.sun_side, 0.12, 1.0)
    top_down = np.linspace(1.08, 0.80, height, dtype=np.float32)[:, None]
    ambient, key = shot.palette.ambient_bgr(), shot.palette.key_bgr()
    received = ambient * top_down[..., None] + key * (facing * top_down)[..., None]
    if subject.glows:
        received = np.maximum(received, np.float32(0.95))
    return np.clip(tones * np.maximum(received, np.float32(_LEAST)), 0, 255)


def _rim(shot: Shot, alpha: Plane, height: int) -> Plane:
    """Return a thin edge of light on the side of the sun."""
    step = max(1, round(height * 0.018))
    moved = np.roll(alpha, (step, -step * shot.sun_side), axis=(0, 1))
    edge = blurred(np.clip(alpha - moved, 0, 1), max(0.6, height * 0.005))
    strength = 0.62 if shot.palette.rays else 0.4 if shot.palette.disc == "moon" else 0.32
    if shot.backlit:
        strength = 1.0
    return (edge * np.float32(strength))[..., None] * colour(shot.palette.sun)


def _halo(shot: Shot, alpha: Plane) -> Image:
    """Return the light a glowing subject throws on the air around it, twice its size."""
    height, width = alpha.shape
    wide = cv2.copyMakeBorder(alpha, height // 2, height // 2, width // 2, width // 2, cv2.BORDER_CONSTANT)
    small = resized(wide, max(4, width // 4), max(4, height // 4), cv2.INTER_AREA)
    soft = blurred(small, max(1.0, height / 26))
    soft = resized(soft, wide.shape[1], wide.shape[0])
    edge = np.minimum(
        *np.meshgrid(
            1 - np.abs(np.linspace(-1, 1, wide.shape[1])), 1 - np.abs(np.linspace(-1, 1, wide.shape[0]))
        )
    )
    strength = soft * smoothstep(0.0, 0.3, edge.astype(np.float32)) * np.float32(0.8)
    return light(strength[..., None] * (colour(shot.palette.sun) * 0.5 + colour("#ffb45a") * 0.5))


def _shadow(shot: Shot, alpha: Plane, soft: float) -> Image:
    depth = {"storm": 0.16, "overcast": 0.14, "night": 0.34}.get(shot.screenplay.mood, 0.40)
    fading = np.linspace(0.25, 1.0, alpha.shape[0], dtype=np.float32)[:, None]
    cover = blurred(alpha, soft * 1.6) * np.float32(depth) * fading
    return layer(_shade(shot, alpha.shape), cover)


def _contact(shot: Shot, width: int) -> Image:
    """Return the dark seam where something touches the ground."""
    height = max(4, width // 9)
    rows = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    columns = np.linspace(-1, 1, width, dtype=np.float32)[None]
    cover = smoothstep(1.0, 0.1, np.hypot(rows, columns * 1.15)) * np.float32(0.42)
    return layer(_shade(shot, (height, width)), cover)


def _shade(shot: Shot, shape: tuple[int, ...]) -> Plane:
    """Shadows are not black: they keep the sky's colour."""
    tint = shot.palette.ambient_bgr() * 46
    flat = np.broadcast_to(tint, (*shape, 3)).astype(np.float32)
    return mix(flat, np.zeros_like(flat), np.full(shape, 0.25, np.float32))
