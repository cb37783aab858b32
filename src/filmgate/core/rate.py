"""How many may start in a stretch of time: one stored time for each rate, moved on by every start (GCRA).

That time, `free_at`, is when all starts so far are paid for at one each interval. It may be ahead of now by
as many intervals as may start at once. A rate is starts per minute, 0 none; times are microseconds.
"""

from typing import Final

MINUTE: Final = 60_000_000
MOST: Final = 1_000_000  # per minute: more cannot be told from no rate at all
BELIEVED: Final = 2 * MINUTE  # no start puts the stored time further ahead than one minute


def interval(rate: int) -> int:
    """Return the time that one start takes up, rounded up so that a minute never holds more than `rate`."""
    return -(-MINUTE // rate)


def burst(rate: int) -> int:
    """Return how many may start at once after a quiet time."""
    return max(1, rate // 10)


def may_start(most: int, *, rate: int, free_at: int, at: int) -> int:
    """Return how many of `most` may start at `at`."""
    if not rate:
        return most
    ahead = _believed(rate, free_at, at) - at
    return min(most, max(0, burst(rate) - -(-ahead // interval(rate))))


def after(starts: int, *, rate: int, free_at: int, at: int) -> int:
    """Return the stored time once `starts` that may start have started."""
    return _believed(rate, free_at, at) + starts * interval(rate) if rate else free_at


def _believed(rate: int, free_at: int, at: int) -> int:
    # A little ahead of what can be is another process's clock, or ours set back: waited for, and never
    # lowered, or two clocks would each undo the other's starts. Far ahead is a clock that was wrong for
    # long: one may start, at once, and the stored time is right again.
    if free_at - at > BELIEVED:
        return at + (burst(rate) - 1) * interval(rate)
    return max(free_at, at)
