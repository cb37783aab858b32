"""The ratio and resolution of a film, as its caller said them or as its pixels are nearest to."""

from functools import lru_cache

from filmgate.core.generation import Generation, ratio_of, resolution_of

# A search of a table each: too slow for every poll, and there are few sizes.
_ratio_of = lru_cache(maxsize=1_024)(ratio_of)
_resolution_of = lru_cache(maxsize=1_024)(resolution_of)


def shown_ratio(generation: Generation) -> str:
    """Return the aspect ratio to show."""
    return generation.aspect_ratio or _ratio_of(generation.width, generation.height)


def shown_resolution(generation: Generation) -> str:
    """Return the resolution to show."""
    return generation.resolution or _resolution_of(generation.width, generation.height)
