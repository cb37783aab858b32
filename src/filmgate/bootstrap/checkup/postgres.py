"""PostgreSQL: whether it is there and set up to keep what it is told, and who works on it."""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from filmgate.bootstrap.checkup import stored
from filmgate.bootstrap.checkup.finding import Finding, State, spelt
from filmgate.bootstrap.checkup.machine import CLOCK_SLACK, Clocks, clock
from filmgate.core.errors import FilmgateError
from filmgate.settings import Settings
from filmgate.store import sqlite

if TYPE_CHECKING:  # an extra: most have no use for it
    from filmgate.store.postgres.survey import Server, Survey

DUTIES: Final = frozenset({"janitor", "courier"})
FEW: Final = 10  # connections left for people and backups


async def look(settings: Settings, url: str, began: Clocks, *, deep: bool) -> AsyncIterator[Finding]:
    """Yield what is found in the database at `url`; what is there is not migrated."""
    try:
        from filmgate.store.postgres import schema, survey  # noqa: PLC0415  (an extra, as above)

        seen = await survey.survey(url, code=schema.CODE)
    except ImportError:
        said, todo = "PostgreSQL needs an extra", "pip install 'filmgate[postgres]'"
        yield Finding(check="database", state=State.WRONG, said=said, todo=todo)
        return
    except FilmgateError as error:
        todo = "see that it runs, and that `database` names it: filmgate settings"
        yield Finding(check="database", state=State.WRONG, said=f"it cannot be reached: {error}", todo=todo)
        yield clock(began, None)
        return
    usable = database(seen, code=schema.CODE, oldest=survey.OLDEST)
    yield usable
    if (left := left_over(settings)) is not None:
        yield left
    yield durable(seen.server)
    yield connections(seen, settings, of_a_process=survey.OF_A_PROCESS)
    if (apart := server_clock(seen.server)) is not None:
        yield apart
    if seen.schema < schema.CODE or usable.state is State.WRONG:  # to open it would be to change it
        yield clock(began, None)
        return
    yield workers(seen)
    yield duties(seen)
    try:
        served = any(worker.lives for worker in seen.workers)
        async for finding in stored.look(settings, began, served=served, deep=deep):
            yield finding
    except (FilmgateError, OSError) as error:
        yield Finding(check="database", state=State.WRONG, said=f"it cannot be read: {error}")


# --- the server -----------------------------------------------------------------------------------


def database(seen: "Survey", *, code: int, oldest: int) -> Finding:
    """Say whether we can work with it."""
    server = seen.server
    said = f"PostgreSQL {server.name.split()[0]}, schema {seen.schema}"
    if server.version < oldest:
        todo = f"upgrade it: {oldest} is the oldest that works"
        return Finding(check="database", state=State.WRONG, said=said, todo=todo)
    if server.encoding != "UTF8":
        said, todo = (
            f"{said}; it keeps text as {server.encoding}",
            "createdb --encoding=UTF8 --template=template0",
        )
        return Finding(check="database", state=State.WRONG, said=said, todo=todo)
    if server.read_only:
        said, todo = f"{said}; it takes no changes: a standby?", "let `database` name the primary"
        return Finding(check="database", state=State.WRONG, said=said, todo=todo)
    if seen.schema < code:
        todo = "start this version: it brings the database up to date"
        said = f"{said}, where this version knows {code}"
        return Finding(check="database", state=State.WARN, said=said, todo=todo)
    if seen.schema > code:
        todo = "a newer version is at work on it: update this one"
        said = f"{said}, where this version knows {code}"
        return Finding(check="database", state=State.WARN, said=said, todo=todo)
    return Finding(check="database", state=State.OK, said=said)


def left_over(settings: Settings) -> Finding | None:
    """Tell of a SQLite database that nobody uses any more, or not yet."""
    path = settings.data / sqlite.DATABASE
    if not path.exists() or sqlite.schema_of(settings.data) < sqlite.CODE:
        return None
    todo = "filmgate migrate sqlite-to-postgres moves what is in it; or move it away"
    return Finding(check="database", state=State.WARN, said=f"{path} is there and not used", todo=todo)


