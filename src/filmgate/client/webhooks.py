"""Webhooks (https://www.standardwebhooks.com), believed only once their signature is good."""

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from filmgate.client.answers import Task, read_task
from filmgate.client.errors import BadAnswer, FilmgateError, WebhookInvalid

TOLERANCE_S: Final = 300
DIGITS: Final = 18
_PREFIX: Final = "whsec_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """What a webhook says: `id` is the same at every delivery of it, so that it can be taken once.

    `data` is the task in the dialect that it was submitted in.
    """

    id: str
    type: str
    timestamp: datetime
    data: Mapping[str, Any]

    @property
    def task(self) -> Task:
        """The task, if it was submitted by this client or another of OpenAI's dialect; else BadAnswer."""
        return read_task(self.data)


class Headers(Protocol):
    """The headers of a request, as any server of any framework has them."""

    def items(self) -> Iterable[tuple[str, str]]:
        """Return names, in any case of letters, and values."""
        ...


def verify_webhook(body: bytes | str, headers: Headers, secret: str, *, now: float | None = None) -> Webhook:
    """Return what a webhook says, or raise WebhookInvalid if it is not ours, or older than 5 minutes.

    `body` is the request's body as it came: parsed and written anew, it would have another signature.
    `secret` is what `filmgate webhooks secret` prints; `now` is Unix time, this machine's by default.
    """
    raw = body.encode() if isinstance(body, str) else body
    said = {name.lower(): value for name, value in headers.items()}
    try:
        message_id, timestamp, signatures = (
            said[f"webhook-{name}"] for name in ("id", "timestamp", "signature")
        )
    except KeyError as error:
        raise WebhookInvalid(f"the header {error.args[0]} is missing") from None
    if not timestamp.isdecimal() or len(timestamp) > DIGITS:
        raise WebhookInvalid("webhook-timestamp is no number")
    if abs((time.time() if now is None else now) - int(timestamp)) > TOLERANCE_S:
        raise WebhookInvalid(f"it was signed more than {TOLERANCE_S // 60} minutes from now")
    signed = b".".join((message_id.encode(), timestamp.encode(), raw))
    expected = base64.b64encode(hmac.digest(_key(secret), signed, hashlib.sha256))
    # Several while a secret is being changed: one of them is enough.
    given = [
        sig for version, _, sig in (item.partition(",") for item in signatures.split()) if version == "v1"
    ]
    if not any(hmac.compare_digest(signature.encode(), expected) for signature in given):
        raise WebhookInvalid("the signature is not that of this secret")
    return _read(message_id, raw)


def _key(secret: str) -> bytes:
    try:
        return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error as error:
        raise FilmgateError(f"the secret should look like {_PREFIX}...: that is no base64") from error


def _read(message_id: str, raw: bytes) -> Webhook:
    try:
        body = json.loads(raw)
        return Webhook(
            id=message_id,
            type=body["type"],
            timestamp=datetime.fromisoformat(body["timestamp"]).astimezone(UTC),
            data=body["data"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BadAnswer(f"the webhook is not understood: {error!r}") from error
