"""Dialect B, ByteSpike: task objects without an envelope, in the three spellings its pages show."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal

from pydantic import AwareDatetime, Field

from filmgate.api import sample
from filmgate.api.answer import Answer, Feed
from filmgate.api.call import Call
from filmgate.api.dialect import Dialect, Json, Shown, View
from filmgate.api.dialects.bytespike.reading import (
    FlatSubmit,
    TaskName,
    TaskSubmit,
    check_out_task_id,
    read_order,
)
from filmgate.api.dialects.bytespike.writing import (
    STATUSES,
    TaskErrorObject,
    TaskList,
    TaskObject,
    with_result_url,
    write_error,
    write_task,
)
from filmgate.api.links import Links
from filmgate.api.pages import PageQuery, list_tasks
from filmgate.api.routing import About, Route
from filmgate.api.schema import check
from filmgate.api.submission import submit, task_headers
from filmgate.api.waiting import until_ended
from filmgate.api.web import Web
from filmgate.api.wire import read_json
from filmgate.core.errors import InvalidRequest
from filmgate.core.task import Task
from filmgate.ports import Ports
from filmgate.service.cancel_task import cancel_task
from filmgate.service.read_tasks import read_task, read_task_named

NAME: Final = "bytespike"


def routes(ports: Ports, web: Web) -> Sequence[Route]:
    """Return the routes of all three generations of ByteSpike's task API, and our list."""
    view = View(links=Links(web, ports.clock), catalogue=ports.catalogue)
    on = _Handlers(ports, web, view, Shown(write_task, view))
    queued, completed, cancelled = (
        write_task(task, view) for task in (sample.QUEUED, sample.COMPLETED, sample.CANCELLED)
    )
    name = {"task_id": sample.QUEUED.id}
    submitted = partial(_about, submits=True, answer=queued, errors=(400, 401, 402, 409, 413, 415, 422, 429))
    found = partial(_about, waits=True, answer=completed)
    ended = partial(_about, answer=cancelled)
    streamed = partial(
        _about,
        answers=None,
        media_type="text/event-stream",
        statuses=(200, 204),
        errors=(400, 401, 404, 429),
    )
    return [
        Route(
            method="POST",
            path="/v1/tasks/submit",
            handle=on.submit,
            about=submitted("Submit a task", reads=(TaskSubmit, FlatSubmit), reading=_SUBMIT),
        ),
        Route(
            method="POST",
            path="/v1/tasks/query",
            handle=on.query_by_body,
            about=found("Read a task", reads=(TaskName,), reading=name),
        ),
        Route(
            method="GET",
            path="/v1/tasks/query",
            handle=on.query_by_address,
            about=found("Read a task", query=TaskName),
        ),
        Route(
            method="GET",
            path="/v1/tasks/list",
            handle=on.list,
            about=_about(
                "List tasks",
                query=TaskListQuery,
                answers=TaskList,
                answer=_a_page(completed),
                errors=(400, 401),
            ),
        ),
        Route(
            method="GET",
            path="/v1/tasks/stream/{task_id}",
            handle=on.stream_by_path,
            about=streamed("Follow a task (SSE)"),
        ),
        Route(
            method="GET",
            path="/v1/tasks/events",
            handle=on.stream_by_address,
            about=streamed("Follow a task (SSE)", query=TaskName),
        ),
        Route(
            method="POST",
            path="/v1/tasks/cancel",
            handle=on.cancel_by_body,
            about=ended("Cancel a task", reads=(TaskName,), reading=name),
        ),
        Route(
            method="POST",
            path="/v1/tasks/cancel/{task_id}",
            handle=on.cancel_by_path,
            about=ended("Cancel a task"),
        ),
        Route(
            method="POST",
            path="/v1/videos/generations",
            handle=on.submit_flat,
            about=submitted("Submit a task, flat", reads=(FlatSubmit,), reading=_FLAT),
        ),
        Route(
            method="GET",
            path="/v1/videos/tasks/{task_id}",
            handle=on.query_flat,
            about=found("Read a task, flat", answer=with_result_url(completed)),
        ),
    ]


