"""Videos requests, in the words of OpenAI and of Token360, as our own."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Final, Literal

from pydantic import AliasChoices, BeforeValidator, Field, WithJsonSchema, model_validator

from filmgate.api.schema import Body, Flag, Url, Whole, check, check_url, kind_said
from filmgate.api.submission import METADATA_CHARACTERS, Order, find_model
from filmgate.core.catalogue import Catalogue
from filmgate.core.errors import InvalidRequest, NotReady
from filmgate.core.generation import Media, MediaKind, MediaRole, OutputKind, parse_size
from filmgate.core.task import Status, Task
from filmgate.core.wish import PROMPT_CHARACTERS, Wish, fulfil

DEFAULT_MODEL: Final = "sora-2"  # OpenAI's own default

_KINDS: Final = ("image_url", "video_url", "audio_url")


def _address(value: object) -> object:
    """Return the address of a piece of media: bare, or in one of the objects that name its kind."""
    for _ in range(2):  # {"image_url": {"url": ...}}
        if not isinstance(value, dict):
            break
        if "file_id" in value:
            raise ValueError("files are not kept by id in this version; send the file, or give a URL")
        inner = [value[name] for name in ("url", *_KINDS) if name in value]
        if not inner:
            raise ValueError("must be a file, a URL, or an object with a url")
        value = inner[0]
    if not isinstance(value, str):
        raise ValueError("must be a file, a URL, or an object with a url")  # noqa: TRY004  (what pydantic collects)
    return check_url(value)


def _items(value: object) -> object:
    """Return a list: a form with one item sends the item."""
    return [value] if isinstance(value, str | dict) else value


_URL: Final = {"type": "object", "properties": {"url": {"type": "string"}}, "required": ["url"]}
Address = Annotated[
    str,
    BeforeValidator(_address),
    WithJsonSchema(
        {
            "description": "An http(s) URL or a data URI, bare or in an object; in a form, a file.",
            "anyOf": [
                {"type": "string"},
                _URL,
                *(
                    {
                        "type": "object",
                        "properties": {kind: {"anyOf": [{"type": "string"}, _URL]}},
                        "required": [kind],
                    }
                    for kind in _KINDS
                ),
            ],
        }
    ),
]


class Reference(Body):
    """One item of `input_references`."""

    type: Literal["image_url", "video_url", "audio_url"] = "image_url"
    url: Address

    @model_validator(mode="before")
    @classmethod
    def _flatten(cls, value: object) -> object:
        if isinstance(value, str):
            return {"type": f"{kind_said(value) or 'image'}_url", "url": value}
        if not isinstance(value, dict):
            raise ValueError("must be an object")  # noqa: TRY004  (what pydantic collects)
        kinds = [name for name in _KINDS if name in value]
        kind = value.get("type", kinds[0] if kinds else "image_url")
        inner = value.get(kind) if isinstance(kind, str) and kind in value else value.get("url")
        found = {"type": kind, "frame_type": value.get("frame_type")}
        return found if inner is None else found | {"url": inner}

    @property
    def kind(self) -> MediaKind:
        """What kind of media this is."""
        return MediaKind(self.type.removesuffix("_url"))


class Frame(Reference):
    """One item of `frame_images`."""

    type: Literal["image_url"] = "image_url"
    frame_type: Literal["first_frame", "last_frame"]


def _list_of(*items: Mapping[str, Any]) -> WithJsonSchema:
    return WithJsonSchema({"type": "array", "items": {"anyOf": list(items)} if len(items) > 1 else items[0]})


_REFERENCE: Final = {
    "type": "object",
    "properties": {"type": {"enum": list(_KINDS)}, **dict.fromkeys(_KINDS, _URL)},
}
_FRAME: Final = {
    "type": "object",
    "properties": {
        "type": {"const": "image_url"},
        "frame_type": {"enum": ["first_frame", "last_frame"]},
        "image_url": _URL,
    },
    "required": ["frame_type", "image_url"],
}


class VideoCreate(Body):
    """A new video; where OpenAI and Token360 name one thing, Token360's name counts."""

    prompt: str
    model: str = DEFAULT_MODEL
    negative_prompt: str | None = Field(None, max_length=PROMPT_CHARACTERS)
    duration: Whole | None = Field(None, validation_alias=AliasChoices("duration", "seconds"))
    size: str | None = Field(None, description="`1280x720`; counts where the next two are not given.")
    resolution: str | None = None
    aspect_ratio: str | None = None
    fps: Whole | None = None
    seed: Whole | None = None
    generate_audio: Flag | None = Field(None, validation_alias=AliasChoices("generate_audio", "audio"))
    watermark: Flag | None = None
    return_last_frame: Flag | None = None
    n: Whole | None = None
    input_reference: Address | None = None
    first_frame: Address | None = None
    last_frame: Address | None = None
    frame_images: Annotated[tuple[Frame, ...], BeforeValidator(_items), _list_of(_FRAME)] = ()
    input_references: Annotated[
        tuple[Reference, ...], BeforeValidator(_items), _list_of({"type": "string"}, _REFERENCE)
    ] = ()
    reference_images: Annotated[
        tuple[Address, ...], BeforeValidator(_items), _list_of({"type": "string"}, _URL)
    ] = ()
    source_video: Address | None = None
    mode: str | None = None
    end_user: str | None = Field(
        None, max_length=64, validation_alias=AliasChoices("safety_identifier", "user")
    )
    callback_url: Url | None = None
    request_id: str | None = Field(None, max_length=256)
    metadata: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check_together(self) -> "VideoCreate":
        frames = [frame.frame_type for frame in self.frame_images]
        if len(set(frames)) != len(frames):
            raise ValueError("frame_images: each frame may be given once")
        first = [self.input_reference, self.first_frame, "first_frame" in frames or None]
        if sum(one is not None for one in first) > 1:
            raise ValueError(
                "first_frame: is given twice; give one of input_reference, first_frame and frame_images"
            )
        if self.last_frame is not None and "last_frame" in frames:
            raise ValueError("last_frame: frame_images has a last frame already")
        if not any(first) and (self.last_frame is not None or "last_frame" in frames):
            raise ValueError(f"{'frame_images' if frames else 'last_frame'}: a last frame needs a first one")
        if self.mode == "extend":
            raise ValueError("mode: extending a video is not available in this version")
        if len(str(self.metadata)) > METADATA_CHARACTERS:
            raise ValueError(f"metadata: is larger than {METADATA_CHARACTERS} characters")
        return self


