"""Take one message off the wire, within bounds.

What is too large is counted and dropped block by block, so that memory stays flat whatever is sent. A refused message
is read to its end all the same, because its sender listens only then (RFC 5321 §4.2.5); one that does not end is cut
off.
"""

import asyncio

from apps.inbound.errors import DataRefused
from apps.inbound.limits import Gate
from apps.inbound.wire import Wire

TOO_BUSY = "452 4.3.1 Receiving too much at the moment, try again later"


class DataReader:
    """Reads one message. A block has its time, and all blocks together have theirs."""

    def __init__(self, wire: Wire, gate: Gate, address: str) -> None:
        """`address`: of the client, to whose share what is kept counts."""
        self._wire = wire
        self._gate = gate
        self._address = address
        self._limits = gate.limits
        self._must_end_at = asyncio.get_running_loop().time() + self._limits.data_total_seconds
        self._blocks: list[bytes] = []
        self._kept_bytes = 0
        self._refusal = ""

    async def read(self) -> bytes:
        """The message without its end, dots unstuffed. Call `release` when the bytes are no longer held.

        Raises DataRefused; PeerGone when the sender goes away, WaitedTooLong when it takes too long.
        """
        seen_bytes = -2  # the CRLF of the DATA command
        async for block in self._wire.data(self._allow):
            seen_bytes += len(block)
            self._keep(block, seen_bytes)
            if seen_bytes > self._limits.max_discarded_bytes:
                raise DataRefused(self._refusal, hang_up=True)
        if self._refusal:
            raise DataRefused(self._refusal)
        content = b"".join(self._blocks)
        self._blocks.clear()
        # RFC 5321 §4.5.2: a dot that begins a line was put there by the sender. Lines begin after CRLF only.
        return content.replace(b"\r\n.", b"\r\n")[2:]

    def release(self) -> None:
        """Give back the room this message took; harmless when done twice."""
        self._blocks.clear()
        self._gate.release(self._kept_bytes, self._address)
        self._kept_bytes = 0

    def _allow(self) -> None:
        left = self._must_end_at - asyncio.get_running_loop().time()
        self._wire.allow(max(0.001, min(self._limits.data_block_seconds, left)))

    def _keep(self, block: bytes, seen_bytes: int) -> None:
        if not self._refusal and seen_bytes > self._limits.max_size_bytes:
            self._refuse(f"552 5.3.4 The message is larger than {self._limits.max_size_bytes} bytes")
        elif not self._refusal and not self._gate.reserve(len(block), self._address):
            self._refuse(TOO_BUSY)
        if not self._refusal:
            self._kept_bytes += len(block)
            self._blocks.append(block)

    def _refuse(self, reply: str) -> None:
        self._refusal = reply
        self.release()
