"""Videos requests, in the words of OpenAI and of Token360, as our own."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import AliasChoices, BeforeValidator, Field, model_validator

from filmgate.api.schema import Body, Flag, Url, Whole, check, check_url
from filmgate.api.submission import METADATA_CHARACTERS, Order, find_model
from filmgate.core.catalogue import Catalogue
from filmgate.core.generation import Media, MediaKind, MediaRole, parse_size
from filmgate.core.wish import PROMPT_CHARACTERS, Wish

DEFAULT_MODEL: Final = "sora-2"  # OpenAI's own default


def _address(value: object) -> object:
    """Return the URL of a piece of media: bare, or in one of the objects that name its kind."""
    for _ in range(2):  # {"image_url": {"url": ...}}
        if not isinstance(value, dict):
            break
        if "file_id" in value:
            raise ValueError("uploaded files are not available in this version; give a URL")
        inner = [value[name] for name in ("url", "image_url", "video_url", "audio_url") if name in value]
        if not inner:
            raise ValueError("must be a URL, or an object with a url")
        value = inner[0]
    if not isinstance(value, str):
        raise ValueError("must be a URL, or an object with a url")  # noqa: TRY004  (what pydantic collects)
    return check_url(value)


def _items(value: object) -> object:
    """Return a list: a form with one item sends the item."""
    return [value] if isinstance(value, str | dict) else value


Address = Annotated[str, BeforeValidator(_address)]


class Reference(Body):
    """One item of `input_references`."""

    type: Literal["image_url", "video_url", "audio_url"] = "image_url"
    url: Address

    @model_validator(mode="before")
    @classmethod
    def _flatten(cls, value: object) -> object:
        if isinstance(value, str):
            return {"url": value}
        if not isinstance(value, dict):
            raise ValueError("must be an object")  # noqa: TRY004  (what pydantic collects)
        kinds = [name for name in ("image_url", "video_url", "audio_url") if name in value]
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


class Create(Body):
    """The fields of a new video; where both families name one thing, Token360's name counts."""

    prompt: str
    model: str = DEFAULT_MODEL
    negative_prompt: str | None = Field(None, max_length=PROMPT_CHARACTERS)
    duration: Whole | None = Field(None, validation_alias=AliasChoices("duration", "seconds"))
    size: str | None = None
    resolution: str | None = None
    aspect_ratio: str | None = None
    fps: Whole | None = None
    seed: Whole | None = None
    generate_audio: Flag | None = Field(None, validation_alias=AliasChoices("generate_audio", "audio"))
    watermark: Flag | None = None
    return_last_frame: Flag | None = None
    n: Whole | None = None
    frame_images: Annotated[tuple[Frame, ...], BeforeValidator(_items)] = ()
    input_references: Annotated[tuple[Reference, ...], BeforeValidator(_items)] = ()
    reference_images: Annotated[tuple[Address, ...], BeforeValidator(_items)] = ()
    input_reference: Address | None = None
    source_video: Address | None = None
    mode: str | None = None
    end_user: str | None = Field(
        None, max_length=64, validation_alias=AliasChoices("safety_identifier", "user")
    )
    callback_url: Url | None = None
    request_id: str | None = Field(None, max_length=256)
    metadata: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check_together(self) -> "Create":
        frames = [frame.frame_type for frame in self.frame_images]
        if len(set(frames)) != len(frames):
            raise ValueError("frame_images: each frame may be given once")
        if "last_frame" in frames and "first_frame" not in frames:
            raise ValueError("frame_images: a last frame needs a first one")
        if self.input_reference is not None and "first_frame" in frames:
            raise ValueError("input_reference: frame_images has a first frame already")
        if self.mode == "extend":
            raise ValueError("mode: extending a video is not available in this version")
        if len(str(self.metadata)) > METADATA_CHARACTERS:
            raise ValueError(f"metadata: is larger than {METADATA_CHARACTERS} characters")
        return self


def read_order(fields: Mapping[str, Any], catalogue: Catalogue) -> Order:
    """Return what a request for a new video asks for."""
    body = check(Create, fields)
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
        model=find_model(catalogue, body.model),
        model_name=body.model,
        wish=wish,
        callback_url=body.callback_url,
        request_id=body.request_id,
        metadata=body.metadata,
    )


def _media(body: Create) -> tuple[Media, ...]:
    media = [
        Media(kind=MediaKind.IMAGE, role=MediaRole(frame.frame_type), url=frame.url)
        for frame in body.frame_images
    ]
    if body.input_reference is not None:
        media.append(Media(kind=MediaKind.IMAGE, role=MediaRole.FIRST_FRAME, url=body.input_reference))
    media += [Media(kind=item.kind, url=item.url) for item in body.input_references]
    media += [Media(kind=MediaKind.IMAGE, url=url) for url in body.reference_images]
    if body.source_video is not None:
        media.append(Media(kind=MediaKind.VIDEO, role=MediaRole.SOURCE, url=body.source_video))
    return tuple(media)


def _image_field(body: Create) -> str:
    if body.input_reference is not None:
        return "input_reference"
    if body.frame_images:
        return "frame_images"
    return "reference_images" if body.reference_images else "input_references"
