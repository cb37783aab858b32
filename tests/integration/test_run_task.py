"""A task runs to its end once: whatever the provider does, and wherever the process dies."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import count

import pytest

from filmgate.core.attempt import Outcome
from filmgate.core.errors import (
    ModerationRejected,
    ProviderBusy,
    ProviderError,
    ProviderMisconfigured,
    ProviderProtocolError,
    ProviderRejected,
    ProviderUnavailable,
    StoreUnavailable,
    SubmissionUnclear,
)
from filmgate.core.task import Phase, Status, Task
from filmgate.ports.provider import Failed, Report
from filmgate.service.cancel_task import cancel_task
from filmgate.service.run_task import run_task
from filmgate.service.submit_task import submit_task
from tests.fakes import NOON
from tests.runs import Died, Place, Stage, a_stage, a_submission, a_success, job_of, running

BOTH = pytest.mark.parametrize("idempotent", [True, False], ids=["idempotent", "no reference"])
FAILS = Failed(code="provider_failed", reason="It broke.")

Build = Callable[..., Awaitable[Stage]]


@pytest.fixture
async def build(places: Callable[[], Place]) -> AsyncIterator[Build]:
    """Return what builds a stage over a database of its own, and close them all afterwards."""
    stages: list[Stage] = []

    async def one(*reports: Report, idempotent: bool = True, refusals: Sequence[Exception] = ()) -> Stage:
        stages.append(await a_stage(places(), *reports, idempotent=idempotent, refusals=refusals))
        return stages[-1]

    yield one
    for stage in stages:
        await stage.store.close()


async def story(stage: Stage, task: Task) -> list[tuple[Status, Phase | None, int]]:
    """Return what a reader of the task's events has seen."""
    return [(event.status, event.phase, event.progress) for event in await stage.store.events(task.id)]


# --- without trouble ----------------------------------------------------------------------------


async def test_the_events_tell_a_life_from_submit_to_success(build: Build) -> None:
    stage = await build(running(0), running(40), running(80), a_success())
    stage.signals.hooks = [lambda: later(stage, 2)] * 3
    task = await stage.submit()

    await stage.live()

    assert await story(stage, task) == [
        (Status.QUEUED, None, 0),
        (Status.RUNNING, Phase.SUBMITTING, 0),
        (Status.RUNNING, Phase.GENERATING, 0),
        (Status.RUNNING, Phase.GENERATING, 40),
        (Status.RUNNING, Phase.GENERATING, 80),
        (Status.SUCCEEDED, None, 100),
    ]
    ended = await stage.check_end_of(task.id)
    (attempt,) = await stage.store.attempts(task.id)
    assert [output.mime for output in ended.outputs] == ["video/mp4"]
    assert ended.result_expires_at == stage.clock.now() + timedelta(days=30)
    assert (attempt.outcome, attempt.upstream_cost) == (Outcome.SUCCEEDED, "0.25 USD")


async def later(stage: Stage, seconds: float) -> None:
    stage.clock.advance(seconds)


async def test_progress_is_saved_at_most_once_a_second(build: Build) -> None:
    stage = await build(*(running(progress) for progress in range(0, 100, 2)), a_success())
    stage.signals.hooks = [lambda: later(stage, 0.1)] * 50
    task = await stage.submit()

    await stage.live()

    moved = [event for event in await stage.store.events(task.id) if event.phase is Phase.GENERATING]
    assert len(moved) == 1 + 4  # the first, and one in each full second of the five


async def test_progress_that_goes_back_upstream_does_not_go_back_here(build: Build) -> None:
    stage = await build(running(50), running(20), running(60), running(100), a_success())
    stage.signals.hooks = [lambda: later(stage, 2)] * 5
    task = await stage.submit()

    await stage.live()

    assert [progress for *_, progress in await story(stage, task)] == [0, 0, 50, 60, 99, 100]


