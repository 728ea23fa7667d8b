"""The bytes of one SMTP connection, both ways: lines and blocks in, replies out, the time they may take, and TLS.

RFC 5321 §4.1.1.4: mail data ends with CRLF "." CRLF and with nothing else. A server that also takes LF "." LF, or any
mixture, lets a sender hide a second message in the first (CVE-2023-51764 and its relatives), so in data bare CR and
bare LF are content: kept as they came, and never re-emitted. In commands, where nobody has a reason for them, they are
refused: no line is read here that another server would have taken for two.

Bounds: what has arrived and is not taken yet is at most `HIGH_WATER_BYTES` and one read; past that the socket is not
read. Whoever takes blocks counts them before keeping them. What a client has sent ahead stays for the next command
(RFC 2920), except across STARTTLS, where it is dropped (RFC 3207 §6): it came from whoever sat on the line.

One task reads. `allow` sets the time until which it may wait; when that is over the wait ends in WaitedTooLong, and so
does a wait for a peer that does not read our replies.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from typing import cast

from apps.inbound.errors import LineRefused, PeerGone, TlsFailed, WaitedTooLong

END_OF_DATA = b"\r\n.\r\n"
BLOCK_BYTES = 64 * 1024
HIGH_WATER_BYTES = 2 * BLOCK_BYTES
# A peer that does not take what is still to be written is cut off then.
CLOSE_SECONDS = 5.0

LINE_TOO_LONG = "500 5.5.2 Command line too long"
LINE_ODD = "500 5.5.2 A command is one line that ends with CRLF, without CR, LF or NUL in it"


class Wire(asyncio.BufferedProtocol):
    """One connection. `connected` is called with it when it is open.

    `scratch` is where the system puts what arrives before it is kept; the connections of one event loop share it.
    """

    def __init__(self, connected: Callable[["Wire"], None], scratch: memoryview) -> None:
        self._connected = connected
        self._scratch = scratch
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._arrived = bytearray()
        self._ended = False  # nothing more will arrive
        self._lost = False
        self._reading_paused = False
        self._writing_paused = False
        self._waiter: asyncio.Future[None] | None = None
        self._interruption: Exception | None = None
        self._deadline: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_encrypted = False

    # -- what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._connected(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._scratch

    def buffer_updated(self, nbytes: int) -> None:
        self._arrived += self._scratch[:nbytes]
        if len(self._arrived) > HIGH_WATER_BYTES and not self._reading_paused:
            self._reading_paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        # A client may have said all it has to say, and still be listening. TLS has no half-closed connections.
        self._ended = True
        self._wake()
        return not self._is_encrypted

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended = self._lost = True
        self._writing_paused = False
        if self._timer is not None:
            self._timer.cancel()
        self._wake()

    def pause_writing(self) -> None:
        self._writing_paused = True

    def resume_writing(self) -> None:
        self._writing_paused = False
        self._wake()

    # -- reading

    @property
    def peername(self) -> object:
        return self._transport.get_extra_info("peername")

    @property
    def buffered_bytes(self) -> int:
        """What has arrived and nobody has taken."""
        return len(self._arrived)

    async def line(self, max_bytes: int) -> bytes:
        """The next command, without its CRLF.

        Raises LineRefused after reading an unusable one to its end, PeerGone when there is none.
        """
        discarded = False
        start = 0
        while (end := self._arrived.find(b"\n", start)) < 0:
            if len(self._arrived) > max_bytes:
                discarded = True
                self._arrived.clear()
            start = len(self._arrived)
            await self._wait_for_bytes()
        line = bytes(self._arrived[: end + 1])
        del self._arrived[: end + 1]
        if discarded or len(line) > max_bytes + 2:
            raise LineRefused(LINE_TOO_LONG)
        # RFC 5321 §2.3.8: CR and LF stand together and nowhere else; §4.1.2 knows no NUL.
        if not line.endswith(b"\r\n") or b"\r" in line[:-2] or b"\0" in line:
            raise LineRefused(LINE_ODD)
        return line[:-2]

    async def take(self, count: int) -> bytes:
        """The next `count` bytes, whatever they are. Raises PeerGone when there are fewer."""
        while len(self._arrived) < count:
            await self._wait_for_bytes()
        taken = bytes(self._arrived[:count])
        del self._arrived[:count]
        return taken

    async def data(self, before_wait: Callable[[], None]) -> AsyncIterator[bytes]:
        """The blocks of a message up to its end, which is taken and not given. Raises PeerGone.

        The first block begins with a CRLF that is not the message's: the one that ended the DATA command, which is
        also the first half of the end of an empty message.
        """
        self._arrived[:0] = b"\r\n"
        start = 0
        while (end := self._arrived.find(END_OF_DATA, start)) < 0:
            # The last four bytes may begin an end.
            settled = len(self._arrived) - len(END_OF_DATA) + 1
            if settled > BLOCK_BYTES:
                yield bytes(self._arrived[:settled])
                del self._arrived[:settled]
            start = max(0, len(self._arrived) - len(END_OF_DATA) + 1)
            before_wait()
            await self._wait_for_bytes()
        block = bytes(self._arrived[: end + 2])
        del self._arrived[: end + len(END_OF_DATA)]
        yield block

    async def _wait_for_bytes(self) -> None:
        if self._ended:
            raise PeerGone
        if self._reading_paused:
            self._reading_paused = False
            self._transport.resume_reading()
        await self._wait()

    # -- writing

    def write(self, data: bytes) -> None:
        """Send soon; `flush` waits while the peer does not read."""
        if not self._transport.is_closing():
            self._transport.write(data)

    @property
    def is_writable(self) -> bool:
        """Whether the peer reads what it is told: `flush` would not wait."""
        return not self._writing_paused

    async def flush(self) -> None:
        while self._writing_paused:
            await self._wait()

    def close(self) -> None:
        """Hang up when what was written has left, or soon after."""
        if self._lost:
            return
        self._transport.close()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(CLOSE_SECONDS, self.abort)  # until `connection_lost`

    def abort(self) -> None:
        """Hang up now."""
        if not self._lost:
            self._transport.abort()

    # -- TLS

    async def start_tls(self, context: ssl.SSLContext, first: bytes, *, seconds: float) -> str:
        """Say `first` and go on in TLS; the protocol and cipher that were agreed on. Raises TlsFailed.

        Nothing is awaited between dropping what came in the clear and handing the socket over, so nothing said in the
        clear can be taken for something said within TLS.
        """
        self._arrived.clear()
        self._reading_paused = False
        self._transport.write(first)
        try:
            transport = await self._loop.start_tls(
                self._transport, self, context, server_side=True, ssl_handshake_timeout=seconds
            )
        except (OSError, ssl.SSLError) as error:
            # A peer that hangs up or never answers is an OSError too.
            raise TlsFailed(str(error)) from error
        if transport is None:
            raise TlsFailed("the connection was lost")
        self._transport = transport
        self._is_encrypted = True
        agreed = transport.get_extra_info("ssl_object")
        return f"{agreed.version()} {agreed.cipher()[0]}"

    # -- time

    def allow(self, seconds: float | None) -> None:
        """From now on waiting may take `seconds` altogether; None: for ever, as while we ourselves are at work."""
        if seconds is None:
            self._deadline = None
            return
        self._deadline = self._loop.time() + seconds
        if self._timer is not None and self._timer.when() <= self._deadline:
            return  # it looks at the deadline when it fires; most never do
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._deadline, self._look_at_the_time)

    def interrupt(self, error: Exception) -> None:
        """End the wait for the peer, this one or the next, with `error`."""
        self._interruption = error
        self._wake()

    def _look_at_the_time(self) -> None:
        self._timer = None
        if self._deadline is None or self._lost:
            return
        if self._loop.time() >= self._deadline:
            self.interrupt(WaitedTooLong())
        else:
            self._timer = self._loop.call_at(self._deadline, self._look_at_the_time)

    async def _wait(self) -> None:
        if self._interruption is None:
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if self._interruption is not None:
            error, self._interruption = self._interruption, None
            raise error

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
