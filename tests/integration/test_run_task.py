"""A task runs to its end once: whatever the provider does, and wherever the process dies."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest

from filmgate.core.attempt import Outcome
from filmgate.core.errors import (
    ModerationRejected,
    ProviderBusy,
    ProviderMisconfigured,
    ProviderProtocolError,
    ProviderRejected,
    ProviderUnavailable,
    SubmissionUnclear,
)
from filmgate.core.task import Phase, Status, Task
from filmgate.ports.provider import Failed, Report
from filmgate.service.cancel_task import cancel_task
from filmgate.service.run_task import run_task
from tests.fakes import NOON
from tests.runs import FUNDS, PRICE, Stage, a_stage, a_success, job_of, running

BOTH = pytest.mark.parametrize("idempotent", [True, False], ids=["idempotent", "no reference"])
FAILS = Failed(code="provider_failed", reason="It broke.")

Builds = Callable[..., "AsyncIterator[Stage]"]


@pytest.fixture
async def build(tmp_path: Path) -> AsyncIterator[Callable[..., object]]:
    """Return what builds a stage over SQLite, and close them all afterwards."""
    stages: list[Stage] = []

    async def one(
        *reports: Report, idempotent: bool = True, refusals: Sequence[Exception] = ()
    ) -> Stage:
        directory = tmp_path / str(len(stages))
        stages.append(await a_stage(directory, *reports, idempotent=idempotent, refusals=refusals))
        return stages[-1]

    yield one
    for stage in stages:
        await stage.store.close()


Build = Callable[..., object]


# --- lives without trouble ----------------------------------------------------------------------
