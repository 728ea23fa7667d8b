"""What several threads have to do at the same time, done together by one of them: `group_commit`, for threads.

Whoever comes while nobody is at work does what is waiting. Who comes meanwhile either waits for its outcome (`ask`),
or leaves its part and goes on (`entrust`): then whoever is at work does that too, with what else has gathered. The
slower the work goes, the more gathers for the next turn; one that is alone does not wait at all.

What cannot be done together is done one by one, so that one that fails fails alone. Only when a server is away do all
get that answer at once.

Limits: a thread that is ended at work leaves what it had been entrusted with to the next one that comes.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class _Asked(Generic[T]):
    """A part, what became of it, and who wants to know."""

    def __init__(self, part: T, then: Callable[[Exception | None], None] | None = None) -> None:
        self.part = part
        self.is_done = False
        self.error: Exception | None = None
        self._then = then

    def end(self, error: Exception | None = None) -> None:
        self.error = error
        self.is_done = True
        if self._then is not None:
            self._then(error)


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
        self._gather(mine)
        self._see_done(mine)
        if mine.error is not None:
            raise mine.error

    def entrust(self, part: T, then: Callable[[Exception | None], None]) -> None:
        """Have it done, by this thread or another, now or a moment later; who has done it tells `then`, which raises
        nothing, what became of this part alone. Waits while as much as one turn takes is waiting."""
        mine = _Asked(part, then)
        if self._gather(mine) > self._most:
            self._see_done(mine)
        # Who leaves a part while another is at work is seen by that one, which looks once more when its turn is over.
        while self._waiting and self._turn.acquire(blocking=False):
            try:
                self._work_off()
            finally:
                self._turn.release()

    def _gather(self, mine: _Asked[T]) -> int:
        with self._gathering:
            self._waiting.append(mine)
            return len(self._waiting)

    def _see_done(self, mine: _Asked[T]) -> None:
        while not mine.is_done:
            with self._turn:
                if not mine.is_done:
                    self._work_off(mine)

    def _work_off(self, mine: _Asked[T] | None = None) -> None:
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
