"""The bytes of messages in flight: made once for all recipients of a message, and bounded together.

Hundreds of conversations are in flight in one process, and a message may have 30 MB. Recipients of one message share
its bytes; when all bytes in flight would exceed the bound, the next message waits for others to be done. A message
larger than the bound goes alone.

Small ones that nobody uses any more are kept for a while, within the same bound: a message of a thousand recipients is
taken up in many batches, and read, screened and signed once.
"""

import uuid
from collections import OrderedDict
from dataclasses import dataclass

from apps.outbound.wire.payload import Payload

KEPT_BOUND_BYTES = 64 * 1024


@dataclass(slots=True)
class _Body:
    """One message's bytes, once they are made, and how many conversations use them."""

    size_bytes: int
    payload: Payload | None = None
    borrowers: int = 0


class Bodies:
    """Lends bytes, up to `bound_bytes` at a time; up to `kept_bytes` of them lie ready though nobody borrows them."""

    def __init__(self, *, bound_bytes: int, kept_bytes: int = 0) -> None:
        self._bound_bytes = bound_bytes
        self._kept_bound_bytes = kept_bytes
        self._lent: dict[uuid.UUID, _Body] = {}
        self._kept: OrderedDict[uuid.UUID, _Body] = OrderedDict()
        self._lent_bytes = 0
        self._kept_bytes = 0

    def lend(self, message_id: uuid.UUID, size_bytes: int) -> bool:
        """Take room for one more borrower of a message, or say that there is none now."""
        body = self._lent.get(message_id)
        if body is None:
            body = self._forget(message_id) if message_id in self._kept else None
            if body is None and not self._make_room(size_bytes):
                return False
            body = self._lent[message_id] = body or _Body(size_bytes)
            self._lent_bytes += body.size_bytes
        body.borrowers += 1
        return True

    def knows(self, message_id: uuid.UUID) -> bool:
        """Whether one more borrower of this message needs no room."""
        return message_id in self._lent or message_id in self._kept

    def put(self, message_id: uuid.UUID, payload: Payload) -> None:
        """The bytes of a message that is lent."""
        self._lent[message_id].payload = payload

    def payload_of(self, message_id: uuid.UUID) -> Payload | None:
        """The bytes of a message that is lent, once they are there."""
        body = self._lent.get(message_id)
        return body.payload if body is not None else None

    def give_back(self, message_id: uuid.UUID) -> None:
        """One borrower needs them no more."""
        body = self._lent[message_id]
        body.borrowers -= 1
        if body.borrowers:
            return
        del self._lent[message_id]
        self._lent_bytes -= body.size_bytes
        if body.payload is not None and body.size_bytes <= min(KEPT_BOUND_BYTES, self._kept_bound_bytes):
            self._keep(message_id, body)

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
