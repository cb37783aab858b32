"""What people see: tables and progress bars on a terminal, plain lines in a pipe, JSON for programs."""

import json
import os
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TextIO


def is_plain(stream: TextIO) -> bool:
    """Say whether nobody is looking: then nothing is drawn, coloured or shortened."""
    return not stream.isatty() or os.environ.get("TERM") == "dumb"


class CommandFailed(Exception):
    """A command could not do what it is for; the message is the one line that people read."""


def complain(message: str) -> None:
    """Say on stderr what is wrong: one line, which only a terminal breaks."""
    text = f"filmgate: {message}"
    if not is_plain(sys.stderr):
        text = textwrap.fill(text, shutil.get_terminal_size().columns, break_long_words=False)
    print(text, file=sys.stderr)


def note(message: str) -> None:
    """Say something to a person; a program that reads stdout does not see it."""
    print(message, file=sys.stderr)


def print_json(document: object) -> None:
    """Print one JSON document: indented where a person looks."""
    indent = None if is_plain(sys.stdout) else 2
    print(json.dumps(document, indent=indent, ensure_ascii=False, default=str))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, empty: str) -> None:
    """Print rows under their columns; a column called `>name` holds numbers; `empty` if there are none."""
    if not rows:
        note(empty)
        return
    texts = [["" if cell is None else str(cell) for cell in row] for row in rows]
    if is_plain(sys.stdout):
        _print_plain_table(columns, texts)
    else:
        _print_rich_table(columns, texts)


def print_facts(facts: Sequence[tuple[str, object]]) -> None:
    """Print names and values, one a line; None is left out."""
    said = [(name, str(value)) for name, value in facts if value is not None]
    width = max(len(name) for name, _ in said)
    if is_plain(sys.stdout):
        for name, value in said:
            print(f"{name:<{width}}  {value}")
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in said:
        table.add_row(name, Text(value))
    Console(highlight=False).print(table)


def _print_plain_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    numeric = [name.startswith(">") for name in columns]
    lines = [[name.removeprefix(">").upper() for name in columns], *rows]
    widths = [max(len(line[n]) for line in lines) for n in range(len(columns))]
    for line in lines:
        cells = (
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, numeric, strict=True)
        )
        print("  ".join(cells).rstrip())


def _print_rich_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    for n, name in enumerate(columns):
        # The first column is what one copies into the next command: never cut short.
        keep = n == 0
        table.add_column(
            name.removeprefix(">"),
            justify="right" if name.startswith(">") else "left",
            min_width=max(len(row[n]) for row in rows) if keep else None,
            no_wrap=True,
        )
    for row in rows:
        table.add_row(*(Text(cell, style=_STATUS_STYLES.get(cell, "")) for cell in row))
    Console(highlight=False).print(table)


_STATUS_STYLES = {
    "succeeded": "green",
    "running": "cyan",
    "failed": "red",
    "cancelled": "yellow",
    "revoked": "yellow",
}


# --- progress -----------------------------------------------------------------------------------


class Progress(Protocol):
    """Shows how far something is."""

    def __call__(self, percent: int, doing: str, /) -> None:
        """Show `percent` of 100, and in a word what is being done."""
        ...


@contextmanager
def progress_bar(*, silent: bool = False) -> Iterator[Progress]:
    """Show a bar on a terminal, a line for every quarter elsewhere; on stderr, never among results."""
    if silent:
        yield _show_nothing
    elif is_plain(sys.stderr):
        yield _Lines()
    else:
        with _bar() as bar:
            yield bar


def _show_nothing(_percent: int, _doing: str, /) -> None:
    pass


class _Lines:
    def __init__(self) -> None:
        self._shown = ("", -1)

    def __call__(self, percent: int, doing: str, /) -> None:
        reached = (doing, percent // 25)
        if reached != self._shown:
            self._shown = reached
            note(f"{doing} {percent}%")


@contextmanager
def _bar() -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns: list[Any] = [
        TextColumn("{task.description:<10}"),
        BarColumn(bar_width=40),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    ]
    with Bars(*columns, console=Console(stderr=True, highlight=False)) as bars:
        bar = bars.add_task("", total=100)

        def show(percent: int, doing: str, /) -> None:
            bars.update(bar, completed=percent, description=doing)

        yield show


def duration(seconds: float) -> str:
    """Return a span of time as people say it: 850 ms, 6.2 s, 3 min."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 60 else f"{seconds / 60:.0f} min"  # noqa: PLR2004


def size(count: int) -> str:
    """Return a number of bytes as people say it."""
    for unit, scale in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count} bytes"