def durable(server: "Server") -> Finding:
    """Say whether what was committed is still there after a power cut."""
    careless = [f"{name} is off" for name, value in server.settings.items() if value == "off"]
    if not careless:
        return Finding(check="durable", state=State.OK, said="what was committed is on its disk")
    said = f"{', '.join(careless)}: a crash of its machine may lose what we have answered for"
    todo = "ALTER SYSTEM RESET it (or ALTER DATABASE, ALTER ROLE), and reload"
    return Finding(check="durable", state=State.WARN, said=said, todo=todo)


def connections(seen: "Survey", settings: Settings, *, of_a_process: int) -> Finding:
    """Say whether there is room for all that our processes may open."""
    room, used = seen.server.room, seen.server.connections
    serving = settings.processes + settings.run if settings.processes > 1 else 1
    processes = max(sum(worker.lives for worker in seen.workers), serving)
    said = f"{used} of {room} in use; {processes} of our processes may open {processes * of_a_process}"
    if used + FEW > room or processes * of_a_process + FEW > room:
        todo = "raise max_connections, or run fewer processes: docs/operating/scaling.md"
        return Finding(check="connections", state=State.WARN, said=said, todo=todo)
    return Finding(check="connections", state=State.OK, said=said)


def server_clock(server: "Server") -> Finding | None:
    """Tell if its clock is not ours."""
    if abs(server.ahead) <= CLOCK_SLACK:
        return None
    where = "behind" if server.ahead > timedelta() else "ahead of"
    said = f"this machine is {spelt(abs(server.ahead))} {where} the database's"
    todo = "keep both in step: deadlines go by the one, leases by the other (timedatectl tells by what)"
    return Finding(check="clock", state=State.WARN, said=said, todo=todo)


# --- who works on it ------------------------------------------------------------------------------


def workers(seen: "Survey") -> Finding:
    """Say who runs tasks, and whose tasks nobody runs."""
    alive = [worker for worker in seen.workers if worker.lives]
    slots: dict[str, int] = {}
    for worker in alive:
        for provider, count in worker.slots.items():
            slots[provider] = slots.get(provider, 0) + count
    run = ", ".join(f"{provider} {count}" for provider, count in sorted(slots.items()))
    said = f"{len(alive)} live: {run}" if alive else "none lives"
    unrun = {provider: count for provider, count in seen.waiting.items() if provider not in slots}
    if unrun:
        names = ",".join(unrun)
        todo = f"filmgate worker --capabilities {names}"
        details = tuple(
            f"{count} tasks wait for {provider}, which no worker runs" for provider, count in unrun.items()
        )
        return Finding(check="workers", state=State.WRONG, said=said, todo=todo, details=details)
    dead = tuple(_dead(seen))
    if dead:
        todo = (
            "nothing, if one lives: it takes their tasks over" if alive else "start filmgate serve or worker"
        )
        return Finding(check="workers", state=State.WARN, said=said, todo=todo, details=dead)
    return Finding(check="workers", state=State.OK, said=said)


def _dead(seen: "Survey") -> Iterator[str]:
    for worker in seen.workers:
        if not worker.lives:
            yield f"{worker.id} has said nothing for {spelt(timedelta(seconds=worker.silent_s))}"


def duties(seen: "Survey") -> Finding:
    """Say who does what one process does for all."""
    held = ", ".join(f"{duty} by {worker}" for duty, worker in sorted(seen.duties.items()))
    missing = sorted(DUTIES - set(seen.duties))
    if not missing:
        return Finding(check="duties", state=State.OK, said=held)
    said = f"nobody does {' or '.join(missing)}" + (f"; {held}" if held else "")
    state = State.WARN if any(worker.lives for worker in seen.workers) else State.OK
    todo = "wait 20 s: whoever runs takes it" if state is State.WARN else None
    return Finding(check="duties", state=state, said=said, todo=todo)
