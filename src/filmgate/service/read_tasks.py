"""Look a task up on behalf of a key: someone else's is not there."""

from filmgate.core import ids
from filmgate.core.change import Namespace
from filmgate.core.errors import TaskNotFound
from filmgate.core.keys import Key
from filmgate.core.task import Task
from filmgate.ports import Ports


async def read_task(ports: Ports, key: Key, task_id: str) -> Task:
    """Return the task, or raise TaskNotFound: unknown, deleted and another key's look the same."""
    task = await ports.store.task(task_id) if ids.is_task_id(task_id) else None
    if task is None or task.key_id != key.identity or task.deleted_at is not None:
        raise TaskNotFound(f"there is no task {task_id[:100]!r}")
    return task


async def read_task_named(ports: Ports, key: Key, out_task_id: str) -> Task:
    """Return the task that this key submitted as `out_task_id`, or raise TaskNotFound."""
    task = await ports.store.task_named(key.identity, Namespace.OUT_TASK_ID, out_task_id)
    if task is None or task.deleted_at is not None:
        raise TaskNotFound(f"there is no task {out_task_id[:100]!r}")
    return task
