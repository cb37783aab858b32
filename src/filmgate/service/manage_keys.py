"""Create, check, list and revoke API keys."""

import hmac
from dataclasses import replace

from filmgate.core import ids, ledger
from filmgate.core.change import Change
from filmgate.core.errors import NotFound, Unauthenticated
from filmgate.core.keys import ENTROPY_BYTES, Key, hash_key, new_key, public_id
from filmgate.core.ledger import Account
from filmgate.ports import Ports
from filmgate.service.save import save

PEPPER = "key-pepper"


async def create_key(
    ports: Ports, *, name: str, credits_micro: int, account_id: str | None
) -> tuple[Key, str]:
    """Return a new key and, this once, the key itself; a new account is opened unless one is named."""
    now = ports.clock.now()
    accounts: tuple[Account, ...] = ()
    if account_id is None:
        account_id = f"acct_{ids.ulid(now, ports.entropy(ids.ENTROPY_BYTES))}"
        accounts = (Account(id=account_id, name=name),)
    elif await ports.store.account(account_id) is None:
        raise NotFound(f"there is no account {account_id!r}", param="account")
    key_id, secret = new_key(ports.entropy(ENTROPY_BYTES))
    key = Key(
        id=key_id,
        identity=f"key_{ids.ulid(now, ports.entropy(ids.ENTROPY_BYTES))}",
        account_id=account_id,
        name=name,
        hash=hash_key(secret, await ports.store.secret(PEPPER)),
        created_at=now,
    )
    gift = ledger.grant(account_id, credits_micro, unique=key.identity, at=now, memo=f"with key {name}")
    transfers = (gift,) if credits_micro else ()
    await save(ports, Change(accounts=accounts, keys=(key,), transfers=transfers))
    return key, secret


async def check_key(ports: Ports, presented: str) -> Key:
    """Return the key that `presented` is, or raise Unauthenticated."""
    key_id = public_id(presented)
    key = await ports.store.key(key_id) if key_id else None
    if key is None or key.revoked_at is not None:
        raise Unauthenticated("the API key is not valid")
    if not hmac.compare_digest(key.hash, hash_key(presented, await ports.store.secret(PEPPER))):
        raise Unauthenticated("the API key is not valid")
    return key


async def check_still_good(ports: Ports, key: Key) -> None:
    """Raise Unauthenticated if a key that was good has been revoked since."""
    now = await ports.store.key(key.id)
    if now is None or now.revoked_at is not None:
        raise Unauthenticated("the API key is not valid")


async def revoke_key(ports: Ports, key_id: str) -> Key:
    """Return the key revoked, for good; its tasks go on, and nobody reads them by it."""
    key = await ports.store.key(key_id)
    if key is None:
        raise NotFound(f"there is no key {key_id!r}", param="key")
    if key.revoked_at is None:
        key = replace(key, revoked_at=ports.clock.now())
        await save(ports, Change(keys=(key,)))
    return key