async def test_what_failed_upstream_fails_with_its_code_and_is_free(build: Build) -> None:
    stage = await build(running(10), FAILS)
    task = await stage.submit()

    await stage.live()

    ended = await stage.check_end_of(task.id)
    assert ended.status is Status.FAILED
    assert ended.error is not None
    assert (ended.error.code, ended.error.message) == ("provider_failed", "It broke.")


# --- refusals -----------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize(
    "refusal", [ProviderBusy("not now", retry_after_s=30), ProviderUnavailable("no route")]
)
async def test_who_is_turned_away_waits_and_comes_back_as_another_attempt(
    build: Build, refusal: ProviderError, *, idempotent: bool
) -> None:
    stage = await build(idempotent=idempotent, refusals=[refusal, refusal])
    task = await stage.submit()

    await stage.live()

    ended = await stage.check_end_of(task.id)
    attempts = await stage.store.attempts(task.id)
    assert (ended.status, ended.attempt) == (Status.SUCCEEDED, 3)
    assert [one.outcome for one in attempts] == [Outcome.REFUSED, Outcome.REFUSED, Outcome.SUCCEEDED]
    assert stage.provider.starts == [f"{task.id}-3"]
    assert (Status.RUNNING, Phase.WAITING, 0) in await story(stage, task)


async def test_the_advice_when_to_come_back_is_not_undercut(build: Build) -> None:
    stage = await build(refusals=[ProviderBusy("not now", retry_after_s=300)])
    await stage.submit()

    await stage.live()

    assert stage.signals.waits[0] == 300


async def test_a_hint_does_not_shorten_the_wait_for_another_try(build: Build) -> None:
    stage = await build(refusals=[ProviderBusy("not now", retry_after_s=300)])
    task = await stage.submit()
    stage.signals.hooks = [lambda: told(stage, task)] * 3

    await stage.live()

    assert stage.signals.waits[:4] == [300] * 4
    assert (await stage.check_end_of(task.id)).status is Status.SUCCEEDED


async def told(stage: Stage, task: Task) -> None:
    stage.signals.tell(task.id)


@BOTH
async def test_a_provider_that_is_busy_until_the_deadline_fails_the_task(
    build: Build, *, idempotent: bool
) -> None:
    stage = await build(idempotent=idempotent, refusals=[ProviderBusy("not now", retry_after_s=300)] * 1_000)
    task = await stage.submit()

    await stage.live()

    ended = await stage.check_end_of(task.id)
    assert ended.error is not None
    assert (ended.status, ended.error.code) == (Status.FAILED, "provider_busy")
    assert stage.clock.now() <= ended.deadline_at
    assert not stage.provider.starts


@BOTH
@pytest.mark.parametrize("refusal", [ProviderRejected("no"), ModerationRejected("improper")])
async def test_a_rejection_is_final_at_once(
    build: Build, refusal: ProviderError, *, idempotent: bool
) -> None:
    stage = await build(idempotent=idempotent, refusals=[refusal])
    task = await stage.submit()

    await stage.live()

    ended = await stage.check_end_of(task.id)
    (attempt,) = await stage.store.attempts(task.id)
    assert ended.error is not None
    assert (ended.error.code, attempt.outcome) == (refusal.code, Outcome.REFUSED)
    assert not stage.provider.starts


async def test_what_is_wrong_with_the_operators_account_is_not_told_to_the_caller(build: Build) -> None:
    stage = await build(refusals=[ProviderMisconfigured("key sk-123 is over its budget")])
    task = await stage.submit()

    await stage.live()

    ended = await stage.check_end_of(task.id)
    assert ended.error is not None
    assert "sk-123" not in ended.error.message


@pytest.mark.parametrize("unclear", [SubmissionUnclear("cut off"), ProviderProtocolError("a web page")])
async def test_an_unclear_answer_is_asked_again_where_that_starts_nothing_twice(
    build: Build, unclear: ProviderError
) -> None:
    stage = await build(idempotent=True)
    stage.provider.unclear = [unclear, unclear]
    task = await stage.submit()

    await stage.live()

    assert (await stage.check_end_of(task.id)).status is Status.SUCCEEDED
    assert stage.provider.starts == [f"{task.id}-1"]
    assert (Status.RUNNING, Phase.SUBMIT_UNKNOWN, 0) in await story(stage, task)


