"""The bytes of messages in flight: read once for all recipients of a message, and bounded together.

Hundreds of conversations are in flight in one process, and a message may have 30 MB. Recipients of one message
share its bytes; when all bytes in flight would exceed the bound, the next message waits for others to be done. A
message larger than the bound goes alone.

Small ones that nobody uses any more are kept for a while, within the same bound: a message of a thousand recipients is
taken up in many batches, and read and signed once.
"""

import asyncio
import uuid
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from apps.outbound.wire.payload import Payload

KEPT_BOUND_BYTES = 64 * 1024


@dataclass(slots=True)
class _Body:
    """One message's bytes and how many conversations use them. All borrowers wait for the one reading."""

    size_bytes: int
    reading: "asyncio.Future[Payload]"
    borrowers: int = 0

    @property
    def is_worth_keeping(self) -> bool:
        was_read = self.reading.done() and not self.reading.cancelled() and self.reading.exception() is None
        return was_read and self.size_bytes <= KEPT_BOUND_BYTES


class Bodies:
    """Lends bytes, up to `bound_bytes` at a time; up to `kept_bytes` of them lie ready though nobody borrows them."""

    def __init__(
        self, read: Callable[[uuid.UUID], Awaitable[Payload]], *, bound_bytes: int, kept_bytes: int = 0
    ) -> None:
        self._read = read
        self._bound_bytes = bound_bytes
        self._kept_bound_bytes = kept_bytes
        self._bodies: dict[uuid.UUID, _Body] = {}
        self._kept: OrderedDict[uuid.UUID, _Body] = OrderedDict()
        self._lent_bytes = 0
        self._kept_bytes = 0
        self._waiting: list[asyncio.Future[None]] = []

    @asynccontextmanager
    async def borrow(self, message_id: uuid.UUID, size_bytes: int) -> AsyncIterator[Payload]:
        """The payload of a message for as long as the block runs. Raises what `read` raises."""
        body = await self._lend(message_id, size_bytes)
        try:
            if not body.reading.done():
                # Shielded: one borrower that is told to stop must not take the bytes from the others.
                await asyncio.shield(body.reading)
            yield body.reading.result()
        finally:
            self._take_back(message_id, body)

    async def _lend(self, message_id: uuid.UUID, size_bytes: int) -> _Body:
        while (body := self._bodies.get(message_id)) is None:
            if message_id in self._kept:
                body = self._bodies[message_id] = self._forget(message_id)
                self._lent_bytes += body.size_bytes
                break
            if self._make_room(size_bytes):
                reading = asyncio.ensure_future(self._read(message_id))
                body = self._bodies[message_id] = _Body(size_bytes, reading)
                self._lent_bytes += size_bytes
                break
            returned: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(returned)
            await returned
        body.borrowers += 1
        return body

    def _take_back(self, message_id: uuid.UUID, body: _Body) -> None:
        body.borrowers -= 1
        if body.borrowers:
            return
        del self._bodies[message_id]
        self._lent_bytes -= body.size_bytes
        if body.is_worth_keeping and body.size_bytes <= self._kept_bound_bytes:
            self._keep(message_id, body)
        else:
            body.reading.cancel()
        waiting, self._waiting = self._waiting, []
        for returned in waiting:
            if not returned.done():
                returned.set_result(None)

    def _keep(self, message_id: uuid.UUID, body: _Body) -> None:
        self._kept[message_id] = body
        self._kept_bytes += body.size_bytes
        while self._kept_bytes > self._kept_bound_bytes:
            self._forget(next(iter(self._kept)))

    def _forget(self, message_id: uuid.UUID) -> _Body:
        body = self._kept.pop(message_id)
        self._kept_bytes -= body.size_bytes
        return body

    def _make_room(self, size_bytes: int) -> bool:
        """Whether it fits, at the cost of what is merely kept."""
        while self._kept and self._lent_bytes + self._kept_bytes + size_bytes > self._bound_bytes:
            self._forget(next(iter(self._kept)))
        return self._lent_bytes == 0 or self._lent_bytes + size_bytes <= self._bound_bytes
