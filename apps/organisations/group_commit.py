"""What many conversations ask of the database at the same time, asked once.

Hundreds of conversations on one event loop each want a fence, a result, their bytes. Whatever is asked while the last
batch is on its way is gathered, and goes as the next one: the busier it is, the larger the batches, and one that is
alone hardly waits.

A batch that fails is asked again one by one, so that one bad row harms nobody else. Only when PostgreSQL is away does
the whole batch get that answer at once: one by one it would be away just as well, and what became of a commit whose
answer was lost nobody can say.

Limits: a batch or two at a time for each kind of question; what is asked meanwhile waits for one of them.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from apps.organisations.database_threads import DATABASE_AWAY

Q = TypeVar("Q")
A = TypeVar("A")


class GroupCommit(Generic[Q, A]):
    """Gathers questions and lets `answer` have them together. Made and used on one event loop.

    `answer` gives for each question, in their order, its answer or the exception that is to be raised for it.
    `linger_seconds` is how long the first one waits for company; `is_away` tells which failures mean an absent server.
    """

    def __init__(
        self,
        answer: Callable[[list[Q]], Awaitable[Sequence[A | Exception]]],
        *,
        most: int,
        at_once: int = 1,
        linger_seconds: float = 0,
        is_away: Callable[[Exception], bool] = lambda error: isinstance(error, DATABASE_AWAY),
    ) -> None:
        self._answer = answer
        self._most = most
        self._linger_seconds = linger_seconds
        self._is_away = is_away
        self._asked: list[tuple[Q, asyncio.Future[A]]] = []
        self._at_once = at_once
        self._running = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def ask(self, question: Q) -> A:
        """The answer to one question. One that is cancelled before its batch leaves is not asked."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[A] = loop.create_future()
        self._asked.append((question, future))
        if self._running < self._at_once:
            self._running += 1
            task = loop.create_task(self._run())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await future

    async def _run(self) -> None:
        try:
            while self._asked:
                await asyncio.sleep(self._linger_seconds)
                batch, self._asked = self._asked[: self._most], self._asked[self._most :]
                await self._settle([one for one in batch if not one[1].done()])
        finally:
            # In the same step as the last look: a question asked after it starts a run of its own.
            self._running -= 1

    async def _settle(self, batch: list[tuple[Q, "asyncio.Future[A]"]]) -> None:
        if not batch:
            return
        try:
            answers = await self._answer([question for question, _future in batch])
        except Exception as error:  # noqa: BLE001 - whatever it was, it is told to whom it concerns
            if len(batch) > 1 and not self._is_away(error):
                for one in batch:
                    await self._settle([one])
                return
            answers = [error] * len(batch)
        for (_question, future), answer in zip(batch, answers, strict=True):
            if future.done():
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)
