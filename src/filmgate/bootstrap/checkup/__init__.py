"""Looks whether everything that a service needs is there and well; changes nothing."""

from collections.abc import AsyncIterator

from filmgate.bootstrap.checkup import postgres, sqlite
from filmgate.bootstrap.checkup.finding import Finding, State
from filmgate.bootstrap.checkup.machine import Clocks, clock, directory, disk, renderer
from filmgate.settings import Settings

__all__ = ["Finding", "State", "examine"]


async def examine(settings: Settings, *, deep: bool) -> AsyncIterator[Finding]:
    """Yield what is found, one thing after the other; `deep` looks at every file and row there is."""
    began = Clocks()
    usable = True
    for finding in directory(settings.data):
        usable = usable and finding.state is not State.WRONG
        yield finding
    yield disk(settings.data)
    if "studio" in settings.runs:
        yield await renderer(settings)
    if settings.database is not None:
        looks = postgres.look(settings, settings.database, began, deep=deep)
    elif usable:
        looks = sqlite.look(settings, began, deep=deep)
    else:
        yield clock(began, None)
        return
    async for finding in looks:
        yield finding
