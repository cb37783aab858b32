"""Pictures, clips and sounds to hand to the studio."""

import wave
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from filmgate.core.generation import MediaKind, MediaRole
from filmgate.providers.studio.order import Input

Rgb = NDArray[np.uint8]
ROLES = {
    "first": MediaRole.FIRST_FRAME,
    "last": MediaRole.LAST_FRAME,
    "reference": MediaRole.REFERENCE,
    "source": MediaRole.SOURCE,
}


def a_picture(seed: int = 1, width: int = 160, height: int = 90) -> Rgb:
    """Make something with edges, tones and colours: soft noise with discs on it, no two seeds alike."""
    chance = np.random.default_rng(seed)
    ground = cv2.resize(
        chance.integers(0, 255, (5, 8, 3), np.uint8), (width, height), interpolation=cv2.INTER_CUBIC
    )
    picture = np.ascontiguousarray(ground)
    for _ in range(40 + width * height // 2000):
        centre = (int(chance.integers(width)), int(chance.integers(height)))
        colour = tuple(int(value) for value in chance.integers(0, 255, 3))
        cv2.circle(
            picture,
            centre,
            int(chance.integers(2, max(3, height // 8 if height < 400 else 40))),
            colour,
            -1,
            cv2.LINE_AA,
        )
    return np.asarray(picture, np.uint8)


def saved(picture: Rgb, path: Path) -> Path:
    Image.fromarray(picture).save(path)
    return path


def a_clip(
    path: Path, *, seconds: float = 1, fps: int = 12, size: tuple[int, int] = (64, 36), tone_hz: int = 0
) -> Path:
    """Write a clip that goes from black to white, with a tone if asked for."""
    with av.open(str(path), "w") as file:
        video = file.add_stream("libx264", rate=fps, options={"crf": "10"})
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        audio = file.add_stream("aac", rate=44_100) if tone_hz else None
        frames = round(seconds * fps)
        for index in range(frames):
            grey = np.full((size[1], size[0], 3), 255 * index // max(1, frames - 1), np.uint8)
            file.mux(video.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        file.mux(video.encode(None))
        if audio is not None:
            at = np.arange(round(seconds * 44_100)) / 44_100
            tone = (0.3 * np.sin(2 * np.pi * tone_hz * at)).astype(np.float32)
            for start in range(0, len(tone), 1024):
                frame = av.AudioFrame.from_ndarray(
                    tone[None, start : start + 1024], format="fltp", layout="mono"
                )
                frame.sample_rate, frame.pts = 44_100, start
                file.mux(audio.encode(frame))
            file.mux(audio.encode(None))
    return path


def a_sound(
    path: Path, *, seconds: float = 1, hz: int = 440, loudness: float = 0.3, rate: int = 22_050
) -> Path:
    at = np.arange(round(seconds * rate)) / rate
    samples = (loudness * np.sin(2 * np.pi * hz * at) * 32_767).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.tobytes())
    return path


def turned(clip: Path) -> Path:
    """Mark a clip as filmed with the camera on its side: to be shown a quarter turn clockwise."""
    film = bytearray(clip.read_bytes())
    matrix = film.index(b"tkhd") + 4 + 40
    one, less = (1 << 16).to_bytes(4), (-1 << 16).to_bytes(4, signed=True)
    film[matrix : matrix + 20] = bytes(4) + one + bytes(4) + less + bytes(4)
    clip.write_bytes(film)
    return clip


def given(role: str, path: Path, *, duration_s: float | None = None) -> Input:
    kinds = {".mp4": MediaKind.VIDEO, ".wav": MediaKind.AUDIO}
    kind = kinds.get(path.suffix, MediaKind.IMAGE)
    return Input(kind=kind, role=ROLES[role], path=path, duration_s=duration_s)
