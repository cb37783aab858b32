"""The composition root: from settings to everything wired."""

import os
import tomllib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from importlib import resources
from pathlib import Path
from typing import Any, Final, cast

from filmgate.blobs.copies import Copies
from filmgate.blobs.local import LocalBlobs
from filmgate.blobs.objects import blobs_at
from filmgate.core.admission import Limits
from filmgate.core.catalogue import Catalogue, Model, read_models
from filmgate.core.errors import InvalidSettings
from filmgate.dispatch.broadcast import Broadcast
from filmgate.dispatch.hub import Hub
from filmgate.ports import Backend, Ports
from filmgate.ports.blobs import Blobs
from filmgate.ports.clock import Clock
from filmgate.ports.cluster import Cluster
from filmgate.ports.dispatch import Dispatch
from filmgate.ports.media import Intake
from filmgate.ports.provider import Spec
from filmgate.ports.sender import Sender
from filmgate.ports.signals import Signals
from filmgate.ports.store import Job, Store
from filmgate.providers import registry
from filmgate.settings import Settings
from filmgate.store.sqlite import SqliteStore

BLOBS: Final = "blobs"
COPIES: Final = "copies"  # of blobs that are kept elsewhere


class SystemClock:
    """Implements `ports.clock.Clock` by this machine's own."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class Elsewhere:
    """Implements `ports.dispatch.Dispatch` beside a server: it sees what was changed, and acts."""

    def start(self, jobs: tuple[Job, ...]) -> None:
        assert not jobs, "only a serving process admits"

    def freed(self) -> None:
        pass


class _Absent:
    """Stands for what only a serving process has: a command that asks for it has a bug."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  (whatever it is, it is not there)
        raise AssertionError(f"nothing here can {name}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """What a serving process has and a command does without: it costs as much to import as all the rest."""

    dispatch: Dispatch
    media: Intake
    sender: Sender
    providers: Mapping[str, Backend]


_BESIDE: Final = Outside(
    dispatch=Elsewhere(), media=cast("Intake", _Absent()), sender=cast("Sender", _Absent()), providers={}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A store, and what its processes share where there may be several."""

    store: Store
    cluster: Cluster | None = None


@asynccontextmanager
async def beside(settings: Settings) -> AsyncIterator[Ports]:
    """Open the data for a command, whether or not servers have it open as well."""
    opened = await open_store(settings, serving=False)
    try:
        if opened.cluster is None:
            yield wire(settings, opened.store, Hub(), SystemClock(), _BESIDE)
        else:
            signals = Broadcast(opened.cluster, Hub())
            yield wire(settings, opened.store, signals, SystemClock(), _BESIDE)
            await signals.flush()
    finally:
        await opened.store.close()


async def open_store(settings: Settings, *, serving: bool) -> Opened:
    """Open the store that the settings name, brought up to date if need be."""
    # For its owner only: it holds what is being worked on, and on SQLite all secrets.
    settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    if settings.database is None:
        return Opened(store=SqliteStore.open(settings.data, limits=limits(settings), serving=serving))
    try:
        from filmgate.store import postgres  # noqa: PLC0415  (an extra: most have no use for it)
    except ImportError as error:
        raise InvalidSettings(
            "database: PostgreSQL needs an extra: pip install 'filmgate[postgres]'"
        ) from error
    store, cluster = await postgres.open_store(settings.database, limits=limits(settings))
    return Opened(store=store, cluster=cluster)


def open_blobs(settings: Settings) -> Blobs:
    """Return the place for files that the settings name."""
    if settings.blobs is None:
        return LocalBlobs(settings.data / BLOBS)
    return blobs_at(
        settings.blobs,
        copies=Copies(settings.data / COPIES, most_bytes=settings.blob_copies_mib << 20),
        redirect=settings.blob_links == "redirect",
        environment=os.environ,
    )


def wire(settings: Settings, store: Store, signals: Signals, clock: Clock, outside: Outside) -> Ports:
    """Return all of the outside, as the settings want it."""
    return Ports(
        store=store,
        dispatch=outside.dispatch,
        signals=signals,
        blobs=open_blobs(settings),
        media=outside.media,
        sender=outside.sender,
        clock=clock,
        entropy=os.urandom,
        catalogue=catalogue(settings),
        providers=outside.providers,
        policy=settings.policy,
    )


# --- providers ----------------------------------------------------------------------------------


def limits(settings: Settings) -> Limits:
    """Return how much may run and wait, each provider's own slots included."""
    specs = registry()
    slots = {name: _slots(specs[name], provider.config) for name, provider in settings.providers.items()}
    rates = {name: getattr(provider.config, "rate", None) for name, provider in settings.providers.items()}
    return Limits(
        account_concurrency=settings.account_concurrency,
        account_queue=settings.account_queue,
        total_queue=settings.total_queue,
        account_rate=settings.account_rate,
        provider_slots=slots,
        provider_rates={name: per_minute for name, per_minute in rates.items() if per_minute is not None},
        local=frozenset(name for name in slots if specs[name].slots is None),
    )


def _slots(spec: Spec, config: object) -> int:
    said: int | None = getattr(config, "slots", None)
    return said or spec.slots or _cores()


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):  # a container may use fewer than there are
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


# --- the catalogue ------------------------------------------------------------------------------


def catalogue(settings: Settings) -> Catalogue:
    """Return the built-in models, with those of the operator's own file over them."""
    built_in = resources.files("filmgate").joinpath("catalogue.toml").read_text(encoding="utf-8")
    models = {model.id: model for model in _models(built_in)}
    if settings.catalogue is not None:
        models |= {model.id: model for model in _models(_read(settings.catalogue), settings.catalogue)}
    return Catalogue(
        models=tuple(models.values()), providers=frozenset(settings.providers), fallback=settings.fallback
    )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSettings(f"catalogue: cannot read {path}: {error}") from error


def _models(text: str, path: Path | None = None) -> tuple[Model, ...]:
    try:
        document: dict[str, Any] = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        raise InvalidSettings(f"catalogue: cannot read {path}: {error}") from error
    match document:
        case {"models": [*tables], **rest} if not rest and all(isinstance(t, dict) for t in tables):
            return read_models(tables)
        case _:
            raise InvalidSettings(f"catalogue: {path} holds something else than [[models]] tables")
