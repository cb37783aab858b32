"""The machine that Filmgate runs on: its directory, disk, clock and renderer."""

import asyncio
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from filmgate.bootstrap.checkup.finding import Finding, State, spelt
from filmgate.core.errors import FilmgateError
from filmgate.core.generation import Generation
from filmgate.media.pool import Probers
from filmgate.ports.provider import Failed, Provider, Running, Succeeded
from filmgate.providers import registry
from filmgate.settings import Settings
from filmgate.store import sqlite

LITTLE_BYTES: Final = 500_000_000  # of free disk: time to act
NOTHING_BYTES: Final = 50_000_000  # nothing more can be promised
RENDER_WITHIN_S: Final = 60.0
CLOCK_SLACK: Final = timedelta(seconds=5)

TRIAL: Final = Generation(prompt="a lighthouse at dusk", duration_s=1, width=320, height=180, seed=1)


def directory(data: Path) -> Iterator[Finding]:
    if not data.exists():
        todo = "filmgate serve makes it; --data or FILMGATE_DATA names another"
        yield Finding(check="data", state=State.WARN, said=f"{data} does not exist yet", todo=todo)
        return
    if not data.is_dir() or not os.access(data, os.R_OK | os.W_OK | os.X_OK):
        todo = f"make it a directory that this user may write: chown -R {_me()} {data}"
        yield Finding(check="data", state=State.WRONG, said=f"{data} cannot be written", todo=todo)
        return
    open_to_others = [
        path for path in (data, data / sqlite.DATABASE) if path.exists() and path.stat().st_mode & 0o077
    ]
    foreign = data.stat().st_uid != os.geteuid()
    if open_to_others:
        mode = stat.filemode(open_to_others[0].stat().st_mode)
        said = f"others may read {open_to_others[0]} ({mode}), which holds the secrets of keys and links"
        yield Finding(check="data", state=State.WARN, said=said, todo=f"chmod -R go= {data}")
    elif foreign:
        said = f"{data} belongs to {data.owner()}, and you are {_me()}"
        todo = f"run commands as {data.owner()}, or files they make may be out of the service's reach"
        yield Finding(check="data", state=State.WARN, said=said, todo=todo)
    else:
        yield Finding(check="data", state=State.OK, said=f"{data}, for its owner only")


def _me() -> str:
    return os.environ.get("USER") or str(os.geteuid())


def disk(data: Path) -> Finding:
    there = next(path for path in (data, *data.parents) if path.exists())
    free = shutil.disk_usage(there).free
    said = f"{free / 1e9:.1f} GB free"
    if free >= LITTLE_BYTES:
        return Finding(check="disk", state=State.OK, said=said)
    said = f"only {free / 1e6:.0f} MB free"
    todo = "make room, or let results go sooner: result_lifetime_s"
    state = State.WRONG if free < NOTHING_BYTES else State.WARN
    return Finding(check="disk", state=state, said=said, todo=todo)


class Clocks:
    """The time on the wall and the time that only goes on, taken together."""

    def __init__(self) -> None:
        self.wall, self.steady = datetime.now(UTC), time.monotonic()

    def apart(self, later: "Clocks") -> timedelta:
        """Return how far the wall's was set since."""
        return later.wall - self.wall - timedelta(seconds=later.steady - self.steady)


def clock(began: Clocks, newest: datetime | None) -> Finding:
    now = Clocks()
    said = f"{now.wall:%Y-%m-%d %H:%M:%S} UTC"
    if newest is not None and newest > now.wall + CLOCK_SLACK:
        said = f"it is {said}, but a task was saved {spelt(newest - now.wall)} from now: the clock went back"
        todo = "set it: deadlines, links and keys go by it (timedatectl tells whether it is kept in step)"
        return Finding(check="clock", state=State.WRONG, said=said, todo=todo)
    moved = began.apart(now)
    if abs(moved) > timedelta(seconds=1):
        said = f"it was set by {moved.total_seconds():+.1f} s while this looked"
        todo = "let it be kept in step in small steps (timedatectl tells by what)"
        return Finding(check="clock", state=State.WARN, said=said, todo=todo)
    return Finding(check="clock", state=State.OK, said=said)


async def renderer(settings: Settings) -> Finding:
    spec = registry()["studio"]
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="filmgate-doctor-") as scratch:
        studio: Provider = spec.build(settings.providers["studio"].config, scratch=Path(scratch))
        probers = Probers()
        try:
            async with asyncio.timeout(RENDER_WITHIN_S):
                await studio.start()
                problem = await _try_out(studio, probers)
        except TimeoutError:
            problem = f"nothing within {RENDER_WITHIN_S:.0f} s"
        except (FilmgateError, OSError) as error:
            problem = str(error)
        finally:
            await probers.close()
            await studio.close()
    if problem is None:
        said = f"a clip of {TRIAL.duration_s} s in {time.monotonic() - began:.1f} s, start included"
        return Finding(check="renderer", state=State.OK, said=said)
    todo = 'see what it says: filmgate render "a lighthouse" -o clip.mp4'
    return Finding(check="renderer", state=State.WRONG, said=problem, todo=todo)


async def _try_out(studio: Provider, probers: Probers) -> str | None:
    """Return what is wrong with the studio, if anything is."""
    remote_id = await studio.submit(TRIAL, reference="doctor")
    while isinstance(report := await studio.poll(remote_id), Running):  # noqa: ASYNC110  (providers are asked)
        await asyncio.sleep(0.05)
    match report:
        case Failed(reason=reason):
            return reason
        case Succeeded(made=made):
            probed = await probers.probe(made[0].source)
            if (probed.width, probed.height) != (TRIAL.width, TRIAL.height) or not probed.duration_s:
                return f"a clip of the wrong shape: {probed.width}x{probed.height}, {probed.duration_s} s"
    return None
