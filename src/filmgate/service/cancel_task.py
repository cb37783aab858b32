"""End a task at its owner's wish: one commit, whatever is still going on upstream."""

from dataclasses import replace

from filmgate.core.change import advance
from filmgate.core.errors import Conflict
from filmgate.core.task import Status, Task
from filmgate.ports import Ports
from filmgate.service.save import save


async def cancel_task(ports: Ports, task: Task) -> Task:
    """Return the task cancelled and its hold voided; one that has ended is returned unchanged.

    A completion that races it wins or loses by the version. What runs upstream is stopped after.
    """
    while not task.ended:
        now = ports.clock.now()
        files_until = ports.policy.files_until(now)
        cancelled = replace(task.to(Status.CANCELLED, at=now), result_expires_at=files_until)
        try:
            await save(ports, advance(task, cancelled))
        except Conflict:
            newer = await ports.store.task(task.id)
            assert newer is not None, "a stored task stays stored"
            task = newer
        else:
            return cancelled
    return task
