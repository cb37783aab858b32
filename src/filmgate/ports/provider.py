"""What runs a generation: an upstream service, a local model, or the built-in renderer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, NewType, Protocol

from filmgate.core.generation import Generation, MediaKind, OutputKind

RemoteId = NewType("RemoteId", str)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """One file a provider made, at a path on this machine: it is copied, never changed or moved.

    `mime` is what the provider says it is. `width` and `height` are pixels, `duration_s` seconds.
    """

    kind: OutputKind
    source: Path
    mime: str
    width: int | None = None
    height: int | None = None
    duration_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """Not finished. `progress` is 0..100 where the provider knows it; `eta_s` seconds to go."""

    progress: int | None = None
    eta_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Succeeded:
    """Finished, with at least one output of the model's own kind."""

    made: tuple[Made, ...]
    upstream_cost: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """Ended without a result. `code` is stable and ours, `reason` safe to show to the caller."""

    code: str
    reason: str


Report = Running | Succeeded | Failed


class ClientReference(StrEnum):
    """What the provider does with the reference we send along with a submission."""

    IDEMPOTENT = "idempotent"  # the same reference again answers with the first submission
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a provider can do; the service decides by these and never by a provider's name.

    `poll_interval_s` is how often asking is worth it; 0 means the provider answers from memory.
    """

    client_reference: ClientReference = ClientReference.NONE
    media: frozenset[MediaKind] = frozenset()  # the kinds of input it can use
    cancels: bool = False
    poll_interval_s: float = 5.0


class Provider(Protocol):
    """One place that makes films. Each method may be called again and must then change nothing.

    Every failure is a `ProviderError` of `core.errors`; anything else is a bug in the adapter.
    """

    async def start(self) -> None:
        """Make ready what costs time once, in the background; return at once."""
        ...

    async def submit(
        self, generation: Generation, *, reference: str, inputs: Sequence[Path] = ()
    ) -> RemoteId:
        """Start the work and return the provider's id for it.

        `inputs` are the files of `generation.media`, in its order, to be read and never changed.
        `reference` is the task id and the number of the attempt. Raise an error whose `landed` is
        False only where provably nothing was started.
        """
        ...

    async def poll(self, remote_id: RemoteId) -> Report:
        """Say how the work stands. Raise `RemoteLost` where the provider knows of none."""
        ...

    async def cancel(self, remote_id: RemoteId) -> None:
        """Ask the provider to stop; finished or unknown work is no error."""
        ...

    async def forget(self, remote_id: RemoteId) -> None:
        """Drop whatever is kept here for a submission: its outputs are stored, or unwanted."""
        ...

    async def close(self) -> None:
        """Stop everything that was started here and leave nothing behind."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """A provider's entry in the registry: being in the folder `providers/` registers it."""

    name: str
    capabilities: Capabilities
    config: type[Any]  # a dataclass: the keys of `[providers.<name>]` in the settings
    build: Callable[..., Provider]  # (config, *, scratch: Path) -> Provider
    slots: int | None  # submissions at a time; None: as many as this machine has cores
    built_in: bool = False  # runs without being configured


Registry = Mapping[str, Spec]
