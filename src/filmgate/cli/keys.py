"""`filmgate keys`: create, list and revoke API keys, beside a running server or without one."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from filmgate.cli.options import Config, Data, Json, micro_credits, run, settings_of
from filmgate.cli.screen import note, print_json, print_table

if TYPE_CHECKING:
    from filmgate.core.keys import Key
    from filmgate.core.ledger import Account
    from filmgate.settings import Settings


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    keys = typer.Typer(no_args_is_help=True, help="Create, list and revoke API keys.")
    keys.command(epilog="Example: filmgate keys create --name ada --credits 1000")(create)
    keys.command("list", epilog="Example: filmgate keys list --json")(list_keys)
    keys.command(epilog="Example: filmgate keys revoke 4fJ9aQz01B")(revoke)
    app.add_typer(keys, name="keys", epilog="Example: filmgate keys create --name ada --credits 1000")


def create(
    *,
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="Whose key it is, for the lists.")],
    credits_micro: Annotated[
        int,
        typer.Option(
            "--credits",
            metavar="CREDITS",
            parser=micro_credits,
            help="Credits to give to the account with it.",
        ),
    ] = 0,
    account: Annotated[
        str | None,
        typer.Option("--account", metavar="ID", help="An account to share; else a new one is opened."),
    ] = None,
    data: Data = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Create an API key.

    The key, shown this once, is all that goes to stdout.
    Works beside a running server, which takes it at once.
    """
    settings = settings_of(config, data)
    key, secret = run(_create(settings, name=name, credits_micro=credits_micro, account=account))
    if as_json:
        print_json({"key": secret, "id": key.id, "name": key.name, "account": key.account_id})
        return
    print(secret, flush=True)
    note(f"key {key.id} of account {key.account_id}; keep it well, it is not shown again")


def list_keys(*, data: Data = None, config: Config = None, as_json: Json = False) -> None:
    """List all API keys, oldest first."""
    keys, accounts = run(_list(settings_of(config, data)))
    if as_json:
        print_json([_document(key, accounts[key.account_id]) for key in keys])
        return
    rows = [
        (
            key.id,
            key.name,
            "revoked" if key.revoked_at else "active",
            _credits(accounts[key.account_id].available),
            key.account_id,
        )
        for key in keys
    ]
    columns = ("id", "name", "state", ">credits", "account")
    print_table(columns, rows, empty="There is no key yet. filmgate keys create --name NAME makes one.")


def revoke(
    key: Annotated[str, typer.Argument(metavar="KEY", help="The key's id, or the key itself.")],
    *,
    data: Data = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Revoke an API key, for good; its tasks go on."""
    revoked = run(_revoke(settings_of(config, data), key))
    if as_json:
        print_json({"id": revoked.id, "name": revoked.name, "revoked_at": revoked.revoked_at})
    else:
        note(f"key {revoked.id} ({revoked.name}) is revoked; within 5 seconds no server takes it")


async def _create(
    settings: "Settings", *, name: str, credits_micro: int, account: str | None
) -> tuple["Key", str]:
    from filmgate.bootstrap import beside
    from filmgate.service.manage_keys import create_key

    async with beside(settings) as ports:
        return await create_key(ports, name=name, credits_micro=credits_micro, account_id=account)


async def _list(settings: "Settings") -> tuple[list["Key"], dict[str, "Account"]]:
    from filmgate.bootstrap import beside

    async with beside(settings) as ports:
        accounts = {account.id: account for account in await ports.store.accounts()}
        return list(await ports.store.keys()), accounts


async def _revoke(settings: "Settings", key: str) -> "Key":
    from filmgate.bootstrap import beside
    from filmgate.core.keys import public_id
    from filmgate.service.manage_keys import revoke_key

    async with beside(settings) as ports:
        return await revoke_key(ports, public_id(key) or key)


def _document(key: "Key", account: "Account") -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "account": key.account_id,
        "credits_available": _credits(account.available),
        "created_at": key.created_at.isoformat(),
        "revoked_at": key.revoked_at and key.revoked_at.isoformat(),
    }


def _credits(micro: int) -> int | float:
    from filmgate.core.pricing import credits_of

    return credits_of(micro)
