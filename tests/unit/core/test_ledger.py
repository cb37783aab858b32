"""The ledger's arithmetic: what may be applied to an account, and what never."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filmgate.core.errors import FilmgateError, InsufficientCredits, InvalidRequest
from filmgate.core.ledger import (
    FUNDING,
    MOST,
    REVENUE,
    Account,
    Row,
    Transfer,
    applied,
    audit,
    grant,
    hold,
    link,
    resolve,
)
from filmgate.core.task import Status, Task
from tests.fakes import NOON, a_task

ADA = Account(id="acct_ada", name="ada")
TASK = a_task()
PRICE = TASK.quote.amount
GOLDEN = "7d57869d9da198ad8a93dea2863d820b61b30ae06e22398f69ca33f03444ce9f"


def funded(amount: int = PRICE) -> Account:
    return applied(ADA, grant(ADA.id, amount, unique="1", at=NOON))


def ended(status: Status, charged: int = 0) -> Task:
    return replace(a_task(status), charged=charged)


def test_a_hold_takes_from_what_is_available_and_moves_nothing() -> None:
    account = applied(funded(), hold(TASK))

    assert (account.balance, account.held, account.available) == (PRICE, PRICE, 0)


@pytest.mark.parametrize("charged", [0, 1, PRICE])
def test_a_post_bills_what_was_charged_and_frees_the_rest(charged: int) -> None:
    held = applied(funded(), hold(TASK))

    account = applied(held, resolve(ended(Status.SUCCEEDED, charged)))

    assert (account.balance, account.held) == (PRICE - charged, 0)


@pytest.mark.parametrize("status", [Status.FAILED, Status.CANCELLED])
def test_a_void_bills_nothing_whatever_the_task_says(status: Status) -> None:
    held = applied(funded(), hold(TASK))

    account = applied(held, resolve(ended(status, charged=PRICE)))

    assert (account.balance, account.held) == (PRICE, 0)


def test_nobody_holds_more_than_is_available() -> None:
    with pytest.raises(InsufficientCredits):
        applied(funded(PRICE - 1), hold(TASK))
    with pytest.raises(InsufficientCredits):
        applied(applied(funded(2 * PRICE - 1), hold(TASK)), hold(TASK))


def test_more_than_was_held_is_neither_posted_nor_released() -> None:
    held = applied(funded(2 * PRICE), hold(TASK))

    with pytest.raises(AssertionError):
        applied(held, resolve(ended(Status.SUCCEEDED, PRICE + 1)))
    with pytest.raises(AssertionError):
        applied(funded(), resolve(ended(Status.CANCELLED)))


@pytest.mark.parametrize("amount", [-1, MOST + 1])
def test_what_cannot_be_an_amount_is_no_transfer(amount: int) -> None:
    with pytest.raises(InvalidRequest):
        grant(ADA.id, amount, unique="1", at=NOON)


def test_a_balance_never_outgrows_its_column() -> None:
    rich = funded(MOST)

    with pytest.raises(FilmgateError):
        applied(rich, grant(ADA.id, MOST, unique="2", at=NOON))

    assert MOST < 2**63


def test_ids_say_what_a_transfer_is_for_so_that_it_is_unique() -> None:
    ids = {hold(TASK).id, resolve(ended(Status.SUCCEEDED)).id, resolve(ended(Status.CANCELLED)).id}

    assert ids == {f"hold_{TASK.id}", f"resolve_{TASK.id}"}
    assert grant(ADA.id, 1, unique="x", at=NOON).id == "grant_x"


def test_money_comes_from_the_house_and_goes_to_it() -> None:
    gift, held = grant(ADA.id, 1, unique="x", at=NOON), hold(TASK)

    assert (gift.debit, gift.credit) == (FUNDING, ADA.id)
    assert (held.debit, held.credit) == (ADA.id, REVENUE)


text = st.text(max_size=5)
transfers = st.builds(
    Transfer,
    id=text,
    kind=st.sampled_from([hold(TASK).kind, resolve(ended(Status.CANCELLED)).kind]),
    account_id=text,
    debit=text,
    credit=text,
    amount=st.integers(0, 20),
    releases=st.integers(0, 20),
    task_id=text,
    memo=text,
    at=st.just(NOON),
)


@given(transfers, transfers, st.integers(1, 3), st.integers(1, 3))
def test_two_rows_have_one_hash_only_if_they_are_one_row(
    first: Transfer, second: Transfer, place: int, other_place: int
) -> None:
    same = link(b"", place, first) == link(b"", other_place, second)

    assert same is ((first, place) == (second, other_place))


def test_the_hash_is_the_one_that_is_on_disks_everywhere() -> None:
    gift = grant("acct_ada", 5_000_000, unique="1", at=NOON, memo="a gift")

    assert link(b"\0" * 32, 1, gift).hex() == GOLDEN


def test_the_audit_names_a_row_that_gives_more_than_an_account_can_have() -> None:
    account = Account(id="acct_ada", name="ada")
    rows = []
    for seq, amount in enumerate((MOST, 1), start=1):
        transfer = grant(account.id, amount, unique=str(seq), at=NOON)
        head = link(account.chain_head, seq, transfer)
        account = replace(account, chain_seq=seq, chain_head=head)
        rows.append(Row(transfer=transfer, seq=seq, hash=head))

    found = [finding.row for finding in audit([replace(account, balance=MOST)], rows, [])]

    assert found == ["grant_2"]
