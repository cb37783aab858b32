"""Dialect B, ByteSpike: task objects without an envelope, in the three spellings its pages show."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import AliasChoices, Field

from filmgate.api.answer import Answer
from filmgate.api.call import Call
from filmgate.api.dialect import Dialect, Json, Shown, View
from filmgate.api.links import Links
from filmgate.api.routing import Route
from filmgate.api.schema import Body, Flag, Url, Whole, check
from filmgate.api.shapes import shown_ratio, shown_resolution
from filmgate.api.submission import Order, find_model, submit, task_headers
from filmgate.api.times import iso, iso_or_none
from filmgate.api.web import Web
from filmgate.api.wire import read_json
from filmgate.core import errors
from filmgate.core.catalogue import Catalogue
from filmgate.core.errors import FilmgateError, InvalidRequest
from filmgate.core.generation import (
    Media,
    MediaKind,
    MediaRole,
    OutputKind,
    parse_size,
)
from filmgate.core.pricing import credits_of
from filmgate.core.task import Output, Status, Task
from filmgate.core.wish import PROMPT_CHARACTERS, Wish
from filmgate.ports import Ports
from filmgate.service.cancel_task import cancel_task
from filmgate.service.read_tasks import read_task, read_task_named

NAME: Final = "bytespike"

STATUSES: Final[Mapping[Status, str]] = {
    Status.QUEUED: "pending",
    Status.RUNNING: "running",
    Status.SUCCEEDED: "completed",
    Status.FAILED: "failed",
    Status.CANCELLED: "cancelled",
}
OUT_TASK_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}")


def routes(ports: Ports, web: Web) -> Sequence[Route]:
    """Return the routes of all three generations of ByteSpike's task API."""
    view = View(links=Links(web, ports.clock), catalogue=ports.catalogue)
    on = _Handlers(ports, web, view, Shown(write_task, view))
    return [
        Route(method="POST", path="/v1/tasks/query", handle=on.query_by_body),
        Route(method="GET", path="/v1/tasks/query", handle=on.query_by_address),
        Route(method="POST", path="/v1/tasks/submit", handle=on.submit),
        Route(method="POST", path="/v1/tasks/cancel", handle=on.cancel_by_body),
        Route(method="POST", path="/v1/tasks/cancel/{task_id}", handle=on.cancel_by_path),
        Route(method="POST", path="/v1/videos/generations", handle=on.submit_flat),
        Route(method="GET", path="/v1/videos/tasks/{task_id}", handle=on.query_flat),
    ]


@dataclass(frozen=True, slots=True)
class _Handlers:
    ports: Ports
    web: Web
    view: View
    shown: Shown

    async def submit(self, call: Call) -> Answer:
        order = read_order(await read_json(call, most=self.web.task_json_bytes), self.ports.catalogue)
        task, headers = await submit(self.ports, call, NAME, order)
        return Answer(write_task(task, self.view), headers=headers)

    async def query_by_body(self, call: Call) -> Answer:
        return self._answer(await self._find_named(call))

    async def query_by_address(self, call: Call) -> Answer:
        names = call.query
        return self._answer(await self._find(call, names.get("task_id"), names.get("out_task_id")))

    async def cancel_by_path(self, call: Call) -> Answer:
        # The path's id beats whatever the body names.
        task = await read_task(self.ports, call.key, call.params["task_id"])
        return self._answer(await cancel_task(self.ports, task))

    async def cancel_by_body(self, call: Call) -> Answer:
        return self._answer(await cancel_task(self.ports, await self._find_named(call)))

    async def submit_flat(self, call: Call) -> Answer:
        order = read_order(await read_json(call, most=self.web.json_bytes), self.ports.catalogue)
        task, headers = await submit(self.ports, call, NAME, order)
        return Answer(_with_result_url(write_task(task, self.view)), headers=headers)

    async def query_flat(self, call: Call) -> Answer:
        task = await read_task(self.ports, call.key, call.params["task_id"])
        return Answer(_with_result_url(write_task(task, self.view)), headers=task_headers(task))

    async def _find_named(self, call: Call) -> Task:
        names = check(Names, await read_json(call, most=self.web.task_json_bytes))
        return await self._find(call, names.task_id, names.out_task_id)

    async def _find(self, call: Call, task_id: str | None, out_task_id: str | None) -> Task:
        if task_id and not out_task_id:
            return await read_task(self.ports, call.key, task_id)
        if out_task_id and not task_id:
            return await read_task_named(self.ports, call.key, check_out_task_id(out_task_id))
        raise InvalidRequest("exactly one of task_id and out_task_id is needed", param="task_id")

    def _answer(self, task: Task) -> Answer:
        return Answer(self.shown(task), headers=task_headers(task))


