"""`filmgate settings`: what is in force, and where each value came from."""

import typer

from filmgate.cli.options import Config, Data, Json, load_settings
from filmgate.cli.screen import print_json, print_table


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("settings", epilog="Example: FILMGATE_PORT=9000 filmgate settings")(show_settings)


def show_settings(*, data: Data = None, config: Config = None, as_json: Json = False) -> None:
    """Print what is in force, and where it came from.

    Secrets are hidden.
    """
    from filmgate.settings import shown

    loaded = load_settings(config, data)
    if as_json:
        settings = {key: {"value": value, "from": origin} for key, value, origin in shown(loaded)}
        print_json({"file": loaded.file, "settings": settings})
    else:
        rows = [(key, _text(value), origin) for key, value, origin in shown(loaded)]
        print_table(("setting", "value", "from"), rows, empty="")


def _text(value: object) -> str:
    return "-" if value is None else str(value)
