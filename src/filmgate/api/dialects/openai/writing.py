"""Our tasks and errors as video objects: a superset that OpenAI's and Token360's clients both read."""

from collections.abc import Mapping
from typing import Any, Final, Literal, TypedDict

from filmgate.api.dialect import Json, View
from filmgate.api.shapes import shown_ratio, shown_resolution
from filmgate.api.times import unix, unix_or_none
from filmgate.core import errors
from filmgate.core.delivery import Delivery
from filmgate.core.errors import FilmgateError
from filmgate.core.generation import MediaKind, MediaRole, OutputKind
from filmgate.core.task import Status, Task

STATUSES: Final[Mapping[Status, str]] = {
    Status.QUEUED: "queued",
    Status.RUNNING: "in_progress",
    Status.SUCCEEDED: "completed",
    Status.FAILED: "failed",
    Status.CANCELLED: "failed",
}


class VideoParameters(TypedDict):
    """What is made, as it was asked for or by default."""

    duration: int
    resolution: str
    aspect_ratio: str
    seed: int | None
    audio: bool
    watermark: bool
    video_mode: Literal["t2v", "i2v_first_frame", "i2v_first_last_frame", "reference", "remix"]


class VideoContent(TypedDict):
    """What goes with a finished film."""

    last_frame_url: str | None
    thumbnail_url: str | None


class VideoError(TypedDict):
    """Why a video failed."""

    code: str
    message: str


class Video(TypedDict):
    """A task as a video object. Times are Unix seconds, `seconds` is a text, as OpenAI has it."""

    id: str
    object: Literal["video"]
    model: str
    status: Literal["queued", "in_progress", "completed", "failed"]
    progress: int
    created_at: int
    updated_at: int
    completed_at: int | None
    expires_at: int | None
    prompt: str
    seconds: str
    size: str
    duration: int
    parameters: VideoParameters
    url: str | None
    video_url: str | None
    content: VideoContent
    remixed_from_video_id: str | None
    error: VideoError | None
    request_id: str | None
    metadata: dict[str, Any]
    provider: str


class VideoList(TypedDict):
    """A page of videos."""

    object: Literal["list"]
    data: list[Video]
    first_id: str | None
    last_id: str | None
    has_more: bool


class VideoDeleted(TypedDict):
    """What is said of a deleted video."""

    id: str
    object: Literal["video.deleted"]
    deleted: bool


class ContentLink(TypedDict):
    """A link to the content, good for `expires_in` seconds without a key."""

    url: str
    video_id: str
    expires_in: int


class ErrorDetail(TypedDict):
    """What went wrong. `code` is the HTTP status as a text."""

    message: str
    type: str
    param: str | None
    code: str


class OpenAIError(TypedDict):
    """A refused request."""

    error: ErrorDetail


def write_task(task: Task, view: View) -> Json:
    """Return a task as a video object."""
    generation = task.generation
    url = frame = thumbnail = None
    if task.status is Status.SUCCEEDED:
        found = list(
            zip(task.outputs, view.links.to(*task.outputs, until=task.result_expires_at), strict=True)
        )
        links = {output.kind: link for output, link in reversed(found)}  # of each kind the first
        url = links.get(OutputKind.VIDEO) or links.get(OutputKind.IMAGE)
        frame = links.get(OutputKind.LAST_FRAME)
        thumbnail = links.get(OutputKind.THUMBNAIL)
    return {
        "id": task.id,
        "object": "video",
        "model": task.model,
        "status": STATUSES[task.status],
        "progress": 100 if task.status is Status.SUCCEEDED else task.progress,
        "created_at": unix(task.created_at),
        "updated_at": unix(task.updated_at),
        "completed_at": unix_or_none(task.finished_at),
        "expires_at": unix_or_none(task.result_expires_at) if task.status is Status.SUCCEEDED else None,
        "prompt": generation.prompt,
        "seconds": str(generation.duration_s),
        "size": f"{generation.width}x{generation.height}",
        "duration": generation.duration_s,
        "parameters": {
            "duration": generation.duration_s,
            "resolution": shown_resolution(generation),
            "aspect_ratio": shown_ratio(generation),
            "seed": generation.seed,
            "audio": generation.audio,
            "watermark": generation.watermark,
            "video_mode": _mode(task),
        },
        "url": url,
        "video_url": url,
        "content": {"last_frame_url": frame, "thumbnail_url": thumbnail},
        "remixed_from_video_id": task.remixed_from,
        "error": _error(task),
        "request_id": task.request_id,
        "metadata": dict(task.metadata),
        "provider": task.route.provider,
    }


def _error(task: Task) -> Json | None:
    match task.status:
        case Status.CANCELLED:
            return {"code": "cancelled", "message": "the task was cancelled"}
        case Status.FAILED:
            code, message = (task.error.code, task.error.message) if task.error else ("failed", "failed")
            return {"code": code, "message": message}
        case Status.QUEUED | Status.RUNNING | Status.SUCCEEDED:
            return None


def _mode(task: Task) -> str:
    """Return Token360's word for what goes in."""
    if task.remixed_from is not None:
        return "remix"
    roles = {(media.kind, media.role) for media in task.generation.media}
    if (MediaKind.IMAGE, MediaRole.LAST_FRAME) in roles:
        return "i2v_first_last_frame"
    if (MediaKind.IMAGE, MediaRole.FIRST_FRAME) in roles:
        return "i2v_first_frame"
    return "reference" if roles else "t2v"


_TYPES: Final[Mapping[type[FilmgateError], str]] = {
    errors.ModelNotFound: "model_not_found",
    errors.Unauthenticated: "invalid_api_key",
    errors.InsufficientCredits: "insufficient_balance",
    errors.NotFound: "not_found_error",
    errors.QueueFull: "rate_limit_error",
    errors.TooManyStreams: "rate_limit_error",
}


def write_error(error: FilmgateError, status: int, _trace_id: str) -> Json:
    """Return an error: the HTTP status as text in `code`, as Token360's examples have it."""
    usual = "invalid_request_error" if status < 500 else "api_error"  # noqa: PLR2004
    kind = next((_TYPES[kind] for kind in type(error).__mro__ if kind in _TYPES), usual)
    return {
        "error": {
            "message": error.message,
            "type": kind,
            "param": error.param,
            "code": str(status),
        }
    }


EVENTS: Final[Mapping[Status, str]] = {
    Status.SUCCEEDED: "video.completed",
    Status.FAILED: "video.failed",
    Status.CANCELLED: "video.failed",
}


def write_envelope(task: Task, delivery: Delivery) -> Json:
    """Return what OpenAI's clients find around the video in a webhook, and Token360's `request_id`."""
    found: Json = {"id": delivery.id, "object": "event", "created_at": unix(delivery.created_at)}
    return found if task.request_id is None else found | {"request_id": task.request_id}
