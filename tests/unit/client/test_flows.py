"""The client's logic, step by step, without a network and without waiting."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from filmgate.client import (
    BadAnswer,
    Conflict,
    DownloadFailed,
    Event,
    InsufficientCredits,
    InvalidRequest,
    NotFound,
    RateLimited,
    ServerError,
    Status,
    Task,
    TaskFailed,
    Unauthenticated,
    Unreachable,
    WaitTimeout,
)
from filmgate.client.flows import Flows
from filmgate.client.steps import (
    Do,
    Emit,
    Flow,
    Heard,
    Listen,
    Now,
    Open,
    Read,
    Reply,
    Request,
    Send,
    Sleep,
    Step,
)
from tests.unit.client.videos import video

FLOWS = Flows(timeout_s=10, retries=2)
GONE = Unreachable("connection lost")


@dataclass(frozen=True)
class Held:
    """An answer that takes its time."""

    reply: Reply
    seconds: float


class Play:
    """Gives a flow its outcomes, one a step, and keeps what it asked for. Time passes only in it."""

    def __init__(self, flow: Flow[Any], outcomes: Iterable[object]) -> None:
        self.asked: list[Request] = []
        self.slept: list[float] = []
        self.emitted: list[Any] = []
        self.result: Any = None
        self._now = 0.0
        self._outcomes = iter(outcomes)
        self._run(flow)
        assert not list(self._outcomes), "the flow ended before its outcomes"

    def _run(self, flow: Flow[Any]) -> None:
        advance: Callable[[], Step] = flow.__next__
        while True:
            try:
                step = advance()
            except StopIteration as end:
                self.result = end.value
                return
            outcome = self._take(step)
            if isinstance(outcome, Exception):
                advance = lambda error=outcome: flow.throw(error)  # type: ignore[misc]  # noqa: E731
            else:
                advance = lambda value=outcome: flow.send(value)  # type: ignore[misc]  # noqa: E731

    def _take(self, step: Step) -> object:
        match step:
            case Send(request) | Open(request):
                self.asked.append(request)
                outcome = next(self._outcomes)
                if isinstance(outcome, Held):
                    self._now += outcome.seconds
                    return outcome.reply
                return outcome
            case Read() | Listen():
                return next(self._outcomes)
            case Sleep(seconds):
                self.slept.append(seconds)
                self._now += seconds
                return None
            case Now():
                return self._now
            case Do(call):
                return call()
            case Emit(value):
                self.emitted.append(value)
                return None


def ok(document: object) -> Reply:
    return Reply(status=200, headers={}, body=json.dumps(document).encode())


def refusal(status: int, headers: dict[str, str] | None = None, **error: object) -> Reply:
    return Reply(status=status, headers=headers or {}, body=json.dumps({"error": error}).encode())


# --- asking -------------------------------------------------------------------------------------


def test_an_answer_becomes_a_task() -> None:
    play = Play(FLOWS.get("task_1"), [ok(video(status="in_progress", progress=40))])

    assert play.asked[0].path == "/v1/videos/task_1"
    assert isinstance(play.result, Task)
    assert (play.result.status, play.result.progress, play.result.width) == (Status.RUNNING, 40, 1280)


def test_an_id_cannot_leave_its_place_in_the_path() -> None:
    play = Play(FLOWS.get("../models?x=1#y"), [ok(video())])

    assert play.asked[0].path == "/v1/videos/..%2Fmodels%3Fx%3D1%23y"


@pytest.mark.parametrize("trouble", [GONE, refusal(429), refusal(502), refusal(503), refusal(504)], ids=str)
def test_what_may_pass_is_asked_again_with_the_same_idempotency_key(trouble: object) -> None:
    play = Play(FLOWS.submit("a cat", {}), [trouble, trouble, ok(video())])

    assert len(play.asked) == 3
    assert len({request.headers["idempotency-key"] for request in play.asked}) == 1
    assert 0.25 <= play.slept[0] <= 0.5 <= play.slept[1] <= 1


def test_a_pause_that_the_server_asks_for_is_kept() -> None:
    play = Play(FLOWS.get("task_1"), [refusal(429, {"retry-after": "7"}), ok(video())])

    assert play.slept == [7]


def test_a_date_in_retry_after_is_understood() -> None:
    past = {"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}

    assert Play(FLOWS.get("task_1"), [refusal(503, past), ok(video())]).slept == [0]


def test_a_pause_of_minutes_is_a_refusal() -> None:
    with pytest.raises(RateLimited):
        Play(FLOWS.get("task_1"), [refusal(429, {"retry-after": "3600"})])


def test_after_enough_tries_the_last_trouble_is_raised() -> None:
    with pytest.raises(Unreachable, match="connection lost"):
        Play(FLOWS.get("task_1"), [GONE] * 3)
    with pytest.raises(ServerError):
        Play(FLOWS.get("task_1"), [refusal(503)] * 3)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidRequest),
        (401, Unauthenticated),
        (402, InsufficientCredits),
        (404, NotFound),
        (409, Conflict),
        (413, InvalidRequest),
        (422, InvalidRequest),
        (500, ServerError),
    ],
)
def test_a_refusal_is_raised_at_once_as_what_it_means(status: int, kind: type[Exception]) -> None:
    headers = {"x-filmgate-error": "stable_code", "x-request-id": "abc"}

    with pytest.raises(kind) as refused:
        Play(FLOWS.get("task_1"), [refusal(status, headers, message="why", type="a_type", param="prompt")])

    assert type(refused.value) is kind
    assert vars(refused.value) == {
        "message": "why",
        "status": status,
        "code": "stable_code",
        "param": "prompt",
        "request_id": "abc",
    }


def test_a_proxys_page_is_a_refusal_too() -> None:
    page = Reply(status=403, headers={}, body=b"<html>")

    with pytest.raises(InvalidRequest, match="the server answered 403"):
        Play(FLOWS.get("task_1"), [page])


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b'{"status": "completed"}'])
def test_an_answer_that_is_none_is_said_to_be_none(body: bytes) -> None:
    with pytest.raises(BadAnswer):
        Play(FLOWS.get("task_1"), [Reply(status=200, headers={}, body=body)])


def test_a_deletion_whose_answer_was_lost_is_a_deletion() -> None:
    Play(FLOWS.delete("task_1"), [GONE, refusal(404)])

    with pytest.raises(NotFound):
        Play(FLOWS.delete("task_1"), [refusal(404)])


def test_a_list_is_read_page_by_page() -> None:
    play = Play(
        FLOWS.list("asc"),
        [
            ok({"data": [video("a"), video("b")], "has_more": True, "last_id": "b"}),
            ok({"data": [video("c")], "has_more": False, "last_id": "c"}),
        ],
    )

    assert [task.id for task in play.emitted] == ["a", "b", "c"]
    assert play.asked[0].query["order"] == "asc"
    assert play.asked[1].query["after"] == "b"


def test_an_estimate_costs_nothing_and_says_what_it_would() -> None:
    answer = {
        "estimated_credits": 2.5,
        "estimated_seconds": 8,
        "provider": "studio",
        "duration_seconds": 4,
        "width": 640,
        "height": 360,
    }

    play = Play(FLOWS.estimate("a cat", {"duration_s": 4}), [ok(answer)])

    assert play.asked[0].path == "/v1/videos/estimate"
    assert (play.result.credits, play.result.expected_s, play.result.width) == (2.5, 8, 640)


# --- waiting ------------------------------------------------------------------------------------


def test_a_question_that_is_held_open_is_asked_again_at_once() -> None:
    running, done = video(status="in_progress"), video(status="completed")

    play = Play(FLOWS.wait("task_1", 100), [Held(ok(running), 30), Held(ok(running), 30), ok(done)])

    assert play.result.status is Status.SUCCEEDED
    assert [request.query["wait"] for request in play.asked] == [30, 30, 30]
    assert play.asked[0].timeout_s == 40
    assert play.slept == []


def test_a_server_that_holds_nothing_open_is_asked_every_second() -> None:
    play = Play(FLOWS.wait("task_1", 100), [ok(video()), ok(video()), ok(video(status="completed"))])

    assert play.slept == [1, 1]


def test_waiting_ends_in_time_and_says_how_the_task_stands() -> None:
    with pytest.raises(WaitTimeout, match=r"still queued after 2\.5 s") as late:
        Play(FLOWS.wait("task_1", 2.5), [ok(video())] * 4)

    assert late.value.task.status is Status.QUEUED


@pytest.mark.parametrize("code", ["moderated", "cancelled"])
def test_a_task_that_failed_raises_why(code: str) -> None:
    failed = video(status="failed", error={"code": code, "message": "because"})

    with pytest.raises(TaskFailed, match="because") as failure:
        Play(FLOWS.wait("task_1", 9), [ok(failed)])

    assert failure.value.code == code
    assert failure.value.task.status is (Status.CANCELLED if code == "cancelled" else Status.FAILED)


# --- streams ------------------------------------------------------------------------------------

OPEN = Reply(status=200, headers={"content-type": "text/event-stream; charset=utf-8"})


def heard(seq: int, status: str = "in_progress", progress: int = 0) -> Heard:
    kind = "progress" if progress else "status"
    return Heard(event=kind, id=str(seq), data=json.dumps(video(status=status, progress=progress)))


def test_a_stream_ends_with_the_task() -> None:
    play = Play(FLOWS.stream("task_1"), [OPEN, heard(1), heard(2, progress=50), heard(3, "completed")])

    assert [(event.kind, event.id, event.task.progress) for event in play.emitted] == [
        ("status", "1", 0),
        ("progress", "2", 50),
        ("status", "3", 0),
    ]
    assert isinstance(play.emitted[0], Event)
    assert (play.asked[0].path, play.asked[0].timeout_s) == ("/v1/videos/task_1/events", 45)


@pytest.mark.parametrize("cut", [[GONE], [None]], ids=["broken", "ended"])
def test_a_stream_that_breaks_off_goes_on_after_what_was_heard_last(cut: Sequence[object]) -> None:
    play = Play(
        FLOWS.stream("task_1"), [OPEN, heard(1), heard(2), *cut, OPEN, heard(3), heard(4, "completed")]
    )

    assert [event.id for event in play.emitted] == ["1", "2", "3", "4"]
    assert "last-event-id" not in play.asked[0].headers
    assert play.asked[1].headers["last-event-id"] == "2"
    assert len(play.slept) == 1


def test_nothing_more_to_hear_is_the_end() -> None:
    assert Play(FLOWS.stream("task_1"), [Reply(status=204, headers={})]).emitted == []


@pytest.mark.parametrize("cut", [GONE, None], ids=["broken", "ended"])
def test_a_stream_on_which_nothing_comes_is_asked_less_and_less_often(cut: object) -> None:
    play = Play(FLOWS.stream("task_1"), [*[OPEN, cut] * 20, OPEN, heard(9, "completed")])

    assert [event.id for event in play.emitted] == ["9"]
    assert play.slept[0] <= 0.5
    assert 4 <= min(play.slept[5:]) <= max(play.slept) <= 8


def test_a_stream_that_cannot_be_opened_is_given_up() -> None:
    with pytest.raises(Unreachable):
        Play(FLOWS.stream("task_1"), [OPEN, heard(1), GONE, GONE, GONE, GONE])


def test_what_is_not_about_the_task_is_passed_over() -> None:
    bye = Heard(event="bye", data="{}", id="1")

    play = Play(FLOWS.stream("task_1"), [OPEN, heard(1), bye, None, OPEN, heard(2, "completed")])

    assert [event.id for event in play.emitted] == ["1", "2"]


def test_a_page_is_no_stream() -> None:
    with pytest.raises(BadAnswer, match="is text/html"):
        Play(FLOWS.stream("task_1"), [Reply(status=200, headers={"content-type": "text/html"})])


def test_a_stream_of_nothing_known_is_refused() -> None:
    with pytest.raises(NotFound):
        Play(FLOWS.stream("task_1"), [refusal(404)])


# --- downloads ----------------------------------------------------------------------------------

FILM = bytes(range(256)) * 4
TAG = '"4fd2"'
WHOLE = Reply(status=200, headers={"etag": TAG, "content-length": "1024"})


def rest(first: int) -> Reply:
    return Reply(status=206, headers={"etag": TAG, "content-range": f"bytes {first}-1023/1024"})


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_a_file_is_there_once_it_is_whole(tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"

    play = Play(FLOWS.download("task_1", film, "thumbnail"), [WHOLE, FILM[:600], FILM[600:]])

    assert play.result == film
    assert film.read_bytes() == FILM
    assert names(tmp_path) == ["film.mp4"]
    assert play.asked[0].query == {"variant": "thumbnail"}
    assert play.asked[0].headers == {"accept-encoding": "identity"}


def test_what_breaks_off_is_continued_where_it_was(tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"

    play = Play(FLOWS.download("task_1", film, "video"), [WHOLE, FILM[:600], GONE, rest(600), FILM[600:]])

    assert film.read_bytes() == FILM
    assert play.asked[1].headers["range"] == "bytes=600-"
    assert play.asked[1].headers["if-range"] == TAG


def test_another_process_continues_what_this_one_left(tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    film.write_text("old")
    with pytest.raises(Unreachable):
        Play(FLOWS.download("task_1", film, "video"), [WHOLE, FILM[:600], GONE, GONE, GONE, GONE])
    assert names(tmp_path) == [".film.mp4.4fd2.part", "film.mp4"]
    assert film.read_text() == "old"

    play = Play(FLOWS.download("task_1", film, "video"), [rest(600), FILM[600:]])

    assert play.asked[0].headers["if-range"] == TAG
    assert film.read_bytes() == FILM
    assert names(tmp_path) == ["film.mp4"]


def test_a_part_of_something_else_is_thrown_away(tmp_path: Path) -> None:
    (tmp_path / ".film.mp4.0ld.part").write_text("of another film")

    play = Play(FLOWS.download("task_1", tmp_path / "film.mp4", "video"), [WHOLE, FILM])

    assert play.asked[0].headers["if-range"] == '"0ld"'
    assert (tmp_path / "film.mp4").read_bytes() == FILM
    assert names(tmp_path) == ["film.mp4"]


def test_a_part_that_is_whole_needs_nothing_more(tmp_path: Path) -> None:
    (tmp_path / ".film.mp4.4fd2.part").write_bytes(FILM)
    nothing = Reply(status=416, headers={"content-range": "bytes */1024"})

    Play(FLOWS.download("task_1", tmp_path / "film.mp4", "video"), [nothing])

    assert (tmp_path / "film.mp4").read_bytes() == FILM


def test_a_part_that_is_too_long_is_fetched_anew(tmp_path: Path) -> None:
    (tmp_path / ".film.mp4.4fd2.part").write_bytes(FILM + b"more")
    nothing = Reply(status=416, headers={"content-range": "bytes */1024"})

    Play(FLOWS.download("task_1", tmp_path / "film.mp4", "video"), [nothing, WHOLE, FILM])

    assert (tmp_path / "film.mp4").read_bytes() == FILM


def test_a_file_of_another_length_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed, match="should have 1024 bytes and came with 600"):
        Play(FLOWS.download("task_1", tmp_path / "film.mp4", "video"), [WHOLE, FILM[:600], None])

    assert names(tmp_path) == []


def test_a_refusal_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest):
        Play(FLOWS.download("task_1", tmp_path / "film.mp4", "video"), [refusal(400)])

    assert names(tmp_path) == []
