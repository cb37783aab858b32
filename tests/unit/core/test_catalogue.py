"""The catalogue: names that mean one model, tables that are checked, routes that exist."""

from typing import Any

import pytest

from filmgate.core.catalogue import Catalogue, Model, read_models
from filmgate.core.errors import InvalidSettings, ModelNotFound, ModelUnavailable
from filmgate.core.task import Route
from tests.fakes import MODELS

TABLE: dict[str, Any] = {"id": "one", "kind": "video", "price": {"per_second": 1}, "duration_s": [1, 5]}


def a_model(**said: Any) -> Model:  # noqa: ANN401  (any key of a table)
    (model,) = read_models([{**TABLE, **said}])
    return model


def a_catalogue(*models: Model, providers: str = "", fallback: bool = False) -> Catalogue:
    return Catalogue(models=models, providers=frozenset(providers.split()), fallback=fallback)


def test_a_model_is_found_by_its_id_and_aliases_in_any_case() -> None:
    catalogue = a_catalogue(*MODELS)

    names = ["seedance_2_0", "Seedance-2.0", "SEEDANCE2", "jimeng-video-seedance-2.0"]

    assert {catalogue.find(name).id for name in names} == {"seedance_2_0"}


@pytest.mark.parametrize("name", ["", "seedance_3_0", "studio ", "x" * 10_000])
def test_a_name_nobody_has_is_not_found(name: str) -> None:
    with pytest.raises(ModelNotFound) as missing:
        a_catalogue(*MODELS).find(name)

    assert missing.value.param == "model"
    assert len(missing.value.message) < 200


@pytest.mark.parametrize(
    "other", [a_model(), a_model(id="two", aliases=["ONE"]), a_model(id="two", aliases=["uno"])]
)
def test_two_models_do_not_share_a_name(other: Model) -> None:
    with pytest.raises(InvalidSettings, match=r"one|ONE|uno"):
        a_catalogue(a_model(aliases=["uno"]), other)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"colour": "red"}, "colour"),
        ({"kind": "song"}, "song"),
        ({"ratios": ["5:4"]}, "5:4"),
        ({"resolutions": ["8K"]}, "8K"),
        ({"price": {"per_minute": 1}}, "per_minute"),
        ({"sizes": ["wide"]}, "wide"),
        ({"duration_s": [1]}, "values"),
        ({"inputs": {"smell": 1}}, "smell"),
        ({"routes": [{"provider": "x", "speed": 1}]}, "speed"),
    ],
)
def test_a_wrong_table_is_refused_naming_its_model(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidSettings, match=r"catalogue: one: ") as refused:
        a_model(**wrong)

    assert named in refused.value.message


def test_a_table_without_id_price_or_kind_is_refused() -> None:
    for key in ("id", "price", "kind"):
        with pytest.raises(InvalidSettings, match=key):
            read_models([{name: value for name, value in TABLE.items() if name != key}])


def test_a_model_runs_at_the_first_of_its_routes_that_is_here() -> None:
    routes = [{"provider": "a"}, {"provider": "b", "model": "b-one"}, {"provider": "c"}]
    model = a_model(routes=routes)

    assert a_catalogue(model, providers="c b").route(model) == Route(provider="b", model="b-one")


@pytest.mark.parametrize(
    "changes", [{}, {"id": "two", "kind": "image", "duration_s": [0, 0]}], ids=["film", "picture"]
)
def test_the_studio_stands_in_only_where_it_may_and_is_here(changes: dict[str, Any]) -> None:
    model = a_model(**changes)

    assert a_catalogue(model, providers="studio", fallback=True).route(model) == Route(provider="studio")
    for catalogue in (
        a_catalogue(model, providers="studio"),
        a_catalogue(model, providers="sandbox", fallback=True),
    ):
        with pytest.raises(ModelUnavailable):
            catalogue.route(model)


def test_the_shipped_catalogue_has_what_is_promised() -> None:
    catalogue = a_catalogue(*MODELS, providers="studio sandbox", fallback=True)
    promised = "studio studio-image sandbox seedance_2_0 seedance_2_0_fast sora-2 sora-2-pro".split()

    assert {catalogue.find(name).id for name in promised} == set(promised)
    assert all(catalogue.route(model) for model in MODELS)
