"""A drain's side of `preparing`: which claims are prepared together, which wait, and who shares what.

    asked       a claim waits with the others of its message
    together    up to a batch of them at a time, in a database thread or two: a message in one batch only, so that a
                thousand recipients are one reading, one scan and one signature
    apart       a message that may take long has a thread to itself, a bounded number of them, so that a slow file or
                daemon holds up its own recipients and nobody else's
    lent        the payload is the claim's for as long as its conversation runs (`bodies`)

A small message is prepared when there is room for its bytes. A large one finds room once it is prepared: while it is
looked at it holds one of the few places of those apart, and no room that small ones need.

Limits: recipients who come while their message is being prepared wait until it is, also for being told that they are
suppressed.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from django.utils import timezone

from apps.organisations.database_threads import DatabaseThreads, run_in_daemon_thread
from apps.outbound.delivery import Claim
from apps.outbound.draining.bodies import Bodies
from apps.outbound.draining.preparing import SMALL_BYTES, Answer, Instead, prepare
from apps.outbound.transitions import Change
from apps.outbound.wire.payload import Payload

# Payload and None: it may go on. None is for those only that go over no line.
Prepared = Payload | Change | None


@dataclass(slots=True, eq=False)
class _Asked:
    """A claim that waits for its preparation. `borrows` is true while it has room for its message's bytes."""

    claim: Claim
    answer: "asyncio.Future[Prepared]"
    borrows: bool = False


class Preparations:
    """Made and used on one event loop."""

    def __init__(
        self,
        database: DatabaseThreads,
        bodies: Bodies,
        *,
        most: int,
        at_once: int = 2,
        apart_at_once: int = 8,
    ) -> None:
        self._database = database
        self._bodies = bodies
        self._most = most
        self._at_once = at_once
        self._apart_places = asyncio.Semaphore(apart_at_once)
        self._asked: dict[uuid.UUID, list[_Asked]] = {}
        self._in_work: set[uuid.UUID] = set()
        self._running = 0
        self._returned = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def of(self, claim: Claim) -> AsyncIterator[Prepared]:
        """What a claim's message comes to; a payload is lent for as long as the block runs.

        Raises ObjectStoreUnavailable, BlobMissing, DATABASE_AWAY, or a fault of ours.
        """
        asked = _Asked(claim, asyncio.get_running_loop().create_future())
        self._asked.setdefault(claim.message_id, []).append(asked)
        self._start()
        try:
            yield await asked.answer
        finally:
            if asked.borrows:
                self._give_back(claim.message_id)

    def _give_back(self, message_id: uuid.UUID) -> None:
        self._bodies.give_back(message_id)
        self._returned.set()
        self._returned.clear()
        self._start()

    # together

    def _start(self) -> None:
        """Its first step comes after that of everybody who was started with the one that asks now."""
        if self._asked and self._running < self._at_once:
            self._running += 1
            self._spawn(self._run())

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self) -> None:
        try:
            while batch := self._next_batch():
                await self._prepare(batch)
        finally:
            # In the same step as the last look: whoever asks after it starts a run of its own.
            self._running -= 1

    def _next_batch(self) -> list[_Asked]:
        """Those that ask, by message, as far as there is room for what they ask for."""
        batch: list[_Asked] = []
        for message_id in [one for one in self._asked if one not in self._in_work]:
            if len(batch) >= self._most:
                break
            asked = [one for one in self._asked[message_id] if not one.answer.done()]
            if not asked:
                del self._asked[message_id]
            elif self._borrow(asked):
                del self._asked[message_id]
                self._in_work.add(message_id)
                batch += asked
        return batch

    def _borrow(self, asked: Sequence[_Asked]) -> bool:
        """Whether they may be prepared now: there is room, or they will find some later."""
        for one in asked:
            message_id, size_bytes = one.claim.message_id, one.claim.size_bytes
            if size_bytes <= SMALL_BYTES or self._bodies.knows(message_id):
                one.borrows = self._bodies.lend(message_id, size_bytes)
                if not one.borrows:
                    return False
        return True

    async def _prepare(self, batch: Sequence[_Asked]) -> None:
        message_ids = {one.claim.message_id for one in batch}
        in_hand = [one for one in message_ids if self._bodies.payload_of(one) is not None]
        answers: Sequence[Answer]
        try:
            answers = await self._database(prepare, [one.claim for one in batch], in_hand, timezone.now())
        except Exception as error:  # noqa: BLE001 - whoever asked gets it
            answers = [error] * len(batch)
        apart: dict[uuid.UUID, list[_Asked]] = {}
        for one, answer in zip(batch, answers, strict=True):
            if answer is Instead.APART:
                apart.setdefault(one.claim.message_id, []).append(one)
            else:
                self._tell(one, answer)
        for asked in apart.values():
            self._spawn(self._prepare_apart(asked))
        self._in_work -= message_ids - apart.keys()

    # apart

    async def _prepare_apart(self, asked: Sequence[_Asked]) -> None:
        message_id, size_bytes = asked[0].claim.message_id, asked[0].claim.size_bytes
        answers: Sequence[Answer]
        async with self._apart_places:
            try:
                answers = await run_in_daemon_thread(
                    prepare, [one.claim for one in asked], (), timezone.now(), apart=True
                )
            except Exception as error:  # noqa: BLE001 - whoever asked gets it
                answers = [error] * len(asked)
            for one, answer in zip(asked, answers, strict=True):
                while isinstance(answer, Payload) and not one.borrows and not one.answer.done():
                    one.borrows = self._bodies.lend(message_id, size_bytes)
                    if not one.borrows:
                        await self._returned.wait()
                self._tell(one, answer)
        self._in_work.discard(message_id)
        self._start()

    def _tell(self, asked: _Asked, answer: Answer) -> None:
        if asked.answer.done():
            return  # it was told to stop
        message_id = asked.claim.message_id
        if isinstance(answer, Exception):
            asked.answer.set_exception(answer)
            asked.answer.exception()  # told: if the claim is stopped in this moment, that is no complaint in the log
        elif isinstance(answer, Payload):
            self._bodies.put(message_id, answer)
            asked.answer.set_result(answer)
        else:
            asked.answer.set_result(
                answer if isinstance(answer, Change) else self._bodies.payload_of(message_id)
            )
