"""Prices: integers of micro-credits, exact to the last."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filmgate.core.errors import InvalidSettings
from filmgate.core.generation import Media, MediaKind
from filmgate.core.pricing import MICRO, Price, Unit, credits_of, micro_of, quote, read_price
from tests.fakes import MODELS, a_generation

A_VIDEO = (Media(kind=MediaKind.VIDEO, url="https://example.com/v"),)
A_PICTURE = (Media(kind=MediaKind.IMAGE, url="https://example.com/i"),)


@pytest.mark.parametrize(
    ("model_id", "media", "cost"),
    [
        ("seedance_2_0", (), 75),
        ("seedance_2_0", A_PICTURE, 75),
        ("seedance_2_0", A_VIDEO, 150),
        ("seedance_2_0_fast", (), 50),
        ("seedance_2_0_fast", A_VIDEO, 100),
        ("seedance-fast", (), 3.75),
        ("veo-3.1-fast", (), 5.625),
        ("sora-2", (), 10.5),
        ("studio", A_VIDEO, 5),
        ("sandbox", (), 0),
    ],
)
def test_five_seconds_cost_what_the_list_says(model_id: str, media: tuple[Media, ...], cost: float) -> None:
    (model,) = (model for model in MODELS if model.id == model_id)

    amount = quote(a_generation(duration_s=5, media=media), model.price).amount

    assert credits_of(amount) == cost


def test_pictures_are_counted_and_not_timed() -> None:
    price = Price(unit=Unit.IMAGE, rate=2 * MICRO)

    assert quote(a_generation(duration_s=0, n=3), price).amount == 6 * MICRO


@given(st.integers(0, 10**15))
def test_credits_written_out_are_read_back_exactly(micro: int) -> None:
    text = f"{Decimal(micro) / MICRO:f}"

    assert micro_of(text) == micro_of(Decimal(text)) == micro


@pytest.mark.parametrize("amount", ["0.0000001", "x", "", "nan", "inf", True, None, 1.5, Decimal("1e-7")])
def test_what_is_no_exact_amount_of_credits_is_refused(amount: object) -> None:
    with pytest.raises(InvalidSettings):
        micro_of(amount)


@pytest.mark.parametrize(
    "table",
    [
        {},
        {"per_minute": 1},
        {"per_second": 1, "per_image": 1},
        {"per_second": "x"},
        {"per_second_with_video": 1},
        {"per_second": -1},
        {"per_second": 1, "per_second_with_video": -1},
        {"per_image": -1},
    ],
)
def test_what_is_no_price_is_refused(table: dict[str, object]) -> None:
    with pytest.raises(InvalidSettings):
        read_price(table)


@pytest.mark.parametrize(("micro", "shown"), [(15_000_000, 15), (750_000, 0.75), (0, 0), (1, 0.000001)])
def test_whole_credits_are_shown_without_a_fraction(micro: int, shown: float) -> None:
    assert credits_of(micro) == shown
    assert isinstance(credits_of(micro), int) is (micro % MICRO == 0)
