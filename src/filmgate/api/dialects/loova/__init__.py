"""Dialect A, Loova: an envelope of code, trace_id, message and data; tasks are polled by task_id."""

from collections.abc import Sequence
from functools import partial
from typing import Final

from filmgate.api import sample
from filmgate.api.answer import Answer
from filmgate.api.call import Call
from filmgate.api.dialect import Dialect, Shown, View
from filmgate.api.dialects.loova.reading import LoovaCreate, LoovaLegacy, from_legacy, read_order
from filmgate.api.dialects.loova.writing import (
    STATUSES,
    LoovaCreatedEnvelope,
    LoovaError,
    LoovaTaskEnvelope,
    envelope,
    reason_of,
    write_created,
    write_error,
    write_task,
)
from filmgate.api.links import Links
from filmgate.api.routing import About, Handler, Route
from filmgate.api.schema import Body
from filmgate.api.submission import submit, task_headers
from filmgate.api.waiting import until_ended
from filmgate.api.web import Web
from filmgate.api.wire import read_body
from filmgate.core.errors import InvalidRequest
from filmgate.ports import Ports
from filmgate.service.read_tasks import read_task

NAME: Final = "loova"


def routes(ports: Ports, web: Web) -> Sequence[Route]:
    """Return the routes, under every base path that Loova's pages and scripts use."""
    view = View(links=Links(web, ports.clock), catalogue=ports.catalogue)
    shown = Shown(write_task, view)

    def create(*, legacy: bool = False) -> Handler:
        async def handle(call: Call) -> Answer:
            async with read_body(call) as body:
                fields = from_legacy(body.fields) if legacy else body.fields
                order = read_order(fields, ports.catalogue)
                task, headers = await submit(ports, call, NAME, order, uploads=body.uploads)
            return Answer(envelope(call.trace_id, "success", write_created(task)), headers=headers)

        return handle

    async def status(call: Call) -> Answer:
        task_id = call.query.get("task_id")
        if not task_id:
            raise InvalidRequest("task_id: is required", param="task_id")
        task, waited = await until_ended(ports, call, await read_task(ports, call.key, task_id))
        content = envelope(call.trace_id, reason_of(task), shown(task))
        return Answer(content, headers=[*task_headers(task), *waited])

    created = partial(
        About,
        tag=_TAG,
        forms=True,
        submits=True,
        answers=LoovaCreatedEnvelope,
        answer=envelope(_TRACE, "success", write_created(sample.QUEUED)),
        errors=(400, 401, 402, 413, 415, 422, 429),
    )
    polled = About(
        tag=_TAG,
        summary="Get a task's status",
        query=LoovaQuery,
        answers=LoovaTaskEnvelope,
        answer=envelope(_TRACE, None, write_task(sample.COMPLETED, view)),
        errors=(400, 401, 404),
        waits=True,
    )
    create_now = created(summary="Create a Seedance 2 task", reads=(LoovaCreate,), reading=_CREATE)
    create_before = created(summary="Create a task, the older form", reads=(LoovaLegacy,), reading=_LEGACY)
    return [
        *(Route(method="GET", path=path, handle=status, about=polled) for path in _POLLED),
        *(Route(method="POST", path=path, handle=create(), about=create_now) for path in _CREATED),
        Route(method="POST", path="/v1/img2vid", handle=create(legacy=True), about=create_before),
    ]


_CREATED: Final = ("/api/v1/video/seedance-2", "/v1/video/seedance-2")
_POLLED: Final = ("/api/v1/tasks", "/v1/tasks", "/api/tasks", "/v1/video_item")


class LoovaQuery(Body):
    """Which task to read."""

    task_id: str


# --- what the documentation says ----------------------------------------------------------------

_TAG: Final = "Seedance tasks (Loova)"
_TRACE: Final = "8dcb805a5b69fbe2986545f9039fabf3"
_CREATE: Final = {"prompt": "a lighthouse at dusk, waves, slow zoom", "ratio": "16:9", "duration": 5}
_LEGACY: Final = {"model": "seedance_2_0", "params": _CREATE}

DIALECT: Final = Dialect(
    name=NAME,
    prefixes=("/api", "/v1/video", "/v1/tasks", "/v1/img2vid", "/v1/video_item"),
    statuses=STATUSES,
    routes=routes,
    write_task=write_task,
    write_error=write_error,
    read_order=read_order,
    knows=LoovaCreate.known_names(),
    error=LoovaError,
)
