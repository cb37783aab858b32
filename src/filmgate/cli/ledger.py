"""`filmgate ledger`: recompute the books from their rows, offline."""

from collections.abc import Iterable, Iterator
from time import perf_counter
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import typer

from filmgate.cli.options import Config, Data, Json, run, settings_of
from filmgate.cli.screen import complain, duration, print_json

if TYPE_CHECKING:
    from filmgate.settings import Settings

T = TypeVar("T")

MOST_SHOWN = 20


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    ledger = typer.Typer(no_args_is_help=True, help="Check the books.")
    ledger.command(epilog="Example: filmgate ledger verify --data /var/lib/filmgate")(verify)
    app.add_typer(ledger, name="ledger", epilog="Example: filmgate ledger verify")


def verify(*, data: Data = None, config: Config = None, as_json: Json = False) -> None:
    """Check the books, and name every row that is wrong.

    Recomputes each balance, hold, bill and hash from the rows alone.
    The exit status is 1 if anything is wrong.
    """
    report = run(_verify(settings_of(config, data)))
    if as_json:
        print_json(report)
    else:
        _print(report)
    if not report["ok"]:
        raise typer.Exit(1)


async def _verify(settings: "Settings") -> dict[str, Any]:
    from filmgate.bootstrap import beside
    from filmgate.core.ledger import audit

    began = perf_counter()
    async with beside(settings) as ports:
        books = await ports.store.books()
        accounts, rows, tasks = _Counted(books.accounts), _Counted(books.rows), _Counted(books.tasks)
        findings = [{"row": found.row, "problem": found.problem} for found in audit(accounts, rows, tasks)]
    return {
        "ok": not findings,
        "accounts": accounts.count,
        "rows": rows.count,
        "tasks": tasks.count,
        "findings": findings,
        "took_s": round(perf_counter() - began, 3),
    }


def _print(report: dict[str, Any]) -> None:
    findings = report["findings"]
    for found in findings[:MOST_SHOWN]:
        print(f"{found['row']}: {found['problem']}")
    if len(findings) > MOST_SHOWN:
        print(f"and {len(findings) - MOST_SHOWN} more; --json lists all")
    counts = ", ".join(f"{report[what]} {what}" for what in ("accounts", "rows", "tasks"))
    checked = f"{counts} checked in {duration(report['took_s'])}"
    if findings:
        complain(f"the books are wrong: {len(findings)} findings; {checked}")
    else:
        print(f"The books are right: {checked}.")


class _Counted(Generic[T]):
    """Passes on, and counts as it does."""

    def __init__(self, items: Iterable[T]) -> None:
        self._items = items
        self.count = 0

    def __iter__(self) -> Iterator[T]:
        for item in self._items:
            self.count += 1
            yield item
