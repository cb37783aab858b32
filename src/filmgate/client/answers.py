"""What a server's answers mean: tasks, events, models and refusals as values."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, Literal, TypeVar

from filmgate.client import errors
from filmgate.client.steps import Heard, Reply

T = TypeVar("T")

Json = Mapping[str, Any]

CANCELLED: Final = "cancelled"


class Status(StrEnum):
    """How a task stands; the last three are final."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


_STATUSES: Final = {
    "queued": Status.QUEUED,
    "in_progress": Status.RUNNING,
    "completed": Status.SUCCEEDED,
    "failed": Status.FAILED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskError:
    """Why a task failed: `code` is stable, `message` is for people."""

    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A task as the server last showed it.

    `progress` is 0 to 100, lengths are seconds, times are UTC. The URLs are signed, need no key and
    work until they expire: read the task again for fresh ones. `raw` is the whole answer.
    """

    id: str
    status: Status
    progress: int
    model: str
    provider: str | None
    prompt: str
    duration_s: int
    width: int
    height: int
    seed: int | None
    created_at: datetime
    finished_at: datetime | None
    expires_at: datetime | None
    url: str | None
    thumbnail_url: str | None
    last_frame_url: str | None
    error: TaskError | None
    metadata: Json = field(hash=False)
    raw: Json = field(repr=False, compare=False)

    @property
    def ended(self) -> bool:
        """Whether the task has reached its final status."""
        return self.status not in {Status.QUEUED, Status.RUNNING}


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened to a task, and how it stood then."""

    kind: Literal["status", "progress"]
    id: str
    task: Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model that can be asked for; `kind` is what it makes, `raw` has its limits and its price."""

    id: str
    kind: Literal["video", "image"]
    aliases: tuple[str, ...]
    provider: str
    expected_s: float
    raw: Json = field(repr=False, compare=False)


def id_of(task: Task | str) -> str:
    """Return the id of a task, or the id itself."""
    return task if isinstance(task, str) else task.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a submission would make, by whom, for how many credits and in about how long."""

    credits: float
    expected_s: float
    provider: str
    duration_s: int
    width: int
    height: int


# --- reading ------------------------------------------------------------------------------------


def read_task(video: Json) -> Task:
    """Return the task that a video object shows."""
    return _understood(_task, video)


def read_models(answer: Json) -> tuple[Model, ...]:
    """Return the models of a list."""
    return _understood(lambda found: tuple(_model(model) for model in found["data"]), answer)


def read_estimate(answer: Json) -> Estimate:
    """Return what a submission would be."""
    return _understood(_estimate, answer)


def read_event(heard: Heard) -> Event | None:
    """Return one event of a stream, None for what is not about the task."""
    match heard.event:
        case "status" | "progress" as kind:
            return Event(kind=kind, id=heard.id, task=read_task(_json(heard.data)))
        case _:
            return None


def read_document(reply: Reply) -> Json:
    """Return the JSON object of an answer, or raise what a refusal means."""
    check(reply)
    return _json(reply.body)


def check(reply: Reply) -> None:
    """Raise what a refusal means."""
    if reply.status < 400:  # noqa: PLR2004
        return
    said = _refusal(reply)
    message = said.get("message") or f"the server answered {reply.status}"
    raise _kind(reply.status)(
        str(message),
        status=reply.status,
        code=str(reply.headers.get("x-filmgate-error") or said.get("type") or said.get("code") or ""),
        param=said.get("param"),
        request_id=reply.headers.get("x-request-id"),
    )


def check_stream(reply: Reply) -> None:
    """Raise what a refusal means, or BadAnswer if this is no event stream."""
    check(reply)
    kind = reply.headers.get("content-type", "").partition(";")[0].strip()
    if kind != "text/event-stream":
        raise errors.BadAnswer(f"the answer should be a stream of events and is {kind or 'nothing known'}")


def _refusal(reply: Reply) -> Json:
    try:
        error = _json(reply.body).get("error")
    except errors.BadAnswer:  # something between us and the server speaks for itself
        return {}
    return error if isinstance(error, dict) else {}


def _kind(status: int) -> type[errors.ApiError]:
    if status >= 500:  # noqa: PLR2004
        return errors.ServerError
    return _KINDS.get(status, errors.InvalidRequest)


_KINDS: Final[Mapping[int, type[errors.ApiError]]] = {
    401: errors.Unauthenticated,
    402: errors.InsufficientCredits,
    404: errors.NotFound,
    409: errors.Conflict,
    429: errors.RateLimited,
}


def _json(text: str | bytes) -> Json:
    try:
        document = json.loads(text)
    except ValueError as error:
        raise errors.BadAnswer(f"the server's answer is no JSON: {text[:100]!r}") from error
    if not isinstance(document, dict):
        raise errors.BadAnswer(f"the server's answer is no object: {text[:100]!r}")
    return document


def _understood(read: Callable[[Json], T], answer: Json) -> T:
    try:
        return read(answer)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise errors.BadAnswer(f"the server's answer is not understood: {error!r}") from error


def _task(video: Json) -> Task:
    problem = video.get("error")
    error = TaskError(code=problem["code"], message=problem["message"]) if problem else None
    status = _STATUSES[video["status"]]
    width, _, height = video["size"].partition("x")
    content = video.get("content") or {}
    return Task(
        id=video["id"],
        # The wire has one word for both; what ended the task is in its error.
        status=Status.CANCELLED if error is not None and error.code == CANCELLED else status,
        progress=int(video.get("progress") or 0),
        model=video["model"],
        provider=video.get("provider"),
        prompt=video.get("prompt") or "",
        duration_s=int(video["seconds"]),
        width=int(width),
        height=int(height),
        seed=(video.get("parameters") or {}).get("seed"),
        created_at=datetime.fromtimestamp(video["created_at"], UTC),
        finished_at=_time(video.get("completed_at")),
        expires_at=_time(video.get("expires_at")),
        url=video.get("url"),
        thumbnail_url=content.get("thumbnail_url"),
        last_frame_url=content.get("last_frame_url"),
        error=error,
        metadata=video.get("metadata") or {},
        raw=video,
    )


def _time(unix: float | None) -> datetime | None:
    return None if unix is None else datetime.fromtimestamp(unix, UTC)


def _estimate(answer: Json) -> Estimate:
    return Estimate(
        credits=answer["estimated_credits"],
        expected_s=answer["estimated_seconds"],
        provider=answer["provider"],
        duration_s=answer["duration_seconds"],
        width=answer["width"],
        height=answer["height"],
    )


def _model(model: Json) -> Model:
    (kind,) = model["output_modalities"]
    return Model(
        id=model["id"],
        kind=kind,
        aliases=tuple(model["aliases"]),
        provider=model["provider"],
        expected_s=model["expected_seconds"],
        raw=model,
    )