def read_order(fields: Mapping[str, Any], catalogue: Catalogue) -> Order:
    """Return what a request for a new video asks for."""
    body = check(VideoCreate, fields)
    model = find_model(catalogue, body.model)
    named = body.resolution is not None or body.aspect_ratio is not None
    wish = Wish(
        prompt=body.prompt,
        negative_prompt=body.negative_prompt,
        media=_media(body),
        duration_s=body.duration,
        aspect_ratio=body.aspect_ratio,
        resolution=body.resolution,
        size=parse_size(body.size) if body.size and not named else None,
        fps=body.fps,
        seed=body.seed,
        audio=body.generate_audio,
        watermark=body.watermark,
        return_last_frame=body.return_last_frame,
        n=body.n,
        end_user_id=body.end_user,
        names={
            "duration_s": "duration" if fields.get("duration") is not None else "seconds",
            "images": _image_field(body),
            "videos": "source_video" if body.source_video else "input_references",
            "audios": "input_references",
        },
    )
    return Order(
        model=model,
        model_name=body.model,
        generation=fulfil(model, wish),
        names=wish.names,
        callback_url=body.callback_url,
        request_id=body.request_id,
        metadata=body.metadata,
    )


def _media(body: VideoCreate) -> tuple[Media, ...]:
    media = [
        Media(kind=MediaKind.IMAGE, role=MediaRole(frame.frame_type), url=frame.url)
        for frame in body.frame_images
    ]
    for role, url in (
        (MediaRole.FIRST_FRAME, body.input_reference or body.first_frame),
        (MediaRole.LAST_FRAME, body.last_frame),
    ):
        if url is not None:
            media.append(Media(kind=MediaKind.IMAGE, role=role, url=url))
    media += [Media(kind=item.kind, url=item.url) for item in body.input_references]
    media += [Media(kind=MediaKind.IMAGE, url=url) for url in body.reference_images]
    if body.source_video is not None:
        media.append(Media(kind=MediaKind.VIDEO, role=MediaRole.SOURCE, url=body.source_video))
    return tuple(media)


def _image_field(body: VideoCreate) -> str:
    given = ("input_reference", "first_frame", "frame_images", "reference_images")
    return next((name for name in given if getattr(body, name)), "input_references")


class VideoRemix(Body):
    """Another take of a finished video."""

    prompt: str = Field(min_length=1, max_length=PROMPT_CHARACTERS)


def read_remix(fields: Mapping[str, Any], source: Task, catalogue: Catalogue) -> Order:
    """Return the same film with another prompt: its clip goes in, and all that was chosen stays."""
    body = check(VideoRemix, fields)
    if not body.prompt.strip():
        raise InvalidRequest("prompt: must not be empty", param="prompt")
    if source.status is not Status.SUCCEEDED:
        raise NotReady(f"video {source.id} is not completed: there is nothing to remix", param="video_id")
    if not source.generation.duration_s:
        raise InvalidRequest(f"{source.id} is not a video", param="video_id")
    clip = next((output for output in source.outputs if output.kind is OutputKind.VIDEO), None)
    if clip is None:
        raise NotReady(f"the film of {source.id} is no longer kept", param="video_id")
    media = Media(
        kind=MediaKind.VIDEO,
        role=MediaRole.SOURCE,
        blob=clip.blob,
        mime=clip.mime,
        width=clip.width,
        height=clip.height,
        duration_s=clip.duration_s,
    )
    return Order(
        model=find_model(catalogue, source.model),
        model_name=source.model,
        generation=replace(source.generation, prompt=body.prompt, media=(media,), seed=None),
        names={"videos": "video_id"},
        remixed_from=source.id,
    )
