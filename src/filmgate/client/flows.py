"""What the client does, step by step: the one place for its logic, blocking and awaiting alike."""

import os
from collections.abc import Mapping
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Literal
from urllib.parse import quote

from filmgate.client.answers import (
    Estimate,
    Json,
    Model,
    Status,
    Task,
    check,
    check_stream,
    read_document,
    read_estimate,
    read_event,
    read_models,
    read_task,
)
from filmgate.client.download import Part
from filmgate.client.errors import TaskFailed, Unreachable, WaitTimeout
from filmgate.client.order import Wish, submission
from filmgate.client.steps import (
    Do,
    Emit,
    Flow,
    Listen,
    Now,
    Open,
    Read,
    Request,
    Send,
    Sleep,
    attempt,
    pause_s,
)

Variant = Literal["video", "thumbnail", "spritesheet"]
Order = Literal["asc", "desc"]

VIDEOS: Final = "/v1/videos"
HOLD_S: Final = 30  # how long the server is asked to keep a question open
POLL_S: Final = 1.0  # between questions that it answered at once
SILENCE_S: Final = 45.0  # three heartbeats of a stream
PAGE: Final = 100
DIGITS: Final = 18  # of a length; Python refuses to read thousands
NO_CONTENT: Final = 204
NOT_FOUND: Final = 404


@dataclass(frozen=True, slots=True, kw_only=True)
class Flows:
    """`timeout_s` is how long an answer may take, `retries` how often a request is sent again."""

    timeout_s: float
    retries: int

    def submit(self, prompt: str, wish: Wish) -> Flow[Task]:
        """Submit, and go on submitting the same until it is known to be there."""
        with ExitStack() as files:
            return read_task((yield from self._document(submission(VIDEOS, prompt, wish, files))))

    def estimate(self, prompt: str, wish: Wish) -> Flow[Estimate]:
        """Ask what a submission would cost."""
        with ExitStack() as files:
            request = submission(f"{VIDEOS}/estimate", prompt, wish, files)
            return read_estimate((yield from self._document(request)))

    def get(self, task_id: str) -> Flow[Task]:
        """Read a task."""
        return read_task((yield from self._document(_get(task_id))))

    def cancel(self, task_id: str) -> Flow[Task]:
        """Cancel a task, which changes nothing if it has ended."""
        request = Request(method="POST", path=f"{_path(task_id)}/cancel")
        return read_task((yield from self._document(request)))

    def delete(self, task_id: str) -> Flow[None]:
        """Delete a task; gone at a second try means that the first one worked."""
        request = Request(method="DELETE", path=_path(task_id))
        reply, tries = yield from attempt(Send(request), retries=self.retries)
        if reply.status != NOT_FOUND or tries == 1:
            check(reply)

    def models(self) -> Flow[tuple[Model, ...]]:
        """Read which models there are."""
        return read_models((yield from self._document(Request(method="GET", path="/v1/models"))))

    def list(self, order: Order) -> Flow[None]:
        """Emit all tasks of the key, reading a page when it is needed."""
        query: dict[str, str | int] = {"limit": PAGE, "order": order}
        while True:
            page = yield from self._document(Request(method="GET", path=VIDEOS, query=query))
            for video in page["data"]:
                yield Emit(read_task(video))
            if not page["has_more"]:
                return
            query["after"] = page["last_id"]

    def wait(self, task_id: str, timeout_s: float) -> Flow[Task]:
        """Ask until the task has ended."""
        now: float = yield Now()
        until = now + timeout_s
        while True:
            asked = now
            hold_s = min(HOLD_S, int(until - now))
            request = _get(task_id, {"wait": hold_s} if hold_s else {}, timeout_s=hold_s + self.timeout_s)
            task = read_task((yield from self._document(request)))
            if task.status is Status.SUCCEEDED:
                return task
            if task.ended:
                raise TaskFailed(task)
            now = yield Now()
            if now >= until:
                raise WaitTimeout(task, timeout_s)
            if now - asked < POLL_S:  # it does not hold questions open
                yield Sleep(min(POLL_S, until - now))
                now = yield Now()

    def stream(self, task_id: str) -> Flow[None]:
        """Emit what happens to a task until it has ended, coming back whenever the connection goes."""
        last_id = ""
        silent = 0  # connections in a row on which nothing came
        while True:
            headers = {"accept": "text/event-stream"} | ({"last-event-id": last_id} if last_id else {})
            request = Request(
                method="GET", path=f"{_path(task_id)}/events", headers=headers, timeout_s=SILENCE_S
            )
            reply, _ = yield from attempt(Open(request), retries=self.retries)
            if reply.status == NO_CONTENT:
                return
            check_stream(reply)
            silent += 1
            with suppress(Unreachable):
                while heard := (yield Listen()):
                    last_id = heard.id or last_id
                    if event := read_event(heard):
                        silent = 0
                        yield Emit(event)
                        if event.task.ended:
                            return
            yield Sleep(pause_s(max(silent, 1)))

    def download(self, task_id: str, place: str | os.PathLike[str], variant: Variant) -> Flow[Path]:
        """Fetch what was made, going on where an earlier try, of this call or another, broke off."""
        failures = 0
        with closing(Part(Path(place))) as part:
            while True:
                size_bytes = yield from self._begin(task_id, variant, part)
                before = part.size
                try:
                    while part.size != size_bytes and (piece := (yield Read())):
                        part.write(piece)
                except Unreachable:
                    failures = 0 if part.size > before else failures + 1
                    if failures > self.retries:
                        raise
                    yield Sleep(pause_s(max(failures, 1)))
                else:
                    yield Do(partial(part.finish, size_bytes))
                    return Path(place)

    def _begin(self, task_id: str, variant: Variant, part: Part) -> Flow[int | None]:
        """Ask for what is missing, and return how long the whole is, if that was said."""
        request = Request(
            method="GET",
            path=f"{_path(task_id)}/content",
            query={"variant": variant},
            # What is compressed on the way cannot be continued byte by byte.
            headers={"accept-encoding": "identity", **part.headers},
        )
        reply, _ = yield from attempt(Open(request), retries=self.retries)
        size_bytes = _whole(reply.headers)
        match reply.status:
            case 206:
                part.go_on()
            case 416 if part.size != size_bytes:
                part.discard()
                return (yield from self._begin(task_id, variant, part))
            case 416:
                pass  # it was whole already
            case _:
                check(reply)
                part.begin(reply.headers.get("etag"))
        return size_bytes

    def _document(self, request: Request) -> Flow[Json]:
        reply, _ = yield from attempt(Send(request), retries=self.retries)
        return read_document(reply)


def _get(
    task_id: str, query: Mapping[str, str | int] | None = None, timeout_s: float | None = None
) -> Request:
    return Request(method="GET", path=_path(task_id), query=query or {}, timeout_s=timeout_s)


def _path(task_id: str) -> str:
    return f"{VIDEOS}/{quote(task_id, safe='')}"


def _whole(headers: Mapping[str, str]) -> int | None:
    """Return the length of the whole file, of which this may be a part."""
    total = headers.get("content-range", "").rpartition("/")[2] or headers.get("content-length", "")
    return int(total) if total.isdecimal() and len(total) <= DIGITS else None
