"""A provider that behaves like an upstream service seen from far away, and keeps count of us.

Being in this folder, which `benchmarks.serve` adds to the providers' own, registers it. It says of itself
what an upstream's adapter would, and answers from memory: there is no HTTP in it. Its work takes as long
as the reference decides, whatever we do; when it is closed it writes down when each ended, and when it
was asked.
"""

import asyncio
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from filmgate.core.errors import RemoteLost
from filmgate.core.generation import Generation, OutputKind
from filmgate.ports.provider import (
    Capabilities,
    ClientReference,
    Made,
    RemoteId,
    Report,
    Running,
    Spec,
    Succeeded,
)

INTERVAL_S: Final = 5.0


class Seen(msgspec.Struct, frozen=True):
    """One submission as the upstream saw it: times are seconds since 1970."""

    task_id: str
    ended_at: float
    asked_at: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The keys of `[providers.upstream]`: the film, what it takes at least and at most, the report."""

    film: str = ""
    least_s: float = 0.0
    most_s: float = 0.0
    report: str = ""
    slots: int = 10_000


@dataclass(slots=True)
class _Work:
    ends_at: float
    asked_at: list[float] = field(default_factory=list)


class Upstream:
    """Keeps its work in memory."""

    def __init__(self, config: Config, *, scratch: Path) -> None:
        """Begin with nothing; `scratch` stays empty."""
        del scratch
        self._config = config
        self._work: dict[RemoteId, _Work] = {}

    async def start(self) -> None:
        """There is nothing to make ready."""

    async def submit(
        self,
        generation: Generation,  # noqa: ARG002  (every film is the same)
        *,
        reference: str,
        inputs: Sequence[Path] = (),  # noqa: ARG002  (no film needs any)
    ) -> RemoteId:
        """Begin, each time anew: it does not know the reference again."""
        share = zlib.crc32(reference.encode()) / 2**32
        takes_s = self._config.least_s + share * (self._config.most_s - self._config.least_s)
        self._work[RemoteId(reference)] = _Work(time.time() + takes_s)
        return RemoteId(reference)

    async def poll(self, remote_id: RemoteId) -> Report:
        """Answer by the clock, and note the question."""
        work = self._work.get(remote_id)
        if work is None:
            raise RemoteLost("the upstream knows of no such work")
        now = time.time()
        work.asked_at.append(now)
        if now < work.ends_at:
            return Running()
        film = Made(kind=OutputKind.VIDEO, source=Path(self._config.film), mime="video/mp4")
        return Succeeded(made=(film,))

    async def cancel(self, remote_id: RemoteId) -> None:
        """Nothing here is ever cancelled."""

    async def forget(self, remote_id: RemoteId) -> None:
        """Keep it: it is what the report is about."""

    async def close(self) -> None:
        """Write the report."""
        seen = [
            Seen(reference.rpartition("-")[0], work.ends_at, tuple(work.asked_at))
            for reference, work in self._work.items()
        ]
        if self._config.report:
            await asyncio.to_thread(Path(self._config.report).write_bytes, msgspec.json.encode(seen))


SPEC: Final = Spec(
    name="upstream",
    capabilities=Capabilities(client_reference=ClientReference.NONE, poll_interval_s=INTERVAL_S),
    config=Config,
    build=Upstream,
    slots=10_000,
    built_in=True,
)
