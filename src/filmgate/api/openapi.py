"""The OpenAPI document: assembled from what the routes say of themselves and what checks their requests."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from filmgate import __version__
from filmgate.api.answer import Answer
from filmgate.api.dialect import Dialect
from filmgate.api.routing import About, Route
from filmgate.core import errors
from filmgate.core.errors import FilmgateError

Schema = dict[str, Any]
Refuse = Callable[[Dialect, FilmgateError, str], Answer]

_REF: Final = "#/components/schemas/{name}"
_FORMS: Final = ("multipart/form-data", "application/x-www-form-urlencoded")
_TRACE: Final = "8dcb805a5b69fbe2986545f9039fabf3"

_DESCRIPTION: Final = """\
A task service for AI video and pictures. One task store, spoken to in three vendors' languages: a
task that was submitted in one dialect can be read in any other. Every amount is credits.
"""

# One of each that callers meet, as it is raised.
_ERRORS: Final[Mapping[int, tuple[str, FilmgateError]]] = {
    400: (
        "The request is wrong; `param` names the field",
        errors.InvalidRequest("prompt: is required", param="prompt"),
    ),
    401: ("No key, or one that is not valid", errors.Unauthenticated("the API key is not valid")),
    402: (
        "The account cannot pay for this",
        errors.InsufficientCredits("this task costs 75 credits, and 12 are left"),
    ),
    404: (
        "There is no such thing, or it is somebody else's",
        errors.TaskNotFound("there is no task 'task_…'"),
    ),
    409: (
        "`out_task_id` was used before for a different request",
        errors.IdempotencyMismatch(
            "out_task_id 'order-17' was used before for a different request", param="out_task_id"
        ),
    ),
    413: ("The body is too large", errors.BodyTooLarge("the body is larger than 1048576 bytes")),
    415: (
        "The body is of no type that is read here",
        errors.UnsupportedMediaType("the body must be application/json"),
    ),
    422: (
        "The `Idempotency-Key` was used before for a different request",
        errors.IdempotencyMismatch(
            "idempotency_key 'k-1' was used before for a different request", param="idempotency_key"
        ),
    ),
    429: (
        "Too much at a time: tasks that wait, or open streams",
        errors.QueueFull("too many tasks of this account are waiting already"),
    ),
}

_STATUSES: Final = {
    200: "As asked",
    204: "Nothing more to say",
    206: "The part that was asked for",
    302: "`Location` is a signed link",
}

_WAITS: Final = [{"$ref": "#/components/parameters/wait"}, {"$ref": "#/components/parameters/prefer"}]
_KEYED: Final = [{"$ref": "#/components/parameters/idempotency-key"}]
_PARAMETERS: Final[Schema] = {
    "wait": {
        "name": "wait",
        "in": "query",
        "description": "Seconds to wait for the task's end before answering, at most 60.",
        "schema": {"type": "integer", "minimum": 0},
    },
    "prefer": {
        "name": "Prefer",
        "in": "header",
        "description": "`wait=N`: the same, as a header.",
        "schema": {"type": "string"},
        "example": "wait=30",
    },
    "idempotency-key": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "The same request under the same key is the same task, for 7 days.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255},
    },
}
_HEADERS: Final[Schema] = {
    "task-id": {"description": "The task's id, in any dialect.", "schema": {"type": "string"}},
    "credits-held": {
        "description": "What is held for a task that has not ended.",
        "schema": {"type": "number"},
    },
    "credits-charged": {"description": "What an ended task did cost.", "schema": {"type": "number"}},
    "replayed": {"description": "`true` if the task was there before.", "schema": {"type": "string"}},
    "request-id": {"description": "32 hex digits, also in our log.", "schema": {"type": "string"}},
}


def build(
    routes: Iterable[Route], owner_of: Callable[[str], Dialect], refuse: Refuse, *, public_url: str
) -> Schema:
    """Return the document of all routes that say something of themselves."""
    told = [(route, route.about) for route in routes if route.about is not None]
    dialects = {dialect.name: dialect for dialect in (owner_of(route.path) for route, _ in told)}
    answers = {about.answers for _, about in told if about.answers} | {one.error for one in dialects.values()}
    paths: dict[str, Schema] = {}
    for route, about in told:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(
            route, about, owner_of(route.path).name
        )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Filmgate",
            "version": __version__,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": public_url}],
        "security": [{"bearer": []}, {"key": []}],
        "tags": [{"name": tag} for tag in dict.fromkeys(about.tag for _, about in told)],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            },
            "parameters": _PARAMETERS,
            "headers": _HEADERS,
            "schemas": _requests(about for _, about in told) | _answers(answers),
            "responses": dict(_refusals(dialects.values(), refuse)),
        },
    }


def _requests(abouts: Iterable[About]) -> Schema:
    models = {model: None for about in abouts for model in about.reads}
    _, found = models_json_schema(
        [(model, "validation") for model in models], ref_template="#/components/schemas/{model}"
    )
    schemas: Schema = found.get("$defs", {})
    return schemas


def _answers(types: Iterable[Any]) -> Schema:
    ordered = sorted(types, key=lambda kind: kind.__name__)
    _, components = msgspec.json.schema_components(ordered, ref_template=_REF)
    return dict(components)


def _refusals(dialects: Iterable[Dialect], refuse: Refuse) -> Iterator[tuple[str, Schema]]:
    for dialect in dialects:
        for status, (description, error) in _ERRORS.items():
            answer = refuse(dialect, error, _TRACE)
            content = {"schema": _ref(dialect.error), "example": msgspec.json.decode(answer.body)}
            yield (
                f"{dialect.name}-{status}",
                {"description": description, "content": {"application/json": content}},
            )


def _operation(route: Route, about: About, dialect: str) -> Schema:
    found: Schema = {
        "operationId": re.sub(r"[^a-z0-9]+", "_", f"{route.method} {route.path}".lower()).strip("_"),
        "tags": [about.tag],
        "summary": about.summary,
    }
    parameters = [*_path_parameters(route.path), *(_query(about.query) if about.query else [])]
    parameters += (_WAITS if about.waits else []) + (_KEYED if about.submits else [])
    if parameters:
        found["parameters"] = parameters
    if about.reads or about.reading is not None:
        found["requestBody"] = _body(about)
    found["responses"] = {
        **{str(status): _success(status, about) for status in about.statuses},
        **{str(status): {"$ref": f"#/components/responses/{dialect}-{status}"} for status in about.errors},
    }
    if route.open:
        found["security"] = []
    return found


def _path_parameters(path: str) -> list[Schema]:
    names = re.findall(r"{(\w+)}", path)
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]


def _query(model: type[BaseModel]) -> Iterator[Schema]:
    schema = model.model_json_schema()
    for name, field in schema["properties"].items():
        parameter = {"name": name, "in": "query", "required": name in schema.get("required", ())}
        if "description" in field:
            parameter["description"] = field["description"]
        yield parameter | {"schema": _without_null(field)}


def _without_null(field: Schema) -> Schema:
    """Return the schema of what an address can say: it has no null."""
    found = {key: value for key, value in field.items() if key not in {"title", "description"}}
    if found.get("default", ...) is None:
        del found["default"]
    kinds = [kind for kind in found.pop("anyOf", ()) if kind.get("type") != "null"]
    return found | ({"anyOf": kinds} if len(kinds) > 1 else kinds[0] if kinds else {})


def _body(about: About) -> Schema:
    refs = [_ref(model) for model in about.reads]
    schema = {"anyOf": refs} if len(refs) > 1 else refs[0] if refs else {"type": "object"}
    content: Schema = {"application/json": {"schema": schema, "example": about.reading}}
    if about.forms:
        content |= {form: {"schema": schema} for form in _FORMS}
    return {"required": True, "content": content}


def _success(status: int, about: About) -> Schema:
    found: Schema = {"description": _STATUSES[status], "headers": _headers(about)}
    if status == 302:  # noqa: PLR2004
        found["headers"]["Location"] = {"required": True, "schema": {"type": "string", "format": "uri"}}
        return found
    content: Schema = {}
    if about.media_type != "application/json":
        content[about.media_type] = {"schema": {}} if about.media_type.startswith("text/") else {}
    if about.answers and status == 200:  # noqa: PLR2004
        content["application/json"] = {"schema": _ref(about.answers)}
        if about.answer is not None:
            content["application/json"]["example"] = about.answer
    if content and status != 204:  # noqa: PLR2004
        found["content"] = content
    return found


def _headers(about: About) -> Schema:
    names = {"x-request-id": "request-id"}
    if about.submits or about.waits:
        names |= {
            "X-Filmgate-Task-Id": "task-id",
            "X-Filmgate-Credits-Held": "credits-held",
            "X-Filmgate-Credits-Charged": "credits-charged",
        }
    if about.submits:
        names["Idempotent-Replayed"] = "replayed"
    return {name: {"$ref": f"#/components/headers/{header}"} for name, header in names.items()}


def _ref(kind: Any) -> Schema:  # noqa: ANN401  (a type of any sort)
    return {"$ref": _REF.format(name=kind.__name__)}


def operations(document: Schema) -> Sequence[tuple[str, str, Schema]]:
    """Return method, path and operation of all that a document describes, in its order."""
    return [
        (method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
