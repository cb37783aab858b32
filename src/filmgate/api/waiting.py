"""Long polls: reading a task is answered when it has ended, or when the caller's time is over."""

import asyncio
import re
from typing import Final

from starlette.types import Receive

from filmgate.api.answer import Headers
from filmgate.api.call import Call
from filmgate.api.wire import Disconnected
from filmgate.core.errors import InvalidRequest
from filmgate.core.numbers import whole
from filmgate.core.task import Task
from filmgate.ports import Ports
from filmgate.service.manage_keys import check_still_good
from filmgate.service.read_tasks import read_task

MOST_S: Final = 60
LOOK_EVERY_S: Final = 4.0  # hints are not promises, and a key may be revoked meanwhile

_WAIT: Final = re.compile(r"wait=(\d{1,9})")


async def until_ended(ports: Ports, call: Call, task: Task) -> tuple[Task, Headers]:
    """Return the task as it is once it has ended or `?wait=` or `Prefer: wait=` is over, and headers."""
    wait_s, preferred = _asked(call)
    if wait_s and not task.ended:
        task = await _wait(ports, call, task, wait_s)
    return task, [(b"preference-applied", f"wait={wait_s}".encode())] if preferred else []


def _asked(call: Call) -> tuple[int, bool]:
    """Return for how many seconds the caller would wait, and whether a header says so."""
    given = call.query.get("wait")
    if given:
        wanted_s = whole(given)
        if wanted_s is None:
            raise InvalidRequest("wait: must be a whole number of seconds", param="wait")
        return min(wanted_s, MOST_S), False
    # Of a preference that is not understood, RFC 7240 says to ignore it.
    for preference in (call.header(b"prefer") or "").split(","):
        if wait := _WAIT.fullmatch(preference.strip().lower()):
            return min(int(wait[1]), MOST_S), True
    return 0, False


async def _wait(ports: Ports, call: Call, task: Task, wait_s: int) -> Task:
    loop = asyncio.get_running_loop()
    until = loop.time() + wait_s
    gone = asyncio.create_task(_gone(call.receive))
    stopping = asyncio.create_task(call.stopping.wait())
    try:
        while (left := until - loop.time()) > 0 and not call.stopping.is_set():
            hint = asyncio.create_task(ports.signals.wait(task.id, timeout_s=min(left, LOOK_EVERY_S)))
            try:
                await asyncio.sleep(0)  # it listens from here, so that nothing falls between
                task = await read_task(ports, call.key, task.id)
                if task.ended:
                    return task
                await check_still_good(ports, call.key)
                await asyncio.wait({hint, gone, stopping}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                hint.cancel()
            if gone.done():
                raise Disconnected
        return await read_task(ports, call.key, task.id)
    finally:
        gone.cancel()
        stopping.cancel()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
