"""The command line: one file a command; each imports what it needs only once it runs."""

import os
import sys

import typer

from filmgate.cli import (
    accounts,
    backup,
    demo,
    doctor,
    keys,
    ledger,
    migrate,
    models,
    render,
    serve,
    settings,
    tasks,
    version,
    webhooks,
    worker,
)
from filmgate.cli.screen import CommandFailed, complain, is_plain
from filmgate.core.errors import FilmgateError

app = typer.Typer(
    name="filmgate",
    help="The self-hosted task service for AI video.",
    epilog="Begin with: filmgate demo",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None if is_plain(sys.stdout) else "rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (
    demo,
    serve,
    worker,
    render,
    keys,
    accounts,
    tasks,
    webhooks,
    models,
    ledger,
    backup,
    migrate,
    settings,
    doctor,
    version,
):
    module.add_to(app)


def main() -> None:
    """Run the command that the arguments name, and end with an honest exit status."""
    try:
        app(prog_name="filmgate")
    except (CommandFailed, FilmgateError) as error:
        complain(str(error))
    except BrokenPipeError:
        # Whoever read our output has seen enough. Python would complain once more when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        complain(f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error))
    else:
        return
    sys.exit(1)
