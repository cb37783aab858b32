"""Several processes as one: started together, begun again when one dies, stopped together."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import structlog

from filmgate import child
from filmgate.core.errors import FilmgateError

Ready = Callable[[dict[str, Any]], None]
Role = Callable[[Ready], None]

QUICK_S: Final = 10.0  # a process that dies sooner waits before it is begun again, longer each time
AGAIN_S: Final = 1.0
LONGEST_S: Final = 30.0

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)
_log = structlog.get_logger("filmgate")


def supervise(roles: Sequence[Role], all_ready: Ready) -> None:
    """Run each role in a process of its own until SIGTERM or SIGINT, which each of them gets.

    The first one is ready before the others begin, so that what is wrong is said once, by it: then
    this ends as it did. `all_ready` is told what the first one said. A second signal is passed on, too.
    """
    # Signals are waited for, never handled: there is one place where anything happens.
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        _Supervisor(roles).run(all_ready)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


class _Supervisor:
    def __init__(self, roles: Sequence[Role]) -> None:
        self._roles = roles
        self._running: dict[int, tuple[Role, float]] = {}  # by process id: since when
        self._again: list[tuple[float, Role]] = []  # to be begun, and when
        self._pause_s = AGAIN_S
        self._stopping = False

    def run(self, all_ready: Ready) -> None:
        first, *others = self._roles
        said = self._start_and_hear(first)
        for role in others:
            self._start(role, lambda _: None)
        all_ready(said)
        while self._running or not self._stopping:
            if (got := signal.sigtimedwait(_SIGNALS, AGAIN_S)) is not None and got.si_signo != signal.SIGCHLD:
                self._stop(got.si_signo)
            self._reap()
            self._begin_again()

    def _start_and_hear(self, role: Role) -> dict[str, Any]:
        """Return what a process says once it is ready; end as it does if it never is."""
        heard, say = os.pipe()

        def ready(said: dict[str, Any]) -> None:
            os.write(say, json.dumps(said).encode() + b"\n")
            os.close(say)

        pid = self._start(role, ready)
        os.close(say)
        with os.fdopen(heard, "rb") as answers:
            line = answers.readline()
        if not line:
            _, status = os.waitpid(pid, 0)
            raise SystemExit(os.waitstatus_to_exitcode(status) or 1)
        said: dict[str, Any] = json.loads(line)
        return said

    def _start(self, role: Role, ready: Ready) -> int:
        parent = os.getpid()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()  # there is one thread so far, and no event loop
        if pid:
            self._running[pid] = (role, time.monotonic())
            return pid
        child.die_with(parent)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        try:
            role(ready)
        except FilmgateError:
            raise  # said as a command says it
        except Exception:  # noqa: BLE001  (of one process's bug, the others need not hear more)
            _log.exception("process_failed")
            raise SystemExit(1) from None
        raise SystemExit(0)  # by the way that a command ends: what is open is flushed and closed

    def _stop(self, by: int) -> None:
        self._stopping = True
        self._again.clear()
        for pid in self._running:
            os.kill(pid, by)

    def _reap(self) -> None:
        for pid in tuple(self._running):
            done, status = os.waitpid(pid, os.WNOHANG)
            if not done:
                continue
            role, since = self._running.pop(pid)
            if not self._stopping:
                now = time.monotonic()
                _log.error("process_died", pid=pid, status=os.waitstatus_to_exitcode(status))
                quick = now - since < QUICK_S
                self._again.append((now + self._pause_s if quick else now, role))
                self._pause_s = min(self._pause_s * 2, LONGEST_S) if quick else AGAIN_S

    def _begin_again(self) -> None:
        due = [role for at, role in self._again if at <= time.monotonic()]
        self._again = [(at, role) for at, role in self._again if at > time.monotonic()]
        for role in due:
            self._start(role, lambda _: None)
