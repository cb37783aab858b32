"""Accept a generation: priced, held and stored in one commit, or refused with nothing kept."""

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from filmgate.core import ids
from filmgate.core.catalogue import Model
from filmgate.core.change import Claim, Namespace, submission
from filmgate.core.errors import InvalidRequest, TaskNotFound
from filmgate.core.fingerprint import fingerprint
from filmgate.core.generation import Generation
from filmgate.core.keys import Key
from filmgate.core.pricing import Quote, quote
from filmgate.core.task import Route, Task
from filmgate.ports import Ports
from filmgate.ports.store import Replayed
from filmgate.service.save import save


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitTask:
    """A caller's submission, as its dialect read it. `model_name` is what the caller called it."""

    key: Key
    dialect: str
    model: Model
    model_name: str
    generation: Generation
    out_task_id: str | None = None
    idempotency_key: str | None = None
    callback_url: str | None = None
    request_id: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    traceparent: str | None = None
    priority: int = 0
    remixed_from: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """The task, and whether it had been submitted before under the same idempotency key."""

    task: Task
    replayed: bool = False


async def submit_task(ports: Ports, command: SubmitTask) -> Submitted:
    """Price it, hold the credits and store the task, or say why not; nothing in between."""
    route, price = estimate(ports, command.model, command.generation)
    task = _new_task(ports, command, route, price)
    # A caller who goes away now cannot stop the commit, so what it admits must be told to start.
    outcome = await asyncio.shield(save(ports, submission(task, claims=_claims(ports, command, task))))
    if isinstance(outcome, Replayed):
        if outcome.task.deleted_at is not None:
            # Not the old one, which is gone, nor a new one, which nobody meant to pay for.
            raise TaskNotFound("the task that was submitted with this idempotency key has been deleted")
        return Submitted(task=outcome.task, replayed=True)
    return Submitted(task=task)


def estimate(ports: Ports, model: Model, generation: Generation) -> tuple[Route, Quote]:
    """Return where `generation` would be made and what it would cost; raise where it would be refused."""
    route = ports.catalogue.route(model)
    _check_inputs(ports, route, generation)
    return route, quote(generation, model.price)


def _new_task(ports: Ports, command: SubmitTask, route: Route, price: Quote) -> Task:
    now = ports.clock.now()
    task_id = ids.task_id(now, ports.entropy(ids.ENTROPY_BYTES))
    return Task(
        id=task_id,
        account_id=command.key.account_id,
        key_id=command.key.identity,
        dialect=command.dialect,
        model=command.model_name,
        model_id=command.model.id,
        route=route,
        # Every run of a task makes the same film, however often it is begun anew.
        generation=command.generation.seeded(_seed_of(task_id)),
        quote=price,
        fingerprint=fingerprint(command.model.id, command.generation),
        created_at=now,
        updated_at=now,
        deadline_at=now + timedelta(seconds=ports.policy.deadline_s),
        priority=command.priority,
        out_task_id=command.out_task_id,
        request_id=command.request_id,
        callback_url=command.callback_url,
        metadata=command.metadata,
        traceparent=command.traceparent,
        remixed_from=command.remixed_from,
    )


def _claims(ports: Ports, command: SubmitTask, task: Task) -> tuple[Claim, ...]:
    claims = []
    if command.out_task_id is not None:
        claims.append(
            Claim(
                key_id=task.key_id,
                namespace=Namespace.OUT_TASK_ID,
                token=command.out_task_id,
                fingerprint=task.fingerprint,
            )
        )
    if command.idempotency_key is not None:
        claims.append(
            Claim(
                key_id=task.key_id,
                namespace=Namespace.HEADER,
                token=command.idempotency_key,
                fingerprint=task.fingerprint,
                expires_at=task.created_at + timedelta(seconds=ports.policy.idempotency_s),
            )
        )
    return tuple(claims)


def _check_inputs(ports: Ports, route: Route, generation: Generation) -> None:
    usable = ports.providers[route.provider].capabilities.media
    for media in generation.media:
        if media.kind not in usable:
            raise InvalidRequest(
                f"{route.provider!r}, which runs this model here, cannot use {media.kind} inputs",
                param=media.kind,
            )


def _seed_of(task_id: str) -> int:
    return int.from_bytes(hashlib.sha256(task_id.encode()).digest()[:4], "big")
