"""The task and its state machine: the only home of what may follow what."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from filmgate.core.errors import IllegalTransition
from filmgate.core.generation import Generation, OutputKind
from filmgate.core.pricing import Quote


class Status(StrEnum):
    """How a task stands: the only truth that is public."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


TRANSITIONS: Final[Mapping[Status, frozenset[Status]]] = {
    Status.QUEUED: frozenset({Status.RUNNING, Status.FAILED, Status.CANCELLED}),
    # Never back to QUEUED: a retry waits inside RUNNING, so no client sees time run backwards.
    Status.RUNNING: frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELLED}),
    Status.SUCCEEDED: frozenset(),
    Status.FAILED: frozenset(),
    Status.CANCELLED: frozenset(),
}

TERMINAL: Final = frozenset(status for status, following in TRANSITIONS.items() if not following)


class Phase(StrEnum):
    """What a running task is doing: for people and metrics, never for decisions of a client."""

    PREPARING = "preparing"
    SUBMITTING = "submitting"
    SUBMIT_UNKNOWN = "submit_unknown"
    GENERATING = "generating"
    WAITING = "waiting"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskError:
    """Why a task failed: a stable `code` of ours and a `message` safe to show."""

    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One finished file: a stored blob, by its SHA-256, and what it holds."""

    kind: OutputKind
    blob: str
    mime: str
    size_bytes: int
    width: int | None = None
    height: int | None = None
    duration_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where a model is run: a provider, and the model's name there."""

    provider: str
    model: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One accepted generation, from submit to its end.

    `version` grows by one with every saved change and is the number of the task's last event.
    `attempt` counts upstream submissions decided upon. `charged` is what was billed, in
    micro-credits; `progress` is 0..100 and never goes back. `result_expires_at` is
    when its files go; after `deleted_at` only the skeleton is left. `remixed_from` is the id of the task
    whose film is this one's source.
    """

    id: str
    account_id: str
    key_id: str
    dialect: str
    model: str
    model_id: str
    route: Route
    generation: Generation
    quote: Quote
    fingerprint: str
    created_at: datetime
    updated_at: datetime
    deadline_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    result_expires_at: datetime | None = None
    deleted_at: datetime | None = None
    retry_at: datetime | None = None
    status: Status = Status.QUEUED
    phase: Phase | None = None
    version: int = 1
    attempt: int = 0
    progress: int = 0
    priority: int = 0
    charged: int = 0
    error: TaskError | None = None
    outputs: tuple[Output, ...] = ()
    out_task_id: str | None = None
    request_id: str | None = None
    callback_url: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    traceparent: str | None = None
    remixed_from: str | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing can follow."""
        return self.status in TERMINAL

    def to(self, status: Status, *, at: datetime) -> "Task":
        """Return this task in `status`, one version on, or raise IllegalTransition."""
        if status not in TRANSITIONS[self.status]:
            raise IllegalTransition(f"task {self.id} is {self.status}, not open to {status}")
        ended = status in TERMINAL
        return replace(
            self,
            status=status,
            version=self.version + 1,
            updated_at=at,
            started_at=at if status is Status.RUNNING else self.started_at,
            finished_at=at if ended else None,
            phase=None if ended else self.phase,
            retry_at=None,
        )

    @property
    def files_gone(self) -> bool:
        """Whether there were results, and their time has passed."""
        return self.status is Status.SUCCEEDED and not self.outputs

    @property
    def blobs(self) -> frozenset[str]:
        """The stored files that this task needs: what came in and what came out."""
        came_in = (media.blob for media in self.generation.media if media.blob is not None)
        return frozenset((*came_in, *(output.blob for output in self.outputs)))

    def without_files(self, *, at: datetime) -> "Task":
        """Return this ended task one version on, with the files let go of."""
        assert self.ended, "a task that goes on needs its files"
        media = tuple(replace(one, blob=None) for one in self.generation.media)
        return replace(
            self,
            version=self.version + 1,
            updated_at=at,
            generation=replace(self.generation, media=media),
            outputs=(),
        )

    def erased(self, *, at: datetime) -> "Task":
        """Return the skeleton of this ended task: what it asked for and what came of it are gone."""
        skeleton = replace(
            self.generation, prompt="", negative_prompt=None, media=(), end_user_id=None, extra={}
        )
        return replace(
            self.without_files(at=at),
            generation=skeleton,
            deleted_at=at,
            request_id=None,
            callback_url=None,
            metadata={},
        )

    def still(self, *, at: datetime, phase: Phase | None = None, progress: int | None = None) -> "Task":
        """Return this running task one version on, in `phase`, with `progress` if that is more."""
        if self.status is not Status.RUNNING:
            raise IllegalTransition(f"task {self.id} is {self.status}, it does not go on")
        return replace(
            self,
            version=self.version + 1,
            updated_at=at,
            phase=phase or self.phase,
            progress=max(self.progress, min(progress or 0, 99)),
            retry_at=None,
        )
