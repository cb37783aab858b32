"""Our tasks and errors as ByteSpike's task objects."""

from collections.abc import Mapping
from typing import Final, Literal, NotRequired, TypedDict

from filmgate.api.dialect import Json, View
from filmgate.api.shapes import shown_ratio, shown_resolution
from filmgate.api.times import iso, iso_or_none
from filmgate.core import errors
from filmgate.core.errors import FilmgateError
from filmgate.core.generation import OutputKind
from filmgate.core.pricing import credits_of
from filmgate.core.task import Output, Status, Task

STATUSES: Final[Mapping[Status, str]] = {
    Status.QUEUED: "pending",
    Status.RUNNING: "running",
    Status.SUCCEEDED: "completed",
    Status.FAILED: "failed",
    Status.CANCELLED: "cancelled",
}


class TaskOutput(TypedDict):
    """One finished film or picture."""

    type: Literal["video", "image"]
    url: str
    mime_type: str
    duration_seconds: NotRequired[float | None]
    width: int | None
    height: int | None
    size_bytes: int


class TaskResult(TypedDict):
    """The same results in the older spelling: as they were asked for."""

    aspect_ratio: str
    resolution: str
    video_url: NotRequired[str | None]
    duration_seconds: NotRequired[int]
    image_url: NotRequired[str | None]
    image_urls: NotRequired[list[str]]
    last_frame_url: NotRequired[str]
    thumbnail_url: NotRequired[str]
    spritesheet_url: NotRequired[str]


class TaskObject(TypedDict):
    """A task. Each field is there only when it is due; times are ISO 8601, money is credits."""

    task_id: str
    out_task_id: NotRequired[str]
    status: Literal["pending", "running", "completed", "failed", "cancelled"]
    model: str
    progress: int
    submitted_at: str
    updated_at: str
    provider: str
    estimated_credits: NotRequired[float]
    estimated_seconds: NotRequired[int]
    output: NotRequired[list[TaskOutput]]
    credits_used: NotRequired[float]
    result: NotRequired[TaskResult]
    credits: NotRequired[float]
    completed_at: NotRequired[str]
    result_url: NotRequired[str | None]
    error_code: NotRequired[str]
    error_message: NotRequired[str]


class TaskList(TypedDict):
    """A page of tasks."""

    object: Literal["list"]
    data: list[TaskObject]
    first_id: str | None
    last_id: str | None
    has_more: bool


class TaskErrorDetail(TypedDict):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    code: str


class TaskErrorObject(TypedDict):
    """A refused request."""

    error: TaskErrorDetail


def write_task(task: Task, view: View) -> Json:
    """Return a task as a query shows it; each field is there only when it is due."""
    found: Json = {"task_id": task.id}
    if task.out_task_id is not None:
        found["out_task_id"] = task.out_task_id
    found |= {
        "status": STATUSES[task.status],
        "model": task.model,
        "progress": task.progress,
        "submitted_at": iso(task.created_at),
        "updated_at": iso(task.updated_at),
        "provider": task.route.provider,
    }
    if task.status is Status.SUCCEEDED:
        return found | _completed(task, view)
    found["estimated_credits"] = credits_of(task.quote.amount)
    found["estimated_seconds"] = view.expected_s(task)
    if task.status is Status.FAILED:
        found["error_code"] = task.error.code if task.error else "failed"
        found["error_message"] = task.error.message if task.error else "failed"
    return found


def _completed(task: Task, view: View) -> Json:
    """Return the results in both of ByteSpike's spellings."""
    used = credits_of(task.charged)
    found = list(zip(task.outputs, view.links.to(*task.outputs, until=task.result_expires_at), strict=True))
    links = {output.kind: link for output, link in reversed(found)}  # of each kind the first
    made = [_output(output, link) for output, link in found if output.kind in _MAIN]
    result: Json = {
        "aspect_ratio": shown_ratio(task.generation),
        "resolution": shown_resolution(task.generation),
    }
    if task.generation.duration_s:
        result["video_url"] = links.get(OutputKind.VIDEO)
        result["duration_seconds"] = task.generation.duration_s
    else:
        result["image_url"] = links.get(OutputKind.IMAGE)
        result["image_urls"] = [output["url"] for output in made]
    for kind in (OutputKind.LAST_FRAME, OutputKind.THUMBNAIL, OutputKind.SPRITESHEET):
        if kind in links:
            result[f"{kind}_url"] = links[kind]
    return {
        "output": made,
        "credits_used": used,
        "result": result,
        "credits": used,
        "completed_at": iso_or_none(task.finished_at),
    }


_MAIN: Final = frozenset({OutputKind.VIDEO, OutputKind.IMAGE})


def _output(output: Output, url: str) -> Json:
    item: Json = {"type": output.kind.value, "url": url, "mime_type": output.mime}
    if output.kind is OutputKind.VIDEO:
        item["duration_seconds"] = output.duration_s
    return item | {"width": output.width, "height": output.height, "size_bytes": output.size_bytes}


def with_result_url(found: Json) -> Json:
    """Add what the oldest pages read."""
    result = found.get("result")
    if result is not None:
        found["result_url"] = result.get("video_url") or result.get("image_url")
    return found


_TYPES: Final = {
    401: "authentication_error",
    402: "insufficient_balance",
    404: "not_found_error",
    429: "rate_limit_error",
}
_CODES: Final[Mapping[type[FilmgateError], str]] = {
    errors.ModelNotFound: "model_not_found",
    errors.InvalidRequest: "invalid_param",
    errors.InsufficientCredits: "insufficient_balance",
}


def write_error(error: FilmgateError, status: int, _trace_id: str) -> Json:
    """Return an error in the OpenAI envelope, with ByteSpike's codes."""
    return {
        "error": {
            "message": error.message,
            "type": _TYPES.get(status, "invalid_request_error" if status < 500 else "api_error"),  # noqa: PLR2004
            "param": error.param,
            "code": _code(error),
        }
    }


def _code(error: FilmgateError) -> str:
    if _is_reused(error):
        return "duplicate_out_task_id"
    return next((_CODES[kind] for kind in type(error).__mro__ if kind in _CODES), error.code)


def _is_reused(error: FilmgateError) -> bool:
    return isinstance(error, errors.IdempotencyMismatch) and error.param == "out_task_id"
