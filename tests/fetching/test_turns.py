"""Turns with strangers' servers: so many at a time, some of them kept for other houses, and none waits for ever."""

import threading
from concurrent.futures import CancelledError, Future

import pytest

from apps.fetching.turns import TurnPolicy, Turns

SOON = 20  # seconds: a deadline for a busy machine


class Slow:
    """Work that ends when it is told to, and tells when it has begun."""

    def __init__(self, name: str = "done") -> None:
        self.name = name
        self.began = threading.Event()
        self.may_end = threading.Event()

    def __call__(self) -> str:
        self.began.set()
        assert self.may_end.wait(SOON)
        return self.name


def test_what_it_returns_and_raises_reaches_who_asked() -> None:
    turns = Turns(TurnPolicy())
    assert turns.take("a", lambda: 7).result(SOON) == 7
    with pytest.raises(ZeroDivisionError):
        turns.take("a", lambda: 1 // 0).result(SOON)
    assert turns.take("a", lambda: 8).result(SOON) == 8


def test_one_house_leaves_a_turn_to_the_others() -> None:
    turns = Turns(TurnPolicy(at_once=3, of_one_house=2))
    mine = [Slow(str(n)) for n in range(4)]
    answers = [turns.take("mine", one) for one in mine]
    assert all(one.began.wait(SOON) for one in mine[:2])
    assert turns.take("theirs", lambda: "at once").result(SOON) == "at once"
    assert not mine[2].began.is_set()
    mine[0].may_end.set()
    assert mine[2].began.wait(SOON)
    assert not mine[3].began.is_set()
    for one in mine:
        one.may_end.set()
    assert [answer.result(SOON) for answer in answers] == ["0", "1", "2", "3"]


def test_no_more_than_so_many_at_a_time() -> None:
    turns = Turns(TurnPolicy(at_once=2, of_one_house=2))
    all_of_them = [Slow() for _n in range(3)]
    answers = [turns.take(n, one) for n, one in enumerate(all_of_them)]
    assert all_of_them[0].began.wait(SOON)
    assert all_of_them[1].began.wait(SOON)
    assert not all_of_them[2].began.is_set()
    for one in all_of_them:
        one.may_end.set()
    assert [answer.result(SOON) for answer in answers] == ["done"] * 3


def test_what_waited_too_long_is_cancelled_and_never_done() -> None:
    now = [0.0]
    turns = Turns(TurnPolicy(at_once=1, patience_seconds=10), clock=lambda: now[0])
    first, late = Slow(), Slow()
    answer = turns.take("a", first)
    assert first.began.wait(SOON)
    too_late: Future[str] = turns.take("a", late)
    now[0] = 10.1
    first.may_end.set()
    assert answer.result(SOON) == "done"
    with pytest.raises(CancelledError):
        too_late.result(SOON)
    assert not late.began.is_set()


def test_a_queue_that_is_full_takes_no_more() -> None:
    turns = Turns(TurnPolicy(at_once=1, most_waiting=1))
    first, second = Slow(), Slow()
    answers = [turns.take("a", first)]
    assert first.began.wait(SOON)
    answers.append(turns.take("a", second))
    assert turns.take("a", Slow()).cancelled()
    first.may_end.set()
    second.may_end.set()
    assert [answer.result(SOON) for answer in answers] == ["done", "done"]
