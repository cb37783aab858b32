"""The probe processes: started when needed, at most a few, asked about one file at a time each."""

import asyncio
import json
import logging
from asyncio.subprocess import Process
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from filmgate import child
from filmgate.core.errors import InputInvalid
from filmgate.ports.media import Probed

_LOG: Final = logging.getLogger(__name__)

SIZE: Final = 2
ANSWERS_WITHIN_S: Final = 30.0  # longer than a file may take: this is about the process itself
_LAST_WORDS_BYTES: Final = 4_096


class _Answer(msgspec.Struct, forbid_unknown_fields=True):
    """What a child says: one of the two."""

    probed: Probed | None = None
    refused: str = "the file is damaged"


class Probers:
    """Looks into files in child processes; `size` at a time, while others wait their turn."""

    def __init__(self, size: int = SIZE) -> None:
        """Start none: the first file does."""
        self._room = asyncio.Semaphore(size)
        self._idle: list[_Prober] = []
        self._alive: set[_Prober] = set()

    @property
    def processes(self) -> tuple[int, ...]:
        """The ids of the processes there are."""
        return tuple(prober.pid for prober in self._alive)

    async def probe(self, path: Path) -> Probed:
        """Say what a file is, or raise InputInvalid."""
        async with self._room:
            prober = self._idle.pop() if self._idle else await self._start()
            try:
                answer = await prober.ask(path)
            except BaseException:
                await asyncio.shield(self._end(prober))
                raise
            self._idle.append(prober)
        return _read(answer)

    async def close(self) -> None:
        """Kill every process and wait until it is gone."""
        await asyncio.gather(*(self._end(prober) for prober in tuple(self._alive)))
        self._idle.clear()

    async def _start(self) -> "_Prober":
        prober = await _Prober.start()
        self._alive.add(prober)
        return prober

    async def _end(self, prober: "_Prober") -> None:
        await prober.end()
        self._alive.discard(prober)


class _Prober:
    """One probe process and the conversation with it."""

    def __init__(self, process: Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self._process = process
        self._orders = process.stdin
        self._answers = process.stdout
        self._listening = asyncio.ensure_future(_listen(process.stderr))

    @classmethod
    async def start(cls) -> "_Prober":
        return cls(await child.start("filmgate.media.prober"))

    @property
    def pid(self) -> int:
        return self._process.pid

    async def ask(self, path: Path) -> bytes:
        with suppress(ConnectionError):  # a dead process is found out by its silence
            self._orders.write(json.dumps(str(path)).encode() + b"\n")
            await self._orders.drain()
        async with asyncio.timeout(ANSWERS_WITHIN_S):
            answer = await self._answers.readline()
        if not answer:
            raise RuntimeError("the probe process has ended")
        return answer

    async def end(self) -> None:
        child.kill(self._process)
        await self._process.wait()
        await self._listening


async def _listen(stderr: asyncio.StreamReader) -> None:
    while words := await stderr.read(_LAST_WORDS_BYTES):
        _LOG.info("a probe process says: %s", words.decode(errors="replace").strip())


def _read(answer: bytes) -> Probed:
    """Return the answer as what it must be; it may come from a process that a file has taken over."""
    try:
        said = msgspec.json.decode(answer, type=_Answer)
    except msgspec.MsgspecError:
        said = _Answer()
    if said.probed is None:
        raise InputInvalid(said.refused)
    return said.probed
