"""What happened to a task, for streams, webhooks and audit."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from filmgate.core.task import TERMINAL, Phase, Status, Task


class EventKind(StrEnum):
    """Which kind of thing happened."""

    STATUS = "status"
    PROGRESS = "progress"
    EXPIRED = "expired"  # the files of an ended task are gone
    DELETED = "deleted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One saved change of one task; `seq` is the version that it made, so there are no gaps."""

    task_id: str
    seq: int
    kind: EventKind
    at: datetime
    status: Status
    phase: Phase | None
    progress: int


def event_of(task: Task, *, before: Task | None) -> Event:
    """Return the event of the change that led from `before` to `task`."""
    return Event(
        task_id=task.id,
        seq=task.version,
        kind=_kind(task, before),
        at=task.updated_at,
        status=task.status,
        phase=task.phase,
        progress=task.progress,
    )


def as_of(task: Task, event: Event) -> Task:
    """Return `task` as it stood at one of its events: what its end brought is there only at its end."""
    if task.version == event.seq:
        return task
    then = replace(
        task,
        version=event.seq,
        status=event.status,
        phase=event.phase,
        progress=event.progress,
        updated_at=event.at,
        retry_at=None,
    )
    if event.status in TERMINAL:
        return then
    return replace(
        then,
        started_at=None if event.status is Status.QUEUED else task.started_at,
        finished_at=None,
        result_expires_at=None,
        charged=0,
        error=None,
        outputs=(),
    )


def _kind(task: Task, before: Task | None) -> EventKind:
    if before is None or before.status is not task.status:
        return EventKind.STATUS
    if not task.ended:
        return EventKind.PROGRESS
    return EventKind.EXPIRED if task.deleted_at is None else EventKind.DELETED
