"""Remove a task at its owner's wish: what is left tells that there was one, and what it cost."""

from filmgate.core.change import tidying
from filmgate.core.errors import Conflict
from filmgate.core.task import Task
from filmgate.ports import Ports
from filmgate.service.cancel_task import cancel_task
from filmgate.service.save import save


async def delete_task(ports: Ports, task: Task) -> None:
    """Cancel the task if it is active, then erase it; one that was deleted before stays as it is.

    Its prompt, its inputs and outputs, its metadata and its undelivered webhooks go; its row, its
    events, its transfers and its idempotency keys stay. Reading it is TaskNotFound from then on.
    """
    while task.deleted_at is None:
        ended = await cancel_task(ports, task)
        try:
            await save(ports, tidying(ended, ended.erased(at=ports.clock.now())))
        except Conflict:
            newer = await ports.store.task(task.id)
            assert newer is not None, "a stored task stays stored"
            task = newer
        else:
            return
