"""Streams of a task's events: what they say, where they begin again, and when they end."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Self

import pytest

from filmgate.api import sse
from filmgate.api.app import App, create_app
from filmgate.core.change import advance, submission, tidying
from filmgate.core.task import Phase, Status, Task
from filmgate.dispatch.hub import Hub
from filmgate.ports import Ports
from filmgate.service.manage_keys import revoke_key
from filmgate.service.save import save
from tests.calls import WEB, Client, Reply
from tests.fakes import World, a_task, a_world, an_output

PATIENCE_S = 10.0
PATHS = {
    "/v1/tasks/stream/{}": ("/v1/tasks/query?task_id={}", ["pending", "running", "running", "completed"]),
    "/v1/tasks/events?task_id={}": (
        "/v1/tasks/query?task_id={}",
        ["pending", "running", "running", "completed"],
    ),
    "/v1/videos/{}/events": ("/v1/videos/{}", ["queued", "in_progress", "in_progress", "completed"]),
}
Said = tuple[int, str, dict[str, Any]]  # id, event, data


@dataclass
class Story:
    """A task that things happen to, and the service that tells of them."""

    world: World
    ports: Ports
    app: App
    task: Task

    async def step(self, after: Task) -> Task:
        """Save the next change."""
        await save(self.ports, advance(self.task, after))
        self.task = after
        return after

    async def start(self) -> Task:
        return await self.step(self.task.to(Status.RUNNING, at=self._later()))

    async def progress(self, percent: int) -> Task:
        return await self.step(self.task.still(at=self._later(), phase=Phase.GENERATING, progress=percent))

    async def end(self, status: Status = Status.SUCCEEDED) -> Task:
        task = self.task.to(status, at=self._later())
        if status is Status.SUCCEEDED:
            expires = self._later() + timedelta(days=1)
            task = replace(task, progress=100, charged=1, outputs=(an_output(),), result_expires_at=expires)
        return await self.step(task)

    def client(self, name: str = "ada") -> Client:
        return Client(self.app, self.world.keys[name])

    def _later(self) -> Any:  # noqa: ANN401
        return self.task.updated_at + timedelta(seconds=1)


async def a_story(**web: Any) -> Story:  # noqa: ANN401
    """Return a task of ada's that was just submitted; bob has a key too."""
    world = a_world(ada=100, bob=100)
    ports = replace(world.ports, signals=Hub())
    task = a_task()
    await save(ports, submission(task))
    return Story(world, ports, create_app(ports, replace(WEB, **web)), task)


async def a_whole_story() -> Story:
    """Return a task that was submitted, began, came half-way and succeeded: four events."""
    story = await a_story()
    await story.start()
    await story.progress(50)
    await story.end()
    return story


