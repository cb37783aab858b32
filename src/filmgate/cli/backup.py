"""`filmgate backup`: a copy of the database, while it is served."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from filmgate.cli.options import Config, Data, Json, settings_of
from filmgate.cli.screen import note, print_facts, print_json, progress_bar, size

if TYPE_CHECKING:
    from filmgate.store.sqlite_backup import Manifest


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(epilog="Example: filmgate backup /backup/filmgate.db")(backup)


def backup(
    target: Annotated[Path, typer.Argument(metavar="FILE", help="Where the copy goes; replaced if there.")],
    *,
    data: Data = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Copy the database to a file, of one moment, while the service goes on.

    It is checked before it gets its name. Beside it, FILE.json says what is in it.
    Files are not: copy blobs/ after this. A PostgreSQL is copied by pg_dump: its
    command line is printed, and the exit status is 1.
    """
    from dataclasses import asdict

    settings = settings_of(config, data)
    if settings.database is not None:
        _print_dump(settings.database, target, as_json=as_json)
        raise typer.Exit(1)
    from filmgate.store.sqlite_backup import back_up

    with progress_bar(silent=as_json) as tell:
        manifest = back_up(settings.data, target.absolute(), tell=tell)
    if as_json:
        print_json({"ok": True, "file": str(target), **asdict(manifest)})
        return
    _print(manifest, target)
    if settings.blobs is None and manifest.files:
        note(f"Copy its files after this: cp -a {settings.data / 'blobs'} ...")


def _print(manifest: "Manifest", target: Path) -> None:
    print_facts(
        [
            ("file", target),
            ("size", size(manifest.size_bytes)),
            ("at", manifest.at),
            ("schema", manifest.schema),
            ("accounts", manifest.tables["accounts"]),
            ("tasks", manifest.tables["tasks"]),
            ("files", f"{manifest.files} needed, not in it"),
            ("ledger", manifest.ledger),
        ]
    )


def _print_dump(database: str, target: Path, *, as_json: bool) -> None:
    command = shlex.join(["pg_dump", "--format=custom", f"--file={target}", _without_password(database)])
    if as_json:
        print_json({"ok": False, "command": command})
        return
    note("Nothing was copied: the database is a PostgreSQL, which is copied by")
    print(command)
    note("It takes the password from ~/.pgpass or PGPASSWORD, or asks for it.")


def _without_password(url: str) -> str:
    from urllib.parse import parse_qsl, urlencode, urlsplit

    parts = urlsplit(url)
    user, at, place = parts.netloc.rpartition("@")
    query = [(name, value) for name, value in parse_qsl(parts.query) if "password" not in name]
    return parts._replace(
        netloc=f"{user.partition(':')[0]}{at}{place}", query=urlencode(query, safe="/")
    ).geturl()
