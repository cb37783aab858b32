"""What an operator does about webhooks: look at their secrets, change them, deliver again."""

from collections.abc import Sequence

from filmgate.core.change import Change
from filmgate.core.delivery import Delivery
from filmgate.core.errors import NotFound
from filmgate.ports import Ports
from filmgate.service.deliver_webhook import ROOT
from filmgate.service.save import save


async def webhook_secrets(ports: Ports, account_id: str) -> Sequence[str]:
    """Return the secrets that sign an account's webhooks now, newest first."""
    if await ports.store.account(account_id) is None:
        raise NotFound(f"there is no account {account_id!r}", param="account")
    signing = await ports.store.signing(account_id)
    return signing.secrets(await ports.store.secret(ROOT), at=ports.clock.now())


async def rotate_webhook_secret(ports: Ports, account_id: str) -> Sequence[str]:
    """Return a new secret, and the one before it, which goes on signing beside it for a day."""
    await webhook_secrets(ports, account_id)
    signing = (await ports.store.signing(account_id)).rotated(at=ports.clock.now())
    await save(ports, Change(signings=(signing,)))
    return await webhook_secrets(ports, account_id)


async def find_delivery(ports: Ports, delivery_id: str) -> Delivery:
    """Return a delivery, or raise NotFound."""
    delivery = await ports.store.delivery(delivery_id)
    if delivery is None:
        raise NotFound(f"there is no delivery {delivery_id[:100]!r}", param="delivery")
    return delivery


async def replay_webhook(ports: Ports, delivery: Delivery) -> Delivery:
    """Return the delivery due now, with the whole schedule before it, however it ended."""
    again = delivery.again(at=ports.clock.now())
    await save(ports, Change(deliveries=(again,)))
    return again
