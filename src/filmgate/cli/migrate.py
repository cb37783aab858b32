"""`filmgate migrate`: move an installation from one kind of database to another."""

from time import perf_counter
from typing import TYPE_CHECKING, Any

import typer

from filmgate.cli.options import Config, Data, Database, Json, run, settings_of
from filmgate.cli.screen import CommandFailed, duration, note, print_facts, print_json, progress_bar

if TYPE_CHECKING:
    from filmgate.settings import Settings

EXAMPLE = "Example: filmgate migrate sqlite-to-postgres --database postgresql://filmgate@db/filmgate"


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    migrate = typer.Typer(no_args_is_help=True, help="Move to another kind of database.")
    migrate.command("sqlite-to-postgres", epilog=EXAMPLE)(sqlite_to_postgres)
    app.add_typer(migrate, name="migrate", epilog=EXAMPLE)


def sqlite_to_postgres(
    *, data: Data = None, database: Database = None, config: Config = None, as_json: Json = False
) -> None:
    """Move everything in a data directory's database to an empty PostgreSQL.

    Stop the service first. Tasks, credits, keys and links go on there as they were; files stay where
    they are. Either all of it is moved, and seen to have arrived, or nothing: broken off, begin again.
    """
    began = perf_counter()
    settings = settings_of(config, data, database=database)
    report = {**run(_move(settings, silent=as_json)), "took_s": round(perf_counter() - began, 3)}
    if as_json:
        print_json(report)
    else:
        _print(report, settings)


async def _move(settings: "Settings", *, silent: bool) -> dict[str, Any]:
    if settings.database is None:
        raise CommandFailed("say where to: --database postgresql://user@host/name")
    try:
        from filmgate.store.postgres.copying import CannotMove
        from filmgate.store.postgres.moving import move
    except ImportError as error:
        raise CommandFailed("PostgreSQL needs an extra: pip install 'filmgate[postgres]'") from error
    try:
        with progress_bar(silent=silent) as tell:
            moved = await move(settings.data, settings.database, tell=tell)
    except CannotMove as error:
        raise CommandFailed(str(error)) from error
    return {
        "ok": True,
        "before": moved.before,
        "rows": sum(moved.tables.values()),
        "tables": dict(moved.tables),
        "kept": str(moved.kept),
    }


def _print(report: dict[str, Any], settings: "Settings") -> None:
    print_facts(list(report["tables"].items()))
    arrived = "had arrived before" if report["before"] else f"moved in {duration(report['took_s'])}"
    note(f"{report['rows']} rows {arrived} and were compared; the books are right on both sides.")
    note(f"The old database is kept as {report['kept']}.")
    note("Files stay where they are. Next:")
    note(f"  FILMGATE_DATABASE=postgresql://... filmgate serve --data {settings.data}")
