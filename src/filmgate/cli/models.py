"""`filmgate models`: what can be made here, what it costs, and who makes it."""

from typing import TYPE_CHECKING, Any

import typer

from filmgate.cli.options import Config, Json, settings_of
from filmgate.cli.screen import print_json, print_table

if TYPE_CHECKING:
    from filmgate.core.catalogue import Catalogue, Model


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("models", epilog="Example: filmgate models --json")(list_models)


def list_models(*, config: Config = None, as_json: Json = False) -> None:
    """List what can be made, and at what price."""
    from filmgate.bootstrap import catalogue

    known = catalogue(settings_of(config))
    documents = [_document(model, known) for model in known.models]
    if as_json:
        print_json(documents)
        return
    rows = [(d["id"], d["kind"], _lengths(d["duration_s"]), d["price"]["text"], _runs(d)) for d in documents]
    print_table(("model", "makes", ">seconds", "credits", "provider"), rows, empty="")


def _document(model: "Model", known: "Catalogue") -> dict[str, Any]:
    from filmgate.core.pricing import credits_of

    price, provider = model.price, _provider(model, known)
    rate = credits_of(price.rate)
    with_video = None if price.rate_with_video is None else credits_of(price.rate_with_video)
    text = f"{rate} per {price.unit}" if rate else "free"
    return {
        "id": model.id,
        "aliases": model.aliases,
        "kind": model.kind,
        "owned_by": model.owned_by,
        "duration_s": None if model.durations_s == (0, 0) else model.durations_s,
        "ratios": model.ratios,
        "resolutions": model.resolutions,
        "price": {"unit": price.unit, "credits": rate, "credits_with_video": with_video, "text": text},
        "provider": provider,
        "stands_in": provider is not None and provider not in {route.provider for route in model.routes},
    }


def _provider(model: "Model", known: "Catalogue") -> str | None:
    from filmgate.core.errors import ModelUnavailable

    try:
        return known.route(model).provider
    except ModelUnavailable:
        return None


def _runs(document: dict[str, Any]) -> str:
    if document["stands_in"]:
        return f"{document['provider']} stands in"
    return document["provider"] or "-"


def _lengths(durations_s: tuple[int, int] | None) -> str:
    return "-" if durations_s is None else f"{durations_s[0]}-{durations_s[1]}"
