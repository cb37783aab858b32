"""Deliveries: the ten tries, what ends them, and what a receiver may ask for."""

import itertools
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filmgate.core.delivery import (
    JITTER,
    MOST_TRIES_KEPT,
    SCHEDULE_S,
    SLOW_S,
    Delivery,
    DeliveryState,
    Try,
    delivery_of,
    event_id,
)
from filmgate.core.errors import IllegalTransition
from filmgate.core.task import Status
from tests.fakes import NOON, a_task

STATUSES = st.integers(min_value=300, max_value=599).filter(lambda status: status != 410)
CHANCES = st.floats(min_value=0, max_value=1, exclude_max=True)


def a_delivery(**changes: object) -> Delivery:
    """Return a delivery that is due at noon."""
    delivery = Delivery(
        id=event_id("task_1", 3),
        task_id="task_1",
        account_id="acct_ada",
        url="https://ada.example/hook",
        created_at=NOON,
        next_at=NOON,
    )
    return replace(delivery, **changes)  # type: ignore[arg-type]


def failing(status: int | None = 500, *, chance: float = 0.5, took_s: float = 0.0) -> list[Delivery]:
    """Return how a delivery stands after each try at a receiver that never says yes."""
    steps = [a_delivery()]
    while steps[-1].next_at is not None:
        this = Try(at=steps[-1].next_at, took_s=took_s, status=status, error=None if status else "no answer")
        steps.append(steps[-1].tried(this, chance=chance))
    return steps[1:]


def test_the_schedule_is_that_of_standard_webhooks() -> None:
    assert timedelta(seconds=sum(SCHEDULE_S)) == timedelta(hours=75, minutes=35, seconds=5)
    assert len(SCHEDULE_S) == 10


def test_a_receiver_that_never_says_yes_is_tried_ten_times_and_given_up() -> None:
    steps = failing()

    times = [step.tries[-1].at for step in steps]
    waits = [(b - a).total_seconds() for a, b in itertools.pairwise(times)]
    assert waits == pytest.approx(SCHEDULE_S[1:])
    assert [step.state for step in steps] == [DeliveryState.PENDING] * 9 + [DeliveryState.DEAD]
    assert steps[-1].finished_at == NOON + timedelta(seconds=sum(SCHEDULE_S))
    assert steps[-1].next_at is None


@given(status=STATUSES, chances=st.lists(CHANCES, min_size=10, max_size=10), took_s=st.floats(0, 15))
def test_every_wait_is_within_a_fifth_of_the_schedule_or_longer_where_the_receiver_is_slow(
    status: int, chances: list[float], took_s: float
) -> None:
    delivery = a_delivery()

    for planned_s, chance in zip((*SCHEDULE_S[1:], None), chances, strict=True):
        assert delivery.next_at is not None
        ended_at = delivery.next_at + timedelta(seconds=took_s)
        delivery = delivery.tried(Try(at=delivery.next_at, took_s=took_s, status=status), chance=chance)
        if planned_s is None:
            assert (delivery.state, delivery.next_at) == (DeliveryState.DEAD, None)
            break
        assert delivery.next_at is not None
        waited_s = (delivery.next_at - ended_at).total_seconds()
        least_s = planned_s * (1 - JITTER)
        slow = SLOW_S if status in {429, 502, 504} else 0
        assert max(least_s, slow) - 1e-5 <= waited_s <= max(planned_s * (1 + JITTER), slow) + 1e-5


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_a_2xx_is_a_delivery(status: int) -> None:
    delivered = a_delivery().tried(Try(at=NOON, took_s=0.5, status=status), chance=0)

    assert delivered.state is DeliveryState.DELIVERED
    assert delivered.next_at is None
    assert delivered.finished_at == NOON + timedelta(seconds=0.5)


