"""Let go of the files of tasks that ended long ago."""

import contextlib
from datetime import datetime

from filmgate.core.change import tidying
from filmgate.core.errors import Conflict
from filmgate.ports import Ports
from filmgate.service.save import save


async def expire_results(ports: Ports, *, at: datetime) -> int:
    """Take the files from every ended task whose `result_expires_at` is past; return how many had some.

    The files themselves go once no other task needs them, with the garbage.
    """
    expired = 0
    while outdated := await ports.store.outdated(at):
        for task in outdated:
            with contextlib.suppress(Conflict):  # deleted in between: nothing is left to take
                await save(ports, tidying(task, task.without_files(at=ports.clock.now())))
                expired += 1
    return expired
