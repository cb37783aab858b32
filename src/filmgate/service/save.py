"""Commit a change, and tell whoever should know."""

from filmgate.core.change import Change
from filmgate.ports import Ports
from filmgate.ports.signals import DELIVERIES, KEYS
from filmgate.ports.store import Committed, Refused, Replayed


async def save(ports: Ports, change: Change) -> Committed | Replayed:
    """Make `change` durable, wake readers and start what was admitted, or raise why it was refused."""
    outcome = await ports.store.commit(change)
    match outcome:
        case Refused(error=error):
            raise error
        case Committed(jobs=jobs, awaits_turn=awaits_turn):
            ports.dispatch.start(jobs)
            if change.task is not None:
                ports.signals.tell(change.task.id)
            if change.keys:
                ports.signals.tell(KEYS)
            if change.deliveries:
                ports.signals.tell(DELIVERIES)
            if awaits_turn or _freed_a_slot(change):
                ports.dispatch.freed()
        case Replayed():
            pass
    return outcome


def _freed_a_slot(change: Change) -> bool:
    ended = change.task is not None and change.task.ended
    return ended or any(attempt.closed_at for attempt in change.attempts)
