"""The bytes of one SMTP connection: command lines, and the data between DATA and its end.

RFC 5321 §4.1.1.4: mail data ends with CRLF "." CRLF and with nothing else. A server that also takes LF "." LF, or any
mixture, lets a sender hide a second message in the first (CVE-2023-51764 and its relatives), so bare CR and bare LF
are content here: kept as they came, and never re-emitted.

aiosmtpd reads line by line, which costs one wake-up a line and lets a line that never ends grow without bound. Here
whatever has arrived is taken in blocks, and whoever takes them counts them before keeping them. What a client has sent
ahead stays in the buffer for the next command (RFC 2920).
"""

import asyncio
from collections.abc import AsyncIterator, Callable

from apps.inbound.errors import LineTooLong, PeerGone

END_OF_DATA = b"\r\n.\r\n"
BLOCK_BYTES = 64 * 1024


class Wire:
    """One connection, read from one task."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self._buffer = bytearray()

    async def line(self, max_bytes: int) -> bytes:
        """The next command, without its line end (LF alone ends one too: a person's telnet sends it).

        Raises LineTooLong after reading a longer one to its end, PeerGone when there is none.
        """
        discarded = False
        start = 0
        while (end := self._buffer.find(b"\n", start)) < 0:
            if len(self._buffer) > max_bytes:
                discarded = True
                self._buffer.clear()
            start = len(self._buffer)
            await self._fill()
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        if discarded or len(line) > max_bytes:
            raise LineTooLong
        return line.rstrip(b"\r")

    async def data(self, before_wait: Callable[[], None]) -> AsyncIterator[bytes]:
        """The blocks of a message up to its end, which is taken and not given. Raises PeerGone.

        The first block begins with a CRLF that is not the message's: the one that ended the DATA command, which is
        also the first half of the end of an empty message.
        """
        self._buffer[:0] = b"\r\n"
        start = 0
        while (end := self._buffer.find(END_OF_DATA, start)) < 0:
            # The last four bytes may begin an end.
            settled = len(self._buffer) - len(END_OF_DATA) + 1
            if settled > BLOCK_BYTES:
                yield bytes(self._buffer[:settled])
                del self._buffer[:settled]
            start = max(0, len(self._buffer) - len(END_OF_DATA) + 1)
            before_wait()
            await self._fill()
        block = bytes(self._buffer[: end + 2])
        del self._buffer[: end + len(END_OF_DATA)]
        yield block

    async def _fill(self) -> None:
        arrived = await self._reader.read(BLOCK_BYTES)
        if not arrived:
            raise PeerGone
        self._buffer += arrived
