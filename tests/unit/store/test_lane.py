"""Lanes: what is asked for at the same time goes together, and nobody suffers for a neighbour."""

import asyncio
from collections.abc import Sequence

import pytest

from filmgate.store.postgres.lane import Lane


class Doubler:
    """Answers with twice the number; `go` lets a group be answered, and `groups` are those there were."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.go = asyncio.Semaphore(0)

    async def __call__(self, asked: Sequence[int]) -> Sequence[int | Exception]:
        self.groups.append(list(asked))
        await self.go.acquire()
        if 13 in asked:
            raise OSError("nobody gets anything")
        return [ValueError("an odd one") if number == 7 else 2 * number for number in asked]


async def begun(*work: "asyncio.Task[int]") -> None:
    """Let what was started come as far as it can."""
    for _ in range(5):
        await asyncio.sleep(0)
    assert work


async def test_who_asks_alone_waits_for_nobody() -> None:
    doubler = Doubler()
    lane = Lane(doubler, most=10)
    doubler.go.release()

    assert await lane.ask(4) == 8

    assert doubler.groups == [[4]]


async def test_those_who_come_while_a_group_is_under_way_are_the_next() -> None:
    doubler = Doubler()
    lane = Lane(doubler, most=3)
    first = asyncio.create_task(lane.ask(1))
    await begun(first)
    others = [asyncio.create_task(lane.ask(n)) for n in range(2, 7)]
    await begun(*others)
    for _ in range(3):
        doubler.go.release()

    assert await asyncio.gather(first, *others) == [2, 4, 6, 8, 10, 12]
    assert doubler.groups == [[1], [2, 3, 4], [5, 6]]


async def test_an_answer_that_is_an_error_is_for_who_asked_and_for_nobody_else() -> None:
    doubler = Doubler()
    lane = Lane(doubler, most=10)
    asked = [asyncio.create_task(lane.ask(n)) for n in (6, 7, 8)]
    doubler.go.release()

    answers = await asyncio.gather(*asked, return_exceptions=True)

    assert (answers[0], answers[2]) == (12, 16)
    assert isinstance(answers[1], ValueError)


async def test_what_stops_a_whole_group_is_told_to_all_of_it_and_not_to_the_next() -> None:
    doubler = Doubler()
    lane = Lane(doubler, most=2)
    asked = [asyncio.create_task(lane.ask(n)) for n in (12, 13, 14)]
    doubler.go.release()
    doubler.go.release()

    answers = await asyncio.gather(*asked, return_exceptions=True)

    assert [type(answer) for answer in answers] == [OSError, OSError, int]


async def test_who_goes_away_takes_nobody_along() -> None:
    doubler = Doubler()
    lane = Lane(doubler, most=10)
    impatient, patient = asyncio.create_task(lane.ask(1)), asyncio.create_task(lane.ask(2))
    await begun(impatient, patient)

    impatient.cancel()
    doubler.go.release()

    assert await patient == 4
    with pytest.raises(asyncio.CancelledError):
        await impatient
    assert doubler.groups == [[1, 2]], "what was asked for is done all the same"
