"""One HTTP request, as a handler sees it."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope

from filmgate.api.undelivered import Undelivered
from filmgate.api.web import Web
from filmgate.core.errors import InvalidRequest
from filmgate.core.keys import Key

MOST_PARAMS: Final = 100


class Call:
    """A request whose route was found. `key` is who asks; only open routes have none.

    `if_undelivered` is called if the client has gone before it could be sent its answer. `stopping` is
    set once nobody should wait here any longer.
    """

    def __init__(  # noqa: PLR0913  (what one request consists of)
        self,
        scope: Scope,
        receive: Receive,
        web: Web,
        *,
        trace_id: str,
        params: Mapping[str, str],
        key: Key | None,
        undelivered: Undelivered,
        stopping: asyncio.Event,
    ) -> None:
        """Keep the parts; nothing is parsed before somebody asks for it."""
        self.scope = scope
        self.receive = receive
        self.web = web
        self.trace_id = trace_id
        self.params = params
        self.undelivered = undelivered
        self.stopping = stopping
        self.if_undelivered: Callable[[], None] | None = None
        self._key = key
        self._pairs: list[tuple[str, str]] | None = None
        self._query: dict[str, str] | None = None

    @property
    def key(self) -> Key:
        """The key of a route that needs one."""
        assert self._key is not None, "an open route asks for no key"
        return self._key

    @property
    def method(self) -> str:
        """The HTTP method, in capitals."""
        method: str = self.scope["method"]
        return method

    def header(self, name: bytes) -> str | None:
        """Return a header by its name in small letters."""
        for found, value in self.scope["headers"]:
            if found == name:
                text: bytes = value
                return text.decode("latin-1")
        return None

    @property
    def query_pairs(self) -> list[tuple[str, str]]:
        """The query string's names and values, in order."""
        if self._pairs is None:
            self._pairs = _read_query(self.scope["query_string"])
        return self._pairs

    @property
    def query(self) -> Mapping[str, str]:
        """The query string; of a name said twice the last counts."""
        if self._query is None:
            self._query = dict(self.query_pairs) if self.scope["query_string"] else {}
        return self._query

    def only(self, *names: str) -> dict[str, Any]:
        """Return those query parameters that were given a value."""
        query = self.query
        return {name: query[name] for name in names if query.get(name)}


def _read_query(raw: bytes) -> list[tuple[str, str]]:
    if (
        raw.isascii()
        and b"\0" not in raw
        and b"%" not in raw
        and b"+" not in raw
        and raw.count(b"&") < MOST_PARAMS
    ):
        # Nothing to decode, as in every poll.
        parts = [part.partition("=") for part in raw.decode().split("&") if part]
        return [(name, value) for name, _, value in parts]
    try:
        pairs = parse_qsl(
            raw.decode("ascii"), keep_blank_values=True, max_num_fields=MOST_PARAMS, errors="strict"
        )
    except ValueError as error:
        raise InvalidRequest("the query string cannot be read") from error
    if any("\0" in name or "\0" in value for name, value in pairs):
        raise InvalidRequest("the query string contains a NUL character")
    return pairs