@pytest.mark.parametrize("unclear", [SubmissionUnclear("cut off"), ProviderProtocolError("a web page")])
async def test_an_unclear_answer_is_never_asked_again_where_that_might(
    build: Build, unclear: ProviderError
) -> None:
    stage = await build(idempotent=False)
    stage.provider.unclear = [unclear]
    task = await stage.submit()

    await stage.live()

    ended = await stage.check_end_of(task.id)
    (attempt,) = await stage.store.attempts(task.id)
    assert ended.error is not None
    assert (ended.status, ended.error.code) == (Status.FAILED, unclear.code)
    assert attempt.outcome is Outcome.ORPHANED
    assert stage.provider.starts == [f"{task.id}-1"]


async def test_a_provider_that_stays_unclear_fails_the_task_at_its_deadline(build: Build) -> None:
    stage = await build(idempotent=True)
    stage.provider.unclear = [SubmissionUnclear("cut off")] * 100_000
    task = await stage.submit()
    stage.signals.hooks = [lambda: later(stage, 3600)] * 10

    await stage.live()

    ended = await stage.check_end_of(task.id)
    assert ended.error is not None
    assert (ended.status, ended.error.code) == (Status.FAILED, "submit_unknown")


# --- questions ----------------------------------------------------------------------------------


@BOTH
async def test_a_question_without_an_answer_is_asked_again(build: Build, *, idempotent: bool) -> None:
    stage = await build(running(10), a_success(), idempotent=idempotent)
    stage.provider.poll_errors = [ProviderUnavailable("no route"), ProviderProtocolError("a web page")]
    task = await stage.submit()

    await stage.live()

    assert (await stage.check_end_of(task.id)).status is Status.SUCCEEDED


async def test_work_that_died_with_its_process_is_begun_anew_under_its_reference(build: Build) -> None:
    stage = await build(running(10), a_success(), idempotent=True)
    task = await stage.submit()
    stage.signals.hooks = [lambda: all_is_forgotten(stage)]

    await stage.live()

    assert (await stage.task(task.id)).status is Status.SUCCEEDED
    assert stage.provider.starts == [f"{task.id}-1"] * 2


async def all_is_forgotten(stage: Stage) -> None:
    stage.provider.works.clear()


async def test_work_that_cannot_be_begun_anew_fails_the_task(build: Build) -> None:
    stage = await build(running(10), a_success(), idempotent=False)
    task = await stage.submit()
    stage.signals.hooks = [lambda: all_is_forgotten(stage)]

    await stage.live()

    ended = await stage.check_end_of(task.id)
    assert ended.error is not None
    assert ended.error.code == "provider_lost"


async def test_work_that_is_begun_anew_and_rejected_fails_the_task_at_once(build: Build) -> None:
    stage = await build(running(10), a_success(), idempotent=True)
    task = await stage.submit()

    async def forgotten_and_unwelcome() -> None:
        stage.provider.works.clear()
        stage.provider.refusals = [ModerationRejected("improper")] * 100_000

    stage.signals.hooks = [forgotten_and_unwelcome]

    await stage.live()

    ended = await stage.check_end_of(task.id)
    assert ended.error is not None
    assert ended.error.code == "moderated"
    assert stage.clock.now() < NOON + timedelta(minutes=1)


# --- cancelling ---------------------------------------------------------------------------------


@BOTH
async def test_a_cancel_while_it_is_submitted_stops_what_was_started(
    build: Build, *, idempotent: bool
) -> None:
    stage = await build(running(10), idempotent=idempotent)
    task = await stage.submit()

    async def cancelled_meanwhile() -> None:
        stage.provider.during_submit = None
        answer = await cancel_task(stage.ports, await stage.task(task.id))
        assert answer.status is Status.CANCELLED

    stage.provider.during_submit = cancelled_meanwhile

    await stage.live()

    assert (await stage.check_end_of(task.id)).status is Status.CANCELLED
    (attempt,) = await stage.store.attempts(task.id)
    assert attempt.outcome is Outcome.CANCELLED
    assert stage.provider.cancelled == list(stage.provider.works)


