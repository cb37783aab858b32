"""Noise: the seamless textures that clouds, rock, grass and waves are cut from."""

import cv2
import numpy as np

from filmgate.providers.studio.scene.pixels import Plane, looked_up, resized


def tile(
    dice: np.random.Generator, size: int, *, roughness: float, low_cut: float = 1.0, squeeze: float = 1.0
) -> Plane:
    """Make a seamless square of noise, mean 0 and deviation 1.

    `roughness` is the power by which amplitude falls with frequency (2 = smooth hills, 1 = grain);
    `low_cut` drops the waves longer than size/low_cut; `squeeze` below 1 stretches it sideways.
    """
    down = (np.fft.fftfreq(size)[:, None] * size).astype(np.float32)
    across = (np.fft.rfftfreq(size)[None] * size / squeeze).astype(np.float32)
    squared = down**2 + across**2
    squared[0, 0] = 1
    amplitude = np.where(
        squared < low_cut**2, np.float32(0), np.exp(np.log(squared) * np.float32(-roughness / 2))
    )
    phase = dice.random(squared.shape, dtype=np.float32) * np.float32(2 * np.pi)
    spectrum = np.empty(squared.shape, np.complex64)
    spectrum.real, spectrum.imag = amplitude * np.cos(phase), amplitude * np.sin(phase)
    texture = np.fft.irfft2(spectrum, (size, size)).astype(np.float32, copy=False)
    texture -= texture.mean()
    return texture / texture.std()


def sample(texture: Plane, u: Plane, v: Plane) -> Plane:
    """Read a seamless texture at any pixel coordinates."""
    height, width = texture.shape[:2]
    # OpenCV's wrap-around takes 16-bit coordinates: keep them small.
    # By hand: NumPy's own remainder costs more than all the rest.
    across = u - np.floor(u * np.float32(1 / width)) * np.float32(width)
    down = v - np.floor(v * np.float32(1 / height)) * np.float32(height)
    return looked_up(texture, across, down, wrap=True)


def stretched(texture: Plane, width: int, height: int) -> Plane:
    """Return the texture resized to a picture's size."""
    return resized(texture, width, height, cv2.INTER_CUBIC)


def line(
    dice: np.random.Generator, length: int, *, waves: float, octaves: int = 6, gain: float = 0.5
) -> Plane:
    """Make a wandering line, about -1..1, with `waves` humps in its longest octave."""
    positions = np.linspace(0, 1, length)
    total, heights, amplitude = 0.0, np.zeros(length), 1.0
    for _ in range(octaves):
        knots = dice.random(int(waves) + 3) * 2 - 1
        place = positions * waves
        index = place.astype(int)
        ease = place - index
        ease = ease * ease * (3 - 2 * ease)
        heights += amplitude * (knots[index] * (1 - ease) + knots[index + 1] * ease)
        total += amplitude
        amplitude *= gain
        waves *= 2.03
    return (heights / total).astype(np.float32)
