"""How a database goes about each statement: its plans, and which of them read a growing table wholly."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import apsw

from benchmarks.databases import Postgres, Sqlite
from benchmarks.filling import GROWING
from filmgate.ports.store import Store

PAGE: Final = Path(__file__).parent / "plans.md"
_BLOCK: Final = re.compile(r"LOG:  duration: [^\n]* plan:\n((?:\t[^\n]*\n)+)")
_OF_THE_DRIVER: Final = "typeinfo_tree"  # how it learns of a type, once for each connection
_TOLD: Final = {
    "session_preload_libraries": "auto_explain",
    "auto_explain.log_min_duration": "0",
    "auto_explain.log_nested_statements": "on",
    "auto_explain.log_parameter_max_length": "0",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One statement, and how it was gone about."""

    statement: str
    steps: str
    wholly: tuple[str, ...] = ()  # the growing tables that it reads from the first row to the last


Operations = Mapping[str, Callable[[], Awaitable[object]]]
Plans = Mapping[str, tuple[Plan, ...]]


async def sqlite_plans(database: Sqlite, operations: Operations) -> Plans:
    """Do each operation once and return the plans of its statements, as SQLite explains them."""
    said: list[tuple[str, Any]] = []

    def heard(_: apsw.Cursor, statement: str, values: Any) -> bool:  # noqa: ANN401  (SQLite's own kinds)
        said.append((statement, values))
        return True

    def listen(db: apsw.Connection) -> None:
        db.exec_trace = heard

    def ignore(db: apsw.Connection) -> None:
        db.exec_trace = None

    found = {}
    with closing(apsw.Connection(str(database.path), flags=apsw.SQLITE_OPEN_READONLY)) as db:
        partial = {
            name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE sql LIKE '%INDEX%WHERE%'")
        }
        for name, operation in operations.items():
            said.clear()
            database.each_connection(listen)
            await operation()
            database.each_connection(ignore)
            found[name] = tuple(_sqlite_plan(db, *one, partial) for one in _different(said))

    return {name: tuple(plan for plan in plans if plan.steps) for name, plans in found.items()}


def _different(said: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    return list({_on_one_line(statement): (statement, values) for statement, values in said}.values())


def _sqlite_plan(db: apsw.Connection, statement: str, values: Any, partial: set[str]) -> Plan:  # noqa: ANN401
    steps = [] if _is_about_transactions(statement) else list(_explained(db, statement, values))
    wholly = [
        table
        for step in steps
        for table in GROWING
        if re.match(rf"SCAN {table}\b", step) and not any(f"INDEX {name}" in step for name in partial)
    ]
    return Plan(statement=_on_one_line(statement), steps="\n".join(steps), wholly=tuple(wholly))


def _explained(db: apsw.Connection, statement: str, values: Any) -> list[str]:  # noqa: ANN401
    return [detail for *_, detail in db.execute(f"EXPLAIN QUERY PLAN {statement}", values)]


def _is_about_transactions(statement: str) -> bool:
    return statement.split(maxsplit=1)[0] in {"BEGIN", "COMMIT", "SAVEPOINT", "RELEASE", "ROLLBACK", "PRAGMA"}


@asynccontextmanager
async def explaining(database: Postgres) -> AsyncIterator[None]:
    """Let PostgreSQL write down the plans of whoever connects meanwhile, those inside functions too."""
    for name, value in _TOLD.items():
        database.as_admin(f"ALTER ROLE filmgate SET {name} = '{value}'")
    try:
        yield
    finally:
        for name in _TOLD:
            database.as_admin(f"ALTER ROLE filmgate RESET {name}")


async def postgres_plans(database: Postgres, operations: Operations, store: Store) -> Plans:
    """Do each operation once and return the plans of its statements, as the server's log has them."""
    assert database.log is not None, "its log is ours to read"
    found = {}
    for name, operation in operations.items():
        before = database.log.stat().st_size
        await operation()
        await store.ready()  # another statement: what came before it is in the log by now
        with database.log.open("rb") as log:
            log.seek(before)
            text = log.read().decode(errors="replace")
        blocks = [_postgres_plan(block) for block in _BLOCK.findall(text) if _OF_THE_DRIVER not in block]
        found[name] = tuple({plan.statement: plan for plan in blocks if plan.steps}.values())
    return found


def _postgres_plan(block: str) -> Plan:
    lines = [line.removeprefix("\t") for line in block.rstrip("\n").split("\n")]
    at = next((n for n, line in enumerate(lines) if "  (cost=" in line), len(lines))
    steps = [re.sub(r"  \(cost=\S+ rows=(\d+) width=\d+\)", r"  (\1 rows)", line) for line in lines[at:]]
    wholly = [table for step in steps for table in GROWING if re.search(rf"Seq Scan on {table}\b", step)]
    touches = any(" on " in step for step in steps)
    statement = " ".join(lines[:at]).removeprefix("Query Text: ")
    return Plan(
        statement=_on_one_line(statement), steps="\n".join(steps) if touches else "", wholly=tuple(wholly)
    )


def _on_one_line(statement: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"--[^\n]*", "", statement)).strip()


# --- for the repository -------------------------------------------------------------------------


def write(found: Mapping[str, Plans], tasks: int) -> None:
    """Write all plans down, by database and operation."""
    lines = [
        "# Query plans",
        "",
        f"Printed by `make bench ARGS=--write`, over {tasks:,} tasks. Each operation of the benchmark",
        "`growth` was done once, by the store's own code; these are all its statements, those inside",
        "functions included, and how the database went about them. None reads a growing table from the",
        "first row to the last: the benchmark fails where one does.",
    ]
    for store, plans in found.items():
        for name, of_one in plans.items():
            lines += ["", f"## {store}: {name}"]
            for plan in of_one:
                lines += ["", "```sql", plan.statement, "```", "```", *plan.steps.split("\n"), "```"]
    PAGE.write_text("\n".join(lines) + "\n", encoding="utf-8")
