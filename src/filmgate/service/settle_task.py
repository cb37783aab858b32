"""End a running task, once: its files stored, its hold posted or voided, its event written."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from filmgate.core.attempt import Attempt
from filmgate.core.change import advance
from filmgate.core.task import Output, Status, Task, TaskError
from filmgate.ports import Ports
from filmgate.ports.provider import Made
from filmgate.service.save import save

EXPIRED: Final = TaskError(code="expired", message="the task did not finish within its time")


async def succeed(ports: Ports, task: Task, attempt: Attempt, made: Sequence[Made], *, lease_no: int) -> None:
    """Store what was made, then end the task as succeeded and bill it, in one commit.

    The files are durable before the task says so; if the commit is refused they belong to nobody.
    """
    outputs = tuple([await _keep(ports, file) for file in made])
    now = ports.clock.now()
    after = replace(
        task.to(Status.SUCCEEDED, at=now),
        outputs=outputs,
        progress=100,
        charged=task.quote.amount,
        result_expires_at=ports.policy.files_until(now),
    )
    await save(ports, advance(task, after, lease_no=lease_no, attempts=(attempt,)))


async def fail(
    ports: Ports,
    task: Task,
    error: TaskError,
    *,
    lease_no: int | None = None,
    attempts: tuple[Attempt, ...] = (),
) -> None:
    """End the task as failed, free its hold, and save what became of its attempts."""
    now = ports.clock.now()
    files_until = ports.policy.files_until(now)
    after = replace(task.to(Status.FAILED, at=now), error=error, result_expires_at=files_until)
    await save(ports, advance(task, after, lease_no=lease_no, attempts=attempts))


async def _keep(ports: Ports, made: Made) -> Output:
    blob = await ports.blobs.keep(made.source)
    return Output(
        kind=made.kind,
        blob=blob.id,
        mime=made.mime,
        size_bytes=blob.size_bytes,
        width=made.width,
        height=made.height,
        duration_s=made.duration_s,
    )
