"""Runs the benchmarks and prints what they found: `python -m benchmarks poll submit`, or all of them."""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Final

import apsw
import asyncpg
import httpx2
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks import (
    downloads,
    growth,
    inflight,
    lifecycle,
    litellm,
    machine,
    poll,
    processes,
    scale,
    startup,
    streams,
    studio,
    submit,
)
from benchmarks.bench import Bench
from benchmarks.databases import POSTGRES, SQLITE, STORES, PostgresHost, postgres_host
from benchmarks.figures import BenchmarkFailed, Report, Skipped, number
from benchmarks.targets import Answer, answers
from filmgate.core.errors import FilmgateError

ALL: Final[Mapping[str, Callable[[Bench], Report]]] = {
    "startup": startup.measure,
    "poll": poll.measure,
    "submit": submit.measure,
    "lifecycle": lifecycle.measure,
    "streams": streams.measure,
    "downloads": downloads.measure,
    "inflight": inflight.measure,
    "scale": scale.measure,
    "growth": growth.measure,
    "litellm": litellm.measure,
    "studio": studio.measure,
}
_TROUBLE: Final = (
    BenchmarkFailed,
    FilmgateError,
    OSError,
    apsw.Error,
    asyncpg.PostgresError,
    httpx2.HTTPError,
    subprocess.SubprocessError,
)
TOO_BUSY: Final = 0.25  # cores
RESULTS: Final = Path(__file__).parent / "RESULTS.md"


def main() -> int:
    """Return 0 whatever was found, 1 if something could not be measured."""
    asked = _arguments()
    if sys.platform != "linux":
        print("The benchmarks read /proc and pin processes to cores: they need Linux.", file=sys.stderr)
        return 1
    cores = tuple(sorted(os.sched_getaffinity(0)))
    if len(cores) == 1:
        print("There is one core only: server and load share it, and every figure is lower.", file=sys.stderr)
    # Ended from outside, we end what we started all the same.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    reports, failed = [], 0
    with (
        ExitStack() as stack,
        tempfile.TemporaryDirectory(prefix="filmgate-bench-", ignore_cleanup_errors=True) as scratch,
    ):

        @cache
        def open_postgres() -> PostgresHost:
            host = stack.enter_context(postgres_host())
            there["postgresql"] = host.describe()
            return host

        there = machine.describe(Path(scratch))
        bench = Bench(
            scratch=Path(scratch),
            cores=cores,
            rounds=asked.rounds,
            stores=STORES[asked.store],
            open_postgres=open_postgres,
            most_tasks=asked.tasks,
            write=asked.write,
        )
        for name in asked.benchmarks or ALL:
            try:
                reports.append(_measured(ALL[name], bench))
            except Skipped as reason:
                print(f"{name} is skipped: {reason}", file=sys.stderr)
            except _TROUBLE as error:
                print(f"{name} failed: {error!r}", file=sys.stderr)
                failed = 1
    if asked.json:
        print(json.dumps({"machine": there, "reports": [report.document() for report in reports]}, indent=2))
    else:
        _print(there, reports)
    if asked.write:
        RESULTS.write_text("\n".join(_page(there, reports)) + "\n", encoding="utf-8")
    return failed


def _measured(measure: Callable[[Bench], Report], bench: Bench) -> Report:
    began, ours, all_of_it = time.perf_counter(), processes.cpu_s(os.getpid()), machine.busy_core_s()
    report = measure(bench)
    took_s = time.perf_counter() - began
    others = machine.busy_core_s() - all_of_it - (processes.cpu_s(os.getpid()) - ours)
    return replace(report, took_s=took_s, others=max(others / took_s, 0))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure Filmgate.", epilog="A missed target is no error."
    )
    parser.add_argument(
        "benchmarks", nargs="*", metavar="BENCHMARK", help=f"which of {', '.join(ALL)}; or all"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document on stdout")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name} too, beside this program")
    parser.add_argument(
        "--rounds", type=int, default=5, metavar="N", help="how often to repeat; 5 by default"
    )
    parser.add_argument(
        "--store", choices=STORES, default="both", help="which databases to measure on; both by default"
    )
    parser.add_argument(
        "--tasks",
        type=int,
        default=1_000_000,
        metavar="N",
        help="how far `growth` fills the tables; a million by default, 1000 at least",
    )
    asked = parser.parse_args()
    if unknown := set(asked.benchmarks) - set(ALL):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(ALL)}")
    if not 1 <= asked.rounds <= 100:
        parser.error("--rounds must be 1 to 100")
    if not growth.SIZES[0] <= asked.tasks <= growth.SIZES[-1]:
        parser.error(f"--tasks must be {growth.SIZES[0]} to {growth.SIZES[-1]}")
    return asked


