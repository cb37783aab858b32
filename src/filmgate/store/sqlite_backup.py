"""A copy of a SQLite database of one moment, made while it is served."""

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import apsw

from filmgate.core.errors import InvalidRequest, NotFound, StoreUnavailable
from filmgate.store.sqlite import CODE, DATABASE, faults_in, schema_of

PAGES: Final = 1_000  # of one step: 4 MB

Tell = Callable[[int, str], None]  # how many percent of what is done


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a copy holds: `tables` are rows by table, `sha256` is of the file itself.

    `ledger` is the SHA-256 of every account's id and the end of its chain, in order. `files` is how many
    stored files its tasks need: they are not in it.
    """

    at: str
    schema: int
    tables: Mapping[str, int]
    ledger: str
    files: int
    size_bytes: int
    sha256: str


def back_up(directory: Path, target: Path, *, tell: Tell) -> Manifest:
    """Copy the database in `directory` to `target`, and what it holds to `target` with `.json` added.

    What was there is replaced once the copy is complete, sound and on the disk; till then nothing is. Raise
    NotFound if there is no database, InvalidRequest if `target` is no place for a copy, StoreUnavailable if
    it cannot be copied, and OSError where there is no room.
    """
    source = directory / DATABASE
    schema = schema_of(directory)
    if not schema:
        raise NotFound(f"there is no database in {directory}")
    if schema < CODE and (directory / f"{DATABASE}.moved").exists():
        raise NotFound(f"{directory} was moved to PostgreSQL: set database to its URL (FILMGATE_DATABASE)")
    if target.is_dir():
        raise InvalidRequest(f"{target} is a directory: name a file in it")
    if target.exists() and target.samefile(source):
        raise InvalidRequest(f"{target} is the database itself")
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", suffix=".part", dir=target.parent) as part:
        copy, beside = Path(part, "copy"), Path(part, "manifest")
        at = datetime.now(UTC)
        try:
            _copy(source, copy, tell)
            tell(0, "checking")
            if faults := faults_in(copy):
                raise StoreUnavailable(f"{source} is damaged: {faults[0]}")
            manifest = _manifest(copy, at)
            tell(100, "checking")
        except apsw.Error as error:
            raise StoreUnavailable(f"{source} cannot be copied: {error}") from error
        beside.touch(mode=0o600)
        beside.write_text(json.dumps(asdict(manifest), indent=2) + "\n", encoding="utf-8")
        for path, place in ((copy, target), (beside, target.with_name(f"{target.name}.json"))):
            sync(path)
            path.replace(place)
        sync(target.parent)
    return manifest


def _copy(source: Path, copy: Path, tell: Tell) -> None:
    copy.touch(mode=0o600)  # it holds every secret
    with (
        contextlib.closing(apsw.Connection(str(source), flags=apsw.SQLITE_OPEN_READONLY)) as origin,
        contextlib.closing(apsw.Connection(str(copy))) as target,
    ):
        # All steps see this one moment: else each change by the service would begin the copy anew.
        origin.execute("BEGIN; SELECT 1 FROM sqlite_schema LIMIT 1").fetchall()
        with target.backup("main", origin, "main") as backup:
            while not backup.done:
                backup.step(PAGES)
                tell(100 - 100 * backup.remaining // max(backup.page_count, 1), "copying")
        target.execute("PRAGMA journal_mode = DELETE").fetchall()  # one file, with nothing beside it


def _manifest(copy: Path, at: datetime) -> Manifest:
    with contextlib.closing(apsw.Connection(str(copy), flags=apsw.SQLITE_OPEN_READONLY)) as db:
        names = [name for (name,) in db.execute(_TABLES)]
        tables = {name: int(db.execute(f'SELECT count(*) FROM "{name}"').get) for name in names}  # noqa: S608
        ledger = hashlib.sha256()
        for account_id, head in db.execute("SELECT id, chain_head FROM accounts ORDER BY id"):
            ledger.update(f"{account_id}={head.hex()}\n".encode())
        knows_files = "blob_uses" in tables
        files = int(db.execute("SELECT count(DISTINCT blob) FROM blob_uses").get) if knows_files else 0
        schema = int(db.execute("SELECT max(version) FROM schema_versions").get)
    with copy.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Manifest(
        at=at.isoformat(timespec="seconds"),
        schema=schema,
        tables=tables,
        ledger=ledger.hexdigest(),
        files=files,
        size_bytes=copy.stat().st_size,
        sha256=digest,
    )


_TABLES: Final = """
    SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name
"""


def sync(path: Path) -> None:
    """Return once a file, or the names in a directory, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
