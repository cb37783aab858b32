"""Keys, credits and the ledger by the command line, without a server."""

import re
from pathlib import Path

import pytest

from filmgate.core.keys import public_id
from tests.unit.cli.running import answer, filmgate

pytestmark = pytest.mark.usefixtures("directory")


def test_a_new_key_is_all_that_stdout_holds() -> None:
    out = filmgate("keys", "create", "--name", "ada", "--credits", "100")

    assert re.fullmatch(r"fg_live_\w+\n", out)
    assert public_id(out.strip())


def test_a_new_key_opens_an_account_with_the_credits_given() -> None:
    key = answer("keys", "create", "--name", "ada", "--credits", "0.5")

    (account,) = answer("credits", "balance")
    assert account == {
        "account": key["account"],
        "name": "ada",
        "balance": 0.5,
        "held": 0,
        "available": 0.5,
    }


def test_a_second_key_may_share_an_account() -> None:
    account = answer("keys", "create", "--name", "ada", "--credits", "10")["account"]

    filmgate("keys", "create", "--name", "ada's laptop", "--credits", "5", "--account", account)

    assert answer("credits", "balance", account)["available"] == 15
    assert [key["account"] for key in answer("keys", "list")] == [account, account]


@pytest.mark.parametrize("by", ["id", "key"])
def test_a_key_is_revoked_by_its_id_or_by_itself(by: str) -> None:
    key = answer("keys", "create", "--name", "ada")

    filmgate("keys", "revoke", key[by])
    again = answer("keys", "revoke", key[by])

    (listed,) = answer("keys", "list")
    assert listed["revoked_at"]
    assert again["id"] == key["id"]


def test_no_list_shows_a_key_itself() -> None:
    key = answer("keys", "create", "--name", "ada")["key"]

    assert key not in filmgate("keys", "list") + filmgate("keys", "list", "--json")


def test_credits_can_be_given_later() -> None:
    account = answer("keys", "create", "--name", "ada")["account"]

    after = answer("credits", "grant", account, "7.25", "--memo", "invoice 17")

    assert after["available"] == 7.25


def test_the_books_of_a_new_installation_are_right() -> None:
    report = answer("ledger", "verify")

    assert (report["ok"], report["rows"], report["findings"]) == (True, 0, [])


def test_the_data_is_for_its_owner_only(directory: Path) -> None:
    filmgate("keys", "create", "--name", "ada")

    assert directory.stat().st_mode & 0o077 == 0


def test_lists_without_anything_are_empty() -> None:
    for command in (["keys", "list"], ["credits", "balance"], ["tasks", "list"]):
        assert answer(*command) == []
        assert filmgate(*command) == ""


def test_the_settings_are_shown_with_their_origins(directory: Path) -> None:
    shown = answer("settings")

    assert shown["settings"]["data"] == {"value": str(directory), "from": "FILMGATE_DATA"}
    assert shown["settings"]["port"] == {"value": 8080, "from": "default"}


def test_the_models_say_who_makes_them_and_who_only_stands_in() -> None:
    models = {model["id"]: model for model in answer("models")}

    assert (models["studio"]["provider"], models["studio"]["stands_in"]) == ("studio", False)
    assert (models["seedance_2_0"]["provider"], models["seedance_2_0"]["stands_in"]) == ("studio", True)