@BOTH
async def test_a_cancel_while_it_is_generated_stops_it_upstream(build: Build, *, idempotent: bool) -> None:
    stage = await build(running(10), idempotent=idempotent)
    task = await stage.submit()
    stage.signals.hooks = [lambda: nothing(stage), lambda: cancelled(stage, task)]

    await stage.live()

    assert (await stage.check_end_of(task.id)).status is Status.CANCELLED
    (attempt,) = await stage.store.attempts(task.id)
    assert attempt.outcome is Outcome.CANCELLED
    assert stage.provider.cancelled == list(stage.provider.works)


async def nothing(stage: Stage) -> None:
    """Let a wait pass."""


async def cancelled(stage: Stage, task: Task) -> None:
    await cancel_task(stage.ports, await stage.task(task.id))


@BOTH
async def test_what_finishes_after_the_cancel_is_neither_served_nor_billed(
    build: Build, *, idempotent: bool
) -> None:
    stage = await build(a_success(), idempotent=idempotent)
    task = await stage.submit()

    async def cancelled_meanwhile() -> None:
        stage.provider.during_poll = None
        await cancelled(stage, task)

    stage.provider.during_poll = cancelled_meanwhile

    await stage.live()

    ended = await stage.check_end_of(task.id)
    (attempt,) = await stage.store.attempts(task.id)
    assert ended.status is Status.CANCELLED
    assert not ended.outputs
    assert attempt.remote_id == stage.provider.cancelled[0]


async def test_a_cancel_while_it_waits_for_another_try_sends_nothing_more(build: Build) -> None:
    stage = await build(refusals=[ProviderBusy("not now", retry_after_s=60)])
    task = await stage.submit()
    stage.signals.hooks = [lambda: cancelled(stage, task)]

    await stage.live()

    assert (await stage.check_end_of(task.id)).status is Status.CANCELLED
    assert not stage.provider.starts
    assert [one.outcome for one in await stage.store.attempts(task.id)] == [Outcome.REFUSED, Outcome.UNSENT]


@BOTH
async def test_a_rejection_that_comes_after_the_cancel_leaves_no_suspected_orphan(
    build: Build, *, idempotent: bool
) -> None:
    stage = await build(idempotent=idempotent, refusals=[ProviderRejected("no")])
    task = await stage.submit()
    stage.provider.before_submit = lambda: cancelled(stage, task)

    await stage.live()

    await stage.check_end_of(task.id)
    (attempt,) = await stage.store.attempts(task.id)
    assert attempt.outcome is Outcome.REFUSED


async def test_what_a_cancelled_task_cost_upstream_is_known_all_the_same(build: Build) -> None:
    stage = await build(a_success(), idempotent=True)
    task = await stage.submit()

    async def cancelled_too_late_to_stop_it() -> None:
        stage.provider.during_poll = None
        await cancelled(stage, task)
        stage.provider.stoppable = False

    stage.provider.during_poll = cancelled_too_late_to_stop_it

    await stage.live()

    await stage.check_end_of(task.id)
    (attempt,) = await stage.store.attempts(task.id)
    assert (attempt.outcome, attempt.upstream_cost) == (Outcome.SUCCEEDED, "0.25 USD")


# --- deadlines ----------------------------------------------------------------------------------


@BOTH
async def test_a_task_past_its_deadline_expires_and_is_stopped_upstream(
    build: Build, *, idempotent: bool
) -> None:
    stage = await build(running(10), idempotent=idempotent)
    task = await stage.submit()
    stage.signals.hooks = [lambda: later(stage, 7 * 3600)]

    await stage.live()

    ended = await stage.check_end_of(task.id)
    assert ended.error is not None
    assert (ended.status, ended.error.code) == (Status.FAILED, "expired")
    assert stage.provider.cancelled == list(stage.provider.works)


