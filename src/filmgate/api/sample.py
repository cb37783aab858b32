"""One task for the examples of the documentation."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from filmgate.core.generation import Generation, OutputKind
from filmgate.core.pricing import MICRO, Quote, Unit
from filmgate.core.task import Output, Route, Status, Task

_NOON: Final = datetime(2026, 11, 20, 12, tzinfo=UTC)
_DONE: Final = _NOON + timedelta(seconds=9)

QUEUED: Final = Task(
    id="task_01KAGPW8G0E9Q2Z7M4T6V8X0YB",
    account_id="",
    key_id="",
    dialect="",
    model="studio",
    model_id="studio",
    route=Route(provider="studio"),
    generation=Generation(
        prompt="a lighthouse at dusk, waves, slow zoom",
        duration_s=5,
        aspect_ratio="16:9",
        resolution="720p",
        width=1280,
        height=720,
        seed=7,
    ),
    quote=Quote(unit=Unit.SECOND, rate=MICRO, units=5),
    fingerprint="",
    created_at=_NOON,
    updated_at=_NOON,
    deadline_at=_NOON + timedelta(hours=6),
)

COMPLETED: Final = replace(
    QUEUED,
    status=Status.SUCCEEDED,
    version=8,
    started_at=_NOON,
    updated_at=_DONE,
    finished_at=_DONE,
    result_expires_at=_DONE + timedelta(days=1),
    progress=100,
    charged=QUEUED.quote.amount,
    outputs=(
        Output(
            kind=OutputKind.VIDEO,
            blob="5f" * 32,
            mime="video/mp4",
            size_bytes=2_481_152,
            width=1280,
            height=720,
            duration_s=5.0,
        ),
    ),
)

CANCELLED: Final = replace(QUEUED, status=Status.CANCELLED, version=2, finished_at=_NOON)
