"""`filmgate credits`: give credits to an account, and see what accounts have."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from filmgate.cli.options import Config, Data, Json, micro_credits, run, settings_of
from filmgate.cli.screen import note, print_json, print_table

if TYPE_CHECKING:
    from filmgate.core.ledger import Account
    from filmgate.settings import Settings


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    credits_ = typer.Typer(no_args_is_help=True, help="Give credits to accounts, and see what they have.")
    credits_.command(epilog="Example: filmgate credits grant acct_01JDA... 500 --memo 'invoice 17'")(grant)
    credits_.command(epilog="Example: filmgate credits balance --json")(balance)
    app.add_typer(credits_, name="credits", epilog="Example: filmgate credits balance")


def grant(
    account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account's id.")],
    amount: Annotated[
        int, typer.Argument(metavar="CREDITS", parser=micro_credits, help="How many credits to give.")
    ],
    *,
    memo: Annotated[
        str, typer.Option("--memo", metavar="TEXT", help="Why, for the ledger.", show_default=False)
    ] = "",
    data: Data = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Give credits to an account."""
    after = run(_grant(settings_of(config, data), account, amount, memo))
    if as_json:
        print_json(_document(after))
    else:
        note(f"account {after.id} ({after.name}) now has {_document(after)['available']} credits to spend")


def balance(
    account: Annotated[
        str | None,
        typer.Argument(metavar="[ACCOUNT]", help="One account's id; else all.", show_default=False),
    ] = None,
    *,
    data: Data = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Print what accounts have, hold for tasks, and can spend."""
    accounts = [_document(found) for found in run(_accounts(settings_of(config, data), account))]
    if as_json:
        print_json(accounts if account is None else accounts[0])
        return
    columns = ("account", "name", ">balance", ">held", ">available")
    rows = [tuple(found[name.strip(">")] for name in columns) for found in accounts]
    print_table(columns, rows, empty="There is no account yet. filmgate keys create opens one.")


async def _grant(settings: "Settings", account: str, amount: int, memo: str) -> "Account":
    from filmgate.bootstrap import beside
    from filmgate.service.grant_credits import grant_credits

    async with beside(settings) as ports:
        return await grant_credits(ports, account_id=account, amount=amount, memo=memo)


async def _accounts(settings: "Settings", account: str | None) -> list["Account"]:
    from filmgate.bootstrap import beside
    from filmgate.core.errors import NotFound

    async with beside(settings) as ports:
        if account is None:
            return list(await ports.store.accounts())
        found = await ports.store.account(account)
        if found is None:
            raise NotFound(f"there is no account {account!r}")
        return [found]


def _document(account: "Account") -> dict[str, Any]:
    from filmgate.core.pricing import credits_of

    return {
        "account": account.id,
        "name": account.name,
        "balance": credits_of(account.balance),
        "held": credits_of(account.held),
        "available": credits_of(account.available),
    }