async def test_a_provider_that_never_answers_does_not_outlive_the_deadline(build: Build) -> None:
    stage = await build(running(10), idempotent=False)
    stage.provider.poll_errors = [ProviderUnavailable("no route")] * 4
    task = await stage.submit()
    stage.signals.hooks = [lambda: later(stage, 3 * 3600)] * 3

    await stage.live()

    ended = await stage.check_end_of(task.id)
    assert ended.error is not None
    assert ended.error.code == "expired"


# --- a provider that is gone --------------------------------------------------------------------


async def test_a_task_whose_provider_is_gone_fails_and_was_never_sent(build: Build) -> None:
    stage = await build()
    task = await stage.submit()
    stage.ports = replace(stage.ports, providers={})

    await stage.live()

    ended = await stage.check_end_of(task.id)
    (attempt,) = await stage.store.attempts(task.id)
    assert ended.error is not None
    assert ended.error.code == "model_unavailable"
    assert attempt.outcome is Outcome.UNSENT


async def test_what_may_run_on_at_a_provider_that_is_gone_is_called_an_orphan(build: Build) -> None:
    stage = await build(running(10), idempotent=False)
    task = await stage.submit()
    await stage.live(dies_at=12)
    assert stage.provider.starts
    stage.ports = replace(stage.ports, providers={})

    await stage.live()

    ended = await stage.check_end_of(task.id)
    (attempt,) = await stage.store.attempts(task.id)
    assert ended.error is not None
    assert ended.error.code == "model_unavailable"
    assert attempt.outcome is Outcome.ORPHANED


# --- death at every step ------------------------------------------------------------------------


async def busy_once(build: Build, *, idempotent: bool) -> Stage:
    return await build(
        running(10), a_success(), idempotent=idempotent, refusals=[ProviderBusy("", retry_after_s=9)]
    )


async def simple(build: Build, *, idempotent: bool) -> Stage:
    return await build(running(10), running(90), a_success(), idempotent=idempotent)


async def failing(build: Build, *, idempotent: bool) -> Stage:
    return await build(running(10), FAILS, idempotent=idempotent)


async def rejected(build: Build, *, idempotent: bool) -> Stage:
    return await build(idempotent=idempotent, refusals=[ProviderRejected("no")] * 3)


async def unanswered(build: Build, *, idempotent: bool) -> Stage:
    stage = await build(running(10), a_success(), idempotent=idempotent)
    stage.provider.unclear = [SubmissionUnclear("cut off")]
    stage.provider.poll_errors = [ProviderUnavailable("no route")]
    return stage


async def expiring(build: Build, *, idempotent: bool) -> Stage:
    stage = await build(running(10), idempotent=idempotent)
    stage.signals.hooks = [lambda: later(stage, 7 * 3600)]
    return stage


SCRIPTS = [simple, busy_once, failing, rejected, unanswered, expiring]


@BOTH
@pytest.mark.parametrize("script", SCRIPTS)
async def test_a_death_at_any_step_neither_loses_nor_doubles_anything(
    build: Build, script: Callable[..., Awaitable[Stage]], *, idempotent: bool
) -> None:
    stage = await script(build, idempotent=idempotent)
    task = await stage.submit()
    assert await stage.live()
    undisturbed = (await stage.check_end_of(task.id)).status

    for step in count(1):
        stage = await script(build, idempotent=idempotent)
        task = await stage.submit()
        lived_through = await stage.live(dies_at=step)
        await stage.live()

        ended = await stage.check_end_of(task.id)
        attempts = await stage.store.attempts(task.id)
        if idempotent:
            assert ended.status is undisturbed, f"step {step}"
        elif ended.status is not undisturbed:
            assert ended.error is not None
            assert ended.error.code == "submit_unknown", f"step {step}"
            assert attempts[-1].outcome is Outcome.ORPHANED, f"step {step}"
        if lived_through:
            break

    assert step > 6


