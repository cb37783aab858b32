"""The targets of the design's section 13, each with the figures that answer it, on both databases."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.databases import POSTGRES, SQLITE
from benchmarks.figures import Figure, Report, number

ROWS: Final[Mapping[str, str]] = {
    "poll": "a status poll, of a constant answer behind the same server and authentication",
    "poll-litellm": "status polls for each CPU second, of LiteLLM's in the same run",
    "submit": "submits with a hold, durable, one process, 64 clients",
    "lag": "2,000 in flight, asked about every 5 s: from the upstream's end to ours, p99",
    "upstream-polls": "questions to the upstream, for each task and interval",
    "in-flight-core": "what the 2,000 cost meanwhile",
    "stream": "an idle stream, of 10,000",
    "event": "from an event to its client, 1,000 live streams, p99",
    "download-memory": "what four downloads of 200 MB in parallel add to the memory",
    "download": "bytes for each CPU second, of Starlette's FileResponse",
    "restart": "serving again after kill -9",
    "take-over": "another worker has taken everything over after kill -9",
    "start": "from the start to the first answer",
    "idle": "memory of the idle server",
    "studio-720": "a film of 720p on two cores",
    "studio-480": "a film of 480p on one core",
    "studio-x264": "the studio's frames a second, of bare x264's",
    "scale": "four workers, of four times what one does",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A row of the design as it was measured: a cell for each database, and the verdict."""

    what: str
    on: Mapping[str, str]
    target: str
    verdict: str


def answers(reports: Sequence[Report]) -> Iterator[Answer]:
    """Yield every row that was measured, by the worst of the figures that answer it."""
    for row, what in ROWS.items():
        figures = [figure for report in reports for figure in report.figures if figure.row == row]
        there = {store: found for store in (SQLITE, POSTGRES) if (found := _worst(store, figures))}
        if there:
            targets = dict.fromkeys(str(figure.target) for figure in there.values() if figure.target)
            yield Answer(
                what=what,
                on={store: _cell(figure) for store, figure in there.items()},
                target="; ".join(targets),
                verdict=_verdict(there),
            )


def _worst(store: str, figures: Sequence[Figure]) -> Figure | None:
    more_is_better = any(figure.target and figure.target.at_least is not None for figure in figures)
    worst_first = sorted(
        (figure for figure in figures if figure.store == store),
        key=lambda figure: figure.median,
        reverse=not more_is_better,
    )
    return worst_first[0] if worst_first else None


def _cell(figure: Figure) -> str:
    return f"{number(figure.median)} {figure.unit}".strip()


def _verdict(there: Mapping[str, Figure]) -> str:
    verdicts = {store: figure.verdict for store, figure in there.items() if figure.target}
    missed = [store for store, verdict in verdicts.items() if verdict == "MISSED"]
    if not missed:
        return "met" if verdicts else ""
    return "MISSED" if len(missed) == len(verdicts) else f"MISSED on {missed[0]}"
