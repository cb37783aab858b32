"""End the tasks whose time has passed before it was their turn."""

import contextlib
from datetime import datetime

from filmgate.core.errors import Conflict
from filmgate.ports import Ports
from filmgate.service.settle_task import EXPIRED, fail


async def expire_waiting(ports: Ports, *, at: datetime) -> int:
    """Fail every task that waits for a slot past its deadline, free of charge; return how many there were.

    Whatever was admitted in between is ended all the same: its run finds out, and closes its attempt.
    """
    expired = 0
    while late := await ports.store.overdue(at):
        for task in late:
            # Who was faster has ended it, or has begun to run it: its run keeps the deadline then.
            with contextlib.suppress(Conflict):
                await fail(ports, task, EXPIRED)
                expired += 1
    return expired
