"""`filmgate worker`: run tasks that others accept."""

from typing import Annotated

import typer

from filmgate.cli.options import Config, Data, Database, Json, load_settings
from filmgate.cli.screen import print_json


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(epilog="Example: filmgate worker --capabilities studio")(worker)


def worker(
    *,
    capabilities: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Run only these providers' tasks, such as studio,sandbox; all configured ones by default.",
            show_default=False,
        ),
    ] = None,
    data: Data = None,
    database: Database = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Run tasks until Ctrl-C or SIGTERM, beside `filmgate serve` on this machine or another.

    It shares the database and the place for files with them, and nothing else.
    What it was running is taken over by others when it stops, or dies.
    """
    import os
    import sys

    import structlog

    from filmgate import __version__
    from filmgate.bootstrap.logs import start_logging
    from filmgate.bootstrap.worker import work

    settings = load_settings(config, data, database=database, capabilities=capabilities).settings
    settings = settings.model_copy(update={"run": True, "processes": 1})
    start_logging(settings.log_format, settings.log_level)
    runs = sorted(settings.runs)

    def announce() -> None:
        if as_json:
            print_json({"capabilities": runs, "pid": os.getpid(), "data": settings.data})
            sys.stdout.flush()
        else:
            structlog.get_logger("filmgate").info("working", capabilities=runs, version=__version__)

    work(settings, announce)
