"""Our tasks and errors in Loova's envelope."""

from collections.abc import Mapping
from typing import Final, Literal, NotRequired, TypedDict

from filmgate.api.dialect import Json, View
from filmgate.api.times import iso, iso_or_none
from filmgate.core.errors import FilmgateError, Unauthenticated
from filmgate.core.generation import OutputKind
from filmgate.core.pricing import credits_of
from filmgate.core.task import Status, Task

# Loova's clients stop on succeeded and failed and on nothing else.
STATUSES: Final[Mapping[Status, str]] = {
    Status.QUEUED: "running",
    Status.RUNNING: "running",
    Status.SUCCEEDED: "succeeded",
    Status.FAILED: "failed",
    Status.CANCELLED: "failed",
}


class LoovaCreated(TypedDict):
    """A new task. `credits_cost` is what is held."""

    task_id: str
    status: Literal["running", "succeeded", "failed"]
    created_at: str
    credits_cost: float
    provider: str


class LoovaResult(TypedDict):
    """What became of a task."""

    status: Literal["succeeded", "failed"]
    video_url: str | None
    error_message: str | None
    finished_at: str | None
    last_frame_url: NotRequired[str]
    image_urls: NotRequired[list[str]]


class LoovaTask(TypedDict):
    """A task; `result` is null until it has ended."""

    task_id: str
    status: Literal["running", "succeeded", "failed"]
    model: str
    created_at: str
    updated_at: str
    credits_cost: float
    result: LoovaResult | None
    progress: int
    provider: str


class LoovaCreatedEnvelope(TypedDict):
    """The answer to a submission."""

    code: int
    trace_id: str
    message: str | None
    data: LoovaCreated


class LoovaTaskEnvelope(TypedDict):
    """The answer to a poll. `message` is why a task failed, else null."""

    code: int
    trace_id: str
    message: str | None
    data: LoovaTask


class LoovaError(TypedDict):
    """A refused request: `code` is the HTTP status."""

    code: int
    trace_id: str
    message: str
    data: None


def write_task(task: Task, view: View) -> Json:
    """Return a task as the `data` of a status answer."""
    return {
        "task_id": task.id,
        "status": STATUSES[task.status],
        "model": task.model,
        "created_at": iso(task.created_at),
        "updated_at": iso(task.updated_at),
        "credits_cost": _cost(task),
        "result": _result(task, view) if task.ended else None,
        "progress": task.progress,
        "provider": task.route.provider,
    }


def write_created(task: Task) -> Json:
    """Return a task as the `data` of the answer to its submission."""
    return {
        "task_id": task.id,
        "status": STATUSES[task.status],
        "created_at": iso(task.created_at),
        "credits_cost": _cost(task),
        "provider": task.route.provider,
    }


def _result(task: Task, view: View) -> Json:
    result: Json = {
        "status": STATUSES[task.status],
        "video_url": None,
        "error_message": reason_of(task),
        "finished_at": iso_or_none(task.finished_at),
    }
    if task.status is Status.SUCCEEDED:
        found = list(
            zip(task.outputs, view.links.to(*task.outputs, until=task.result_expires_at), strict=True)
        )
        main = [link for output, link in found if output.kind in _MAIN]
        result["video_url"] = main[0] if main else None
        for output, link in found:
            if output.kind is OutputKind.LAST_FRAME:
                result["last_frame_url"] = link
            elif output.kind is OutputKind.IMAGE:
                result["image_urls"] = main
    return result


_MAIN: Final = frozenset({OutputKind.VIDEO, OutputKind.IMAGE})


def _cost(task: Task) -> int | float:
    """Return the hold while the task runs, what was billed if it succeeded, and else nothing."""
    if task.status is Status.SUCCEEDED:
        return credits_of(task.charged)
    return 0 if task.ended else credits_of(task.quote.amount)


def reason_of(task: Task) -> str | None:
    """Return why a task failed: Loova's scripts print it, so it must not say success."""
    match task.status:
        case Status.CANCELLED:
            return "cancelled"
        case Status.FAILED:
            return task.error.message if task.error else "failed"
        case Status.QUEUED | Status.RUNNING | Status.SUCCEEDED:
            return None


def envelope(trace_id: str, message: str | None, data: object) -> Json:
    """Return a good answer: 200 even for a failed task, or clients that raise would never read why."""
    return {"code": 200, "trace_id": trace_id, "message": message, "data": data}


def write_error(error: FilmgateError, status: int, trace_id: str) -> Json:
    """Return the envelope of a request that failed: its code is the HTTP status."""
    message = "Authentication failed" if isinstance(error, Unauthenticated) else error.message
    return {"code": status, "trace_id": trace_id, "message": message, "data": None}
