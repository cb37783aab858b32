"""What strangers hand us, fetched through the safe client and looked into in a limited child."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from filmgate.core.errors import InputUnavailable
from filmgate.core.generation import MediaKind
from filmgate.media.formats import MOST_BYTES
from filmgate.media.pool import Probers
from filmgate.net.client import Limits, SafeClient
from filmgate.net.target import Unreachable
from filmgate.ports.media import Probed

FETCHES: Final = 8  # at a time, of all tasks


class SafeIntake:
    """Implements `ports.media.Intake`; what is not looked into yet lies below `directory`."""

    def __init__(self, client: SafeClient, directory: Path, *, fetch_s: float = 60.0) -> None:
        """Start nothing: the first file does."""
        self._client = client
        self._directory = directory
        self._fetch_s = fetch_s
        self._fetches = asyncio.Semaphore(FETCHES)
        self._probers = Probers()

    @asynccontextmanager
    async def scratch(self) -> AsyncIterator[Path]:
        directory = Path(await asyncio.to_thread(tempfile.mkdtemp, dir=self._directory))
        try:
            yield directory
        finally:
            await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)

    def check_url(self, url: str) -> None:
        try:
            self._client.check(url)
        except Unreachable as error:
            raise InputUnavailable(str(error)) from error

    async def fetch(self, url: str, into: Path, *, kind: MediaKind) -> None:
        limits = Limits(size_bytes=MOST_BYTES[kind], total_s=self._fetch_s)
        async with self._fetches:
            try:
                await self._client.download(url, into, limits)
            except Unreachable as error:
                raise InputUnavailable(str(error)) from error

    async def probe(self, path: Path) -> Probed:
        return await self._probers.probe(path)

    async def close(self) -> None:
        """Stop what was started for probing."""
        await self._probers.close()
