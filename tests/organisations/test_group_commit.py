"""Questions asked at the same time are answered together; a bad one harms nobody else."""

import asyncio
from collections.abc import Sequence

import pytest
from django.db import OperationalError

from apps.organisations.group_commit import GroupCommit


class Oracle:
    """Answers with the square; waits to be let go; knows which numbers it cannot bear."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.open = asyncio.Event()
        self.unbearable: set[int] = set()
        self.away = False

    async def answer(self, numbers: list[int]) -> Sequence[int | Exception]:
        self.batches.append(numbers)
        await self.open.wait()
        if self.away:
            raise OperationalError
        if self.unbearable & set(numbers):
            raise RecursionError
        return [ValueError(str(one)) if one < 0 else one * one for one in numbers]


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_what_is_asked_while_a_batch_is_on_its_way_goes_as_the_next_one() -> None:
    oracle = Oracle()
    group = GroupCommit[int, int](oracle.answer, most=3)
    first = [asyncio.create_task(group.ask(n)) for n in (1, 2)]
    await settled()
    later = [asyncio.create_task(group.ask(n)) for n in (3, 4, 5, 6)]
    await settled()
    assert oracle.batches == [[1, 2]]
    oracle.open.set()
    assert await asyncio.gather(*first, *later) == [1, 4, 9, 16, 25, 36]
    assert oracle.batches == [[1, 2], [3, 4, 5], [6]]


async def test_each_question_gets_its_own_error() -> None:
    oracle = Oracle()
    oracle.open.set()
    group = GroupCommit[int, int](oracle.answer, most=10)
    answers = await asyncio.gather(*(group.ask(n) for n in (2, -1, 3)), return_exceptions=True)
    assert [str(answer) for answer in answers] == ["4", "-1", "9"]


async def test_one_that_spoils_its_batch_spoils_it_for_nobody_else() -> None:
    oracle = Oracle()
    oracle.open.set()
    oracle.unbearable = {13}
    group = GroupCommit[int, int](oracle.answer, most=10)
    answers = await asyncio.gather(*(group.ask(n) for n in (2, 13, 3)), return_exceptions=True)
    assert [answers[0], answers[2]] == [4, 9]
    assert isinstance(answers[1], RecursionError)
    assert oracle.batches == [[2, 13, 3], [2], [13], [3]]


async def test_a_database_that_is_away_is_asked_once_for_all() -> None:
    oracle = Oracle()
    oracle.open.set()
    oracle.away = True
    group = GroupCommit[int, int](oracle.answer, most=10)
    answers = await asyncio.gather(*(group.ask(n) for n in range(5)), return_exceptions=True)
    assert [type(one) for one in answers] == [OperationalError] * 5
    assert len(oracle.batches) == 1
    oracle.away = False
    assert await group.ask(7) == 49


async def test_one_that_is_cancelled_before_its_batch_leaves_is_not_asked() -> None:
    oracle = Oracle()
    group = GroupCommit[int, int](oracle.answer, most=10)
    asked = [asyncio.create_task(group.ask(n)) for n in (1, 2)]
    await settled()
    late = asyncio.create_task(group.ask(3))
    await settled()
    late.cancel()
    await settled()
    oracle.open.set()
    assert await asyncio.gather(*asked) == [1, 4]
    await settled()
    assert oracle.batches == [[1, 2]]


@pytest.mark.parametrize("at_once", [1, 2])
async def test_no_question_is_forgotten_however_they_come(at_once: int) -> None:
    """One asked in the very moment in which the last batch ends must not wait for ever."""
    oracle = Oracle()
    oracle.open.set()
    group = GroupCommit[int, int](oracle.answer, most=2, at_once=at_once)

    async def ask_on_and_on(start: int) -> int:
        total = 0
        for n in range(start, start + 50):
            total += await group.ask(n)
            for _ in range(n % 4):
                await asyncio.sleep(0)
        return total

    async with asyncio.timeout(20):
        totals = await asyncio.gather(*(ask_on_and_on(start) for start in range(5)))
    assert totals == [sum(n * n for n in range(start, start + 50)) for start in range(5)]
