"""Give credits to an account."""

from filmgate.core import ids, ledger
from filmgate.core.change import Change
from filmgate.core.errors import InvalidRequest, NotFound
from filmgate.core.ledger import Account
from filmgate.ports import Ports
from filmgate.service.save import save


async def grant_credits(ports: Ports, *, account_id: str, amount: int, memo: str = "") -> Account:
    """Return the account after `amount` micro-credits were given to it."""
    if amount <= 0:
        raise InvalidRequest("the amount must be more than 0", param="amount")
    if await ports.store.account(account_id) is None:
        raise NotFound(f"there is no account {account_id!r}", param="account")
    now = ports.clock.now()
    unique = ids.ulid(now, ports.entropy(ids.ENTROPY_BYTES))
    await save(ports, Change(transfers=(ledger.grant(account_id, amount, unique=unique, at=now, memo=memo),)))
    account = await ports.store.account(account_id)
    assert account is not None, "an account is never deleted"
    return account
