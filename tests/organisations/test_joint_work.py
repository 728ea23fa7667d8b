"""Work of several threads, done together."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from apps.organisations.joint_work import JointWork

SECONDS = 20


class _Work:
    """Keeps the batches. The first one waits until `go`, so that others gather behind it."""

    def __init__(self, refuse: Callable[[Sequence[int]], Exception | None] = lambda _batch: None) -> None:
        self.batches: list[list[int]] = []
        self.has_begun = threading.Event()
        self.go = threading.Event()
        self._refuse = refuse

    def __call__(self, batch: Sequence[int]) -> None:
        self.has_begun.set()
        assert self.go.wait(SECONDS)
        self.batches.append(list(batch))
        if error := self._refuse(batch):
            raise error


class _Away(Exception):
    pass


def _ask_all(work: _Work, parts: int, *, most: int = 8) -> list[BaseException | None]:
    """Asked by a thread each, the first before all others; what became of each."""
    joint = JointWork[int](work, most=most, is_away=lambda error: isinstance(error, _Away))
    with ThreadPoolExecutor(parts) as pool:
        futures = [pool.submit(joint.ask, 0)]
        assert work.has_begun.wait(SECONDS)
        futures += [pool.submit(joint.ask, n) for n in range(1, parts)]
        gathered = threading.Event()
        while len(joint._waiting) < parts - 1:
            gathered.wait(0.001)
        work.go.set()
        return [future.exception(SECONDS) for future in futures]


def test_what_gathers_while_one_works_is_done_together() -> None:
    work = _Work()
    assert _ask_all(work, 6) == [None] * 6
    assert [len(batch) for batch in work.batches] == [1, 5]
    assert sorted(work.batches[1]) == [1, 2, 3, 4, 5]


def test_no_more_at_once_than_is_bearable() -> None:
    work = _Work()
    assert _ask_all(work, 8, most=3) == [None] * 8
    assert [len(batch) for batch in work.batches] == [1, 3, 3, 1]


def test_one_that_fails_fails_alone() -> None:
    work = _Work(lambda batch: ValueError("two") if 2 in batch else None)
    outcomes = _ask_all(work, 5)
    assert [str(error) if error else None for error in outcomes] == [None, None, "two", None, None]
    assert len(work.batches) == 1 + 1 + 4


def test_while_a_server_is_away_it_is_not_asked_for_each() -> None:
    work = _Work(lambda batch: _Away() if len(batch) > 1 else None)
    outcomes = _ask_all(work, 5)
    assert outcomes[0] is None
    assert [type(error) for error in outcomes[1:]] == [_Away] * 4
    assert len(work.batches) == 2


def test_when_a_thread_is_ended_at_work_the_others_do_theirs() -> None:
    ended: list[int] = []

    def refuse(batch: Sequence[int]) -> Exception | None:
        if len(batch) > 1 and not ended:
            ended.append(len(batch))
            raise SystemExit
        return None

    work = _Work(refuse)
    outcomes = _ask_all(work, 5)
    assert sorted(type(error).__name__ for error in outcomes) == ["NoneType"] * 4 + ["SystemExit"]
    assert ended == [4]


def test_one_that_is_alone_waits_for_nobody() -> None:
    work = _Work()
    work.go.set()
    JointWork[int](work, most=8, is_away=lambda _error: False).ask(1)
    assert work.batches == [[1]]


@pytest.mark.parametrize("times", [1, 3])
def test_an_error_is_told_each_time(times: int) -> None:
    work = _Work(lambda _batch: ValueError())
    work.go.set()
    joint = JointWork[int](work, most=8, is_away=lambda _error: False)
    for _ in range(times):
        with pytest.raises(ValueError):
            joint.ask(1)
    assert len(work.batches) == times


def test_what_is_entrusted_while_another_works_is_done_by_that_one() -> None:
    work = _Work(lambda batch: ValueError("two") if 2 in batch else None)
    joint = JointWork[int](work, most=8, is_away=lambda _error: False)
    told: list[tuple[int, str]] = []

    def entrust(part: int) -> int:
        joint.entrust(part, lambda error: told.append((threading.get_ident(), f"{part} {error}")))
        return threading.get_ident()

    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(entrust, 0)
        assert work.has_begun.wait(SECONDS)
        others = [pool.submit(entrust, part) for part in (1, 2, 3)]
        idents = {other.result(SECONDS) for other in others}
        assert told == []
        work.go.set()
        mine = first.result(SECONDS)
    assert mine not in idents
    assert sorted(told) == [(mine, text) for text in ("0 None", "1 None", "2 two", "3 None")]


def test_who_entrusts_waits_while_a_whole_turns_work_is_waiting() -> None:
    work = _Work()
    joint = JointWork[int](work, most=2, is_away=lambda _error: False)
    told: list[int] = []
    with ThreadPoolExecutor(4) as pool:
        entrusted = [pool.submit(joint.entrust, 0, lambda _error: told.append(0))]
        assert work.has_begun.wait(SECONDS)
        for part in (1, 2):
            pool.submit(joint.entrust, part, lambda _error: told.append(1)).result(SECONDS)
        entrusted.append(pool.submit(joint.entrust, 3, lambda _error: told.append(3)))
        with pytest.raises(TimeoutError):
            entrusted[1].result(0.05)
        work.go.set()
        for one in entrusted:
            one.result(SECONDS)
    assert sorted(told) == [0, 1, 1, 3]


def test_what_a_thread_that_was_ended_left_is_done_by_the_next() -> None:
    ended: list[Sequence[int]] = []

    def refuse(batch: Sequence[int]) -> Exception | None:
        if not ended:
            ended.append(batch)
            raise SystemExit
        return None

    work = _Work(refuse)
    work.go.set()
    joint = JointWork[int](work, most=8, is_away=lambda _error: False)
    told: list[int] = []
    with pytest.raises(SystemExit):
        joint.entrust(1, lambda _error: told.append(1))
    joint.entrust(2, lambda _error: told.append(2))
    assert told == [1, 2]
