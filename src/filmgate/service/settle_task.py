"""End a running task, once: its files stored, its hold posted or voided, its event written."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from filmgate.core.attempt import Attempt
from filmgate.core.change import advance
from filmgate.core.task import Output, Status, Task, TaskError
from filmgate.ports import Ports
from filmgate.ports.provider import Made
from filmgate.service.save import save


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
        result_expires_at=now + timedelta(seconds=ports.policy.result_lifetime_s),
    )
    await save(ports, advance(task, after, lease_no=lease_no, attempts=(attempt,)))


async def fail(
    ports: Ports, task: Task, error: TaskError, *, lease_no: int, attempts: tuple[Attempt, ...] = ()
) -> None:
    """End the task as failed, free its hold, and save what became of its attempts."""
    after = replace(task.to(Status.FAILED, at=ports.clock.now()), error=error)
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
