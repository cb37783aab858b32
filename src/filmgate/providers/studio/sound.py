"""The soundtrack: wind, water, rain, fire, thunder and birds as the scene has them, over a soft chord."""

import zlib
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from filmgate.providers.studio.order import SAMPLE_RATE
from filmgate.providers.studio.screenplay import Mood, Screenplay

Sound = NDArray[np.float32]  # (samples,) or (samples, 2)

PEAK: Final = 0.7
_SEEDS: Final = 2**64  # the generator takes no negative seed
_FADE_IN_S: Final = 0.4
_FADE_OUT_S: Final = 0.6
_LONGEST_NOISE_S: Final = 8  # longer noise repeats with a crossfade: no one hears it, and it costs less
_ROOTS_HZ: Final[dict[Mood, float]] = {
    "day": 196.0,
    "dawn": 196.0,
    "overcast": 174.6,
    "sunset": 220.0,
    "dusk": 164.8,
    "night": 146.8,
    "neon": 110.0,
    "space": 98.0,
    "underwater": 130.8,
    "storm": 92.5,
    "volcano": 87.3,
}
_BRIGHT: Final = frozenset({"day", "dawn", "sunset", "overcast", "underwater"})
_NO_BIRDS: Final = ("snow", "city", "street", "desert", "rain")
_MAJOR: Final = ((0, 4, 7, 11), (0, 7, 12, 16), (0, 4, 9, 14))
_MINOR: Final = ((0, 3, 7, 10), (0, 7, 12, 15), (0, 5, 8, 14))


def soundtrack(screenplay: Screenplay, *, prompt: str, seed: int, duration_s: int) -> Sound:
    """Return exactly `duration_s` of stereo sound that fades in and out."""
    dice = np.random.default_rng([seed % _SEEDS, zlib.crc32(prompt.encode()), zlib.crc32(b"sound")])
    mix = _Mix(dice, duration_s)
    for wanted, add in _parts(screenplay):
        if wanted:
            add(mix)
    _chord(mix, screenplay.mood)
    return _finished(mix.sound, mix.seconds, duration_s)


def _parts(screenplay: Screenplay) -> tuple[tuple[bool, Callable[["_Mix"], None]], ...]:
    mood, has = screenplay.mood, screenplay.has
    outdoors = mood not in {"space", "underwater"} and not screenplay.indoors
    return (
        (outdoors, _wind),
        (outdoors and has("water"), _waves),
        (mood == "underwater", _deep),
        (mood == "space", _hum),
        (has("rain") and not has("snow"), _rain),
        (has("embers") or mood == "volcano", _fire),
        (has("lightning"), _thunder),
        (outdoors and mood in {"day", "dawn"} and not has(*_NO_BIRDS), _birds),
        (outdoors and mood in {"night", "dusk"} and has("meadow", "forest") and not has("snow"), _crickets),
        (has("city", "street", "road") and not has("snow"), _town),
    )


