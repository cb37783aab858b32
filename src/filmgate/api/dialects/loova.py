"""Dialect A, Loova: an envelope of code, trace_id, message and data; tasks are polled by task_id."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal

from msgspec import Raw
from pydantic import AliasChoices, BeforeValidator, Field, model_validator

from filmgate.api import strict_json
from filmgate.api.answer import Answer
from filmgate.api.call import Call
from filmgate.api.dialect import Dialect, Json, Shown, View
from filmgate.api.links import Links
from filmgate.api.routing import Route
from filmgate.api.schema import Body, Url, Urls, Whole, check
from filmgate.api.submission import Order, find_model, submit, task_headers
from filmgate.api.times import iso, iso_or_none
from filmgate.api.web import Web
from filmgate.api.wire import read_fields
from filmgate.core.catalogue import Catalogue
from filmgate.core.errors import FilmgateError, InvalidRequest, Unauthenticated
from filmgate.core.generation import Media, MediaKind, MediaRole, OutputKind
from filmgate.core.pricing import credits_of
from filmgate.core.task import Status, Task
from filmgate.core.wish import Wish
from filmgate.ports import Ports
from filmgate.service.read_tasks import read_task

NAME: Final = "loova"
DEFAULT_MODEL: Final = "seedance_2_0"

# Loova's clients stop on succeeded and failed and on nothing else.
STATUSES: Final[Mapping[Status, str]] = {
    Status.QUEUED: "running",
    Status.RUNNING: "running",
    Status.SUCCEEDED: "succeeded",
    Status.FAILED: "failed",
    Status.CANCELLED: "failed",
}
FRAMES: Final = "first_last_frames"
OMNI: Final = "omni_reference"


def routes(ports: Ports, web: Web) -> Sequence[Route]:
    """Return the routes, under every base path that Loova's pages and scripts use."""
    shown = Shown(write_task, View(links=Links(web, ports.clock), catalogue=ports.catalogue))

    async def create(call: Call) -> Answer:
        order = read_order(await read_fields(call), ports.catalogue)
        task, headers = await submit(ports, call, NAME, order)
        return Answer(_envelope(call, "success", _created(task)), headers=headers)

    async def create_legacy(call: Call) -> Answer:
        order = read_order(_legacy(await read_fields(call)), ports.catalogue)
        task, headers = await submit(ports, call, NAME, order)
        return Answer(_envelope(call, "success", _created(task)), headers=headers)

    async def status(call: Call) -> Answer:
        task_id = call.query.get("task_id")
        if not task_id:
            raise InvalidRequest("task_id: is required", param="task_id")
        task = await read_task(ports, call.key, task_id)
        return Answer(_envelope(call, _reason(task), shown(task)), headers=task_headers(task))

    created = ("/api/v1/video/seedance-2", "/v1/video/seedance-2")
    polled = ("/api/v1/tasks", "/v1/tasks", "/api/tasks", "/v1/video_item")
    return [
        *(Route(method="GET", path=path, handle=status) for path in polled),
        *(Route(method="POST", path=path, handle=create) for path in created),
        Route(method="POST", path="/v1/img2vid", handle=create_legacy),
    ]


# --- wire -> ours -------------------------------------------------------------------------------


class Create(Body):
    """The fields of a submission; `resolution`, `seed` and `callback_url` are our additions."""

    prompt: str
    model: str = DEFAULT_MODEL
    function_mode: Literal["omni_reference", "first_last_frames"] = Field(
        OMNI, validation_alias=AliasChoices("function_mode", "functionMode")
    )
    ratio: str | None = Field(None, validation_alias=AliasChoices("ratio", "aspect_ratio"))
    duration: Whole | None = None
    image_urls: Annotated[Urls, Field(max_length=9)] = ()
    video_urls: Annotated[Urls, Field(max_length=3)] = ()
    audio_urls: Annotated[Urls, Field(max_length=3)] = ()
    resolution: str | None = None
    seed: Whole | None = None
    callback_url: Url | None = None

    @model_validator(mode="after")
    def _check_mode(self) -> "Create":
        if self.function_mode == FRAMES:
            if not 1 <= len(self.image_urls) <= 2:  # noqa: PLR2004
                raise ValueError(
                    "image_urls: first_last_frames takes the first frame, or the first and the last"
                )
            if self.video_urls or self.audio_urls:
                raise ValueError("function_mode: first_last_frames takes images only")
        elif self.audio_urls and not (self.image_urls or self.video_urls):
            raise ValueError("audio_urls: audio needs at least one image or video beside it")
        return self