@dataclass
class Listener:
    """A client that reads a stream as it comes, over a connection it can break."""

    app: App
    key: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    got: bytes = b""
    status: int = 0
    ended: bool = False

    async def __aenter__(self) -> Self:
        self._arrived = asyncio.Condition()
        self._left = asyncio.Event()
        self._run = asyncio.create_task(self._listen())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._run.cancel()
        with suppress(asyncio.CancelledError):
            await self._run

    async def until(self, text: bytes, times: int = 1) -> None:
        """Wait until `text` has come so often."""
        async with asyncio.timeout(PATIENCE_S), self._arrived:
            await self._arrived.wait_for(lambda: self.got.count(text) >= times)

    async def until_over(self) -> None:
        """Wait until the service has done with it."""
        async with asyncio.timeout(PATIENCE_S):
            await self._run

    def leave(self) -> None:
        """Break the connection."""
        self._left.set()

    async def _listen(self) -> None:
        path, _, query = self.path.partition("?")
        headers = {"x-api-key": self.key, **self.headers}
        scope = {
            "type": "http",
            "method": "GET",
            "path": path,
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
        await self.app(scope, self._receive, self._send)

    async def _receive(self) -> dict[str, Any]:
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:  # noqa: ANN401
        async with self._arrived:
            self.status = message.get("status", self.status)
            self.got += message.get("body", b"")
            self.ended = message["type"] == "http.response.body" and not message.get("more_body", False)
            self._arrived.notify_all()


def a_listener(story: Story, *, last: str | None = None, name: str = "ada") -> Listener:
    """Return somebody who reads the story's stream."""
    headers = {} if last is None else {"last-event-id": last}
    return Listener(story.app, story.world.keys[name], f"/v1/tasks/stream/{story.task.id}", headers)


def events_of(body: bytes) -> Iterator[Said]:
    """Yield the events of a stream."""
    for block in body.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "id" in fields:
            yield int(fields["id"]), fields["event"], json.loads(fields["data"])


def seqs(body: bytes) -> list[int]:
    """Return the ids of a stream's events."""
    return [seq for seq, _, _ in events_of(body)]


async def read(story: Story, *, last: str | None = None, path: str = "/v1/tasks/stream/{}") -> Reply:
    """Read a stream to its end."""
    headers = {} if last is None else {"last-event-id": last}
    return await story.client().get(path.format(story.task.id), headers)


# --- what is said -------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PATHS)
async def test_a_stream_tells_all_events_in_the_dialect_of_its_path_and_ends(path: str) -> None:
    story = await a_whole_story()
    poll, statuses = PATHS[path]

    reply = await read(story, path=path)
    shown = (await story.client().get(poll.format(story.task.id))).json

    said = list(events_of(reply.body))
    assert reply.status == 200
    assert reply.headers["content-type"] == "text/event-stream"
    assert reply.headers["x-accel-buffering"] == "no"
    assert reply.body.startswith(b"retry: 3000\n\n")
    assert [(seq, event) for seq, event, _ in said] == [
        (1, "status"),
        (2, "status"),
        (3, "progress"),
        (4, "status"),
    ]
    assert [data["status"] for _, _, data in said] == statuses
    assert said[-1][2] == shown, "the last event is what a poll returns"
    assert set(shown) >= set(said[2][2]) - {"estimated_credits", "estimated_seconds"}


async def test_an_old_event_says_how_the_task_stood_then() -> None:
    story = await a_whole_story()

    first, second, third, last = [data for _, _, data in events_of((await read(story)).body)]

    assert [data["progress"] for data in (first, second, third, last)] == [0, 0, 50, 100]
    assert all("output" not in data and "credits_used" not in data for data in (first, second, third))
    assert [data["updated_at"][17:19] for data in (first, second, third, last)] == ["00", "01", "02", "03"]
    assert last["output"][0]["url"].startswith("https://films.example/files/")


async def test_a_client_that_listens_hears_of_each_change_at_once() -> None:
    story = await a_story()

    async with a_listener(story) as listener:
        await listener.until(b"id: 1\n")
        for change, seq in ((story.start(), 2), (story.progress(10), 3), (story.progress(20), 4)):
            await change
            await listener.until(b"id: %d\n" % seq)
        await story.end()
        await listener.until_over()

    assert seqs(listener.got) == [1, 2, 3, 4, 5]
    assert listener.ended


async def test_changes_in_one_breath_are_told_one_by_one() -> None:
    story = await a_story()

    async with a_listener(story) as listener:
        await listener.until(b"id: 1\n")
        await story.start()
        for percent in range(1, 50):
            await story.progress(percent)
        await story.end()
        await listener.until_over()

    assert seqs(listener.got) == list(range(1, 53))


async def test_a_hundred_clients_of_one_task_hear_the_same() -> None:
    story = await a_story()
    listeners = [a_listener(story) for _ in range(100)]

    async with asyncio.TaskGroup() as group:
        for listener in listeners:
            group.create_task(_to_the_end(listener))
        await asyncio.sleep(0)
        await story.start()
        await story.end(Status.FAILED)

    assert {bytes(listener.got) for listener in listeners if listener.got} == {listeners[0].got}
    assert seqs(listeners[0].got) == [1, 2, 3]


async def _to_the_end(listener: Listener) -> None:
    async with listener:
        await listener.until_over()


async def test_what_happens_to_the_files_of_an_ended_task_is_not_told() -> None:
    story = await a_whole_story()
    before = story.task
    expired = before.without_files(at=before.updated_at + timedelta(days=2))
    await save(story.ports, tidying(before, expired))

    told = await read(story)
    resumed = await read(story, last="4")
    at_last = await read(story, last="5")

    said = list(events_of(told.body))
    assert [seq for seq, _, _ in said] == [1, 2, 3, 4]
    assert said[-1][2]["status"] == "completed"
    assert not said[-1][2]["output"], "its files are gone, and no dead link is given"
    assert (resumed.status, at_last.status) == (204, 204)


async def test_deleting_a_running_task_ends_its_stream() -> None:
    story = await a_story()

    async with a_listener(story) as listener:
        await listener.until(b"id: 1\n")
        before = await story.end(Status.CANCELLED)
        deleted = before.erased(at=before.updated_at)
        await save(story.ports, tidying(before, deleted))
        await listener.until_over()

    assert seqs(listener.got) == [1, 2]
    assert (await read(story)).status == 404


# --- where it begins again ----------------------------------------------------------------------


@pytest.mark.parametrize("last", [1, 2, 3])
async def test_a_stream_resumes_after_the_event_that_was_seen_last(last: int) -> None:
    story = await a_whole_story()

    reply = await read(story, last=str(last))

    assert seqs(reply.body) == list(range(last + 1, 5))


@pytest.mark.parametrize("last", ["4", "5", "004", "999999999999999999"])
async def test_there_is_nothing_more_to_say_of_an_ended_task_that_was_seen_to_its_end(last: str) -> None:
    story = await a_whole_story()

    reply = await read(story, last=last)

    assert (reply.status, reply.body) == (204, b"")
    assert "content-type" not in reply.headers


@pytest.mark.parametrize(
    "last", ["", "x", "-1", "0", "1.5", "1e3", "٣", "1 OR 1=1", "4; 4", "1" * 5_000, "task_01", "\x00"]
)
async def test_garbage_begins_from_the_start(last: str) -> None:
    story = await a_whole_story()

    async with Listener(
        story.app,
        story.world.keys["ada"],
        f"/v1/videos/{story.task.id}/events",
        {"last-event-id": last},
    ) as listener:
        await listener.until_over()

    assert listener.status == 200
    assert seqs(listener.got) == [1, 2, 3, 4]


async def test_an_event_that_has_not_happened_yet_begins_from_the_start() -> None:
    story = await a_story()
    await story.start()

    async with a_listener(story, last="7") as listener:
        await listener.until(b"id: 2\n")

    assert seqs(listener.got) == [1, 2]


async def test_a_stream_at_the_latest_event_of_a_running_task_waits_for_the_next() -> None:
    story = await a_story()
    await story.start()

    async with a_listener(story, last="2") as listener:
        await listener.until(b"retry")
        await story.end(Status.CANCELLED)
        await listener.until_over()

    assert seqs(listener.got) == [3]


# --- who may listen -----------------------------------------------------------------------------


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("task_id", [a_task(n=77).id, "task_x", "..", "1' OR '1"])
async def test_a_task_that_is_not_there_is_said_before_the_stream_begins(path: str, task_id: str) -> None:
    story = await a_story()

    reply = await story.client().get(path.format(task_id))

    assert reply.status == 404
    assert reply.headers["content-type"] == "application/json"
    assert set(reply.json["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize("path", PATHS)
async def test_the_stream_of_anothers_task_is_not_there(path: str) -> None:
    story = await a_story()

    theirs = await story.client("bob").get(path.format(story.task.id))
    nobodys = await Client(story.app).get(path.format(story.task.id))

    assert (theirs.status, nobodys.status) == (404, 401)


async def test_which_task_must_be_said_once() -> None:
    story = await a_story()

    none = await story.client().get("/v1/tasks/events")
    both = await story.client().get(f"/v1/tasks/events?task_id={story.task.id}&out_task_id=mine")

    assert (none.status, both.status) == (400, 400)


async def test_a_revoked_key_ends_its_streams_once_that_is_known() -> None:
    story = await a_story()

    async with a_listener(story) as listener:
        await listener.until(b"id: 1\n")
        (mine,) = (key for key in await story.ports.store.keys() if key.account_id == "acct_ada")
        await revoke_key(story.ports, mine.id)
        story.app.keys.forget()
        story.ports.signals.tell(story.task.id)
        await listener.until_over()

    assert listener.ended
    assert seqs(listener.got) == [1]


async def test_a_revoked_key_ends_its_streams_in_the_end_though_nobody_said_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sse, "QUIET_S", 0.01)
    story = await a_story(key_cache_s=0)

    async with a_listener(story) as listener:
        await listener.until(b"id: 1\n")
        (mine,) = (key for key in await story.ports.store.keys() if key.account_id == "acct_ada")
        await revoke_key(story.ports, mine.id)
        await listener.until_over()

    assert listener.ended


async def test_other_keys_that_change_end_no_stream() -> None:
    story = await a_story()

    async with a_listener(story) as listener:
        await listener.until(b"id: 1\n")
        story.app.keys.forget()
        await story.start()
        await listener.until(b"id: 2\n")
        await story.end()
        await listener.until_over()

    assert seqs(listener.got) == [1, 2, 3]


# --- how long, and how many ---------------------------------------------------------------------


async def test_a_comment_keeps_a_quiet_stream_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "QUIET_S", 0.01)
    story = await a_story()

    async with a_listener(story) as listener:
        await listener.until(b":\n\n", times=3)
        await story.end(Status.CANCELLED)
        await listener.until_over()

    assert seqs(listener.got) == [1, 2]


async def test_hints_that_bring_nothing_do_not_hold_back_the_comment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "QUIET_S", 0.05)
    story = await a_story()

    async def chatter() -> None:
        while True:
            story.ports.signals.tell(story.task.id)
            await asyncio.sleep(0.001)

    async with a_listener(story) as listener:
        noise = asyncio.create_task(chatter())
        try:
            await listener.until(b":\n\n", times=2)
        finally:
            noise.cancel()

    assert seqs(listener.got) == [1]


