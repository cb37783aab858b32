"""What a caller wants made, in Filmgate's own words.

Every dialect translates its wire request into a `Generation`, every provider translates one into
its vendor's request; neither knows the other.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from filmgate.core.errors import InvalidRequest
from filmgate.core.numbers import whole


class MediaKind(StrEnum):
    """What a piece of input media is."""

    IMAGE = "image"
    VIDEO = "video"
    AUDIO = "audio"


class MediaRole(StrEnum):
    """What a piece of input media is for."""

    FIRST_FRAME = "first_frame"
    LAST_FRAME = "last_frame"
    REFERENCE = "reference"
    SOURCE = "source"


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """One input picture, clip or sound: a URL to fetch, or a blob that Filmgate already holds.

    A URL gets its blob once it was fetched. What follows is known of a blob: `width` and `height`
    are the pixels that are shown, any rotation applied, `duration_s` seconds.
    """

    kind: MediaKind
    role: MediaRole = MediaRole.REFERENCE
    url: str | None = None
    blob: str | None = None
    mime: str | None = None
    width: int | None = None
    height: int | None = None
    duration_s: float | None = None


class OutputKind(StrEnum):
    """What a finished file is. A model's own output is `VIDEO` or `IMAGE`; the rest go with it."""

    VIDEO = "video"
    IMAGE = "image"
    LAST_FRAME = "last_frame"
    THUMBNAIL = "thumbnail"
    SPRITESHEET = "spritesheet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """A film, or a set of pictures, to be made.

    `duration_s` is whole seconds of video, 0 for a picture model. `width` x `height` are the even
    pixels that will be made; `aspect_ratio` and `resolution` are kept as the caller said them.
    `extra` holds one free-form table per provider name, passed through untouched.
    """

    prompt: str
    negative_prompt: str | None = None
    media: tuple[Media, ...] = ()
    duration_s: int = 0
    aspect_ratio: str | None = None
    resolution: str | None = None
    width: int
    height: int
    fps: int = 24
    seed: int | None = None
    audio: bool = True
    watermark: bool = False
    return_last_frame: bool = False
    n: int = 1
    end_user_id: str | None = None
    extra: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def of(self, kind: MediaKind, role: MediaRole | None = None) -> tuple[Media, ...]:
        """Return the input media of one kind, and of one role if given."""
        return tuple(m for m in self.media if m.kind is kind and role in {None, m.role})

    def with_media(self, media: tuple[Media, ...]) -> "Generation":
        """Return this generation with its inputs as now known; `adaptive` follows the first picture."""
        known = replace(self, media=media)
        first = next((one for one in media if one.kind is MediaKind.IMAGE), None)
        if self.aspect_ratio != ADAPTIVE or first is None or not (first.width and first.height):
            return known
        resolution = resolution_of(self.width, self.height)
        width, height = size_of(resolution, ADAPTIVE, adaptive=(first.width, first.height))
        return replace(known, width=width, height=height)

    def seeded(self, seed: int) -> "Generation":
        """Return this generation with `seed` where the caller left it open."""
        return self if self.seed is not None else replace(self, seed=seed)


# --- sizes --------------------------------------------------------------------------------------

RATIOS: Final[Mapping[str, tuple[int, int]]] = {
    "21:9": (21, 9),
    "16:9": (16, 9),
    "4:3": (4, 3),
    "1:1": (1, 1),
    "3:4": (3, 4),
    "9:16": (9, 16),
    "9:21": (9, 21),
}

# A resolution is a number of pixels, named by its 16:9 picture: a square 720p clip costs a model
# as much as a wide one, and a 21:9 clip does not grow past what was paid for.
RESOLUTIONS: Final[Mapping[str, tuple[int, int]]] = {
    "360p": (640, 360),
    "480p": (854, 480),
    "540p": (960, 540),
    "720p": (1280, 720),
    "1080p": (1920, 1080),
    "1K": (1024, 1024),
    "2K": (2560, 1440),
    "4K": (3840, 2160),
}

ADAPTIVE: Final = "adaptive"
DEFAULT_RATIO: Final = "16:9"


def size_of(resolution: str, ratio: str, *, adaptive: tuple[int, int] | None = None) -> tuple[int, int]:
    """Return the even (width, height) of `resolution` at `ratio`; `adaptive` is the first image's size."""
    wide, narrow = RESOLUTIONS[resolution]
    if ratio == ADAPTIVE:
        x, y = _within_bounds(*(adaptive or RATIOS[DEFAULT_RATIO]))
    else:
        x, y = RATIOS[ratio]
    if wide != narrow and x * 9 == y * 16:
        return wide, narrow
    if wide != narrow and x * 16 == y * 9:
        return narrow, wide
    pixels = wide * narrow
    return _even(math.sqrt(pixels * x / y)), _even(math.sqrt(pixels * y / x))


def _within_bounds(width: int, height: int) -> tuple[int, int]:
    """Return the shape of a picture, or the widest or tallest that there is: no film is a thread."""
    widest, tallest = RATIOS["21:9"], RATIOS["9:21"]
    if width * widest[1] > height * widest[0]:
        return widest
    return tallest if width * tallest[1] < height * tallest[0] else (width, height)


PAST_ANY_PICTURE: Final = 100_000  # pixels across


def parse_size(size: str) -> tuple[int, int]:
    """Return (width, height) of a literal such as `1280x720`."""
    width, height = map(whole, size.lower().partition("x")[::2])
    if width is None or height is None:
        raise InvalidRequest(f"size {size!r} is not of the form 1280x720", param="size")
    if max(width, height) >= PAST_ANY_PICTURE:
        raise InvalidRequest(f"size {size!r} is too large", param="size")
    return width, height


def ratio_of(width: int, height: int) -> str:
    """Return the name of the nearest listed ratio, for dialects that show one."""
    return min(RATIOS, key=lambda name: abs(math.log(width / height * RATIOS[name][1] / RATIOS[name][0])))


def resolution_of(width: int, height: int) -> str:
    """Return the name of the nearest listed resolution by pixels, for dialects that show one."""
    return min(RESOLUTIONS, key=lambda name: abs(math.log(width * height / math.prod(RESOLUTIONS[name]))))


def _even(pixels: float) -> int:
    return int(pixels + 1e-6) // 2 * 2
