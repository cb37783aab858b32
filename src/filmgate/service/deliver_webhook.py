"""Try to deliver one webhook, and save what came of it."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from standardwebhooks import Webhook

from filmgate.core.change import Change
from filmgate.core.delivery import Delivery, Try
from filmgate.core.errors import Conflict
from filmgate.core.task import Task
from filmgate.ports import Ports
from filmgate.ports.presenter import Presenter
from filmgate.ports.sender import Answered, Unanswered
from filmgate.service.save import save

ROOT: Final = "webhook-signing"  # the installation's secret that all others are derived from


async def deliver_webhook(ports: Ports, presenter: Presenter, delivery: Delivery) -> Delivery:
    """Return the delivery after a try, saved; Conflict if it was changed or removed meanwhile.

    Dying before it is saved repeats the try: the receiver knows the event by its id. Neither the task
    nor its bill depends on any of it.
    """
    task = await ports.store.task(delivery.task_id)
    if task is None or task.deleted_at is not None:
        raise Conflict(f"task {delivery.task_id} is deleted: it has nothing to tell")
    began = ports.clock.now()
    body = presenter.event(task, delivery)
    headers = await _headers(ports, task, delivery, body, at=began)
    answer = await ports.sender.post(delivery.url, headers=headers, body=body)
    took_s = (ports.clock.now() - began).total_seconds()
    chance = int.from_bytes(ports.entropy(4), "big") / 2**32
    after = _tried(delivery, answer, Try(at=began, took_s=took_s), chance=chance)
    await save(ports, Change(deliveries=(after,)))
    return after


def _tried(delivery: Delivery, answer: Answered | Unanswered, this: Try, *, chance: float) -> Delivery:
    match answer:
        case Answered(status=status, retry_after_s=retry_after_s):
            return delivery.tried(replace(this, status=status), chance=chance, retry_after_s=retry_after_s)
        case Unanswered(reason=reason):
            return delivery.tried(replace(this, error=reason), chance=chance)


async def _headers(
    ports: Ports, task: Task, delivery: Delivery, body: bytes, *, at: datetime
) -> Mapping[str, str]:
    """Return the headers of Standard Webhooks 1.0.0, signed at `at`."""
    signing = await ports.store.signing(delivery.account_id)
    secrets = signing.secrets(await ports.store.secret(ROOT), at=at)
    headers = {
        "content-type": "application/json",
        "webhook-id": delivery.id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(
            Webhook(secret).sign(delivery.id, at, body.decode()) for secret in secrets
        ),
    }
    if task.traceparent is not None:
        headers["traceparent"] = task.traceparent
    return headers
