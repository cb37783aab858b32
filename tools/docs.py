"""Prints the pages of docs/ that the code already knows; `--check` says which are stale."""

import inspect
import os
import re
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Final

import typer
from typer.testing import CliRunner

from filmgate import cli
from filmgate.core.catalogue import Model, read_models
from filmgate.core.errors import Fault, FilmgateError
from filmgate.core.generation import RATIOS, RESOLUTIONS, size_of
from filmgate.core.pricing import credits_of
from filmgate.core.task import TERMINAL, TRANSITIONS, Phase, Status
from filmgate.providers import registry
from filmgate.settings import Settings, default_data

ROOT = Path(__file__).parents[1]


def main() -> int:
    """Write every page, or with `--check` only compare; return the exit status."""
    stale = [name for name, page in PAGES.items() if page() != _there(name)]
    if "--check" in sys.argv[1:]:
        for name in stale:
            print(f"{name} is stale; `make fix` prints it anew", file=sys.stderr)
        return bool(stale)
    for name in stale:
        (ROOT / name).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / name).write_text(PAGES[name](), encoding="utf-8")
    return 0


def errors() -> str:
    """Return the page of all errors, by whose fault they are."""
    return "\n".join(_errors()).rstrip() + "\n"


def _errors() -> Iterator[str]:
    yield "# Errors\n"
    yield (
        "Every error has a stable code to branch on; the wording may change. Each dialect wraps code and\n"
        "message in its own shape. *Again* says whether trying the same thing again may help. Whatever is\n"
        f"not listed is a bug of ours; its code is `{FilmgateError.code}`.\n"
    )
    for fault, title in _FAULTS.items():
        found = [error for error in _below(FilmgateError) if error.fault is fault]
        if not found:
            continue
        yield f"## {title}\n"
        yield "| Code | Again | What happened | Class |"
        yield "|---|---|---|---|"
        for error in found:
            words = " ".join((inspect.getdoc(error) or "").split()).replace("|", "\\|")
            again = "yes" if error.retryable else "no"
            yield f"| `{error.code}` | {again} | {words} | `{error.__name__}` |"
        yield ""


def _below(root: type[FilmgateError]) -> Iterator[type[FilmgateError]]:
    """Yield every error below `root` in the order in which they are written down."""
    for error in root.__subclasses__():
        yield error
        yield from _below(error)


# --- the task's life ------------------------------------------------------------------------------


def lifecycle() -> str:
    """Return the page of statuses, printed from the table that decides them."""
    arrows = [f"    {was} --> {to}" for was in Status for to in Status if to in TRANSITIONS[was]]
    ends = [f"    {status} --> [*]" for status in Status if status in TERMINAL]
    diagram = "\n".join(["stateDiagram-v2", "    [*] --> queued", *arrows, *ends])
    rows = [f"| `{was}` | {_listed(TRANSITIONS[was])} |" for was in Status]
    phases = "\n".join(f"| `{phase}` | {_PHASES[phase]} |" for phase in Phase)
    return _LIFECYCLE.format(diagram=diagram, rows="\n".join(rows), phases=phases)


def _listed(following: frozenset[Status]) -> str:
    return ", ".join(f"`{status}`" for status in Status if status in following) or "nothing: the end"


_PHASES: Final[Mapping[Phase, str]] = {
    Phase.PREPARING: "inputs are fetched and checked",
    Phase.SUBMITTING: "the intent is saved, and the submission is on its way",
    Phase.SUBMIT_UNKNOWN: "the provider may have it, or not; the same reference will tell",
    Phase.GENERATING: "the provider works on it",
    Phase.WAITING: "the provider turned it away for now; `retry_at` says when it is tried again",
}

_LIFECYCLE: Final = """# A task's life

```mermaid
{diagram}
```

| From | To |
|---|---|
{rows}

Nothing moves backwards: a retry waits inside `running`. `core/task.py` is the only place that decides
this, and this page is printed from it.

A task is stored, and its price held, before its submit is answered. It waits as `queued` until its account
and its provider both have a free slot and neither is over its rate: the higher priority first, then the
account that uses the fewest slots, then the account that was admitted longest ago, then the older task.
Cancelling is one commit, and its answer shows it; what runs upstream is stopped afterwards, and its result
is never served or billed. A task that does not end within `task_deadline_s` of its submit fails with the
code `expired`.

## Rates

`account_rate` is how many tasks of one account may start per minute, and `rate` in a provider's table how
many may start there, over all processes and machines together. After a quiet time a tenth of that, at least
one, may start at once; after that, one each interval, which is a minute divided by the rate. So no minute
has more starts than the rate and that tenth. A task that has to wait for its time is `queued` like any
other: it keeps its place, and others whose account and provider may start pass it. Only a task's first
start counts; further attempts do not.

The waiting are looked at once a second, and whenever a slot is freed, so a task may start up to a second
after its time. That adds up only at rates below 20, where no two may start at once. Times are those of the
machine that admits: clocks that are some seconds apart let as many more tasks start as the rate has in
those seconds; if they are more than a minute apart, rates do not hold. A clock that was set back keeps
nobody waiting for longer than two minutes.

## After the end

Its files, inputs included, are kept for `result_lifetime_s` from its end. Then they go, and the task stays
as it ended: a reader finds it without links. Deleting a task cancels it if it is active, and leaves a
skeleton: that there was a task, how it ended and what it cost. Nobody can read it any more, and its
idempotency keys stay used. Either is one more event, `expired` or `deleted`, after the one of its end.

## Phases

What a running task is doing, for people and metrics. Clients should not branch on it.

| Phase | |
|---|---|
{phases}
"""


