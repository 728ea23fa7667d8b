"""What several threads have to do at the same time, done together by one of them: `group_commit`, for threads.

Whoever comes while nobody is at work does what is waiting; who comes meanwhile waits, and one of those does for all of
them what has gathered. Each does it once at most, so nobody works for others for long, and one that is alone does not
wait at all.

What cannot be done together is done one by one, so that one that fails fails alone. Only when a server is away do all
get that answer at once.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class _Asked(Generic[T]):
    """One thread's part, and what became of it."""

    def __init__(self, part: T) -> None:
        self.part = part
        self.is_done = False
        self.error: Exception | None = None

    def end(self, error: Exception | None = None) -> None:
        self.error = error
        self.is_done = True


class JointWork(Generic[T]):
    """`work` does several parts, all or none of them, and raises when it could not; `most` of them at a time."""

    def __init__(
        self, work: Callable[[Sequence[T]], None], *, most: int, is_away: Callable[[Exception], bool]
    ) -> None:
        self._work = work
        self._most = most
        self._is_away = is_away
        self._waiting: list[_Asked[T]] = []
        self._gathering = threading.Lock()
        self._turn = threading.Lock()

    def ask(self, part: T) -> None:
        """Returns when it is done, by this thread or another. Raises what became of this part alone."""
        mine = _Asked(part)
        with self._gathering:
            self._waiting.append(mine)
        while not mine.is_done:
            with self._turn:
                if not mine.is_done:
                    self._work_off(mine)
        if mine.error is not None:
            raise mine.error

    def _work_off(self, mine: _Asked[T]) -> None:
        with self._gathering:
            batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
        try:
            self._settle(batch)
        finally:
            # When this thread is being ended, the others do their parts themselves.
            undone = [one for one in batch if not one.is_done and one is not mine]
            with self._gathering:
                self._waiting[:0] = undone

    def _settle(self, batch: Sequence[_Asked[T]]) -> None:
        try:
            self._work([one.part for one in batch])
        except Exception as error:  # noqa: BLE001 - whatever it was, it is told to whom it concerns
            if len(batch) > 1 and not self._is_away(error):
                for one in batch:
                    self._settle([one])
                return
            for one in batch:
                one.end(error)
        else:
            for one in batch:
                one.end()
