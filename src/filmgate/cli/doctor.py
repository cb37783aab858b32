"""`filmgate doctor`: what is wrong here, and what to do about it."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from filmgate.cli.options import Config, Data, Json, run, settings_of
from filmgate.cli.screen import is_plain, print_json

if TYPE_CHECKING:
    from filmgate.bootstrap.checkup import Finding
    from filmgate.settings import Settings

MOST_SHOWN = 5
STYLES = {"ok": "green", "warn": "yellow", "wrong": "bold red"}


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("doctor", epilog="Example: filmgate doctor --data /var/lib/filmgate")(doctor)


def doctor(
    *,
    deep: Annotated[bool, typer.Option("--deep", help="Look at every file and the whole database.")] = False,
    data: Data = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Look whether everything is well, and say what to do where it is not.

    Works beside a running server and changes nothing.
    The exit status is 1 if something is wrong; a warning alone is no fault.
    """
    findings = run(_examine(settings_of(config, data), deep=deep, silent=as_json))
    wrong = [finding for finding in findings if finding.state == "wrong"]
    if as_json:
        print_json({"ok": not wrong, "findings": [_document(finding) for finding in findings]})
    else:
        _print_sum(findings)
    if wrong:
        raise typer.Exit(1)


async def _examine(settings: "Settings", *, deep: bool, silent: bool) -> list["Finding"]:
    from filmgate.bootstrap.checkup import examine

    findings = []
    async for finding in examine(settings, deep=deep):
        findings.append(finding)
        if not silent:
            _print(finding)
    return findings


def _document(finding: "Finding") -> dict[str, object]:
    return {
        "check": finding.check,
        "state": finding.state.value,
        "said": finding.said,
        "todo": finding.todo,
        "details": list(finding.details),
    }


def _print(finding: "Finding") -> None:
    lines = [finding.said, *finding.details[:MOST_SHOWN]]
    if len(finding.details) > MOST_SHOWN:
        lines.append(f"and {len(finding.details) - MOST_SHOWN} more; --json lists all")
    if is_plain(sys.stdout):
        lines += [f"-> {finding.todo}"] if finding.todo else []
        head = f"{finding.state.value:<5}  {finding.check:<11}  "
        print("\n".join((head if n == 0 else " " * len(head)) + line for n, line in enumerate(lines)))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 1, 0, 0))  # a blob's name just fits beside it
    table.add_column(width=5)
    table.add_column(width=11, style="dim")
    table.add_column(overflow="fold")
    said = Text("\n".join(lines))
    if finding.todo:
        said.append(f"\n{finding.todo}", "italic")
    table.add_row(Text(finding.state.value, STYLES[finding.state.value]), finding.check, said)
    Console(highlight=False).print(table)


def _print_sum(findings: list["Finding"]) -> None:
    counts = {state: sum(finding.state.value == state for finding in findings) for state in STYLES}
    if counts["wrong"]:
        print(f"\n{counts['wrong']} wrong, {counts['warn']} to look at.")
    elif counts["warn"]:
        print(f"\nNothing is wrong; {counts['warn']} to look at.")
    else:
        print("\nEverything is well.")
