"""Options that many commands share, and what becomes of them: settings, credits, an event loop."""

import asyncio
import signal
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

if TYPE_CHECKING:  # pydantic alone takes a third of the time that `--help` may take
    from filmgate.settings import Loaded, Settings

T = TypeVar("T")

Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        help="The directory that holds everything; else FILMGATE_DATA, else this user's own.",
        show_default=False,
    ),
]
Database = Annotated[
    str | None,
    typer.Option(
        "--database",
        metavar="URL",
        help="A PostgreSQL that processes share, postgresql://user@host/name; else FILMGATE_DATABASE.",
        show_default=False,
    ),
]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="The settings file; else FILMGATE_CONFIG, else ./filmgate.toml if there is one.",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]


def load_settings(config: Path | None, data: Path | None = None, **flags: object) -> "Loaded":
    """Return the settings in force, and where they came from."""
    from filmgate.settings import load

    return load({"data": data, **flags}, config=config)


def settings_of(config: Path | None, data: Path | None = None, **flags: object) -> "Settings":
    """Return the settings in force."""
    return load_settings(config, data, **flags).settings


def micro_credits(text: str) -> int:
    """Read credits, such as 100 or 0.5, as micro-credits; a slip is a usage error."""
    from filmgate.core.errors import InvalidSettings
    from filmgate.core.ledger import MOST
    from filmgate.core.pricing import micro_of

    try:
        micro = micro_of(text)
    except InvalidSettings as error:
        raise typer.BadParameter(error.message) from None
    if not 0 <= micro <= MOST:
        raise typer.BadParameter(f"{text} is not an amount of credits")
    return micro


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end; on Ctrl-C, SIGTERM or a closed terminal, clean up and exit as they ask."""
    caught: list[signal.Signals] = []

    async def cancellable() -> T:
        loop, here = asyncio.get_running_loop(), asyncio.current_task()
        assert here is not None

        def cancel(by: signal.Signals) -> None:
            caught.append(by)
            here.cancel()

        for stop in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(stop, cancel, stop)
        return await work

    try:
        return asyncio.run(cancellable())
    except asyncio.CancelledError:
        if not caught:
            raise
        raise typer.Exit(128 + caught[0]) from None
