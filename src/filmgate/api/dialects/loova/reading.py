"""Loova's submissions, of today and of before, as our own."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import AliasChoices, BeforeValidator, Field, model_validator

from filmgate.api import strict_json
from filmgate.api.schema import Body, Url, Urls, Whole, check, kind_said
from filmgate.api.submission import Order, find_model
from filmgate.core.catalogue import Catalogue
from filmgate.core.errors import InvalidRequest
from filmgate.core.generation import Media, MediaKind, MediaRole
from filmgate.core.wish import Wish, fulfil

DEFAULT_MODEL: Final = "seedance_2_0"
FRAMES: Final = "first_last_frames"
OMNI: Final = "omni_reference"


class LoovaCreate(Body):
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
    def _check_mode(self) -> "LoovaCreate":
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
    body = check(LoovaCreate, _sorted(fields))
    model = find_model(catalogue, body.model)
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
        model=model,
        model_name=body.model,
        generation=fulfil(model, wish),
        names=wish.names,
        callback_url=body.callback_url,
    )


def _sorted(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the fields with each of the form's `files` where a URL of its kind would be.

    Where URLs of a kind are given, its files count for nothing: Loova's own client drops them.
    """
    files = fields.get("files") or []
    sent: dict[str, list[str]] = {}
    for file in files if isinstance(files, list) else [files]:
        kind = kind_said(file) if isinstance(file, str) else None
        if kind is None:
            raise InvalidRequest(
                "files: each must be a part of the form, of the type image/*, video/* or audio/*",
                param="files",
            )
        sent.setdefault(f"{kind}_urls", []).append(file)
    return {**fields, **{name: found for name, found in sent.items() if not fields.get(name)}}


def _media(body: LoovaCreate) -> tuple[Media, ...]:
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


class LoovaLegacy(Body):
    """The fields of the older submission."""

    model: str | None = None
    params: Annotated[dict[str, Any], BeforeValidator(_object)]


def from_legacy(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the older form's fields as today's."""
    body = check(LoovaLegacy, fields)
    flat = {**body.params, **({"files": fields["files"]} if fields.get("files") else {})}
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
