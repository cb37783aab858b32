"""Checks a request against what its dialect documents: every mistake at once, in the wire's own names."""

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, TypeVar
from urllib.parse import urlsplit

from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetJsonSchemaHandler,
    ValidationError,
    WithJsonSchema,
)
from pydantic.fields import FieldInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from filmgate.api.forms import UPLOAD
from filmgate.core.errors import InvalidRequest
from filmgate.core.generation import MediaKind

MOST_ERRORS: Final = 10
URL_CHARACTERS: Final = 8_192


class Body(BaseModel):
    """The fields of a request. Unknown ones are tolerated: clients send what other servers know."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True, protected_namespaces=())

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Add the other names of fields, which pydantic's schema leaves out."""
        found = handler(core_schema)
        properties = handler.resolve_ref_schema(found)["properties"]
        for names in map(_names, cls.model_fields.values()):
            for other in names[1:]:
                properties[other] = properties[names[0]] | {"description": f"Another name of `{names[0]}`."}
        return found

    @classmethod
    def known_names(cls) -> frozenset[str]:
        """Return every name that a field may come under."""
        return frozenset(
            name for field, info in cls.model_fields.items() for name in (_names(info) or (field,))
        )


def _names(info: FieldInfo) -> tuple[str, ...]:
    """Return the names of a field that has several, and of any other nothing."""
    choices = info.validation_alias
    return tuple(str(name) for name in choices.choices) if isinstance(choices, AliasChoices) else ()


_B = TypeVar("_B", bound=Body)


def check(model: type[_B], fields: Mapping[str, Any]) -> _B:
    """Return the checked fields, or raise InvalidRequest naming all that are wrong. null is absent."""
    try:
        return model.model_validate({name: value for name, value in fields.items() if value is not None})
    except ValidationError as error:
        raise _invalid(error) from error


def _invalid(error: ValidationError) -> InvalidRequest:
    found = [
        (_where(item["loc"]), _problem(item["msg"]))
        for item in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    said = [f"{where}: {problem}" if where else problem for where, problem in found[:MOST_ERRORS]]
    return InvalidRequest("; ".join(said), param=found[0][0] or None)


def _where(loc: tuple[int | str, ...]) -> str:
    text = ""
    for step in loc:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def _problem(message: str) -> str:
    for start, ours in (
        ("Input should be ", "must be "),
        ("Field required", "is required"),
        ("Value error, ", ""),
    ):
        if message.startswith(start):
            return ours + message.removeprefix(start)
    return message[:1].lower() + message[1:]


# --- the types of fields: a form has only texts, and old clients send numbers as text in JSON too ---


def _whole(value: object) -> int:
    match value:
        case bool():
            pass
        case int():
            return value
        case float() if value.is_integer():
            return int(value)
        case str() if _DIGITS.fullmatch(value.strip()):
            return int(value)
        case _:
            pass
    raise ValueError("must be a whole number")


def _flag(value: object) -> bool:
    known = _FLAGS.get(value.strip().lower()) if isinstance(value, str) else value
    if not isinstance(known, bool):
        raise ValueError("must be true or false")  # noqa: TRY004  (what pydantic collects)
    return known


def _listed(value: object) -> object:
    if isinstance(value, list):
        return [item for item in value if item not in ("", None)]
    if isinstance(value, str):
        return [value] if value else []
    return value


_DIGITS: Final = re.compile(r"-?[0-9]{1,18}")  # fits 64 bits
_FLAGS: Final = {"true": True, "1": True, "false": False, "0": False}


def check_link(value: str) -> str:
    """Return an http(s) address that could be asked, or raise ValueError. Nobody is."""
    if is_data(value):
        raise ValueError("must be an http(s) URL, not a data URI")
    if value.startswith("asset:"):
        raise ValueError("assets are not available in this version; give an http(s) URL")
    if len(value) > URL_CHARACTERS or not value.isascii() or any(c <= " " or c in "\\\x7f" for c in value):
        raise ValueError("must be an http(s) URL, percent-encoded")
    parts = urlsplit(value)
    if parts.scheme.lower() not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be an http(s) URL")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not contain a user name or password")
    _ = parts.port  # raises ValueError where it is no number
    return value


def check_url(value: str) -> str:
    """Return what a field of media may hold: an http(s) address, a data URI, or a file of the same form.

    What is in a data URI or a file is looked into later, by `api.intake`.
    """
    return value if is_data(value) or value.startswith(UPLOAD) else check_link(value)


def is_data(value: str) -> bool:
    """Say whether this is a data URI, or means to be one."""
    return value[:5].lower() == "data:"


def kind_said(url: str) -> MediaKind | None:
    """Return what kind of media a data URI or a file says it is, by its type; None says nothing."""
    if url.startswith(UPLOAD):
        mime = url.split("/", 1)[-1]
    elif url[:5].lower() == "data:":
        mime = url[5:105]
    else:
        return None
    kind = mime.partition("/")[0].strip().lower()
    return MediaKind(kind) if kind in set(MediaKind) else None


def _texts_by(check_text: Callable[[str], str]) -> BeforeValidator:
    return BeforeValidator(lambda value: check_text(value) if isinstance(value, str) else value)


Whole = Annotated[
    int,
    BeforeValidator(_whole),
    WithJsonSchema({"anyOf": [{"type": "integer"}, {"type": "string", "pattern": "^-?[0-9]{1,18}$"}]}),
]
Flag = Annotated[
    bool,
    BeforeValidator(_flag),
    WithJsonSchema({"anyOf": [{"type": "boolean"}, {"enum": ["true", "false", "1", "0"]}]}),
]
Url = Annotated[str, _texts_by(check_link)]  # of a callback
MediaUrl = Annotated[str, _texts_by(check_url)]
Urls = Annotated[tuple[MediaUrl, ...], BeforeValidator(_listed)]  # a form with one of them sends a text
