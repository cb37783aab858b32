"""What every dialect does alike with a submission, once it has read it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any, Final

import structlog

from filmgate.api.answer import Headers
from filmgate.api.call import Call
from filmgate.api.forms import Upload
from filmgate.api.intake import check_callback, take_inputs
from filmgate.core.catalogue import Catalogue, Model
from filmgate.core.errors import InvalidRequest, TaskNotFound
from filmgate.core.fingerprint import fingerprint
from filmgate.core.generation import Generation, MediaKind
from filmgate.core.pricing import Quote, credits_of
from filmgate.core.task import Route, Task
from filmgate.ports import Ports
from filmgate.service.read_tasks import read_task
from filmgate.service.submit_task import SubmitTask, estimate, submit_task

log = structlog.get_logger(__name__)

IDEMPOTENCY_CHARACTERS: Final = 255
METADATA_CHARACTERS: Final = 16_384

_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A submission as its dialect read it: what is to be made, and what goes along with it.

    `names` says what the caller's dialect calls a field of ours, for the error that names it.
    """

    model: Model
    model_name: str
    generation: Generation
    names: Mapping[str, str] = field(default_factory=dict)
    out_task_id: str | None = None
    callback_url: str | None = None
    request_id: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    remixed_from: str | None = None


def find_model(catalogue: Catalogue, name: str) -> Model:
    """Return the model of this name; a name nobody can have is as unknown as any other."""
    return catalogue.find(name.strip())


async def submit(
    ports: Ports, call: Call, dialect: str, order: Order, *, uploads: Sequence[Upload] = ()
) -> tuple[Task, Headers]:
    """Return the task of this order, new or as it was stored before, and the headers that say so.

    `uploads` are the files of the body that the order was read from.
    """
    if order.callback_url is not None:
        check_callback(ports, order.callback_url)
    generation = order.generation
    if generation.media:
        media = await take_inputs(ports, call, generation.media, names=order.names, uploads=uploads)
        generation = generation.with_media(media)
    if (lost := await _unheard(ports, call, order, generation)) is not None:
        _tell_once_more(call, lost)
        return lost, [*task_headers(lost), _REPLAYED]
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
        remixed_from=order.remixed_from,
        traceparent=_traceparent(call),
    )
    try:
        submitted = await submit_task(ports, command)
    except InvalidRequest as error:
        raise _in_wire_words(error, order.names, generation) from error
    task = submitted.task
    log.info(
        "task submitted", task_id=task.id, dialect=dialect, model=task.model_id, replayed=submitted.replayed
    )
    headers = task_headers(task)
    if submitted.replayed:
        headers.append(_REPLAYED)
    else:
        _tell_once_more(call, task)
    return task, headers


def estimated(ports: Ports, order: Order) -> tuple[Route, Quote]:
    """Return where this order would be made and what it would cost; nothing is stored."""
    try:
        return estimate(ports, order.model, order.generation)
    except InvalidRequest as error:
        raise _in_wire_words(error, order.names, order.generation) from error


_REPLAYED: Final = (b"idempotent-replayed", b"true")


def task_headers(task: Task) -> Headers:
    """Return the headers of every answer about one task: which it is, and what it holds or did cost."""
    cost = _charged(task.charged) if task.ended else _held(task.quote.amount)
    return [(b"x-filmgate-task-id", task.id.encode()), cost]


# Few prices, and many polls.
@lru_cache(maxsize=1_024)
def _charged(amount: int) -> tuple[bytes, bytes]:
    return b"x-filmgate-credits-charged", str(credits_of(amount)).encode()


@lru_cache(maxsize=1_024)
def _held(amount: int) -> tuple[bytes, bytes]:
    return b"x-filmgate-credits-held", str(credits_of(amount)).encode()


async def _unheard(ports: Ports, call: Call, order: Order, generation: Generation) -> Task | None:
    """Return the task of this very submission whose answer the client never got, if it now tries again.

    Stock clients repeat a POST whose connection broke, without any key. Only their counter tells
    such a retry from a second, equal wish.
    """
    retries = call.header(b"x-stainless-retry-count") or ""
    if not retries.strip("0").isdecimal() or order.out_task_id or call.header(b"idempotency-key"):
        return None
    task_id = call.undelivered.take(call.key.identity, fingerprint(order.model.id, generation))
    if task_id is None:
        return None
    try:
        return await read_task(ports, call.key, task_id)
    except TaskNotFound:  # deleted since
        return None


def _tell_once_more(call: Call, task: Task) -> None:
    """Have this task remembered if its submitter is gone before the answer."""
    call.if_undelivered = partial(call.undelivered.note, task.key_id, task.fingerprint, task.id)


def _in_wire_words(error: InvalidRequest, names: Mapping[str, str], generation: Generation) -> InvalidRequest:
    """Name the field that brought the input which no provider here can use."""
    if error.param not in set(MediaKind) or not generation.media:
        return error
    field_name = names.get(f"{error.param}s", f"{error.param}s")
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