# --- wire -> ours -------------------------------------------------------------------------------

_RESERVED: Final = frozenset({"model", "params", "out_task_id", "callback_url", "stream"})


class Names(Body):
    """Which task a request is about."""

    task_id: str | None = None
    out_task_id: str | None = None


class Submit(Body):
    """What goes beside the parameters. `stream` is accepted and means nothing."""

    model: str
    out_task_id: str | None = None
    callback_url: Url | None = None
    params: dict[str, Any] | None = None


class Params(Body):
    """The parameters of all models; which of them a model takes, the catalogue says."""

    prompt: str
    negative_prompt: str | None = Field(None, max_length=PROMPT_CHARACTERS)
    duration_seconds: Whole | None = Field(
        None, validation_alias=AliasChoices("duration_seconds", "duration")
    )
    resolution: str | None = None
    aspect_ratio: str | None = None
    size: str | None = None
    fps: Whole | None = None
    seed: Whole | None = None
    n: Whole | None = None
    audio: Flag | None = Field(None, validation_alias=AliasChoices("audio", "generate_audio"))
    watermark: Flag | None = None
    return_last_frame: Flag | None = None
    image_init: Url | None = Field(None, validation_alias=AliasChoices("image_init", "source_image"))
    style_preset: str | None = Field(None, max_length=100)
    motion_intensity: str | None = Field(None, max_length=100)


def read_order(fields: Mapping[str, Any], catalogue: Catalogue) -> Order:
    """Return what a submission asks for, nested or flat."""
    body = check(Submit, fields)
    given = _params(fields, body)
    params = check(Params, given)
    if body.out_task_id is not None:
        check_out_task_id(body.out_task_id)
    # What we have no word of our own for is kept for the provider that knows it, and part of what
    # makes two submissions the same.
    extra = {
        name: value
        for name, value in (
            ("style_preset", params.style_preset),
            ("motion_intensity", params.motion_intensity),
        )
        if value is not None
    }
    wish = Wish(
        prompt=params.prompt,
        negative_prompt=params.negative_prompt,
        media=_media(params),
        duration_s=params.duration_seconds,
        aspect_ratio=params.aspect_ratio,
        resolution=params.resolution,
        size=parse_size(params.size) if params.size else None,
        fps=params.fps,
        seed=params.seed,
        audio=params.audio,
        watermark=params.watermark,
        return_last_frame=params.return_last_frame,
        n=params.n,
        extra={NAME: extra} if extra else {},
        names={
            "duration_s": "duration" if "duration_seconds" not in given else "duration_seconds",
            "images": "source_image" if "image_init" not in given else "image_init",
        },
    )
    return Order(
        model=find_model(catalogue, body.model),
        model_name=body.model,
        wish=wish,
        out_task_id=body.out_task_id,
        callback_url=body.callback_url,
    )


def _params(fields: Mapping[str, Any], body: Submit) -> Mapping[str, Any]:
    """Return `params` if it is given, and else every field that is not reserved."""
    flat = {name: value for name, value in fields.items() if name not in _RESERVED}
    if body.params is None:
        return flat
    for name in flat.keys() & body.params.keys():
        if flat[name] != body.params[name]:
            raise InvalidRequest(f"{name}: is given twice, inside and outside params", param=name)
    return body.params


def _media(params: Params) -> tuple[Media, ...]:
    if params.image_init is None:
        return ()
    return (Media(kind=MediaKind.IMAGE, role=MediaRole.FIRST_FRAME, url=params.image_init),)


def check_out_task_id(token: str) -> str:
    """Return a caller's own task id if it is well-formed."""
    if not OUT_TASK_ID.fullmatch(token):
        raise InvalidRequest(
            "out_task_id: must be 1 to 128 of the characters A-Z a-z 0-9 . _ : -", param="out_task_id"
        )
    return token


# --- ours -> wire -------------------------------------------------------------------------------


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
    found = list(zip(task.outputs, view.links.to(*task.outputs), strict=True))
    links = {output.kind: link for output, link in reversed(found)}  # of each kind the first
    made = [_output(output, link) for output, link in found if output.kind in _MAIN]
    result: Json = {
        "aspect_ratio": shown_ratio(task.generation),
        "resolution": shown_resolution(task.generation),
    }
    if OutputKind.VIDEO in links:
        result["video_url"] = links[OutputKind.VIDEO]
        result["duration_seconds"] = task.generation.duration_s
    else:
        result["image_url"] = links.get(OutputKind.IMAGE)
        result["image_urls"] = [output["url"] for output in made]
    for kind in (OutputKind.LAST_FRAME, OutputKind.THUMBNAIL):
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


def _with_result_url(found: Json) -> Json:
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
)
