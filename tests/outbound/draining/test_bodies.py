"""Bytes in flight: shared, bounded, and given back."""

import asyncio
import uuid

from apps.outbound.draining.bodies import Bodies
from apps.outbound.wire.payload import Payload


class Library:
    """Reads take until they are let go, and are counted."""

    def __init__(self) -> None:
        self.reads: list[uuid.UUID] = []
        self.open = asyncio.Event()

    async def read(self, message_id: uuid.UUID) -> Payload:
        self.reads.append(message_id)
        await self.open.wait()
        return Payload.of(message_id.bytes)


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_recipients_of_one_message_share_one_reading() -> None:
    library = Library()
    bodies = Bodies(library.read, bound_bytes=100)
    message = uuid.uuid4()

    async def use() -> Payload:
        async with bodies.borrow(message, 90) as content:
            return content

    users = [asyncio.create_task(use()) for _ in range(5)]
    await settled()
    library.open.set()
    assert await asyncio.gather(*users) == [Payload.of(message.bytes)] * 5
    assert library.reads == [message]


async def test_messages_wait_for_room_and_a_too_large_one_goes_alone() -> None:
    library = Library()
    library.open.set()
    bodies = Bodies(library.read, bound_bytes=100)
    inside: list[int] = []
    leave = {size: asyncio.Event() for size in (60, 50, 500)}

    async def use(size: int) -> None:
        async with bodies.borrow(uuid.uuid4(), size):
            inside.append(size)
            await leave[size].wait()

    users = [asyncio.create_task(use(size)) for size in (60, 50, 500)]
    await settled()
    assert inside == [60]
    leave[60].set()
    await settled()
    assert inside == [60, 50]
    leave[50].set()
    await settled()
    assert inside == [60, 50, 500]
    leave[500].set()
    await asyncio.gather(*users)


async def test_a_borrower_that_leaves_takes_nothing_from_the_others() -> None:
    library = Library()
    bodies = Bodies(library.read, bound_bytes=100)
    message = uuid.uuid4()

    async def use() -> Payload:
        async with bodies.borrow(message, 10) as content:
            return content

    leaver, stayer = asyncio.create_task(use()), asyncio.create_task(use())
    await settled()
    leaver.cancel()
    await settled()
    library.open.set()
    assert await stayer == Payload.of(message.bytes)
    assert leaver.cancelled()


async def test_a_failed_reading_fails_all_and_the_next_one_reads_again() -> None:
    attempts: list[int] = []

    async def read(message_id: uuid.UUID) -> Payload:
        attempts.append(1)
        if len(attempts) == 1:
            raise OSError
        return Payload.of(b"second")

    bodies = Bodies(read, bound_bytes=100)
    message = uuid.uuid4()

    async def use() -> Payload:
        async with bodies.borrow(message, 10) as content:
            return content

    failed = await asyncio.gather(use(), use(), return_exceptions=True)
    assert [type(one) for one in failed] == [OSError, OSError]
    assert await use() == Payload.of(b"second")


async def test_nothing_is_kept_of_what_was_given_back() -> None:
    library = Library()
    library.open.set()
    bodies = Bodies(library.read, bound_bytes=10)
    for _ in range(50):
        async with asyncio.timeout(5), bodies.borrow(uuid.uuid4(), 10):
            assert len(bodies._bodies) == 1
    assert bodies._bodies == {}
