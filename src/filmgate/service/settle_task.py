"""End a running task, once: its files stored, its hold posted or voided, its event written."""

from dataclasses import replace
from datetime import timedelta

from filmgate.core.attempt import Attempt, Outcome
from filmgate.core.change import advance
from filmgate.core.task import Output, Status, Task, TaskError
from filmgate.ports import Ports
from filmgate.ports.provider import Made, Succeeded
from filmgate.service.save import save


async def succeed(
    ports: Ports, task: Task, attempt: Attempt, report: Succeeded, *, lease_no: int | None
) -> Task:
    """Store what was made, then end the task as succeeded and bill it, in one commit.

    The files are durable before the task says so; if the commit is refused they belong to nobody.
    """
    outputs = tuple([await _keep(ports, made) for made in report.made])
    now = ports.clock.now()
    after = replace(
        task.to(Status.SUCCEEDED, at=now),
        outputs=outputs,
        progress=100,
        charged=task.quote.amount,
        result_expires_at=now + timedelta(seconds=ports.policy.result_lifetime_s),
    )
    closed = attempt.close(Outcome.SUCCEEDED, at=now, upstream_cost=report.upstream_cost)
    await save(ports, advance(task, after, lease_no=lease_no, attempts=(closed,)))
    return after


async def fail(
    ports: Ports, task: Task, attempt: Attempt | None, error: TaskError, *, lease_no: int | None
) -> Task:
    """End the task as failed and free its hold; close `attempt` too, unless None leaves it open."""
    now = ports.clock.now()
    after = replace(task.to(Status.FAILED, at=now), error=error)
    attempts = () if attempt is None else (attempt.close(Outcome.FAILED, at=now),)
    await save(ports, advance(task, after, lease_no=lease_no, attempts=attempts))
    return after


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
