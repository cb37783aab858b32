"""How many may start: never more than the rate and its burst in a minute, and always some."""

from collections.abc import Iterator, Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from filmgate.core.rate import BELIEVED, MINUTE, MOST, after, burst, interval, may_start

SECOND = 1_000_000
NOW = 1_800_000_000 * SECOND

RATES = st.integers(1, 200) | st.integers(1, MOST)
GAPS = st.integers(0, 2 * SECOND) | st.integers(0, 3 * MINUTE)
WISHES = st.integers(0, 3) | st.integers(0, 2 * MOST)


def starts(rate: int, looks: Sequence[tuple[int, int]], *, free_at: int = 0) -> Iterator[int]:
    """Yield how many start at each look: a time, and how many would."""
    for at, wish in looks:
        started = may_start(wish, rate=rate, free_at=free_at, at=at)
        free_at = after(started, rate=rate, free_at=free_at, at=at)
        yield started


def looking(rate: int, *, seconds: int, free_at: int = 0) -> int:
    """Return how many of any number start in so many seconds, with a look at the beginning of each."""
    looks = [(NOW + n * SECOND, MOST) for n in range(seconds + 1)]
    return sum(starts(rate, looks, free_at=free_at))


@given(rate=RATES, looks=st.lists(st.tuples(GAPS, WISHES), max_size=60))
def test_no_minute_has_more_than_the_rate_and_its_burst(rate: int, looks: list[tuple[int, int]]) -> None:
    at = NOW
    times = [(at := at + gap, wish) for gap, wish in looks]

    counts = list(starts(rate, times))

    for n, (begin, _) in enumerate(times):
        within = [count for (at, _), count in zip(times[n:], counts[n:], strict=True) if at <= begin + MINUTE]
        assert sum(within) <= rate + burst(rate)


@given(rate=RATES, looks=st.lists(st.tuples(GAPS, WISHES, st.integers(0, MINUTE)), min_size=1, max_size=40))
def test_clocks_that_are_a_minute_apart_add_no_more_than_what_is_between_them(
    rate: int, looks: list[tuple[int, int, int]]
) -> None:
    now = NOW
    times = [((now := now + gap) - behind, wish) for gap, wish, behind in looks]

    counts = list(starts(rate, times))

    for n, (begin, _) in enumerate(times):
        for m in range(n, len(times)):
            if counts[n] and counts[m]:
                between = max(0, times[m][0] - begin) // interval(rate)
                assert sum(counts[n : m + 1]) <= between + burst(rate)


@given(rate=RATES, ahead=st.integers(-3 * MINUTE, 3 * MINUTE) | st.integers(-NOW, NOW))
@example(rate=1, ahead=BELIEVED)
@example(rate=1, ahead=BELIEVED + 1)
def test_whatever_the_stored_time_is_somebody_starts_within_two_minutes(rate: int, ahead: int) -> None:
    assert looking(rate, seconds=BELIEVED // SECOND, free_at=NOW + ahead) >= 1


@given(rate=RATES, ahead=st.integers(BELIEVED + 1, NOW))
def test_a_clock_that_was_set_far_back_lets_one_start_and_is_believed_again(rate: int, ahead: int) -> None:
    free_at = NOW + ahead

    assert may_start(MOST, rate=rate, free_at=free_at, at=NOW) == 1
    free_at = after(1, rate=rate, free_at=free_at, at=NOW)
    assert may_start(MOST, rate=rate, free_at=free_at, at=NOW) == 0
    assert may_start(MOST, rate=rate, free_at=free_at, at=NOW + interval(rate)) == 1
    assert may_start(MOST, rate=rate, free_at=free_at, at=NOW + MINUTE) == burst(rate)


@given(rate=RATES, ahead=st.integers(0, MINUTE), wish=st.integers(0, MOST))
def test_starting_one_by_one_is_starting_all_at_once(rate: int, ahead: int, wish: int) -> None:
    free_at = one_by_one = NOW + ahead
    started = may_start(wish, rate=rate, free_at=free_at, at=NOW)

    for _ in range(min(started, 50)):
        assert may_start(1, rate=rate, free_at=one_by_one, at=NOW) == 1
        one_by_one = after(1, rate=rate, free_at=one_by_one, at=NOW)

    assert one_by_one == after(min(started, 50), rate=rate, free_at=free_at, at=NOW)
    if started < wish:
        full = after(started, rate=rate, free_at=free_at, at=NOW)
        assert may_start(1, rate=rate, free_at=full, at=NOW) == 0


@pytest.mark.parametrize("rate", [1, 6, 20, 60, 61, 600, 7_919, 700_000])
def test_where_many_wait_and_one_looks_each_second_the_rate_is_used(rate: int) -> None:
    minutes = 10

    started = looking(rate, seconds=60 * minutes)

    assert rate * minutes * 0.99 <= started <= rate * minutes + burst(rate)


@pytest.mark.parametrize(("rate", "at_once"), [(1, 1), (9, 1), (10, 1), (20, 2), (60, 6), (600, 60)])
def test_a_tenth_of_a_minute_may_start_at_once_and_at_least_one(rate: int, at_once: int) -> None:
    assert may_start(MOST, rate=rate, free_at=0, at=NOW) == at_once
    assert may_start(1, rate=rate, free_at=0, at=NOW) == 1


def test_without_a_rate_everybody_may_start_and_nothing_is_noted() -> None:
    assert may_start(7, rate=0, free_at=NOW, at=0) == 7
    assert after(7, rate=0, free_at=NOW, at=0) == NOW
