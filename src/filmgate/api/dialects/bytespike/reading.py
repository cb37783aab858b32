"""ByteSpike's submissions, nested or flat, as our own."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import AliasChoices, Field, WithJsonSchema

from filmgate.api.schema import Body, Flag, MediaUrl, Url, Whole, check
from filmgate.api.submission import Order, find_model
from filmgate.core.catalogue import Catalogue
from filmgate.core.errors import InvalidRequest
from filmgate.core.generation import RESOLUTIONS, Media, MediaKind, MediaRole, parse_size
from filmgate.core.wish import PROMPT_CHARACTERS, Wish, fulfil

PROVIDER: Final = "bytespike"  # whose own words those are that we have none for
OUT_TASK_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}")

_RESERVED: Final = frozenset({"model", "params", "out_task_id", "callback_url", "stream"})
_NAMED: Final = frozenset(name.lower() for name in RESOLUTIONS)


class TaskName(Body):
    """Which task a request is about."""

    task_id: str | None = None
    out_task_id: str | None = None


class TaskParams(Body):
    """The parameters of all models; which of them a model takes, the catalogue says."""

    prompt: str
    negative_prompt: str | None = Field(None, max_length=PROMPT_CHARACTERS)
    duration_seconds: Whole | None = Field(
        None, validation_alias=AliasChoices("duration_seconds", "duration")
    )
    resolution: str | None = None
    aspect_ratio: str | None = None
    size: str | None = Field(None, description="`1280x720`, or a resolution; overrules both.")
    fps: Whole | None = None
    seed: Whole | None = None
    n: Whole | None = None
    audio: Flag | None = Field(None, validation_alias=AliasChoices("audio", "generate_audio"))
    watermark: Flag | None = None
    return_last_frame: Flag | None = None
    image_init: MediaUrl | None = Field(
        None,
        validation_alias=AliasChoices("image_init", "source_image"),
        description="The first frame: an http(s) URL or a small data URI.",
    )
    style_preset: str | None = Field(None, max_length=100)
    motion_intensity: str | None = Field(None, max_length=100)


class TaskSubmit(Body):
    """A submission with its parameters inside `params`. `stream` is accepted and means nothing."""

    model: str
    out_task_id: str | None = Field(None, description="The caller's own id of the task, for ever.")
    callback_url: Url | None = None
    params: Annotated[dict[str, Any] | None, WithJsonSchema(TaskParams.model_json_schema())] = Field(
        default_factory=lambda: None  # not shown as a default: null is not what it means there
    )


class FlatSubmit(TaskParams, TaskSubmit):
    """A submission with its parameters beside the rest."""


def read_order(fields: Mapping[str, Any], catalogue: Catalogue) -> Order:
    """Return what a submission asks for, nested or flat."""
    body = check(TaskSubmit, fields)
    given = _params(fields, body)
    params = check(TaskParams, given)
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
    named = (params.size or "").lower() in _NAMED  # picture models are asked for `2K` by this field
    wish = Wish(
        prompt=params.prompt,
        negative_prompt=params.negative_prompt,
        media=_media(params),
        duration_s=params.duration_seconds,
        aspect_ratio=params.aspect_ratio,
        resolution=params.size if named else params.resolution,
        size=parse_size(params.size) if params.size and not named else None,
        fps=params.fps,
        seed=params.seed,
        audio=params.audio,
        watermark=params.watermark,
        return_last_frame=params.return_last_frame,
        n=params.n,
        extra={PROVIDER: extra} if extra else {},
        names={
            "duration_s": "duration" if "duration_seconds" not in given else "duration_seconds",
            "images": "source_image" if "image_init" not in given else "image_init",
        },
    )
    model = find_model(catalogue, body.model)
    return Order(
        model=model,
        model_name=body.model,
        generation=fulfil(model, wish),
        names=wish.names,
        out_task_id=body.out_task_id,
        callback_url=body.callback_url,
    )


def _params(fields: Mapping[str, Any], body: TaskSubmit) -> Mapping[str, Any]:
    """Return `params` if it is given, and else every field that is not reserved."""
    flat = {name: value for name, value in fields.items() if name not in _RESERVED}
    if body.params is None:
        return flat
    for name in flat.keys() & body.params.keys():
        if flat[name] != body.params[name]:
            raise InvalidRequest(f"{name}: is given twice, inside and outside params", param=name)
    return body.params


def _media(params: TaskParams) -> tuple[Media, ...]:
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
