"""Webhooks against the reference implementation of Standard Webhooks."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook as Reference

from filmgate.client import BadAnswer, FilmgateError, Status, WebhookInvalid, verify_webhook
from tests.unit.client.videos import video

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_b3RoZXItc2VjcmV0LW90aGVyLXNlY3JldA=="
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
BODY = json.dumps(
    {"type": "video.completed", "timestamp": NOW.isoformat(), "data": video(status="completed")}
).encode()


def signature(secret: str = SECRET, body: bytes = BODY) -> str:
    return Reference(secret).sign("msg_1", NOW, body.decode())


def headers(said: str | None = None, **more: str) -> dict[str, str]:
    return {
        "Webhook-Id": "msg_1",
        "Webhook-Timestamp": str(int(NOW.timestamp())),
        "Webhook-Signature": signature() if said is None else said,
        **more,
    }


def verify(
    said: dict[str, str] | None = None, body: bytes | str = BODY, secret: str = SECRET, late_s: int = 0
) -> Any:  # noqa: ANN401
    return verify_webhook(body, said or headers(), secret, now=NOW.timestamp() + late_s)


def test_what_the_reference_signs_is_believed() -> None:
    hook = verify()

    assert (hook.id, hook.type, hook.timestamp) == ("msg_1", "video.completed", NOW)
    assert hook.data["id"] == "task_1"
    assert hook.task.status is Status.SUCCEEDED


def test_a_body_may_be_text_and_a_secret_go_without_its_prefix() -> None:
    assert verify(body=BODY.decode(), secret=SECRET.removeprefix("whsec_")).id == "msg_1"


def test_one_good_signature_of_several_is_enough() -> None:
    assert verify(headers(f"v2,x {signature(OTHER)} {signature()}")).id == "msg_1"


@pytest.mark.parametrize(
    "said",
    [
        headers(signature(OTHER)),
        headers(signature(body=BODY + b" ")),
        headers(signature().replace("v1,", "v2,")),
        headers(signature().removeprefix("v1,")),
        headers(""),
        headers("v1,"),
        headers("v1,é"),
        headers() | {"Webhook-Id": "msg_2"},
        headers() | {"Webhook-Timestamp": str(int(NOW.timestamp()) + 1)},
        headers() | {"Webhook-Timestamp": "soon"},
        headers() | {"Webhook-Timestamp": "9" * 5_000},
        {},
        {name: value for name, value in headers().items() if name != "Webhook-Id"},
    ],
)
def test_anything_else_is_not(said: dict[str, str]) -> None:
    with pytest.raises(WebhookInvalid):
        verify_webhook(BODY, said, SECRET, now=NOW.timestamp())


@pytest.mark.parametrize(("late_s", "good"), [(300, True), (301, False), (-300, True), (-301, False)])
def test_five_minutes_either_way_are_tolerated(late_s: int, *, good: bool) -> None:
    if good:
        assert verify(late_s=late_s).id == "msg_1"
    else:
        with pytest.raises(WebhookInvalid, match="5 minutes"):
            verify(late_s=late_s)


def test_a_secret_that_is_none_is_the_receivers_own_mistake() -> None:
    with pytest.raises(FilmgateError, match="whsec_"):
        verify(secret="whsec_not base64")


def test_a_webhook_of_another_dialect_has_its_data_and_no_task() -> None:
    body = json.dumps(
        {"type": "task.failed", "timestamp": NOW.isoformat(), "data": {"task_id": "t"}}
    ).encode()

    hook = verify(headers(signature(body=body)), body)

    assert hook.data == {"task_id": "t"}
    with pytest.raises(BadAnswer):
        _ = hook.task


def test_a_signed_body_that_is_none_of_ours_is_said_to_be_so() -> None:
    with pytest.raises(BadAnswer):
        verify(headers(signature(body=b"{}")), b"{}")
