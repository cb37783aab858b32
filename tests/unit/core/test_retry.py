"""When to try again: doubling, spread, as told, and never past the deadline."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filmgate.core.errors import (
    ProviderBusy,
    ProviderError,
    ProviderMisconfigured,
    ProviderProtocolError,
    ProviderRejected,
    ProviderUnavailable,
    SubmissionUnclear,
)
from filmgate.core.retry import FIRST_WAIT_S, LONGEST_WAIT_S, again_at
from tests.fakes import NOON

FAR = NOON + timedelta(days=365)


def wait_s(error: ProviderError, *, tries: int = 1, reference: str = "task-1") -> float:
    at = again_at(error, reference=reference, tries=tries, now=NOON, deadline=FAR)
    assert at is not None
    return (at - NOON).total_seconds()


@given(tries=st.integers(1, 3_000), reference=st.text(max_size=20))
def test_the_wait_doubles_up_to_its_longest_and_is_spread_by_a_fifth(tries: int, reference: str) -> None:
    wait = wait_s(ProviderUnavailable(""), tries=tries, reference=reference)

    expected = min(FIRST_WAIT_S * 2.0 ** min(tries - 1, 60), LONGEST_WAIT_S)
    assert 0.8 * expected <= wait <= 1.2 * expected


def test_many_who_are_refused_at_once_do_not_come_back_at_once() -> None:
    waits = {round(wait_s(ProviderUnavailable(""), reference=f"task-{n}"), 3) for n in range(100)}

    assert len(waits) > 60
    assert wait_s(ProviderUnavailable("")) == wait_s(ProviderUnavailable(""))


@given(st.floats(0, 10_000), st.integers(1, 10))
def test_the_providers_advice_is_never_undercut(retry_after_s: float, tries: int) -> None:
    wait = wait_s(ProviderBusy("", retry_after_s=retry_after_s), tries=tries)

    assert wait >= retry_after_s - 1e-5
    assert wait >= wait_s(ProviderUnavailable(""), tries=tries) - 1e-5


@pytest.mark.parametrize("retry_after_s", [3600.0, 1e12, 1e300, float("inf")])
def test_whoever_would_come_back_after_the_deadline_gives_up(retry_after_s: float) -> None:
    error, deadline = ProviderBusy("", retry_after_s=retry_after_s), NOON + timedelta(hours=1)

    assert again_at(error, reference="r", tries=1, now=NOON, deadline=deadline) is None


@pytest.mark.parametrize(
    "error",
    [
        SubmissionUnclear(""),
        ProviderProtocolError(""),
        ProviderRejected(""),
        ProviderMisconfigured(""),
        ProviderError(""),
    ],
)
def test_what_may_have_landed_or_cannot_help_is_not_tried_again(error: ProviderError) -> None:
    assert again_at(error, reference="r", tries=1, now=NOON, deadline=FAR) is None
