"""What the core asks of the outside world, as small Protocols."""

from collections.abc import Mapping
from dataclasses import dataclass

from filmgate.core.catalogue import Catalogue
from filmgate.ports.blobs import Blobs
from filmgate.ports.clock import Clock, Entropy
from filmgate.ports.dispatch import Dispatch
from filmgate.ports.provider import Capabilities, Provider
from filmgate.ports.signals import Signals
from filmgate.ports.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The operator's choices that use cases go by."""

    deadline_s: int = 6 * 3600
    idempotency_s: int = 7 * 86_400
    result_lifetime_s: int = 86_400


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
    clock: Clock
    entropy: Entropy
    catalogue: Catalogue
    providers: Mapping[str, Backend]
    policy: Policy = Policy()
