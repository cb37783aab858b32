"""Remove the files that no task needs."""

import asyncio
from datetime import datetime
from typing import Final

from filmgate.ports import Ports

AT_ONCE: Final = 16  # a removal from an object store is two requests to it


async def collect_garbage(ports: Ports, *, kept_before: datetime) -> int:
    """Remove every blob that no task needs and nobody has kept since; return how many there were.

    A file is kept first and needed by a commit later, so one that was kept a short while ago may be about
    to be needed: `kept_before` leaves those alone, and is asked for again when the file is removed.
    Dying in between is harmless: a blob that the store has forgotten is found again by its file.
    """
    removed, after = 0, ""
    while blobs := await ports.blobs.kept_before(kept_before, after=after):
        after = blobs[-1]
        unneeded = await ports.store.collect(blobs)
        for first in range(0, len(unneeded), AT_ONCE):
            some = unneeded[first : first + AT_ONCE]
            removed += sum(
                await asyncio.gather(*(ports.blobs.delete(blob, kept_before=kept_before) for blob in some))
            )
    return removed
