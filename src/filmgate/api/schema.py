"""Checks a request against what its dialect documents: every mistake at once, in the wire's own names."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from filmgate.core.errors import InvalidRequest

MOST_ERRORS: Final = 10
URL_CHARACTERS: Final = 8_192


class Body(BaseModel):
    """The fields of a request. Unknown ones are tolerated: clients send what other servers know."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True, protected_namespaces=())


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


def check_url(value: str) -> str:
    """Return an address that could be fetched, or raise ValueError. Nobody is asked."""
    if value.startswith("data:"):
        raise ValueError("data URIs are not accepted in this version; give an http(s) URL")
    if value.startswith("asset:"):
        raise ValueError("assets are not available in this version; give an http(s) URL")
    if len(value) > URL_CHARACTERS or not value.isascii() or any(c <= " " or c == "\x7f" for c in value):
        raise ValueError("must be an http(s) URL, percent-encoded")
    parts = urlsplit(value)
    if parts.scheme.lower() not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be an http(s) URL")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not contain a user name or password")
    _ = parts.port  # raises ValueError where it is no number
    return value


Whole = Annotated[int, BeforeValidator(_whole)]
Flag = Annotated[bool, BeforeValidator(_flag)]
Url = Annotated[str, BeforeValidator(lambda value: check_url(value) if isinstance(value, str) else value)]
Urls = Annotated[tuple[Url, ...], BeforeValidator(_listed)]
