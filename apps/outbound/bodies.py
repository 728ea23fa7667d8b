"""The bytes of messages in flight: read once for all recipients of a message, and bounded together.

Hundreds of conversations are in flight in one process, and a message may have 30 MB. Recipients of one message
share its bytes; when all bytes in flight would exceed the bound, the next message waits for others to be done. A
message larger than the bound goes alone.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from apps.outbound.wire.payload import Payload


@dataclass(slots=True)
class _Body:
    """One message's bytes and how many conversations use them. All borrowers wait for the one reading."""

    size_bytes: int
    reading: "asyncio.Future[Payload]"
    borrowers: int = 0


class Bodies:
    """Lends bytes, up to `bound_bytes` at a time."""

    def __init__(self, read: Callable[[uuid.UUID], Awaitable[Payload]], *, bound_bytes: int) -> None:
        self._read = read
        self._bound_bytes = bound_bytes
        self._bodies: dict[uuid.UUID, _Body] = {}
        self._returned = asyncio.Condition()

    @asynccontextmanager
    async def borrow(self, message_id: uuid.UUID, size_bytes: int) -> AsyncIterator[Payload]:
        """The payload of a message for as long as the block runs. Raises what `read` raises."""
        body = await self._lend(message_id, size_bytes)
        try:
            # Shielded: one borrower that is told to stop must not take the bytes from the others.
            yield await asyncio.shield(body.reading)
        finally:
            await self._take_back(message_id, body)

    async def _lend(self, message_id: uuid.UUID, size_bytes: int) -> _Body:
        async with self._returned:
            await self._returned.wait_for(lambda: message_id in self._bodies or self._fits(size_bytes))
            body = self._bodies.get(message_id)
            if body is None:
                reading = asyncio.ensure_future(self._read(message_id))
                body = self._bodies[message_id] = _Body(size_bytes, reading)
            body.borrowers += 1
            return body

    async def _take_back(self, message_id: uuid.UUID, body: _Body) -> None:
        async with self._returned:
            body.borrowers -= 1
            if body.borrowers == 0:
                body.reading.cancel()
                del self._bodies[message_id]
                self._returned.notify_all()

    def _fits(self, size_bytes: int) -> bool:
        in_flight = sum(body.size_bytes for body in self._bodies.values())
        return in_flight == 0 or in_flight + size_bytes <= self._bound_bytes
