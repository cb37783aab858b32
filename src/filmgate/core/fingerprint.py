"""When two submissions are the same: a hash over what they ask for, in any dialect."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final

from filmgate.core.generation import ADAPTIVE, Generation, Media, resolution_of

VERSION: Final = "1"

# Said in other words by width and height, which are what will be made.
_AS_SAID: Final = frozenset({"aspect_ratio", "resolution"})
_DEFAULTS: Final[Mapping[str, Any]] = {
    "negative_prompt": None,
    "media": (),
    "seed": None,
    "audio": True,
    "watermark": False,
    "return_last_frame": False,
    "n": 1,
    "end_user_id": None,
    "extra": {},
}


def fingerprint(model_id: str, generation: Generation) -> str:
    """Return the version and SHA-256 of the model and the canonical generation.

    Values equal to a default are dropped, so a client that spells one out asks for the same.
    """
    asked = {f.name: getattr(generation, f.name) for f in fields(generation) if f.name not in _AS_SAID}
    canonical = {name: value for name, value in asked.items() if value != _DEFAULTS.get(name, _NOTHING)}
    if generation.aspect_ratio == ADAPTIVE:
        # Which shape that is may not be known yet; it is another wish than the shape spelled out.
        pixels = resolution_of(generation.width, generation.height)
        canonical |= {"width": ADAPTIVE, "height": ADAPTIVE, "resolution": pixels}
    if generation.media:
        canonical["media"] = [_media(m) for m in generation.media]
    text = json.dumps([model_id, canonical], sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return f"{VERSION}:{hashlib.sha256(text.encode()).hexdigest()}"


_NOTHING: Final = object()


def _media(media: Media) -> list[str | None]:
    return [media.kind, media.role, media.blob or media.url]