# --- for people ---------------------------------------------------------------------------------


def _print(there: Mapping[str, str], reports: Sequence[Report]) -> None:
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    facts = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, value in there.items():
        facts.add_row(Text(name, style="dim"), value)
    console.print(facts)
    if targets := list(answers(reports)):
        console.print()
        console.print(Text("targets of the design", style="bold"))
        console.print(_targets(targets))
    for report in reports:
        console.print()
        console.print(Text(report.name, style="bold"), Text(_aside(report), style="dim"))
        console.print(Text(report.how, style="dim"))
        console.print(_table(report))


def _targets(found: Sequence[Answer]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("", SQLITE, POSTGRES, "target", ""):
        table.add_column(title, justify="right" if title in {SQLITE, POSTGRES} else "left")
    for row in found:
        cells = (row.what, row.on.get(SQLITE, ""), row.on.get(POSTGRES, ""), row.target)
        style = "bold red" if row.verdict.startswith("MISSED") else "green"
        table.add_row(*map(Text, cells), Text(row.verdict, style=style))
    return table


def _aside(report: Report) -> str:
    aside = f"took {report.took_s:.0f} s; others kept {report.others:.2f} cores busy meanwhile"
    return aside if report.others < TOO_BUSY else f"{aside}: too many for its figures to count"


def _table(report: Report) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("", "median", "", "least .. most", "target", ""):
        table.add_column(title, justify="right" if title in {"median", "least .. most"} else "left")
    for figure in report.figures:
        style = {"met": "green", "MISSED": "bold red"}.get(figure.verdict, "")
        target = str(figure.target or "")
        row = (figure.what, number(figure.median), figure.unit, figure.spread, target)
        table.add_row(*map(Text, row), Text(figure.verdict, style=style))
    return table


# --- for the repository -------------------------------------------------------------------------


def _page(there: Mapping[str, str], reports: Sequence[Report]) -> Iterator[str]:
    yield "# What was measured"
    yield ""
    yield "Printed by `make bench ARGS=--write`. Medians; figures of two machines cannot be compared."
    yield ""
    yield "| | |"
    yield "|---|---|"
    yield from (f"| {name} | {value} |" for name, value in there.items())
    if targets := list(answers(reports)):
        yield from ("", "## Targets of the design", "")
        yield f"| | {SQLITE} | {POSTGRES} | target | |"
        yield "|---|--:|--:|---|---|"
        for answer in targets:
            verdict = answer.verdict.replace("MISSED", "**missed**")
            on = (answer.on.get(SQLITE, ""), answer.on.get(POSTGRES, ""))
            yield f"| {' | '.join((answer.what, *on, answer.target, verdict))} |"
    for report in reports:
        yield ""
        yield f"## {report.name.capitalize()}"
        yield ""
        yield f"{report.how} This {_aside(report)}."
        yield ""
        yield "| | median | | least .. most | target | |"
        yield "|---|--:|---|--:|---|---|"
        for figure in report.figures:
            what = figure.what.replace("  ", "&nbsp;&nbsp;", 1) if figure.what[0] == " " else figure.what
            verdict = "**missed**" if figure.verdict == "MISSED" else figure.verdict
            cells = (
                what,
                number(figure.median),
                figure.unit,
                figure.spread,
                str(figure.target or ""),
                verdict,
            )
            yield f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