async def test_a_client_that_goes_leaves_nothing_behind() -> None:
    story = await a_story()

    async with a_listener(story) as listener:
        await listener.until(b"id: 1\n")
        assert len(story.app.streams) == 1
        listener.leave()
        await listener.until_over()

    assert len(story.app.streams) == 0
    assert not listener.ended, "there was nobody to say it to"
    assert isinstance(story.ports.signals, Hub)
    assert not story.ports.signals._watching


async def test_one_key_has_only_so_many_streams_and_others_have_theirs() -> None:
    story = await a_story(streams_per_key=2)
    bobs = replace(a_task(n=2), account_id="acct_bob", key_id="key_bob")
    await save(story.ports, submission(bobs))

    async with a_listener(story) as first, a_listener(story) as second:
        await first.until(b"id: 1\n")
        await second.until(b"id: 1\n")
        refused = await read(story)
        path = f"/v1/tasks/stream/{bobs.id}"
        async with Listener(story.app, story.world.keys["bob"], path) as other:
            await other.until(b"id: 1\n")
        first.leave()
        await first.until_over()
        async with a_listener(story) as third:
            await third.until(b"id: 1\n")

    assert refused.status == 429
    assert refused.headers["x-filmgate-error"] == "too_many_streams"
    assert int(refused.headers["retry-after"]) > 0
    assert refused.json["error"]["type"] == "rate_limit_error"


async def test_the_process_has_only_so_many_streams() -> None:
    story = await a_story(streams=1)

    async with a_listener(story) as first:
        await first.until(b"id: 1\n")
        refused = await read(story, path="/v1/videos/{}/events")

    assert refused.status == 429


async def test_streams_end_with_a_word_to_come_back_when_the_service_stops() -> None:
    story = await a_story()

    async with a_listener(story) as listener:
        await listener.until(b"id: 1\n")
        story.app.streams.close()
        await listener.until_over()
        async with a_listener(story) as latecomer:
            await latecomer.until_over()

    for one in (listener, latecomer):
        assert one.ended
        assert one.got.endswith(b"event: bye\nretry: 1000\ndata: {}\n\n")
    assert seqs(listener.got) == [1]
    assert len(story.app.streams) == 0


async def test_head_says_that_there_is_a_stream_and_opens_none() -> None:
    story = await a_story()

    reply = await story.client().ask("HEAD", f"/v1/tasks/stream/{story.task.id}")
    elsewhere = await story.client().ask("HEAD", "/v1/tasks/stream/task_x")

    assert (reply.status, reply.body) == (200, b"")
    assert reply.headers["content-type"] == "text/event-stream"
    assert elsewhere.status == 404
