"""`filmgate serve`: run the service."""

from typing import TYPE_CHECKING, Annotated

import typer

from filmgate.cli.options import Config, Data, Database, Json, load_settings
from filmgate.cli.screen import is_plain, print_json

if TYPE_CHECKING:
    from filmgate.bootstrap.server import Announce, Serving
    from filmgate.settings import Settings


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("serve", epilog="Example: filmgate serve --port 9000 --data ./films")(serve_command)


def serve_command(
    *,
    host: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Listen on this; 127.0.0.1 by default.", show_default=False),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            metavar="PORT",
            min=0,
            max=65535,
            help="Listen on this; 8080 by default, 0 takes a free one.",
            show_default=False,
        ),
    ] = None,
    data: Data = None,
    database: Database = None,
    processes: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="Answer HTTP in so many processes; needs PostgreSQL.", show_default=False
        ),
    ] = None,
    run: Annotated[
        bool | None,
        typer.Option(
            "--run/--no-run", help="Also run tasks; --no-run leaves them to workers.", show_default=False
        ),
    ] = None,
    public_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="How clients reach this; needed where others can.", show_default=False
        ),
    ] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Run the service until Ctrl-C or SIGTERM.

    Open requests may end first. Logs go to stderr.
    With --json, one document on stdout tells where it listens, once it does.
    """
    import sys

    from filmgate.bootstrap.logs import start_logging
    from filmgate.bootstrap.server import serve

    loaded = load_settings(
        config,
        data,
        host=host,
        port=port,
        public_url=public_url,
        database=database,
        processes=processes,
        run=run,
    )
    settings = loaded.settings
    start_logging(settings.log_format, settings.log_level)
    if as_json:
        serve(settings, _tell_program(settings))
    elif settings.log_format == "json" or is_plain(sys.stderr):
        serve(settings, _tell_log(settings))
    else:
        serve(settings, _tell_person(settings, named="data" in loaded.origins))


def _tell_program(settings: "Settings") -> "Announce":
    def announce(serving: "Serving") -> None:
        import os
        import sys

        print_json(
            {
                "url": serving.url,
                "listening": serving.listening,
                "data": settings.data,
                "pid": os.getpid(),
                "keys": serving.keys,
            }
        )
        sys.stdout.flush()

    return announce


def _tell_log(settings: "Settings") -> "Announce":
    def announce(serving: "Serving") -> None:
        import structlog

        from filmgate import __version__

        structlog.get_logger("filmgate").info(
            "serving",
            url=serving.url,
            listening=serving.listening,
            data=str(settings.data),
            keys=serving.keys,
            version=__version__,
        )

    return announce


def _tell_person(settings: "Settings", *, named: bool) -> "Announce":
    def announce(serving: "Serving") -> None:
        from rich.console import Console
        from rich.text import Text

        from filmgate import __version__

        lines = Text.assemble(
            ("Filmgate ", "bold"), (__version__, "dim"), " serves ", (serving.url, "bold cyan underline")
        )
        if serving.url != serving.listening:
            lines.append(f" from {serving.listening}", "dim")
        lines.append(f"\ndata in {settings.data}; Ctrl-C stops it\n", "dim")
        if not serving.keys:
            lines.append("no key yet: filmgate keys create --name me --credits 1000", "yellow")
            lines.append(f" --data {settings.data}\n" if named else "\n", "yellow")
        Console(stderr=True, highlight=False, soft_wrap=True).print(lines, end="")

    return announce
