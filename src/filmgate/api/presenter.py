"""What a webhook carries: the end of a task, in the words of the dialect that the task came in by."""

from typing import Final

import msgspec

from filmgate.api.dialect import NEUTRAL, Json, View, find_dialects
from filmgate.api.links import Links
from filmgate.api.times import iso
from filmgate.api.web import Web
from filmgate.core.delivery import Delivery
from filmgate.core.task import Task
from filmgate.ports import Ports

MOST_BYTES: Final = 20_000  # Standard Webhooks 1.0.0, "Payload size"

_SMALLEST: Final = frozenset({"id", "object", "task_id", "out_task_id", "status"})


class DialectPresenter:
    """Implements `ports.presenter.Presenter`; a dialect that is no more is told in the neutral one."""

    def __init__(self, ports: Ports, web: Web) -> None:
        self._dialects = {dialect.name: dialect for dialect in find_dialects()}
        self._view = View(links=Links(web, ports.clock), catalogue=ports.catalogue)

    def event(self, task: Task, delivery: Delivery) -> bytes:
        dialect = self._dialects.get(task.dialect, self._dialects[NEUTRAL])
        around = {"type": dialect.events[task.status], "timestamp": iso(delivery.created_at)}
        return _fitted(
            around | dialect.write_envelope(task, delivery), dict(dialect.write_task(task, self._view))
        )


def _fitted(around: Json, data: Json) -> bytes:
    """Return both as one JSON object; if that is too long, what takes most of it stays out, by name."""
    omitted: list[str] = []
    while True:
        said = {"omitted": omitted} if omitted else {}
        body = msgspec.json.encode(around | said | {"data": data})
        longest = max(
            data.keys() - _SMALLEST, key=lambda name: len(msgspec.json.encode(data[name])), default=None
        )
        if len(body) <= MOST_BYTES or longest is None:
            return body
        del data[longest]
        omitted.append(longest)
