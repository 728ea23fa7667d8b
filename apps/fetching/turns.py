"""Work that waits for strangers' servers, on threads of its own: so many at a time, and of one house fewer.

Who asks gets a future and keeps no thread waiting. One house's slow servers take all its turns and leave some to the
others. What has waited too long for its turn is cancelled: whoever asked has gone by then.

Limits: within a house first come, first served. The turns are one process's; nothing survives it, or needs to.
"""

import threading
from collections import Counter, deque
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, TypeVar

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class TurnPolicy:
    """`of_one_house` may be fewer than `at_once`. More than `most_waiting` are cancelled at once."""

    at_once: int = 6
    of_one_house: int = 4
    patience_seconds: float = 10.0
    most_waiting: int = 500


@dataclass(frozen=True, slots=True)
class _Waiting:
    house: Hashable
    work: Callable[[], Any]
    answer: Future[Any] = field(repr=False)
    until: float


class Turns:
    """May be used from any thread."""

    def __init__(self, policy: TurnPolicy, clock: Callable[[], float] = monotonic) -> None:
        self._policy = policy
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: deque[_Waiting] = deque()
        self._running: Counter[Hashable] = Counter()

    def take(self, house: Hashable, work: Callable[[], R]) -> Future[R]:
        """What `work` will return or raise. Cancelled when its turn did not come in time."""
        answer: Future[R] = Future()
        with self._lock:
            if len(self._waiting) >= self._policy.most_waiting:
                answer.cancel()
                return answer
            self._waiting.append(_Waiting(house, work, answer, self._clock() + self._policy.patience_seconds))
        self._begin()
        return answer

    def _begin(self) -> None:
        """Start what may start, and cancel what has waited too long."""
        with self._lock:
            due, late = self._next()
        for one in late:
            one.answer.cancel()
        for one in due:
            # A daemon: a process that is told to stop waits for no stranger.
            thread = threading.Thread(target=self._do, args=(one,), name="fetching", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:  # the machine has no thread left
                one.answer.set_exception(error)
                self._give_back(one)

    def _next(self) -> tuple[list[_Waiting], list[_Waiting]]:
        """What begins now, and what is too late. Called with the lock held."""
        now, due, late = self._clock(), [], []
        still: deque[_Waiting] = deque()
        for one in self._waiting:
            if one.until < now:
                late.append(one)
            elif (
                self._running.total() < self._policy.at_once
                and self._running[one.house] < self._policy.of_one_house
            ):
                self._running[one.house] += 1
                due.append(one)
            else:
                still.append(one)
        self._waiting = still
        return due, late

    def _do(self, one: _Waiting) -> None:
        try:
            if one.answer.set_running_or_notify_cancel():
                one.answer.set_result(one.work())
        except BaseException as error:  # noqa: BLE001  # handed to whoever asked
            one.answer.set_exception(error)
        finally:
            self._give_back(one)
            self._begin()

    def _give_back(self, one: _Waiting) -> None:
        with self._lock:
            self._running[one.house] -= 1
            if not self._running[one.house]:
                del self._running[one.house]
