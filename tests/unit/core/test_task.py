"""The state machine: every pair of statuses, and progress that only grows."""

from datetime import timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filmgate.core.errors import IllegalTransition
from filmgate.core.events import EventKind, event_of
from filmgate.core.generation import Media, MediaKind
from filmgate.core.task import TERMINAL, TRANSITIONS, Phase, Status
from tests.fakes import NOON, a_generation, a_task

LATER = NOON + timedelta(minutes=1)
ALLOWED = {
    (Status.QUEUED, Status.RUNNING),
    (Status.QUEUED, Status.FAILED),
    (Status.QUEUED, Status.CANCELLED),
    (Status.RUNNING, Status.SUCCEEDED),
    (Status.RUNNING, Status.FAILED),
    (Status.RUNNING, Status.CANCELLED),
}


def test_the_table_knows_every_status_and_allows_what_this_file_says() -> None:
    pairs = {(status, following) for status, all_ in TRANSITIONS.items() for following in all_}

    assert set(TRANSITIONS) == set(Status)
    assert pairs == ALLOWED
    assert {Status.SUCCEEDED, Status.FAILED, Status.CANCELLED} == TERMINAL


@pytest.mark.parametrize(("status", "following"), list(product(Status, Status)))
def test_a_status_follows_another_only_where_that_is_allowed(status: Status, following: Status) -> None:
    task = a_task(status)

    if (status, following) not in ALLOWED:
        with pytest.raises(IllegalTransition):
            task.to(following, at=LATER)
        return

    after = task.to(following, at=LATER)
    assert (after.status, after.version, after.updated_at) == (following, task.version + 1, LATER)
    assert after.ended is (following in TERMINAL)
    assert after.finished_at == (LATER if after.ended else None)


def test_a_task_that_starts_says_when_and_one_that_ends_is_in_no_phase() -> None:
    started = a_task().to(Status.RUNNING, at=NOON)
    going = started.still(at=NOON, phase=Phase.GENERATING)

    ended = going.to(Status.FAILED, at=LATER)

    assert (started.started_at, ended.started_at, ended.finished_at) == (NOON, NOON, LATER)
    assert (going.phase, ended.phase, ended.retry_at) == (Phase.GENERATING, None, None)


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.RUNNING])
def test_only_a_running_task_goes_on(status: Status) -> None:
    with pytest.raises(IllegalTransition):
        a_task(status).still(at=LATER)


@given(st.lists(st.none() | st.integers(-50, 250), max_size=20))
def test_progress_never_goes_back_and_is_below_a_hundred_until_the_end(reports: list[int | None]) -> None:
    task = a_task().to(Status.RUNNING, at=NOON)

    for report in reports:
        after = task.still(at=LATER, progress=report)
        assert task.progress <= after.progress <= 99
        assert after.version == task.version + 1
        task = after


def test_an_event_is_about_the_status_only_where_that_changed() -> None:
    queued = a_task()
    running = queued.to(Status.RUNNING, at=NOON)
    going = running.still(at=LATER, progress=5)

    kinds = [
        event_of(after, before=before).kind
        for before, after in [(None, queued), (queued, running), (running, going)]
    ]

    assert kinds == [EventKind.STATUS, EventKind.STATUS, EventKind.PROGRESS]
    assert event_of(going, before=running).seq == going.version


# --- after the end ------------------------------------------------------------------------------


def test_a_task_needs_the_files_that_came_in_and_those_that_came_out() -> None:
    media = (Media(kind=MediaKind.IMAGE, blob="in"), Media(kind=MediaKind.IMAGE, url="https://example.com"))
    task = a_task(Status.SUCCEEDED, generation=a_generation(media=media))

    assert task.blobs == {"in", task.outputs[0].blob}
    assert not task.without_files(at=LATER).blobs
    assert task.without_files(at=LATER).generation.prompt == task.generation.prompt


def test_of_an_erased_task_only_the_skeleton_is_left() -> None:
    private = "a secret wish"
    media = (Media(kind=MediaKind.IMAGE, url=private, blob="in"),)
    generation = a_generation(
        prompt=private, negative_prompt=private, media=media, end_user_id=private, extra={"x": {"y": private}}
    )
    task = a_task(
        Status.SUCCEEDED,
        generation=generation,
        request_id=private,
        callback_url=private,
        metadata={"note": private},
    )

    skeleton = task.erased(at=LATER)

    assert private not in repr(skeleton)
    assert not skeleton.blobs
    assert (skeleton.deleted_at, skeleton.updated_at) == (LATER, LATER)
    assert (skeleton.version, skeleton.status) == (task.version + 1, task.status)
    assert (skeleton.charged, skeleton.quote, skeleton.id) == (task.charged, task.quote, task.id)


def test_what_happens_after_the_end_is_no_status() -> None:
    task = a_task(Status.SUCCEEDED)
    bare = task.without_files(at=LATER)

    assert event_of(bare, before=task).kind is EventKind.EXPIRED
    assert event_of(bare.erased(at=LATER), before=bare).kind is EventKind.DELETED