class _Mix:
    """The sound so far, and the noise to add to it."""

    def __init__(self, dice: np.random.Generator, duration_s: int) -> None:
        self.dice = dice
        self.samples = duration_s * SAMPLE_RATE
        self.seconds: Sound = np.arange(self.samples, dtype=np.float32) / np.float32(SAMPLE_RATE)
        self.sound = np.zeros((self.samples, 2), np.float32)

    def noise(self, low_hz: float, high_hz: float, *, slope: float, samples: int | None = None) -> Sound:
        """Return noise between two frequencies, louder low down by `slope`, about 1 at its mean loudness."""
        wanted = self.samples if samples is None else samples
        length = min(wanted, _LONGEST_NOISE_S * SAMPLE_RATE)
        frequencies = np.fft.rfftfreq(length, 1 / SAMPLE_RATE)
        inside = (frequencies >= low_hz) & (frequencies <= high_hz)
        amplitude = np.where(inside, np.maximum(frequencies, 1) ** (-slope / 2), 0)
        spectrum = np.zeros(len(frequencies), np.complex64)
        phases = self.dice.random(int(inside.sum()), dtype=np.float32) * np.float32(2 * np.pi)
        spectrum[inside] = amplitude[inside] * np.exp(1j * phases)
        # The transform of any spectrum is periodic, so it repeats without a seam.
        loop = np.fft.irfft(spectrum, length).astype(np.float32)
        loop /= max(1e-9, float(loop.std())) * 4
        return np.resize(loop, wanted)

    def stereo(self, low_hz: float, high_hz: float, *, slope: float, samples: int | None = None) -> Sound:
        """Return two unlike channels of `noise`."""
        left = self.noise(low_hz, high_hz, slope=slope, samples=samples)
        return np.stack([left, np.roll(left, len(left) // 3)], axis=1)

    def swell(self, period_s: float) -> Sound:
        """Return a slow rise and fall between 0 and 1, shaped for stereo."""
        phase = self.dice.uniform(0, 2 * np.pi)
        wave: Sound = (0.5 + 0.5 * np.sin(2 * np.pi * self.seconds / period_s + phase)).astype(np.float32)
        return wave[:, None]

    def add_at(self, seconds: float, sound: Sound) -> None:
        """Add a short sound at a time; what runs over the end is cut."""
        start = int(seconds * SAMPLE_RATE)
        room = max(0, min(len(sound), self.samples - start))
        self.sound[start : start + room] += sound[:room]


def _wind(mix: _Mix) -> None:
    mix.sound += mix.stereo(80, 900, slope=1.6) * (0.10 + 0.10 * mix.swell(5.3))


def _waves(mix: _Mix) -> None:
    mix.sound += mix.stereo(150, 5000, slope=1.2) * (0.08 + 0.30 * mix.swell(4.1) ** 2)


def _deep(mix: _Mix) -> None:
    mix.sound += mix.stereo(60, 420, slope=1.3) * (0.22 + 0.18 * mix.swell(6.1))
    for start in np.sort(mix.dice.uniform(0, mix.samples / SAMPLE_RATE, 2 + mix.samples // SAMPLE_RATE)):
        seconds = np.arange(int(0.12 * SAMPLE_RATE), dtype=np.float32) / SAMPLE_RATE
        pitch = float(mix.dice.uniform(380, 900))
        blip = np.sin(2 * np.pi * (pitch * seconds + 1800 * seconds**2)) * np.exp(-seconds * 34)
        mix.add_at(float(start), _placed(blip, mix) * np.float32(0.05))


def _hum(mix: _Mix) -> None:
    mix.sound += mix.stereo(30, 240, slope=1.8) * (0.12 + 0.12 * mix.swell(7.3))


def _rain(mix: _Mix) -> None:
    mix.sound += mix.stereo(1200, 15000, slope=0.6) * np.float32(0.22)
    drop_length = 400
    steps = np.arange(drop_length)
    drop = (np.exp(-steps / 60) * np.sin(steps * 0.9)).astype(np.float32)
    for channel in (0, 1):
        count = mix.samples * 45 // SAMPLE_RATE
        starts = mix.dice.integers(0, mix.samples - drop_length, count)
        for start, loudness in zip(starts, mix.dice.random(count), strict=True):
            mix.sound[start : start + drop_length, channel] += drop * np.float32(0.25 * loudness)


def _fire(mix: _Mix) -> None:
    mix.sound += mix.stereo(30, 180, slope=1.0) * np.float32(0.35)
    length = 900
    count = mix.samples * 30 // SAMPLE_RATE
    crackle = np.exp(-np.arange(length) / 90) * mix.dice.normal(0, 1, length)
    starts = mix.dice.integers(0, mix.samples - length, count)
    for start, loudness in zip(starts, mix.dice.random(count) ** 3, strict=True):
        mix.sound[start : start + length] += (crackle * 0.4 * loudness)[:, None].astype(np.float32)


def _thunder(mix: _Mix) -> None:
    length = min(mix.samples, 2 * SAMPLE_RATE)
    seconds = np.arange(length, dtype=np.float32) / SAMPLE_RATE
    envelope = (np.minimum(1, seconds / 0.05) * np.exp(-seconds / 0.7))[:, None]
    for start in np.arange(0.7, mix.samples / SAMPLE_RATE, 2.2):
        rumble = mix.stereo(25, 220, slope=1.0, samples=length) * envelope * np.float32(0.9)
        mix.add_at(float(start), rumble.astype(np.float32))


def _birds(mix: _Mix) -> None:
    seconds = np.arange(int(0.16 * SAMPLE_RATE), dtype=np.float32) / SAMPLE_RATE
    hush = np.hanning(len(seconds))
    duration_s = mix.samples / SAMPLE_RATE
    for start in np.sort(mix.dice.uniform(0, duration_s, int(duration_s * 0.8) + 1)):
        pitch, warble = float(mix.dice.uniform(2400, 4600)), float(mix.dice.uniform(10, 22))
        for note in range(int(mix.dice.integers(2, 5))):
            tone = np.sin(2 * np.pi * pitch * seconds + 16 * np.sin(2 * np.pi * warble * seconds)) * hush
            mix.add_at(float(start) + 0.17 * note, _placed(tone, mix) * np.float32(0.045))


def _crickets(mix: _Mix) -> None:
    for pitch in (4150.0, 4480.0):
        pulses = np.clip(np.sin(2 * np.pi * 15 * mix.seconds), 0, 1) ** 3
        gate = np.clip(np.sin(2 * np.pi * mix.seconds / 1.3 + mix.dice.uniform(0, 6)) * 4, 0, 1)
        tone = np.sin(2 * np.pi * pitch * mix.seconds) * pulses * gate * 0.016
        mix.sound += _placed(tone, mix)


def _town(mix: _Mix) -> None:
    mix.sound += mix.stereo(50, 600, slope=1.4) * (0.12 + 0.08 * mix.swell(6.7))


def _placed(tone: NDArray[np.floating], mix: _Mix) -> Sound:
    """Put a mono sound somewhere between left and right."""
    right = float(mix.dice.uniform(0.15, 0.85))
    return np.stack([tone * (1 - right), tone * right], axis=1).astype(np.float32)


def _chord(mix: _Mix, mood: Mood) -> None:
    """Add a pad of four notes, each slightly out of tune with itself, that breathes."""
    chords = _MAJOR if mood in _BRIGHT else _MINOR
    steps = chords[int(mix.dice.integers(len(chords)))]
    root = _ROOTS_HZ[mood] * 2 ** (int(mix.dice.integers(-3, 4)) / 12)
    for index, step in enumerate(steps):
        breath = 0.5 + 0.5 * np.sin(2 * np.pi * mix.seconds / (6 + index) + index)
        for detune_hz in (-0.4, 0.4):
            pitch = root * 2 ** (step / 12) + detune_hz
            tone = np.sin(2 * np.pi * pitch * mix.seconds + mix.dice.uniform(0, 6)) * breath * 0.028
            mix.sound += tone[:, None].astype(np.float32)


def _finished(sound: Sound, seconds: Sound, duration_s: int) -> Sound:
    fade = np.clip(np.minimum(seconds / _FADE_IN_S, (duration_s - seconds) / _FADE_OUT_S), 0, 1)
    sound = sound * fade[:, None]
    loudest = float(np.abs(sound).max())
    return np.ascontiguousarray(sound * np.float32(PEAK / max(loudest, 1e-6)), np.float32)
