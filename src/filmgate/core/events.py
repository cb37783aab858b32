"""What happened to a task, for streams, webhooks and audit."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from filmgate.core.task import Phase, Status, Task


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


def _kind(task: Task, before: Task | None) -> EventKind:
    if before is None or before.status is not task.status:
        return EventKind.STATUS
    if not task.ended:
        return EventKind.PROGRESS
    return EventKind.EXPIRED if task.deleted_at is None else EventKind.DELETED
