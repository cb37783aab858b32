"""Fills a database fast: copies of real rows under new ids, made by the database itself."""

from contextlib import closing
from typing import Final

import apsw

from benchmarks.databases import Database, Sqlite

# Where a copy's transfers go on: after its account's last.
_SEQ: Final = (
    "(SELECT chain_seq FROM accounts WHERE accounts.id = transfers.account_id) "
    "+ 2 * ({k} - {first}) + seq - 1"
)
# What grows with the tasks; what a copy has of its own. {new}, {old} and {blob} are ids, {k} its number.
_OWN: Final = {
    "tasks": {
        "id": "{new}",
        "status": "CASE WHEN {k} % 100 = 7 THEN 'failed' ELSE status END",
        "snapshot": "replace(replace(replace(snapshot, {old}, {new}), bench_originals.blob, {blob}), "
        '\'"status":"succeeded"\', '
        'CASE WHEN {k} % 100 = 7 THEN \'"status":"failed"\' ELSE \'"status":"succeeded"\' END)',
    },
    "events": {"task_id": "{new}"},
    "attempts": {"task_id": "{new}", "remote_id": "replace(remote_id, {old}, {new})"},
    "transfers": {"id": "replace(transfers.id, {old}, {new})", "task_id": "{new}", "seq": _SEQ},
    "claims": {"task_id": "{new}", "token": "token || '-' || {k}"},
    "blobs": {"id": "{blob}", "output": "replace(output, bench_originals.blob, {blob})"},
    "blob_uses": {"task_id": "{new}", "blob": "{blob}"},
}
# By which column a table's rows are those of an original; by `task_id` where nothing is said.
_OF: Final = {"tasks": "tasks.id = bench_originals.old", "blobs": "blobs.id = bench_originals.blob"}
GROWING: Final = tuple(_OWN)
AT_ONCE: Final = 50  # copies of every original, in one statement for each table: their rows fit in memory


def prepare(database: Database) -> None:
    """Set aside the rows that are there, to be copied.

    Each task must be its account's only one, with one file, and a hold that was posted: transfers 2 and 3.
    """
    _run(
        database,
        "CREATE TABLE bench_originals AS "
        "SELECT row_number() OVER (ORDER BY task_id) AS nth, task_id AS old, blob FROM blob_uses",
        *(f"CREATE TABLE bench_{table} AS SELECT * FROM {table}" for table in GROWING),  # noqa: S608
    )


def fill(database: Database, *, first: int, last: int) -> None:
    """Add the copies number `first` to `last` of every original, oldest first, as time would have."""
    columns_of = {table: _columns(database, table) for table in _OWN}
    number = "copies.k * (SELECT count(*) FROM bench_originals) + nth"
    ten_digits = f"substr(CAST(10000000000 + {number} AS text), 2)"
    old = "bench_originals.old"
    blob = f"{ten_digits} || substr(bench_originals.blob, 11)"
    new = f"'task_' || {ten_digits} || substr({old}, 16)"  # as long as a real id, and older than all that are
    statements = []
    for at in range(first, last + 1, AT_ONCE):
        to = min(at + AT_ONCE - 1, last)
        copies = f"(SELECT {at} UNION ALL SELECT k + 1 FROM copies WHERE k < {to})"  # noqa: S608
        for table, own in _OWN.items():
            columns = columns_of[table]
            values = [
                own.get(column, f"{table}.{column}").format(
                    new=new, old=old, blob=blob, k="copies.k", first=first
                )
                for column in columns
            ]
            of = _OF.get(table, f"{table}.task_id = {old}")
            statements.append(
                f"WITH RECURSIVE copies (k) AS {copies} "  # noqa: S608  (names and numbers of our own)
                f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(values)} "
                f"FROM copies CROSS JOIN bench_originals CROSS JOIN bench_{table} AS {table} WHERE {of} "
                "ORDER BY copies.k, nth"
            )
    # Whoever is charged next has the number after the last copy's.
    statements.append(f"UPDATE accounts SET chain_seq = chain_seq + {2 * (last - first + 1)}")  # noqa: S608
    _run(database, *statements, "ANALYZE")


def _columns(database: Database, table: str) -> list[str]:
    asked = (
        "SELECT name FROM pragma_table_info('{}')"
        if isinstance(database, Sqlite)
        else "SELECT attname FROM pg_attribute "
        "WHERE attrelid = '{}'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
    )
    return [name for (name,) in database.rows(asked.format(table))]


def _run(database: Database, *statements: str) -> None:
    if not isinstance(database, Sqlite):
        for statement in statements:
            database.rows(statement)
        return
    with closing(apsw.Connection(str(database.path))) as db:
        db.pragma("journal_mode", "WAL")
        db.pragma("synchronous", "OFF")  # only while nobody counts
        db.pragma("cache_size", -500_000)
        with db:
            for statement in statements:
                db.execute(statement).fetchall()
        db.pragma("wal_checkpoint", "TRUNCATE")
