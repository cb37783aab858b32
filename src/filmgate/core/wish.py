"""From what a dialect read to what will be made: a model's defaults filled in, its limits kept."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from filmgate.core.catalogue import Model, ModelKind
from filmgate.core.errors import InvalidRequest
from filmgate.core.generation import ADAPTIVE, RESOLUTIONS, Generation, Media, MediaKind, size_of

PROMPT_CHARACTERS: Final = 32_000
SEEDS: Final = range(-1, 2**32)
MIN_SIDE: Final = 64
AUTO_DURATION: Final = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a caller said, as far as they said it: None is left to the model.

    `duration_s` -1 lets the prompt decide. `size` is (width, height) and overrules the other two.
    `names` says what the caller's dialect calls a field of ours, for the error that names it.
    """

    prompt: str
    negative_prompt: str | None = None
    media: tuple[Media, ...] = ()
    duration_s: int | None = None
    aspect_ratio: str | None = None
    resolution: str | None = None
    size: tuple[int, int] | None = None
    fps: int | None = None
    seed: int | None = None
    audio: bool | None = None
    watermark: bool | None = None
    return_last_frame: bool | None = None
    n: int | None = None
    end_user_id: str | None = None
    extra: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)

    def refuse(self, param: str, message: str) -> InvalidRequest:
        """Return the error about one field, in the words of the caller's dialect."""
        name = self.names.get(param, param)
        return InvalidRequest(f"{name}: {message}", param=name)


def fulfil(model: Model, wish: Wish) -> Generation:
    """Return the generation that `wish` means for `model`, or raise InvalidRequest naming a field."""
    if not wish.prompt.strip():
        raise wish.refuse("prompt", "must not be empty")
    if len(wish.prompt) > PROMPT_CHARACTERS:
        raise wish.refuse("prompt", f"is longer than {PROMPT_CHARACTERS} characters")
    if wish.seed is not None and wish.seed not in SEEDS:
        raise wish.refuse("seed", f"must be from {SEEDS[0]} to {SEEDS[-1]}")
    _check_media(model, wish)
    width, height = _size(model, wish)
    return Generation(
        prompt=wish.prompt,
        negative_prompt=wish.negative_prompt or None,
        media=wish.media,
        duration_s=_duration(model, wish),
        # A size overrules both: what was said beside it is not what will be made.
        aspect_ratio=None if wish.size else wish.aspect_ratio,
        resolution=None if wish.size else wish.resolution,
        width=width,
        height=height,
        fps=_fps(wish),
        seed=None if wish.seed == -1 else wish.seed,
        audio=True if wish.audio is None else wish.audio,
        watermark=bool(wish.watermark),
        return_last_frame=bool(wish.return_last_frame),
        n=_count(model, wish),
        end_user_id=wish.end_user_id,
        extra=wish.extra,
    )


def _duration(model: Model, wish: Wish) -> int:
    shortest, longest = model.durations_s
    if model.kind is ModelKind.IMAGE:
        if wish.duration_s is not None:
            raise wish.refuse("duration_s", f"{model.id} makes pictures, which have none")
        return 0
    if wish.duration_s is None:
        return model.default_duration_s
    if wish.duration_s == AUTO_DURATION:
        # Decided here and not by the provider: the price is then exact before anything is made.
        digest = hashlib.sha256(f"{wish.seed}/{wish.prompt}".encode()).digest()
        calm = range(max(shortest, 4), min(longest, 10) + 1) or range(shortest, longest + 1)
        return calm[digest[0] % len(calm)]
    if not shortest <= wish.duration_s <= longest:
        raise wish.refuse("duration_s", f"{model.id} makes clips of {shortest} to {longest} seconds")
    return wish.duration_s


def _size(model: Model, wish: Wish) -> tuple[int, int]:
    if wish.size is not None:
        return _literal_size(model, wish, wish.size)
    ratio = wish.aspect_ratio or model.default_ratio
    resolution = _spelling(wish.resolution or model.default_resolution)
    if ratio not in model.ratios:
        raise wish.refuse("aspect_ratio", f"must be one of {', '.join(model.ratios)}")
    if resolution not in model.resolutions:
        raise wish.refuse("resolution", f"must be one of {', '.join(model.resolutions)}")
    # The first picture's own size is known once it has been probed; until then 16:9 stands in.
    return size_of(resolution, ratio if ratio != ADAPTIVE else model.default_ratio)


def _literal_size(model: Model, wish: Wish, size: tuple[int, int]) -> tuple[int, int]:
    width, height = size
    named = {
        size_of(resolution, ratio)
        for resolution in model.resolutions
        for ratio in model.ratios
        if ratio != ADAPTIVE
    }
    if size in model.sizes or size in named:
        return size
    if not model.any_size:
        sizes = sorted(named | set(model.sizes))
        raise wish.refuse("size", "must be one of " + ", ".join(f"{w}x{h}" for w, h in sizes))
    if width % 2 or height % 2 or min(size) < MIN_SIDE:
        raise wish.refuse("size", f"both sides must be even and at least {MIN_SIDE}")
    if width * height > model.max_pixels:
        raise wish.refuse("size", f"has more than {model.max_pixels} pixels")
    return size


def _spelling(resolution: str) -> str:
    """Return a resolution as the table spells it: 4k and 1080P are understood."""
    known = {name.lower(): name for name in RESOLUTIONS}
    return known.get(resolution.lower(), resolution)


def _fps(wish: Wish) -> int:
    fps = 24 if wish.fps is None else wish.fps
    if not 8 <= fps <= 60:  # noqa: PLR2004  (slower is a slide show, faster nobody sees)
        raise wish.refuse("fps", "must be from 8 to 60")
    return fps


def _count(model: Model, wish: Wish) -> int:
    n = 1 if wish.n is None else wish.n
    if not 1 <= n <= model.max_n:
        raise wish.refuse("n", f"must be from 1 to {model.max_n}")
    return n


def _check_media(model: Model, wish: Wish) -> None:
    for kind in MediaKind:
        most = model.inputs.get(kind, 0)
        given = sum(media.kind is kind for media in wish.media)
        if given > most:
            what = f"takes no {kind}" if most == 0 else f"takes at most {most} {kind} inputs"
            raise wish.refuse(f"{kind}s", f"{model.id} {what}")
