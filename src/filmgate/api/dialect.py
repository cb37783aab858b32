"""What a wire dialect must say, and which one owns a path."""

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from filmgate.api import dialects
from filmgate.api.links import Links
from filmgate.api.routing import Route
from filmgate.api.submission import Order
from filmgate.api.web import Web
from filmgate.core.catalogue import Catalogue
from filmgate.core.delivery import Delivery
from filmgate.core.errors import FilmgateError
from filmgate.core.task import TERMINAL, Status, Task
from filmgate.ports import Ports

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What writing a task needs beside the task."""

    links: Links
    catalogue: Catalogue

    def expected_s(self, task: Task) -> int:
        """Return how long tasks of this model usually take; a model may have left the catalogue since."""
        model = self.catalogue.names.get(task.model_id.lower())
        return model.expected_s if model else 60


class Shown:
    """Tasks as a dialect writes them, encoded, and kept for the next who asks for the same.

    Most requests are polls that learn nothing new: a task changes only with its version, and its
    links only with their `era`.
    """

    def __init__(self, write: Callable[[Task, View], Json], view: View, *, most: int = 4_096) -> None:
        """Keep up to `most` of what `write` returns."""
        self._write = write
        self._view = view
        self._most = most
        self._kept: dict[tuple[str, int, int], msgspec.Raw] = {}

    def __call__(self, task: Task) -> msgspec.Raw:
        """Return the task's JSON."""
        known = (task.id, task.version, self._view.links.era())
        shown = self._kept.get(known)
        if shown is None:
            if len(self._kept) >= self._most:
                self._kept.clear()
            shown = self._kept[known] = msgspec.Raw(msgspec.json.encode(self._write(task, self._view)))
        return shown


TASK_EVENTS: Final[Mapping[Status, str]] = {status: f"task.{status}" for status in TERMINAL}


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """One wire language.

    `prefixes` are the paths it owns: `/v1/tasks` is that path and all below it, `/v1/tasks/` only
    what is below. `statuses` has a word for each status. `write_error` gets the HTTP status and the
    trace id, and `error` is the type of what it returns; `http` is where its HTTP statuses differ
    from everyone's. A webhook says which of `events` it is of, and what `write_envelope` adds around
    the task. `read_order` reads the fields of a submission, of which it `knows` these names.
    """

    name: str
    prefixes: tuple[str, ...]
    statuses: Mapping[Status, str]
    routes: Callable[[Ports, Web], Sequence[Route]]
    write_task: Callable[[Task, View], Json]
    write_error: Callable[[FilmgateError, int, str], Json]
    read_order: Callable[[Mapping[str, Any], Catalogue], Order]
    knows: frozenset[str]
    error: type
    http: Mapping[type[FilmgateError], int] = field(default_factory=dict)
    events: Mapping[Status, str] = field(default_factory=lambda: TASK_EVENTS)
    write_envelope: Callable[[Task, Delivery], Json] = lambda _task, _delivery: {}


def find_dialects() -> tuple[Dialect, ...]:
    """Return every dialect in the folder, in the order of their names."""
    names = sorted(module.name for module in pkgutil.iter_modules(dialects.__path__))
    return tuple(importlib.import_module(f"{dialects.__name__}.{name}").DIALECT for name in names)


NEUTRAL: Final = "openai"  # the most widely understood shape, for paths that are nobody's


class Owners:
    """The one table that says whose a path is: the longest prefix wins."""

    def __init__(self, known: Iterable[Dialect]) -> None:
        """Sort the prefixes, longest first."""
        known = tuple(known)
        self._neutral = next(dialect for dialect in known if dialect.name == NEUTRAL)
        pairs = [(prefix, dialect) for dialect in known for prefix in dialect.prefixes]
        self._prefixes = sorted(pairs, key=lambda pair: len(pair[0]), reverse=True)
        assert len({prefix for prefix, _ in pairs}) == len(pairs), "two dialects own the same prefix"

    def of(self, path: str) -> Dialect:
        """Return the dialect in which an error about `path` is said."""
        for prefix, dialect in self._prefixes:
            if path.startswith(prefix) and (
                prefix[-1] == "/" or len(path) == len(prefix) or path[len(prefix)] == "/"
            ):
                return dialect
        return self._neutral
