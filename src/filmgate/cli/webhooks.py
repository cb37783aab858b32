"""`filmgate webhooks`: see what was delivered, deliver again, and look after the secrets."""

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from filmgate.cli.options import Config, Data, Json, run, settings_of
from filmgate.cli.screen import CommandFailed, note, print_facts, print_json, print_table

if TYPE_CHECKING:
    from filmgate.core.delivery import Delivery
    from filmgate.ports import Ports
    from filmgate.settings import Settings


class State(StrEnum):
    """The states of a delivery, as an option's choices; `core.delivery` has them, and more to import."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"
    GONE = "gone"


EventId = Annotated[str, typer.Argument(metavar="EVENT", help="The event's id, as the receiver gets it.")]
Account = Annotated[
    str | None, typer.Option("--account", metavar="ID", help="Whose; needed where there are several.")
]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    webhooks = typer.Typer(no_args_is_help=True, help="Look after webhooks and their secrets.")
    webhooks.command("list", epilog="Example: filmgate webhooks list --state dead")(list_deliveries)
    webhooks.command(epilog="Example: filmgate webhooks show evt_4b1d...")(show)
    webhooks.command(epilog="Example: filmgate webhooks replay --dead")(replay)
    webhooks.command(epilog="Example: filmgate webhooks secret --rotate")(secret)
    app.add_typer(webhooks, name="webhooks", epilog="Example: filmgate webhooks list")


def list_deliveries(
    *,
    account: Annotated[
        str | None, typer.Option("--account", metavar="ID", help="Only this account's.")
    ] = None,
    state: Annotated[State | None, typer.Option("--state", help="Only those that stand so.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="How many at most.")] = 20,
    data: Data = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """List what was told or is to be told, newest first."""
    found = run(_list(settings_of(config, data), account, state, limit))
    if as_json:
        print_json([_document(delivery) for delivery in found])
        return
    rows = [
        (
            delivery.id,
            delivery.state.value,
            len(delivery.tries),
            _last(delivery),
            f"{delivery.next_at:%m-%d %H:%M:%S}" if delivery.next_at else "",
            delivery.url,
        )
        for delivery in found
    ]
    columns = ("event", "state", ">tries", "last", "next", "url")
    print_table(columns, rows, empty="There is no such webhook.")


def show(event: EventId, *, data: Data = None, config: Config = None, as_json: Json = False) -> None:
    """Show one webhook and what came of each try."""
    delivery = run(_show(settings_of(config, data), event))
    if as_json:
        print_json(_document(delivery))
        return
    print_facts(
        [
            ("event", delivery.id),
            ("state", delivery.state.value),
            ("task", delivery.task_id),
            ("account", delivery.account_id),
            ("url", delivery.url),
            ("created", f"{delivery.created_at:%Y-%m-%d %H:%M:%S} UTC"),
            ("next try", f"{delivery.next_at:%Y-%m-%d %H:%M:%S} UTC" if delivery.next_at else None),
        ]
    )
    print()
    rows = [
        (f"{this.at:%m-%d %H:%M:%S}", f"{this.took_s:.3f} s", this.status or this.error)
        for this in delivery.tries
    ]
    print_table(("time", ">took", "answer"), rows, empty="It has not been tried yet.")


def replay(
    event: Annotated[
        str | None, typer.Argument(metavar="EVENT", help="The event's id.", show_default=False)
    ] = None,
    *,
    dead: Annotated[bool, typer.Option("--dead", help="All that were given up.")] = False,
    data: Data = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Deliver again, at once and with the whole schedule, under the same event id.

    The server does it: beside a running one it begins within a second, else at the next start.
    """
    if (event is None) is not dead:
        raise CommandFailed("name one event, or say --dead")
    found = run(_replay(settings_of(config, data), event))
    if as_json:
        print_json([_document(delivery) for delivery in found])
    else:
        note(f"{len(found)} webhook{'' if len(found) == 1 else 's'} to be delivered again")


def secret(
    *,
    account: Account = None,
    rotate: Annotated[bool, typer.Option("--rotate", help="Make a new one; for 24 hours both sign.")] = False,
    data: Data = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Print the secret that an account's webhooks are signed with, the newest first.

    After --rotate the one before it is printed too, for as long as it signs.
    """
    account_id, secrets = run(_secret(settings_of(config, data), account, rotate=rotate))
    if as_json:
        print_json({"account": account_id, "secrets": list(secrets)})
        return
    for one in secrets:
        print(one)


async def _list(
    settings: "Settings", account: str | None, state: State | None, limit: int
) -> Sequence["Delivery"]:
    from filmgate.bootstrap import beside
    from filmgate.core.delivery import DeliveryState
    from filmgate.ports.store import DeliveryQuery

    query = DeliveryQuery(account_id=account, state=DeliveryState(state) if state else None, limit=limit)
    async with beside(settings) as ports:
        return await ports.store.deliveries(query)


async def _show(settings: "Settings", event: str) -> "Delivery":
    from filmgate.bootstrap import beside
    from filmgate.service.manage_webhooks import find_delivery

    async with beside(settings) as ports:
        return await find_delivery(ports, event)


async def _replay(settings: "Settings", event: str | None) -> Sequence["Delivery"]:
    from filmgate.bootstrap import beside
    from filmgate.core.delivery import DeliveryState
    from filmgate.ports.store import DeliveryQuery
    from filmgate.service.manage_webhooks import find_delivery, replay_webhook

    async with beside(settings) as ports:
        if event is not None:
            return [await replay_webhook(ports, await find_delivery(ports, event))]
        again: list[Delivery] = []
        query = DeliveryQuery(state=DeliveryState.DEAD)
        while found := await ports.store.deliveries(query):  # each leaves the list as it is replayed
            again += [await replay_webhook(ports, delivery) for delivery in found]
        return again


async def _secret(settings: "Settings", account: str | None, *, rotate: bool) -> tuple[str, Sequence[str]]:
    from filmgate.bootstrap import beside
    from filmgate.service.manage_webhooks import rotate_webhook_secret, webhook_secrets

    async with beside(settings) as ports:
        account_id = account or await _only_account(ports)
        ask = rotate_webhook_secret if rotate else webhook_secrets
        return account_id, await ask(ports, account_id)


async def _only_account(ports: "Ports") -> str:
    accounts = await ports.store.accounts()
    if len(accounts) != 1:
        raise CommandFailed(
            f"there are {len(accounts)} accounts; say which with --account (filmgate keys list shows them)"
        )
    return accounts[0].id


def _last(delivery: "Delivery") -> str:
    return str(delivery.tries[-1].status or "no answer") if delivery.tries else ""


def _document(delivery: "Delivery") -> dict[str, Any]:
    return {
        "id": delivery.id,
        "state": delivery.state.value,
        "task": delivery.task_id,
        "account": delivery.account_id,
        "url": delivery.url,
        "created_at": delivery.created_at.isoformat(),
        "next_at": delivery.next_at and delivery.next_at.isoformat(),
        "finished_at": delivery.finished_at and delivery.finished_at.isoformat(),
        "tries": [
            {"at": this.at.isoformat(), "took_s": this.took_s, "status": this.status, "error": this.error}
            for this in delivery.tries
        ],
    }