@dataclass(frozen=True, slots=True)
class _Handlers:
    ports: Ports
    web: Web
    view: View
    shown: Shown

    async def submit(self, call: Call) -> Answer:
        return await self._submit(call, self.web.task_json_bytes, write_task)

    async def submit_flat(self, call: Call) -> Answer:
        return await self._submit(call, self.web.json_bytes, _write_flat)

    async def query_by_body(self, call: Call) -> Answer:
        return await self._patient(call, await self._find_named(call))

    async def query_by_address(self, call: Call) -> Answer:
        names = call.query
        return await self._patient(
            call, await self._find(call, names.get("task_id"), names.get("out_task_id"))
        )

    async def stream_by_path(self, call: Call) -> Feed:
        return Feed(await read_task(self.ports, call.key, call.params["task_id"]), self._write)

    async def stream_by_address(self, call: Call) -> Feed:
        names = call.query
        task = await self._find(call, names.get("task_id"), names.get("out_task_id"))
        return Feed(task, self._write)

    async def query_flat(self, call: Call) -> Answer:
        task = await read_task(self.ports, call.key, call.params["task_id"])
        task, waited = await until_ended(self.ports, call, task)
        return Answer(_write_flat(task, self.view), headers=[*task_headers(task), *waited])

    async def list(self, call: Call) -> Answer:
        asked = check(TaskListQuery, call.only(*TaskListQuery.model_fields))
        page = await list_tasks(
            self.ports,
            call,
            self.shown,
            status=_STATUS_OF[asked.status] if asked.status else None,
            model_id=self.ports.catalogue.find(asked.model).id if asked.model else None,
            dialect=asked.dialect,
            kind=asked.kind,
            created_from=asked.created_after,
            created_before=asked.created_before,
        )
        return Answer(page)

    async def cancel_by_path(self, call: Call) -> Answer:
        # The path's id beats whatever the body names.
        task = await read_task(self.ports, call.key, call.params["task_id"])
        return self._answer(await cancel_task(self.ports, task))

    async def cancel_by_body(self, call: Call) -> Answer:
        return self._answer(await cancel_task(self.ports, await self._find_named(call)))

    async def _submit(self, call: Call, most: int, write: Callable[[Task, View], Json]) -> Answer:
        order = read_order(await read_json(call, most=most), self.ports.catalogue)
        task, headers = await submit(self.ports, call, NAME, order)
        return Answer(write(task, self.view), headers=headers)

    async def _find_named(self, call: Call) -> Task:
        names = check(TaskName, await read_json(call, most=self.web.task_json_bytes))
        return await self._find(call, names.task_id, names.out_task_id)

    async def _find(self, call: Call, task_id: str | None, out_task_id: str | None) -> Task:
        if task_id and not out_task_id:
            return await read_task(self.ports, call.key, task_id)
        if out_task_id and not task_id:
            return await read_task_named(self.ports, call.key, check_out_task_id(out_task_id))
        raise InvalidRequest("exactly one of task_id and out_task_id is needed", param="task_id")

    def _write(self, task: Task) -> Json:
        return write_task(task, self.view)

    async def _patient(self, call: Call, task: Task) -> Answer:
        return self._answer(*await until_ended(self.ports, call, task))

    def _answer(self, task: Task, headers: Iterable[tuple[bytes, bytes]] = ()) -> Answer:
        return Answer(self.shown(task), headers=[*task_headers(task), *headers])


def _write_flat(task: Task, view: View) -> Json:
    return with_result_url(write_task(task, view))


_STATUS_OF: Final = {word: status for status, word in STATUSES.items()}


class TaskListQuery(PageQuery):
    """Which tasks to list."""

    status: Literal["pending", "running", "completed", "failed", "cancelled"] | None = None
    model: str | None = Field(None, description="By any of its names.")
    dialect: str | None = Field(None, description="Which one the task came in by.")
    kind: Literal["video", "image"] | None = None
    created_after: AwareDatetime | None = Field(None, description="Unix seconds or ISO 8601; inclusive.")
    created_before: AwareDatetime | None = Field(None, description="Unix seconds or ISO 8601; exclusive.")


# --- what the documentation says ----------------------------------------------------------------

_PROMPT: Final = "a lighthouse at dusk, waves, slow zoom"
_SUBMIT: Final = {
    "model": "studio",
    "params": {"prompt": _PROMPT, "duration_seconds": 5, "resolution": "720p"},
}
_FLAT: Final = {"model": "studio", "prompt": _PROMPT, "duration_seconds": 5, "size": "1280x720"}


def _about(summary: str, **more: Any) -> About:  # noqa: ANN401  (the fields of About)
    usual: dict[str, Any] = {"tag": "Tasks (ByteSpike)", "answers": TaskObject, "errors": (400, 401, 404)}
    return About(**(usual | more), summary=summary)


def _a_page(task: object) -> dict[str, object]:
    found = sample.COMPLETED.id
    return {"object": "list", "data": [task], "first_id": found, "last_id": found, "has_more": False}


DIALECT: Final = Dialect(
    name=NAME,
    prefixes=(
        "/v1/tasks/",
        "/v1/videos/generations",
        "/v1/videos/tasks",
        "/v1/balance",
        "/api/v1/me",
        "/api/v1/keys",
    ),
    statuses=STATUSES,
    routes=routes,
    write_task=write_task,
    write_error=write_error,
    read_order=read_order,
    knows=FlatSubmit.known_names(),
    error=TaskErrorObject,
)