@pytest.mark.parametrize("status", [100, 199, 300, 301, 302, 307, 308, 400, 401, 404, 500, 503, 599])
def test_anything_else_is_none(status: int) -> None:
    tried = a_delivery().tried(Try(at=NOON, took_s=0, status=status), chance=0)

    assert tried.state is DeliveryState.PENDING


def test_a_receiver_that_is_gone_is_asked_once() -> None:
    (only,) = failing(410)

    assert only.state is DeliveryState.GONE
    assert only.next_at is None


@pytest.mark.parametrize("status", [429, 502, 504, None])
def test_a_receiver_that_cannot_keep_up_is_left_alone_for_a_minute(status: int | None) -> None:
    first = failing(status)[0]

    assert first.next_at == NOON + timedelta(seconds=SLOW_S)


@pytest.mark.parametrize(
    ("round_", "advice_s", "waits_s"),
    [
        (0, 1, 60),  # it says to hurry: not for that
        (0, 90, 90),
        (0, 10**9, 120),
        (1, 400, 400),
        (1, 10**9, 600),
        (8, 10**9, 172_800),
    ],
)
def test_a_receivers_advice_is_followed_as_far_as_twice_our_plan(
    round_: int, advice_s: float, waits_s: float
) -> None:
    delivery = a_delivery(round=round_)

    tried = delivery.tried(Try(at=NOON, took_s=0, status=429), chance=0.5, retry_after_s=advice_s)

    assert tried.next_at == NOON + timedelta(seconds=waits_s)


def test_advice_counts_with_any_failure() -> None:
    tried = a_delivery().tried(Try(at=NOON, took_s=0, status=503), chance=0.5, retry_after_s=30)

    assert tried.next_at == NOON + timedelta(seconds=30)


def test_what_has_ended_is_not_tried_again_by_itself() -> None:
    delivered = a_delivery().tried(Try(at=NOON, took_s=0, status=200), chance=0)

    with pytest.raises(IllegalTransition):
        delivered.tried(Try(at=NOON, took_s=0, status=200), chance=0)


@pytest.mark.parametrize("status", [None, 200, 410, 500])
def test_delivering_again_by_hand_begins_the_schedule_anew_under_the_same_id(status: int | None) -> None:
    last = (
        failing(status)[-1]
        if status != 200
        else a_delivery().tried(Try(at=NOON, took_s=0, status=200), chance=0)
    )

    again = last.again(at=NOON + timedelta(days=9))

    assert again.id == last.id
    assert again.tries == last.tries
    assert again.version == last.version + 1
    assert (again.state, again.round, again.finished_at) == (DeliveryState.PENDING, 0, None)
    assert again.is_due(NOON + timedelta(days=9))
    assert not again.is_due(NOON + timedelta(days=8))


def test_only_the_latest_tries_are_kept() -> None:
    delivery = a_delivery()
    for _ in range(3):
        while delivery.next_at is not None:
            delivery = delivery.tried(Try(at=delivery.next_at, took_s=0, status=500), chance=0)
        delivery = delivery.again(at=NOON + timedelta(days=30))

    assert len(delivery.tries) == MOST_TRIES_KEPT
    assert delivery.version == 1 + 3 * 11


def test_an_events_id_depends_on_nothing_but_the_event() -> None:
    assert event_id("task_1", 3) == "evt_e5eace3dc1dfe9b8c09b3a415d38f2e8"
    assert len({event_id(f"task_{n}", seq) for n in range(100) for seq in range(100)}) == 10_000
    assert "." not in event_id("task_1", 3)


def test_a_task_that_ends_tells_whoever_asked_for_it_and_nobody_else() -> None:
    asked = a_task(Status.SUCCEEDED, callback_url="https://ada.example/hook")
    silent = a_task(Status.SUCCEEDED)

    (delivery,) = delivery_of(asked)

    assert not list(delivery_of(silent))
    assert delivery.id == event_id(asked.id, asked.version)
    assert delivery.url == asked.callback_url
    assert delivery.next_at == asked.updated_at
