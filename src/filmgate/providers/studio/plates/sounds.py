"""Sounds that come in: decoded, cut or looped to a length, and brought to an even loudness."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

import av
import numpy as np
from av.audio.resampler import AudioResampler
from av.filter import Graph

from filmgate.providers.studio.order import SAMPLE_RATE, Unusable
from filmgate.providers.studio.plates.footage import opened
from filmgate.providers.studio.sound import Sound

_LOUDNESS_LUFS: Final = -16.0  # what films on the web are mixed to
_MOST_GAIN: Final = 8.0  # whoever sends silence shall not get its noise
_PEAK: Final = 0.89
_AS_IT_IS: Final = 0.005
_JOIN: Final = SAMPLE_RATE // 4
_SHORTEST: Final = SAMPLE_RATE // 10  # a click is many clicks: nobody counts them, or waits for it
_FADE_IN: Final = SAMPLE_RATE // 50
_FADE_OUT_S: Final = 0.6
_BLOCK: Final = SAMPLE_RATE * 2 // 5  # BS.1770: 400 ms, a quarter of it at a time


def read_sound(path: Path, most_s: float, *, speed: float = 1.0) -> Sound | None:
    """Return up to `most_s` seconds of a file's first sound, played at `speed` at its own pitch.

    The answer is (samples, 2) at `SAMPLE_RATE`, or None where a file has no sound. Raises `Unusable`.
    """
    try:
        with opened(path) as container:
            if not container.streams.audio:
                return None
            pieces = list(_decoded(container.decode(container.streams.audio[0]), most_s, speed))
    except MemoryError as error:
        raise Unusable("is too large to be played") from error
    except (av.FFmpegError, OSError, ValueError) as error:
        raise Unusable("is damaged, or no sound that the studio can play") from error
    if not pieces:
        raise Unusable("has no sound that the studio can play")
    sound = np.concatenate(pieces, axis=1).T[: int(most_s * SAMPLE_RATE)]
    return np.asarray(np.nan_to_num(sound, nan=0, posinf=0, neginf=0), np.float32)


def laid_out(sounds: Sequence[Sound], duration_s: int) -> Sound:
    """Return exactly `duration_s`: the sounds one after the other, again and again, cut and faded out."""
    samples = duration_s * SAMPLE_RATE
    laid = np.zeros((samples, 2), np.float32)
    sounds = [np.resize(sound, (max(len(sound), _SHORTEST), 2)) for sound in sounds]
    at = turn = 0
    while at < samples:
        sound = sounds[turn % len(sounds)]
        join = min(_JOIN, len(sound) // 4)
        ramp = np.sqrt(np.linspace(0, 1, max(join, 1), dtype=np.float32))[: join or 1, None]
        piece = sound.copy()
        if turn:
            piece[: len(ramp)] *= ramp
        if at + len(piece) < samples:
            piece[-len(ramp) :] *= ramp[::-1]
        room = min(len(piece), samples - at)
        laid[at : at + room] += piece[:room]
        at += max(1, len(piece) - join)
        turn += 1
    left_s = (samples - np.arange(samples, dtype=np.float32)) / SAMPLE_RATE
    laid *= np.minimum(1, left_s / min(_FADE_OUT_S, duration_s / 4))[:, None]
    laid[:_FADE_IN] *= np.linspace(0, 1, _FADE_IN, dtype=np.float32)[:, None]
    return laid


def levelled(sound: Sound) -> Sound:
    """Return the sound at an even loudness, or as near to it as its peaks allow; silence stays silence."""
    loudest = float(np.abs(sound).max(initial=0))
    loudness = loudness_of(sound)
    if loudest <= 0 or loudness is None:
        return sound
    gain = min(_MOST_GAIN, float(10 ** ((_LOUDNESS_LUFS - loudness) / 20)), _PEAK / loudest)
    return sound * np.float32(gain)


def loudness_of(sound: Sound) -> float | None:
    """Return the integrated loudness in LUFS after ITU-R BS.1770-4, or None for silence."""
    spectrum = np.fft.rfft(sound, axis=0)
    frequencies = np.fft.rfftfreq(len(sound), 1 / SAMPLE_RATE)
    heard = np.fft.irfft(spectrum * _ear(frequencies)[:, None], len(sound), axis=0)
    power = np.concatenate([np.zeros(1), np.cumsum((heard**2).sum(axis=1))])
    block = min(_BLOCK, len(sound))
    starts = np.arange(0, len(sound) - block + 1, max(1, block // 4))
    blocks = (power[starts + block] - power[starts]) / block
    blocks = blocks[blocks > 10 ** ((-70 + 0.691) / 10)]
    if not len(blocks):
        return None
    blocks = blocks[blocks > blocks.mean() / 10]
    return float(-0.691 + 10 * math.log10(blocks.mean()))


def _ear(frequencies: np.ndarray) -> np.ndarray:
    """Return the gains of BS.1770's two filters, the shelf of a head and the deaf low end, at 48 kHz."""
    turn = np.exp(-2j * np.pi * frequencies / SAMPLE_RATE)
    gains = np.ones(len(frequencies), complex)
    for (b0, b1, b2), (a1, a2) in (
        ((1.53512485958697, -2.69169618940638, 1.19839281085285), (-1.69065929318241, 0.73248077421585)),
        ((1.0, -2.0, 1.0), (-1.99004745483398, 0.99007225036621)),
    ):
        gains *= (b0 + b1 * turn + b2 * turn**2) / (1 + a1 * turn + a2 * turn**2)
    return np.abs(gains)


# --- decoding -----------------------------------------------------------------------------------


def _decoded(frames: Iterator[av.AudioFrame], most_s: float, speed: float) -> Iterator[np.ndarray]:
    """Yield planar stereo; a sound that breaks off ends there."""
    resampler = AudioResampler(format="fltp", layout="stereo", rate=SAMPLE_RATE)
    tempo = None if abs(speed - 1) < _AS_IT_IS else _tempo(speed)
    wanted = int(most_s * SAMPLE_RATE)
    got = 0
    while got < wanted:
        try:
            frame: av.AudioFrame | None = next(frames)
        except StopIteration:
            frame = None
        except (av.FFmpegError, OSError, ValueError):
            if not got:
                raise
            frame = None
        if frame is not None:
            frame.pts = None  # what it says may jump; the samples do not
        for even in resampler.resample(frame):
            for piece in [even] if tempo is None else _through(tempo, even):
                samples = piece.to_ndarray()
                got += samples.shape[1]
                yield samples
        if frame is None:
            if tempo is not None:
                yield from (piece.to_ndarray() for piece in _through(tempo, None))
            return


def _tempo(speed: float) -> Graph:
    graph = Graph()
    source = graph.add_abuffer(sample_rate=SAMPLE_RATE, format="fltp", layout="stereo", channels=2, name="in")
    chain = [
        source,
        graph.add("atempo", f"{speed:.6f}"),
        graph.add("aformat", "sample_fmts=fltp:channel_layouts=stereo"),
        graph.add("abuffersink"),
    ]
    for one, other in pairwise(chain):
        one.link_to(other)
    graph.configure()
    return graph


def _through(graph: Graph, frame: av.AudioFrame | None) -> Iterator[av.AudioFrame]:
    graph.push(frame)
    while True:
        try:
            made = graph.pull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
        assert isinstance(made, av.AudioFrame)
        yield made
