"""The deterministic simulator: does nothing, at any scale, exactly as the prompt says.

For whoever writes a client, and for our own tests. A film is always the same test card of one
second, a picture always its one frame; nothing is rendered and nothing is copied. Words in the
prompt choose what happens, alone or together:

    #slow        takes 5 seconds (`slow_s`), its progress going from 0 to 100 evenly
    #slow=12     takes 12 seconds
    #fail        fails with code `provider_failed`, after the time that `#slow` says, if any
    #moderate    fails with code `moderated`, likewise
    #stall       runs until it is cancelled
    #reject      is refused when submitted
    #busy        is turned away once with advice when to come back, then accepted
    #busy=2      is turned away twice

Anything else succeeds at the first poll.
"""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from filmgate.core.errors import ProviderBusy, ProviderRejected, RemoteLost
from filmgate.core.generation import Generation, MediaKind, OutputKind
from filmgate.ports.provider import (
    Capabilities,
    ClientReference,
    Failed,
    Made,
    RemoteId,
    Report,
    Running,
    Spec,
    Succeeded,
)

_HERE: Final = Path(__file__).parent
# Both made by tools/make_sandbox_clip.py.
CLIP: Final = Made(
    kind=OutputKind.VIDEO, source=_HERE / "clip.mp4", mime="video/mp4", width=320, height=180, duration_s=1.0
)
PICTURE: Final = Made(
    kind=OutputKind.IMAGE, source=_HERE / "picture.png", mime="image/png", width=320, height=180
)

_WORDS: Final = re.compile(
    r"(?<!\S)#(slow|fail|moderate|stall|reject|busy)(?:=(\d{1,6}(?:\.\d{1,3})?))?(?!\S)"
)
_RETRY_AFTER_S: Final = 0.2
_MOST_TURNED_AWAY: Final = 10_000
_NEVER: Final = float("inf")

_FAILED: Final = Failed(code="provider_failed", reason="The sandbox failed, as its prompt asked.")
_MODERATED: Final = Failed(code="moderated", reason="The sandbox found this improper, as its prompt asked.")
_CANCELLED: Final = Failed(code="cancelled", reason="The work was cancelled.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The keys of `[providers.sandbox]`: tasks at a time and per minute, how long a bare `#slow` takes."""

    slots: int = 256
    rate: int | None = None
    slow_s: float = 5.0


@dataclass(slots=True)
class _Work:
    """One submission: how it ends, and when."""

    began_at: float
    takes_s: float
    end: Report

    def report(self, now: float) -> Report:
        elapsed = now - self.began_at
        if elapsed >= self.takes_s:
            return self.end
        progress = int(100 * elapsed / self.takes_s)
        return Running(progress=progress, eta_s=None if self.takes_s == _NEVER else self.takes_s - elapsed)


class Sandbox:
    """Keeps the script of every submission in memory and reads it out by the clock."""

    def __init__(
        self, config: Config, *, scratch: Path, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Go by `monotonic`, in seconds; `scratch` stays empty."""
        del scratch
        self._config = config
        self._monotonic = monotonic
        self._work: dict[RemoteId, _Work] = {}
        self._turned_away: dict[str, int] = {}

    async def start(self) -> None:
        """There is nothing to make ready."""

    async def submit(
        self,
        generation: Generation,
        *,
        reference: str,
        inputs: Sequence[Path] = (),  # noqa: ARG002  (no picture can fail here)
    ) -> RemoteId:
        """Begin, under the reference as the id; a second time changes nothing."""
        remote_id = RemoteId(reference)
        if remote_id not in self._work:
            words = _words(generation.prompt)
            self._admit(words, reference)
            self._work[remote_id] = _Work(self._monotonic(), self._takes_s(words), _end(words, generation))
        return remote_id

    async def poll(self, remote_id: RemoteId) -> Report:
        """Answer from memory."""
        work = self._work.get(remote_id)
        if work is None:
            raise RemoteLost("the sandbox knows of no such work")
        return work.report(self._monotonic())

    async def cancel(self, remote_id: RemoteId) -> None:
        """End the work now, unless it has ended."""
        work = self._work.get(remote_id)
        if work is not None and isinstance(work.report(self._monotonic()), Running):
            self._work[remote_id] = replace(work, takes_s=0, end=_CANCELLED)

    async def forget(self, remote_id: RemoteId) -> None:
        """Forget the script; the outputs belong to everybody."""
        self._work.pop(remote_id, None)

    async def close(self) -> None:
        """Forget everything."""
        self._work.clear()
        self._turned_away.clear()

    def _admit(self, words: Mapping[str, float | None], reference: str) -> None:
        if "reject" in words:
            raise ProviderRejected("the sandbox will not run this, as its prompt asked")
        # By task: whoever is turned away comes back under the next attempt's reference, or the same.
        task = reference.rpartition("-")[0]
        turned_away = self._turned_away.pop(task, 0)
        if turned_away < _number(words, "busy", alone=1):
            self._turned_away[task] = turned_away + 1
            while len(self._turned_away) > _MOST_TURNED_AWAY:  # the oldest will not come back
                del self._turned_away[next(iter(self._turned_away))]
            raise ProviderBusy("the sandbox is busy, as its prompt asked", retry_after_s=_RETRY_AFTER_S)

    def _takes_s(self, words: Mapping[str, float | None]) -> float:
        if "stall" in words:
            return _NEVER
        return _number(words, "slow", alone=self._config.slow_s)


def _words(prompt: str) -> Mapping[str, float | None]:
    """Return the magic words of a prompt, each with its number if it has one."""
    if "#" not in prompt:  # nearly every prompt
        return {}
    return {word: float(number) if number else None for word, number in _WORDS.findall(prompt)}


def _number(words: Mapping[str, float | None], word: str, *, alone: float) -> float:
    """Return the number said with a word: `alone` where it stands alone, 0 where it is not there."""
    said = words.get(word, 0.0)
    return alone if said is None else said


def _end(words: Mapping[str, float | None], generation: Generation) -> Report:
    if "fail" in words:
        return _FAILED
    if "moderate" in words:
        return _MODERATED
    if generation.duration_s == 0:
        return Succeeded(made=(PICTURE,) * generation.n)
    if generation.return_last_frame:
        return Succeeded(made=(CLIP, replace(PICTURE, kind=OutputKind.LAST_FRAME)))
    return Succeeded(made=(CLIP,))


SPEC: Final = Spec(
    name="sandbox",
    capabilities=Capabilities(
        client_reference=ClientReference.IDEMPOTENT,
        media=frozenset(MediaKind),  # it looks at none of them
        cancels=True,
        poll_interval_s=0.25,
    ),
    config=Config,
    build=Sandbox,
    slots=256,
    built_in=True,
)
