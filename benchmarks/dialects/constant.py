"""The limit for polls: a dialect whose every answer is known beforehand.

Being in this folder, which `benchmarks.serve` adds to the dialects' own, registers it: so it has
the same server, application, authentication and answers as the others, and nothing else to do.
Its paths are literal ones, whose lookup is the cheapest there is.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from filmgate.api.answer import Answer
from filmgate.api.call import Call
from filmgate.api.dialect import Dialect, Json
from filmgate.api.routing import Handler, Route
from filmgate.api.submission import Order
from filmgate.api.web import Web
from filmgate.api.wire import read_json
from filmgate.core.catalogue import Catalogue
from filmgate.core.errors import FilmgateError, InvalidRequest
from filmgate.core.task import Status, Task
from filmgate.ports import Ports

# One for each kind of answer, so that each is compared with a constant one of its own size.
PATHS: Final = tuple(f"/bench/constant-{n}" for n in range(6))


def routes(_: Ports, web: Web) -> Sequence[Route]:
    """Return for each path a route that says what it is told, and one that tells it."""
    return [route for path in PATHS for route in _constant(path, web)]


def _constant(path: str, web: Web) -> Sequence[Route]:
    body = msgspec.Raw(b"{}")
    task_id = b""

    async def say(_: Call) -> Answer:
        return Answer(body, headers=[(b"x-filmgate-task-id", task_id)])

    async def learn(call: Call) -> Answer:
        nonlocal body, task_id
        told = await read_json(call, most=web.task_json_bytes)
        body, task_id = msgspec.Raw(told["body"].encode()), told["task_id"].encode()
        return Answer({})

    handlers: dict[str, Handler] = {"GET": say, "PUT": learn}
    return [Route(method=method, path=path, handle=handle) for method, handle in handlers.items()]


def _write_task(_task: Task, _view: object) -> Json:
    return {}


def _write_error(error: FilmgateError, _status: int, _trace_id: str) -> Json:
    return {"error": error.code}


def _read_order(_fields: Mapping[str, Any], _catalogue: Catalogue) -> Order:
    raise InvalidRequest("nothing can be submitted here")


DIALECT: Final = Dialect(
    name="constant",
    prefixes=("/bench/",),
    statuses={status: status.value for status in Status},
    routes=routes,
    write_task=_write_task,
    write_error=_write_error,
    read_order=_read_order,
    knows=frozenset(),
    error=dict,
)
