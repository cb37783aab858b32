"""Which handler answers which path."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from re import Pattern
from typing import Any, Final

from pydantic import BaseModel
from starlette.routing import compile_path

from filmgate.api.answer import Answer, Feed, Stream
from filmgate.api.call import Call

Handler = Callable[[Call], Awaitable[Answer | Stream | Feed]]

_NO_PARAMS: Final[Mapping[str, str]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What the OpenAPI document says of a route.

    `reads` are the shapes of the body, which with `forms` may be a form too, `query` the fields of the
    address. `answers` is the type of a JSON answer; a route without one answers with `media_type`.
    `reading` and `answer` are examples of the two.
    """

    tag: str
    summary: str
    reads: tuple[type[BaseModel], ...] = ()
    reading: object = None
    forms: bool = False
    query: type[BaseModel] | None = None
    answers: Any = None
    answer: object = None
    media_type: str = "application/json"
    statuses: tuple[int, ...] = (200,)
    errors: tuple[int, ...] = ()
    submits: bool = False  # stores a task: `Idempotency-Key`
    waits: bool = False  # can be a long poll: `wait`, `Prefer`


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One method of one path; `{name}` stands for one segment. Only a route with `open` needs no key."""

    method: str
    path: str
    handle: Handler
    open: bool = False
    about: About | None = None


Methods = Mapping[str, Route]


class Table:
    """All routes. A literal path wins over one with names in it, and its lookup costs one hash.

    Starlette's router would try every route in turn and know only the first one's methods for a 405.
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        """Index the routes, and refuse two for the same method and path."""
        literal: dict[str, dict[str, Route]] = {}
        shaped: dict[int, dict[str, tuple[Pattern[str], dict[str, Route]]]] = {}
        for route in routes:
            if "{" in route.path:
                regex, _, _ = compile_path(route.path)
                peers = shaped.setdefault(route.path.count("/"), {})
                methods = peers.setdefault(route.path, (regex, {}))[1]
            else:
                methods = literal.setdefault(route.path, {})
            for method in (route.method, "HEAD") if route.method == "GET" else (route.method,):
                assert method not in methods, f"two routes for {method} {route.path}"
                methods[method] = route
        self._literal = literal
        self._shaped = {slashes: list(peers.values()) for slashes, peers in shaped.items()}

    def find(self, path: str) -> tuple[Methods, Mapping[str, str]] | None:
        """Return the routes of this path by method, and the values of the names in it."""
        methods = self._literal.get(path)
        if methods is not None:
            return methods, _NO_PARAMS
        for regex, methods in self._shaped.get(path.count("/"), ()):
            match = regex.match(path)
            if match is not None:
                return methods, match.groupdict()
        return None
