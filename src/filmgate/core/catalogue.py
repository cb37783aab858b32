"""The models: what each is called, accepts and costs, and which providers run it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from filmgate.core.errors import FilmgateError, InvalidSettings, ModelNotFound, ModelUnavailable
from filmgate.core.generation import ADAPTIVE, RATIOS, RESOLUTIONS, MediaKind, parse_size
from filmgate.core.pricing import Price, read_price
from filmgate.core.task import Route

FALLBACK: Final = "studio"  # the built-in renderer stands in for models without a provider


class ModelKind(StrEnum):
    """What a model makes."""

    VIDEO = "video"
    IMAGE = "image"


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One model: `durations_s` is the inclusive range of seconds, (0, 0) for pictures.

    `sizes` are literal (width, height) beyond the ratios and resolutions; `any_size` takes every
    even size up to `max_pixels`. `inputs` is how many media of a kind may go in.
    """

    id: str
    kind: ModelKind
    price: Price
    aliases: tuple[str, ...] = ()
    owned_by: str = "filmgate"
    durations_s: tuple[int, int] = (0, 0)
    default_duration_s: int = 0
    ratios: tuple[str, ...] = ("16:9",)
    default_ratio: str = "16:9"
    resolutions: tuple[str, ...] = ("720p",)
    default_resolution: str = "720p"
    sizes: tuple[tuple[int, int], ...] = ()
    any_size: bool = False
    max_pixels: int = 1920 * 1080
    max_n: int = 1
    inputs: Mapping[MediaKind, int] = field(default_factory=dict)
    expected_s: int = 60
    routes: tuple[Route, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """All models by id and alias. `fallback` lets the studio stand in while nothing is configured."""

    models: tuple[Model, ...]
    providers: frozenset[str]
    fallback: bool = False
    names: Mapping[str, Model] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Index the names, and refuse two models that share one."""
        names: dict[str, Model] = {}
        for model in self.models:
            for name in (model.id, *model.aliases):
                if names.setdefault(name.lower(), model) is not model:
                    raise InvalidSettings(f"two models of the catalogue are called {name!r}")
        object.__setattr__(self, "names", names)

    def find(self, name: str, *, param: str = "model") -> Model:
        """Return the model of this id or alias, in any case, or raise ModelNotFound."""
        model = self.names.get(name.lower())
        if model is None:
            raise ModelNotFound(f"there is no model {name[:100]!r}", param=param)
        return model

    def route(self, model: Model) -> Route:
        """Return where `model` runs: its first route that is here, or the fallback's."""
        for route in model.routes:
            if route.provider in self.providers:
                return route
        if self.fallback and FALLBACK in self.providers:
            return Route(provider=FALLBACK)
        raise ModelUnavailable(f"no provider is configured for the model {model.id!r}", param="model")


def read_models(tables: Iterable[Mapping[str, Any]]) -> tuple[Model, ...]:
    """Read the `[[models]]` tables of a catalogue file, or raise InvalidSettings naming the model."""
    return tuple(_read_model(table) for table in tables)


def _read_model(table: Mapping[str, Any]) -> Model:
    name = table.get("id", "a model without an id")
    unknown = set(table) - _KEYS
    if unknown:
        raise InvalidSettings(f"catalogue: {name}: unknown {', '.join(sorted(unknown))}")
    try:
        return _model(table)
    except FilmgateError as error:
        raise InvalidSettings(f"catalogue: {name}: {error.message}") from error
    except (KeyError, ValueError, TypeError) as error:
        raise InvalidSettings(f"catalogue: {name}: {error!r}") from error


def _model(table: Mapping[str, Any]) -> Model:
    kind = ModelKind(table["kind"])
    shortest, longest = table.get("duration_s", [0, 0])
    ratios = tuple(table.get("ratios", ["16:9"]))
    resolutions = tuple(table.get("resolutions", ["720p"]))
    for known, said in ((set(RATIOS) | {ADAPTIVE}, ratios), (set(RESOLUTIONS), resolutions)):
        if not set(said) <= known:
            raise ValueError(f"{sorted(set(said) - known)} is in no table")
    return Model(
        id=table["id"],
        kind=kind,
        aliases=tuple(table.get("aliases", ())),
        owned_by=table.get("owned_by", "filmgate"),
        price=read_price(table["price"]),
        durations_s=(int(shortest), int(longest)),
        default_duration_s=int(table.get("default_duration_s", shortest)),
        ratios=ratios,
        default_ratio=table.get("default_ratio", ratios[0]),
        resolutions=resolutions,
        default_resolution=table.get("default_resolution", resolutions[0]),
        sizes=tuple(parse_size(size) for size in table.get("sizes", ())),
        any_size=bool(table.get("any_size", False)),
        max_n=int(table.get("max_n", 1)),
        inputs={MediaKind(kind): int(most) for kind, most in table.get("inputs", {}).items()},
        expected_s=int(table.get("expected_s", 60)),
        routes=tuple(Route(**route) for route in table.get("routes", ())),
    )


_KEYS: Final = frozenset(
    "id kind aliases owned_by price duration_s default_duration_s ratios default_ratio resolutions "
    "default_resolution sizes any_size max_n inputs expected_s routes checked".split()
)