def read_order(fields: Mapping[str, Any], catalogue: Catalogue) -> Order:
    """Return what a submission asks for."""
    body = check(Create, fields)
    ratio = "ratio" if fields.get("ratio") is not None else "aspect_ratio"
    wish = Wish(
        prompt=body.prompt,
        media=_media(body),
        duration_s=body.duration,
        aspect_ratio=body.ratio,
        resolution=body.resolution,
        seed=body.seed,
        names={
            "duration_s": "duration",
            "aspect_ratio": ratio if body.ratio is not None else "ratio",
            **{f"{kind}s": f"{kind}_urls" for kind in MediaKind},
        },
    )
    return Order(
        model=find_model(catalogue, body.model),
        model_name=body.model,
        wish=wish,
        callback_url=body.callback_url,
    )


def _media(body: Create) -> tuple[Media, ...]:
    if body.function_mode == FRAMES:
        roles = (MediaRole.FIRST_FRAME, MediaRole.LAST_FRAME)
        return tuple(
            Media(kind=MediaKind.IMAGE, role=role, url=url)
            for role, url in zip(roles, body.image_urls, strict=False)
        )
    given = (
        (MediaKind.IMAGE, body.image_urls),
        (MediaKind.VIDEO, body.video_urls),
        (MediaKind.AUDIO, body.audio_urls),
    )
    return tuple(Media(kind=kind, url=url) for kind, urls in given for url in urls)


# --- the older form: everything inside `params`, media mixed in one list -------------------------

_ENDINGS: Final = {
    "video": (".mp4", ".mov", ".webm", ".m4v", ".avi", ".mkv"),
    "audio": (".mp3", ".wav", ".m4a", ".aac", ".ogg", ".flac"),
}


def _object(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return strict_json.decode(value.encode())
    except InvalidRequest as error:
        raise ValueError(f"must be a JSON object; {error.message}") from error


class Legacy(Body):
    """The fields of the older submission."""

    model: str | None = None
    params: Annotated[dict[str, Any], BeforeValidator(_object)]


def _legacy(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the older form's fields as today's."""
    body = check(Legacy, fields)
    flat = dict(body.params)
    if body.model is not None:
        flat["model"] = body.model
    paths = flat.pop("file_paths", None) or []
    for path in paths if isinstance(paths, list) else [paths]:
        name = f"{_kind_of(path)}_urls"
        known = flat.get(name) or []
        flat[name] = [*(known if isinstance(known, list) else [known]), path]
    return flat


def _kind_of(url: object) -> str:
    path = str(url).partition("?")[0].partition("#")[0].lower()
    return next((kind for kind, endings in _ENDINGS.items() if path.endswith(endings)), "image")


# --- ours -> wire -------------------------------------------------------------------------------


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


def _created(task: Task) -> Json:
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
        "error_message": _reason(task),
        "finished_at": iso_or_none(task.finished_at),
    }
    if task.status is Status.SUCCEEDED:
        found = list(zip(task.outputs, view.links.to(*task.outputs), strict=True))
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


def _reason(task: Task) -> str | None:
    """Return why a task failed: Loova's scripts print it, so it must not say success."""
    match task.status:
        case Status.CANCELLED:
            return "cancelled"
        case Status.FAILED:
            return task.error.message if task.error else "failed"
        case Status.QUEUED | Status.RUNNING | Status.SUCCEEDED:
            return None


def _envelope(call: Call, message: str | None, data: Json | Raw) -> Json:
    # 200 even for a failed task: clients that raise on an HTTP error would never read why.
    return {"code": 200, "trace_id": call.trace_id, "message": message, "data": data}


def write_error(error: FilmgateError, status: int, trace_id: str) -> Json:
    """Return the envelope of a request that failed: its code is the HTTP status."""
    message = "Authentication failed" if isinstance(error, Unauthenticated) else error.message
    return {"code": status, "trace_id": trace_id, "message": message, "data": None}


DIALECT: Final = Dialect(
    name=NAME,
    prefixes=("/api", "/v1/video", "/v1/tasks", "/v1/img2vid", "/v1/video_item"),
    statuses=STATUSES,
    routes=routes,
    write_task=write_task,
    write_error=write_error,
)