# --- models, sizes, settings, commands ------------------------------------------------------------


def models() -> str:
    """Return the page of the built-in catalogue and the size table."""
    return "\n".join(_models()).rstrip() + "\n"


def _models() -> Iterator[str]:
    text = (ROOT / "src/filmgate/catalogue.toml").read_text(encoding="utf-8")
    known = read_models(tomllib.loads(text, parse_float=Decimal)["models"])
    yield "# Models\n"
    yield (
        "Ranges and prices of the built-in catalogue. The default comes first. An operator's own file\n"
        "(`catalogue` in the settings) overrides a model by its id.\n"
    )
    yield "| Model | Also called | Seconds | Ratios | Resolutions | Inputs | Credits |"
    yield "|---|---|---|---|---|---|---|"
    for model in known:
        shortest, longest = model.durations_s
        inputs = ", ".join(f"{most} {kind}" for kind, most in model.inputs.items())
        yield (
            f"| `{model.id}` | {', '.join(f'`{alias}`' for alias in model.aliases)} "
            f"| {f'{shortest}-{longest}' if longest else ''} | {' '.join(model.ratios)} "
            f"| {' '.join(model.resolutions)} | {inputs} | {_price(model)} |"
        )
    yield "\n## Sizes\n"
    yield "What a resolution is at each ratio. `adaptive` is the shape of the first picture, else 16:9.\n"
    yield f"| | {' | '.join(RATIOS)} |"
    yield "|---" * (len(RATIOS) + 1) + "|"
    for resolution in RESOLUTIONS:
        sizes = " | ".join("{}x{}".format(*size_of(resolution, ratio)) for ratio in RATIOS)
        yield f"| {resolution} | {sizes} |"


def _price(model: Model) -> str:
    price = f"{credits_of(model.price.rate)} per {model.price.unit}"
    if model.price.rate_with_video is not None:
        price += f", {credits_of(model.price.rate_with_video)} with a video"
    return price


def settings() -> str:
    """Return the page of all settings."""
    return "\n".join(_settings()).rstrip() + "\n"


def _settings() -> Iterator[str]:
    yield "# Settings\n"
    yield (
        "Read once, each source over the one before: the defaults, `filmgate.toml` (in the working\n"
        "directory, or where `FILMGATE_CONFIG` or `--config` says), the environment, the command line. A\n"
        "key that is not known stops the start. `filmgate settings` prints what is in force and where it\n"
        "came from; `filmgate.example.toml` lists every key.\n"
    )
    yield "| Key | Environment | Default | |"
    yield "|---|---|---|---|"
    for key, found in Settings.model_fields.items():
        if key == "providers":
            continue
        default = found.get_default(call_default_factory=True)
        shown = "`~/.local/share/filmgate`" if key == "data" else "" if default is None else f"`{default}`"
        yield f"| `{key}` | `FILMGATE_{key.upper()}` | {shown} | {found.description} |"
    assert default_data().name == "filmgate"
    yield "\n## Providers\n"
    yield "Each provider has a table of its own, `[providers.NAME]`. These are built in and need none.\n"
    for name, spec in registry().items():
        keys = ", ".join(f"`{item}`" for item in inspect.signature(spec.config).parameters) or "no keys"
        yield f"- `{name}`: {keys}"


def commands() -> str:
    """Return the page of the command line: every command's own help."""
    return "\n".join(_commands()).rstrip() + "\n"


def _commands() -> Iterator[str]:
    yield "# Command line\n"
    yield "Every command takes `--json` for one JSON document on stdout, and `--help`.\n"
    for words in _command_words():
        yield f"## {' '.join(['filmgate', *words])}\n"
        yield f"```\n{_help(words)}\n```\n"


def _command_words() -> Iterator[list[str]]:
    group = typer.main.get_command(cli.app)
    for name, command in getattr(group, "commands", {}).items():
        below = getattr(command, "commands", None)
        if below is None:
            yield [name]
        else:
            yield from ([name, inner] for inner in below)


def _help(words: list[str]) -> str:
    os.environ.pop("FILMGATE_DATA", None)
    result = CliRunner().invoke(
        cli.app, [*words, "--help"], prog_name="filmgate", env={"COLUMNS": "100", "NO_COLOR": "1"}
    )
    assert result.exit_code == 0, result.output
    text = re.sub(re.escape(str(Path.home())), "~", result.output)
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def _there(name: str) -> str | None:
    path = ROOT / name
    return path.read_text(encoding="utf-8") if path.exists() else None


_FAULTS: Final[Mapping[Fault, str]] = {
    Fault.CALLER: "The caller can act",
    Fault.PROVIDER: "Between Filmgate and a provider",
    Fault.OPERATOR: "Only the operator can act",
    Fault.OURS: "Ours",
}

PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "docs/concepts/task-lifecycle.md": lifecycle,
    "docs/reference/cli.md": commands,
    "docs/reference/errors.md": errors,
    "docs/reference/models.md": models,
    "docs/reference/settings.md": settings,
}

if __name__ == "__main__":
    sys.exit(main())
