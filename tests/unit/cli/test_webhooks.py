"""Webhooks by the command line, without a server."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from standardwebhooks import Webhook
from typer.testing import CliRunner

from filmgate.bootstrap import beside
from filmgate.cli import app
from filmgate.cli.webhooks import State
from filmgate.core.change import Change
from filmgate.core.delivery import Delivery, DeliveryState, Try, event_id
from filmgate.ports.store import Committed
from filmgate.settings import load
from tests.fakes import NOON
from tests.unit.cli.running import answer, filmgate

pytestmark = pytest.mark.usefixtures("directory")


def a_delivery(n: int, *tries: Try, account: str = "acct_ada") -> Delivery:
    """Return a delivery after these tries."""
    delivery = Delivery(
        id=event_id(f"task_{n}", 3),
        task_id=f"task_{n}",
        account_id=account,
        url="https://ada.example/hook",
        created_at=NOON + timedelta(seconds=n),
        next_at=NOON,
    )
    for this in tries:
        delivery = delivery.tried(this, chance=0.5)
    return replace(delivery, version=1)


def keep(*deliveries: Delivery) -> None:
    """Have these in the store."""

    async def commit() -> None:
        async with beside(load({}).settings) as ports:
            outcome = await ports.store.commit(Change(deliveries=deliveries))
            assert isinstance(outcome, Committed)

    asyncio.run(commit())


def failed(times: int) -> Sequence[Try]:
    return [Try(at=NOON + timedelta(hours=n), took_s=0.25, status=500) for n in range(times)]


GOOD = Try(at=NOON, took_s=0.125, status=200)
SILENT = Try(at=NOON, took_s=15, error="no answer within 15 seconds")


def test_the_states_are_those_of_the_core() -> None:
    assert [state.value for state in State] == [state.value for state in DeliveryState]


def test_deliveries_are_listed_newest_first_and_by_state_and_account() -> None:
    keep(a_delivery(1, GOOD), a_delivery(2, SILENT), a_delivery(3, *failed(10), account="acct_bob"))

    everything = answer("webhooks", "list")
    table = filmgate("webhooks", "list").splitlines()

    assert [one["state"] for one in everything] == ["dead", "pending", "delivered"]
    assert [one["task"] for one in answer("webhooks", "list", "--state", "pending")] == ["task_2"]
    assert [one["task"] for one in answer("webhooks", "list", "--account", "acct_bob")] == ["task_3"]
    assert len(answer("webhooks", "list", "--limit", "1")) == 1
    assert table[0].split() == ["EVENT", "STATE", "TRIES", "LAST", "NEXT", "URL"]
    assert table[1].split()[1:4] == ["dead", "10", "500"]
    assert "no answer" in table[2]


def test_one_delivery_is_shown_with_what_came_of_each_try() -> None:
    keep(a_delivery(1, SILENT))
    event = event_id("task_1", 3)

    shown = answer("webhooks", "show", event)
    page = filmgate("webhooks", "show", event)

    assert shown["tries"] == [
        {"at": NOON.isoformat(), "took_s": 15.0, "status": None, "error": "no answer within 15 seconds"}
    ]
    assert "no answer within 15 seconds" in page
    assert "https://ada.example/hook" in page


def test_the_dead_are_all_to_be_delivered_again_and_nothing_else() -> None:
    keep(a_delivery(1, GOOD), *(a_delivery(n, *failed(10)) for n in range(2, 152)))

    again = answer("webhooks", "replay", "--dead")

    assert len(again) == 150
    assert {one["state"] for one in again} == {"pending"}
    assert not answer("webhooks", "list", "--state", "dead")
    assert len(answer("webhooks", "list", "--state", "delivered")) == 1


def test_what_was_delivered_can_be_delivered_again() -> None:
    keep(a_delivery(1, GOOD))

    (again,) = answer("webhooks", "replay", event_id("task_1", 3))

    assert again["state"] == "pending"
    assert len(again["tries"]) == 1


def test_the_secret_of_the_only_account_needs_no_name_and_stays() -> None:
    filmgate("keys", "create", "--name", "ada")

    secret = filmgate("webhooks", "secret")

    assert secret == filmgate("webhooks", "secret")
    assert Webhook(secret.strip()).sign("evt_1", NOON, "{}").startswith("v1,")


def test_after_a_rotation_both_secrets_are_printed_the_new_one_first() -> None:
    account = answer("keys", "create", "--name", "ada")["account"]
    old = filmgate("webhooks", "secret").strip()

    rotated = answer("webhooks", "secret", "--account", account, "--rotate")

    assert rotated["account"] == account
    assert rotated["secrets"][1] == old
    assert rotated["secrets"][0] != old
    assert filmgate("webhooks", "secret").split() == rotated["secrets"]


def test_of_several_accounts_one_must_be_named() -> None:
    first = answer("keys", "create", "--name", "ada")["account"]
    second = answer("keys", "create", "--name", "bob")["account"]

    unnamed = CliRunner().invoke(app, ["webhooks", "secret"])

    assert unnamed.exit_code == 1
    secrets = {filmgate("webhooks", "secret", "--account", one) for one in (first, second)}
    assert len(secrets) == 2
