"""`filmgate version`: what is installed."""

import typer

from filmgate.cli.options import Json
from filmgate.cli.screen import print_json


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(epilog="Example: filmgate version --json")(version)


def version(*, as_json: Json = False) -> None:
    """Print the version."""
    import platform

    from filmgate import __version__

    if as_json:
        print_json({"version": __version__, "python": platform.python_version()})
    else:
        print(f"filmgate {__version__}")
