"""The studio's render children: warm processes that are handed one job at a time."""

import asyncio
import logging
import os
import signal
from asyncio.subprocess import Process
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from filmgate.child import kill, start
from filmgate.providers.studio.wire import Broken, File, Finished, Job, Progress, read_answer, to_line

_LOG: Final = logging.getLogger(__name__)

_WATCH_S: Final = 0.25
_GOODBYE_S: Final = 2.0
_LAST_WORDS_BYTES: Final = 4096


class RenderFailed(Exception):
    """A job came to nothing; the message and the `code` are safe to show to whoever asked for it."""

    def __init__(self, reason: str, *, code: str = "provider_failed") -> None:
        super().__init__(reason)
        self.code = code


class Pool:
    """At most `size` children at work, started when needed and kept while they are well.

    One is killed when it takes `memory_bytes`, or hangs: says nothing for `silence_s`.
    """

    def __init__(
        self, size: int, *, jobs_per_child: int, memory_bytes: int, silence_s: float = 180.0
    ) -> None:
        self._room = asyncio.Semaphore(size)
        self._spare = min(size, 2)  # an idle child is memory: those that a burst called go after it
        self._jobs_per_child = jobs_per_child
        self._limits = _Limits(memory_bytes, silence_s)
        self._idle: list[_Child] = []
        self._alive: set[_Child] = set()
        self._chores: set[asyncio.Task[None]] = set()
        self._starting: asyncio.Task[None] | None = None
        self._closed = False

    def warm(self) -> None:
        """Start a child in the background, unless one is ready for the next job."""
        if not self._idle and not self._closed:
            _ = self._one_more()

    async def run(self, job: Job, on_progress: Callable[[int], None]) -> tuple[File, ...]:
        """Have the job done, or raise `RenderFailed`; cancelled, its child is dead on return."""
        async with self._room:
            child = await self._take()
            try:
                files = await child.work(job, on_progress)
            except BaseException as error:
                # After a job that failed or was broken off, nothing about the child is known.
                await asyncio.shield(self._begin(self._end(child)))
                self.warm()
                if isinstance(error, RenderFailed):
                    _LOG.warning("a render failed: %s\n%s", error, child.last_words)
                raise
            self._give_back(child)
            return files

    async def close(self) -> None:
        """Kill every child and wait until it is gone."""
        self._closed = True
        while self._alive or self._chores:
            ends = [self._end(child) for child in self._alive]
            await asyncio.gather(*ends, *self._chores, return_exceptions=True)
        self._idle.clear()

    async def _take(self) -> "_Child":
        while True:
            while self._idle:
                child = self._idle.pop()
                if child.alive:
                    return child
                _ = self._begin(self._end(child))
            # Shielded: cancelled here, the new child is not lost but idle.
            await asyncio.shield(self._one_more())

    def _give_back(self, child: "_Child") -> None:
        if child.jobs < self._jobs_per_child and len(self._idle) < self._spare and not self._closed:
            self._idle.append(child)
        else:
            _ = self._begin(self._end(child))
            self.warm()

    def _one_more(self) -> asyncio.Task[None]:
        """Start a child, or join a start that is under way: one after the other is fast enough."""
        if self._starting is None or self._starting.done():
            self._starting = self._begin(self._start())
        return self._starting

    async def _start(self) -> None:
        if self._closed:
            raise RenderFailed("The studio is shutting down.")
        child = await _Child.start(self._limits)
        self._alive.add(child)
        self._idle.append(child)

    async def _end(self, child: "_Child") -> None:
        await child.end()
        self._alive.discard(child)

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._chores.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._chores.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _LOG.warning("a render child could not be started or ended: %r", error)


@dataclass(frozen=True, slots=True)
class _Limits:
    memory_bytes: int
    silence_s: float


class _Child:
    """One render process and the conversation with it."""

    def __init__(self, process: Process, limits: _Limits) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self.jobs = 0
        self._process = process
        self._orders = process.stdin
        self._answers = process.stdout
        self._limits = limits
        self._verdict: str | None = None
        self._heard = b""
        self._listening = asyncio.ensure_future(self._listen(process.stderr))

    @classmethod
    async def start(cls, limits: _Limits) -> "_Child":
        process = await start(
            "filmgate.providers.studio.worker", limits.memory_bytes, environment=_ENVIRONMENT
        )
        return cls(process, limits)

    @property
    def alive(self) -> bool:
        return self._process.returncode is None

    @property
    def last_words(self) -> str:
        """The end of what it wrote to its standard error."""
        return self._heard.decode(errors="replace")

    async def work(self, job: Job, on_progress: Callable[[int], None]) -> tuple[File, ...]:
        self.jobs += 1
        watch = asyncio.ensure_future(self._watch_memory())
        try:
            with suppress(ConnectionError):  # a dead child is found out by its silence
                self._orders.write(to_line(job))
                await self._orders.drain()
            while True:
                async with asyncio.timeout(self._limits.silence_s):
                    line = await self._answers.readline()
                if not line:
                    raise RenderFailed(await self._obituary())
                match read_answer(line):
                    case Progress(percent):
                        on_progress(percent)
                    case Finished(files):
                        return files
                    case Broken(reason, code):
                        raise RenderFailed(reason, code=code)
        except TimeoutError:
            raise RenderFailed("The render process hung and was stopped.") from None
        except msgspec.MsgspecError as error:
            raise RenderFailed("The render process did not make sense and was stopped.") from error
        finally:
            watch.cancel()

    async def end(self) -> None:
        """Kill it at once, with whatever it started, and wait until it is gone."""
        kill(self._process)
        await self._process.wait()
        await self._listening

    async def _obituary(self) -> str:
        with suppress(TimeoutError):
            async with asyncio.timeout(_GOODBYE_S):
                await self._process.wait()
        if self._verdict is not None:
            return self._verdict
        match self._process.returncode:
            case -9:
                return "The render process was killed, perhaps for want of memory on this machine."
            case int(code) if code < 0:
                return f"The render process crashed ({signal.Signals(-code).name})."
            case code:
                return f"The render process ended unexpectedly (status {code})."

    async def _watch_memory(self) -> None:
        """Kill the process where it takes more than its share: before the machine has to choose."""
        while True:
            await asyncio.sleep(_WATCH_S)
            if _resident_bytes(self._process.pid) > self._limits.memory_bytes:
                self._verdict = "The studio needs more memory for this order than it may use."
                kill(self._process)
                return

    async def _listen(self, stderr: asyncio.StreamReader) -> None:
        while words := await stderr.read(_LAST_WORDS_BYTES):
            self._heard = (self._heard + words)[-_LAST_WORDS_BYTES:]


_ENVIRONMENT: Final = {
    # One job is one core's worth of work: threads beside it only take it from another job.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    # Frames come and go in megabytes; few arenas keep what they leave behind small.
    "MALLOC_ARENA_MAX": "2",
}


def _resident_bytes(pid: int) -> int:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_bytes().split()[1])
    except (OSError, IndexError):  # gone, or a system without /proc: RLIMIT_AS holds all the same
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
