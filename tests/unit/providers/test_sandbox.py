"""The sandbox does what its magic words say, by the clock it is given."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from filmgate.core.errors import ProviderBusy, ProviderRejected, RemoteLost
from filmgate.core.generation import Generation, OutputKind
from filmgate.ports.provider import Failed, RemoteId, Report, Running, Succeeded
from filmgate.providers.sandbox import CLIP, PICTURE, Config, Sandbox

A_FILM = Generation(prompt="a cat", width=1280, height=720, duration_s=5)


class Clock:
    """A monotonic clock that moves when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sandbox(clock: Clock) -> Sandbox:
    return Sandbox(Config(), scratch=Path("never-made"), monotonic=clock)


async def submitted(sandbox: Sandbox, prompt: str) -> RemoteId:
    return await sandbox.submit(replace(A_FILM, prompt=prompt), reference="task_x-1")


async def over_time(sandbox: Sandbox, clock: Clock, prompt: str, *seconds: float) -> Mapping[float, Report]:
    """Return how a submission stands after so many seconds each."""
    remote_id = await submitted(sandbox, prompt)
    began_at = clock.now
    reports = {}
    for after in seconds:
        clock.now = began_at + after
        reports[after] = await sandbox.poll(remote_id)
    return reports


# --- ends ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("prompt", ["a cat", "", "#unknown", "C# slow", "x#fail", "#failure", "a #1 hit"])
async def test_anything_else_succeeds_at_the_first_poll(sandbox: Sandbox, prompt: str) -> None:
    remote_id = await submitted(sandbox, prompt)

    assert await sandbox.poll(remote_id) == Succeeded(made=(CLIP,))


async def test_pictures_and_last_frames_come_as_ordered(sandbox: Sandbox) -> None:
    pictures = await sandbox.submit(replace(A_FILM, duration_s=0, n=3), reference="task_a-1")
    film = await sandbox.submit(replace(A_FILM, return_last_frame=True), reference="task_b-1")

    assert await sandbox.poll(pictures) == Succeeded(made=(PICTURE,) * 3)
    report = await sandbox.poll(film)
    assert isinstance(report, Succeeded)
    assert [made.kind for made in report.made] == [OutputKind.VIDEO, OutputKind.LAST_FRAME]


@pytest.mark.parametrize(
    ("prompt", "code"),
    [("#fail", "provider_failed"), ("a dog #moderate", "moderated"), ("#slow=0 #fail", "provider_failed")],
)
async def test_a_failure_comes_with_its_code(sandbox: Sandbox, prompt: str, code: str) -> None:
    report = await sandbox.poll(await submitted(sandbox, prompt))

    assert isinstance(report, Failed)
    assert report.code == code


async def test_a_refusal_leaves_no_trace(sandbox: Sandbox) -> None:
    with pytest.raises(ProviderRejected):
        await submitted(sandbox, "#reject")

    with pytest.raises(RemoteLost):
        await sandbox.poll(RemoteId("task_x-1"))


# --- time ---------------------------------------------------------------------------------------


async def test_slow_work_goes_evenly_and_ends_on_time(sandbox: Sandbox, clock: Clock) -> None:
    reports = await over_time(sandbox, clock, "#slow=12 a boat", 0, 3, 6, 11.75, 12, 99)

    assert reports == {
        0: Running(progress=0, eta_s=12),
        3: Running(progress=25, eta_s=9),
        6: Running(progress=50, eta_s=6),
        11.75: Running(progress=97, eta_s=0.25),
        12: Succeeded(made=(CLIP,)),
        99: Succeeded(made=(CLIP,)),
    }


async def test_slow_alone_takes_what_is_configured(clock: Clock) -> None:
    sandbox = Sandbox(Config(slow_s=8), scratch=Path("never-made"), monotonic=clock)

    reports = await over_time(sandbox, clock, "#slow", 4, 8)

    assert reports == {4: Running(progress=50, eta_s=4), 8: Succeeded(made=(CLIP,))}


async def test_slow_work_can_fail_in_the_end(sandbox: Sandbox, clock: Clock) -> None:
    reports = await over_time(sandbox, clock, "#slow=2 #fail", 1, 2)

    assert isinstance(reports[1], Running)
    assert isinstance(reports[2], Failed)


async def test_a_stall_lasts_until_it_is_cancelled(sandbox: Sandbox, clock: Clock) -> None:
    reports = await over_time(sandbox, clock, "#stall", 0, 1e9)
    assert set(reports.values()) == {Running(progress=0)}

    await sandbox.cancel(RemoteId("task_x-1"))

    report = await sandbox.poll(RemoteId("task_x-1"))
    assert isinstance(report, Failed)
    assert report.code == "cancelled"


async def test_what_succeeded_cannot_be_cancelled_any_more(sandbox: Sandbox, clock: Clock) -> None:
    await over_time(sandbox, clock, "#slow=2", 2)

    await sandbox.cancel(RemoteId("task_x-1"))

    assert await sandbox.poll(RemoteId("task_x-1")) == Succeeded(made=(CLIP,))


# --- turned away --------------------------------------------------------------------------------


@pytest.mark.parametrize("next_attempt", [True, False], ids=["next-attempt", "same-attempt"])
@pytest.mark.parametrize(("prompt", "times"), [("#busy", 1), ("#busy=2", 2), ("#busy=0", 0)])
async def test_a_busy_sandbox_takes_the_work_after_so_many_tries(
    sandbox: Sandbox, prompt: str, times: int, *, next_attempt: bool
) -> None:
    busy = replace(A_FILM, prompt=prompt)
    for attempt in range(1, times + 1):
        with pytest.raises(ProviderBusy) as refusal:
            await sandbox.submit(busy, reference=f"task_x-{attempt if next_attempt else 1}")
        assert refusal.value.retry_after_s is not None
        assert refusal.value.retry_after_s < 1

    for _ in range(2):
        last = f"task_x-{times + 1 if next_attempt else 1}"
        remote_id = await sandbox.submit(busy, reference=last)
        assert await sandbox.poll(remote_id) == Succeeded(made=(CLIP,))


async def test_each_task_is_turned_away_by_itself(sandbox: Sandbox) -> None:
    for reference in ("task_a-1", "task_b-1"):
        with pytest.raises(ProviderBusy):
            await sandbox.submit(replace(A_FILM, prompt="#busy"), reference=reference)


# --- the files ----------------------------------------------------------------------------------


def test_the_vendored_files_are_small() -> None:
    for made in (CLIP, PICTURE):
        assert Path(made.source).stat().st_size < 40_000
