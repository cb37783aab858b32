"""What every dialect does alike with a submission, once it has read it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from filmgate.api.answer import Headers
from filmgate.api.call import Call
from filmgate.core.catalogue import Catalogue, Model
from filmgate.core.errors import InvalidRequest
from filmgate.core.generation import Generation, MediaKind
from filmgate.core.task import Task
from filmgate.core.wish import Wish, fulfil
from filmgate.ports import Ports
from filmgate.service.submit_task import SubmitTask, submit_task

log = structlog.get_logger(__name__)

IDEMPOTENCY_CHARACTERS: Final = 255
METADATA_CHARACTERS: Final = 16_384

_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A submission as its dialect read it: the wish, and what goes along with it."""

    model: Model
    model_name: str
    wish: Wish
    out_task_id: str | None = None
    callback_url: str | None = None
    request_id: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


def find_model(catalogue: Catalogue, name: str) -> Model:
    """Return the model of this name; a name nobody can have is as unknown as any other."""
    return catalogue.find(name.strip())


async def submit(ports: Ports, call: Call, dialect: str, order: Order) -> tuple[Task, Headers]:
    """Return the task of this order, new or as it was stored before, and the headers that say so."""
    generation = fulfil(order.model, order.wish)
    command = SubmitTask(
        key=call.key,
        dialect=dialect,
        model=order.model,
        model_name=order.model_name,
        generation=generation,
        out_task_id=order.out_task_id,
        idempotency_key=_idempotency_key(call),
        callback_url=order.callback_url,
        request_id=order.request_id,
        metadata=order.metadata,
        traceparent=_traceparent(call),
    )
    try:
        submitted = await submit_task(ports, command)
    except InvalidRequest as error:
        raise _in_wire_words(error, order.wish, generation) from error
    task = submitted.task
    log.info(
        "task submitted", task_id=task.id, dialect=dialect, model=task.model_id, replayed=submitted.replayed
    )
    headers = task_headers(task)
    if submitted.replayed:
        headers.append((b"idempotent-replayed", b"true"))
    return task, headers


def task_headers(task: Task) -> Headers:
    """Return the headers of every answer about one task."""
    return [(b"x-filmgate-task-id", task.id.encode())]


def _in_wire_words(error: InvalidRequest, wish: Wish, generation: Generation) -> InvalidRequest:
    """Name the field that brought the input which no provider here can use."""
    if error.param not in set(MediaKind) or not generation.media:
        return error
    field_name = wish.names.get(f"{error.param}s", f"{error.param}s")
    return InvalidRequest(f"{field_name}: {error.message}", param=field_name)


def _idempotency_key(call: Call) -> str | None:
    """Return the caller's key, as bare text or as the quoted string of the IETF's draft."""
    given = {value for name, value in call.scope["headers"] if name == b"idempotency-key"}
    if not given:
        return None
    key: str = given.pop().decode("latin-1").strip(" \t")
    if len(key) > 1 and key[0] == key[-1] == '"':
        key = key[1:-1]
    if given or not (1 <= len(key) <= IDEMPOTENCY_CHARACTERS and key.isascii() and key.isprintable()):
        raise InvalidRequest(
            f"Idempotency-Key: must be 1 to {IDEMPOTENCY_CHARACTERS} printable ASCII characters, given once",
            param="Idempotency-Key",
        )
    return key


def _traceparent(call: Call) -> str | None:
    """Return the caller's W3C trace context if it is one; a broken one is as good as none."""
    text = call.header(b"traceparent")
    return text if text is not None and _TRACEPARENT.fullmatch(text) else None
