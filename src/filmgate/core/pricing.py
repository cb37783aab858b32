"""What a generation may cost: integers of micro-credits, frozen at submit."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from filmgate.core.errors import InvalidSettings
from filmgate.core.generation import Generation, MediaKind

MICRO: Final = 1_000_000


class Unit(StrEnum):
    """What a price is counted in."""

    SECOND = "second"
    IMAGE = "image"


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """A model's price: micro-credits per `unit`, and another rate where a video goes in."""

    unit: Unit
    rate: int
    rate_with_video: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """What one task may cost: `amount` = `rate` x `units`, in micro-credits."""

    unit: Unit
    rate: int
    units: int

    @property
    def amount(self) -> int:
        """The micro-credits held at submit, and billed if the task succeeds."""
        return self.rate * self.units


def quote(generation: Generation, price: Price) -> Quote:
    """Return what `generation` costs by `price`."""
    rate = price.rate
    if price.rate_with_video is not None and generation.of(MediaKind.VIDEO):
        rate = price.rate_with_video
    units = generation.n * (generation.duration_s if price.unit is Unit.SECOND else 1)
    return Quote(unit=price.unit, rate=rate, units=units)


def credits_of(micro: int) -> int | float:
    """Return micro-credits as the credits that people and dialects see: 15, or 0.75."""
    whole, rest = divmod(micro, MICRO)
    return micro / MICRO if rest else whole


def micro_of(amount: object) -> int:
    """Return credits, written as an integer or a decimal, in micro-credits."""
    if isinstance(amount, bool) or not isinstance(amount, int | Decimal | str):
        raise InvalidSettings(f"{amount!r} is not an amount of credits")
    try:
        micro = Decimal(amount) * MICRO
    except ArithmeticError:
        raise InvalidSettings(f"{amount!r} is not an amount of credits") from None
    if not micro.is_finite() or micro != micro.to_integral_value():
        raise InvalidSettings(f"{amount} credits is finer than a millionth")
    return int(micro)


def read_price(table: Mapping[str, Any]) -> Price:
    """Read `{per_second = 15, per_second_with_video = 30}` or `{per_image = 2}`."""
    match table:
        case {"per_second": rate, "per_second_with_video": with_video, **rest} if not rest:
            return Price(unit=Unit.SECOND, rate=_rate(rate), rate_with_video=_rate(with_video))
        case {"per_second": rate, **rest} if not rest:
            return Price(unit=Unit.SECOND, rate=_rate(rate))
        case {"per_image": rate, **rest} if not rest:
            return Price(unit=Unit.IMAGE, rate=_rate(rate))
        case _:
            raise InvalidSettings(f"{dict(table)} is not a price")


def _rate(amount: object) -> int:
    rate = micro_of(amount)
    if rate < 0:
        raise InvalidSettings(f"{amount} credits is less than nothing")
    return rate
