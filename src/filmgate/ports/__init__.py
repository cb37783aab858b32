"""What the core asks of the outside world, as small Protocols."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from filmgate.core.catalogue import Catalogue
from filmgate.ports.blobs import Blobs
from filmgate.ports.clock import Clock, Entropy
from filmgate.ports.dispatch import Dispatch
from filmgate.ports.media import Intake
from filmgate.ports.provider import Capabilities, Provider
from filmgate.ports.sender import Sender
from filmgate.ports.signals import Signals
from filmgate.ports.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The operator's choices that use cases go by; a `result_lifetime_s` of 0 is for ever."""

    deadline_s: int = 6 * 3600
    idempotency_s: int = 7 * 86_400
    result_lifetime_s: int = 30 * 86_400

    def files_until(self, ended_at: datetime) -> datetime | None:
        """Return when a task that ends then lets go of its files, those that came in included."""
        return ended_at + timedelta(seconds=self.result_lifetime_s) if self.result_lifetime_s else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """A provider that is up, and what it can do."""

    provider: Provider
    capabilities: Capabilities


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """All of the outside, as a use case gets it."""

    store: Store
    dispatch: Dispatch
    signals: Signals
    blobs: Blobs
    media: Intake
    sender: Sender
    clock: Clock
    entropy: Entropy
    catalogue: Catalogue
    providers: Mapping[str, Backend]
    policy: Policy = Policy()