@BOTH
async def test_two_deaths_at_any_two_steps_neither_lose_nor_double_anything(
    build: Build, *, idempotent: bool
) -> None:
    lived_through = False
    first = 0
    while not lived_through:
        first += 1
        for second in count(1, 4):
            stage = await busy_once(build, idempotent=idempotent)
            task = await stage.submit()
            lived_through = await stage.live(dies_at=first)
            lived_through_again = await stage.live(dies_at=second)
            await stage.live()

            ended = await stage.check_end_of(task.id)
            assert ended.status is Status.SUCCEEDED or not idempotent, f"steps {first}, {second}"
            if lived_through_again:
                break


@BOTH
async def test_a_cancelled_task_is_drained_wherever_the_process_dies(
    build: Build, *, idempotent: bool
) -> None:
    for step in count(1):
        stage = await build(running(10), idempotent=idempotent)
        task = await stage.submit()
        await stage.live(dies_at=16 if idempotent else 18)
        assert stage.provider.starts
        assert (await cancel_task(stage.ports, await stage.task(task.id))).status is Status.CANCELLED

        lived_through = await stage.live(dies_at=step)
        await stage.live()

        await stage.check_end_of(task.id)
        (attempt,) = await stage.store.attempts(task.id)
        assert attempt.outcome is Outcome.CANCELLED
        assert set(stage.provider.cancelled) == set(stage.provider.works), "nothing runs on upstream"
        if lived_through:
            break


@pytest.mark.parametrize(("dies_at", "is_there"), [(1, False), (2, True)])
async def test_a_death_while_it_is_submitted_leaves_all_of_the_task_or_nothing(
    build: Build, dies_at: int, *, is_there: bool
) -> None:
    stage = await build(idempotent=False)
    stage.fate.decide(dies_at=dies_at)
    with pytest.raises(Died):
        await submit_task(stage.ports, a_submission(out_task_id="mine"))
    stage.fate.decide(dies_at=0)

    submitted = await submit_task(stage.ports, a_submission(out_task_id="mine"))
    await stage.live()

    assert submitted.replayed is is_there
    assert (await stage.check_end_of(submitted.task.id)).status is Status.SUCCEEDED


# --- a worker that was taken over ---------------------------------------------------------------


@BOTH
async def test_a_worker_that_was_taken_over_lets_go(build: Build, *, idempotent: bool) -> None:
    stage = await build(running(10), running(50), a_success(), idempotent=idempotent)
    task = await stage.submit()

    async def taken_over() -> None:
        stage.clock.advance(5)
        await stage.store.take_over()

    stage.signals.hooks = [taken_over]

    await run_task(stage.ports, job_of(task))

    left = await stage.task(task.id)
    assert left.status is Status.RUNNING
    assert left.progress < 50
    await stage.live()
    assert (await stage.check_end_of(task.id)).status is Status.SUCCEEDED


# --- a store that fails for a while -------------------------------------------------------------


async def test_an_id_that_could_not_be_saved_at_first_is_not_lost(build: Build) -> None:
    stage = await build(idempotent=False)
    task = await stage.submit()

    async def disk_is_full() -> None:
        stage.store.failures = 2

    stage.provider.during_submit = disk_is_full

    for _ in range(3):
        try:
            await stage.live()
        except StoreUnavailable:
            continue
        break

    assert (await stage.check_end_of(task.id)).status is Status.SUCCEEDED


async def test_a_store_that_fails_at_any_step_loses_nothing_of_an_idempotent_provider(build: Build) -> None:
    for failing_commit in count(1):
        stage = await build(running(10), a_success(), refusals=[ProviderBusy("", retry_after_s=9)])
        task = await stage.submit()
        stage.store.fails_at = failing_commit

        for _ in range(3):
            try:
                await stage.live()
            except StoreUnavailable:
                continue
            break

        assert (await stage.check_end_of(task.id)).status is Status.SUCCEEDED
        if stage.store.fails_at > 0:
            break

    assert failing_commit > 4
