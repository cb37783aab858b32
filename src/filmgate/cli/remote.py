"""What commands that ask a server share: its address, a key, and its refusals in one plain line."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated

import typer

from filmgate.cli.screen import CommandFailed

Url = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        envvar="FILMGATE_URL",
        show_default=False,
        help="Ask the server there.",
        show_envvar=False,
    ),
]
Key = Annotated[
    str | None,
    typer.Option(
        metavar="KEY",
        envvar="FILMGATE_API_KEY",
        show_default=False,
        show_envvar=False,
        help="A key of the server's; better in FILMGATE_API_KEY, where nobody sees it.",
    ),
]


@contextmanager
def plainly(names: Mapping[str, str]) -> Iterator[None]:
    """Raise what a server refused as CommandFailed, its fields called by the options' `names`."""
    from filmgate.client import ApiError, FilmgateError, TaskFailed

    try:
        yield
    except TaskFailed as error:
        raise CommandFailed(f"nothing was made: {error.message} ({error.code})") from error
    except ApiError as error:
        message = error.message
        if error.param is not None and message.startswith(f"{error.param}:"):
            message = names.get(error.param, error.param) + message.removeprefix(error.param)
        raise CommandFailed(message) from error
    except FilmgateError as error:
        raise CommandFailed(error.message) from error
