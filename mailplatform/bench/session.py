"""An SMTP client's connection with as little of its own as possible: what it costs is taken from what is measured."""

import asyncio
from collections import deque
from typing import Self, cast

from mailplatform.bench.errors import BenchFailed

_ANSWER_SECONDS = 60.0


class Session(asyncio.Protocol):
    """Commands out, replies in; several commands may be on their way."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._unread = b""
        self._waiting: deque[asyncio.Future[bytes]] = deque()

    @classmethod
    async def open(cls, port: int) -> Self:
        """Connect to 127.0.0.1 and greet. Raises BenchFailed."""
        loop = asyncio.get_running_loop()
        session = cls()
        greeting = session._await_reply(loop)
        try:
            await loop.create_connection(lambda: session, "127.0.0.1", port)
            async with asyncio.timeout(_ANSWER_SECONDS):
                await greeting
        except OSError as error:  # a TimeoutError is one
            raise BenchFailed(f"no SMTP on port {port}: {error or 'no greeting'}") from error
        await session.ask(b"EHLO bench.invalid\r\n")
        return session

    async def ask(self, *commands: bytes) -> list[bytes]:
        """Send commands at once and wait for all their replies. Raises BenchFailed unless each is 2xx or 3xx."""
        loop = asyncio.get_running_loop()
        waiting = [self._await_reply(loop) for _ in commands]
        self._transport.write(b"".join(commands))
        replies = [await one for one in waiting]
        for command, reply in zip(commands, replies, strict=True):
            if reply[:1] not in b"23":
                line = command[:40].split(b"\r\n")[0].decode("ascii", "replace")
                raise BenchFailed(f"{line!r} was answered {reply.decode('utf-8', 'replace').strip()!r}")
        return replies

    async def send(self, sender: bytes, recipient: bytes, mail: bytes, *, pipelined: bool) -> None:
        """One mail with one recipient; `pipelined` sends MAIL, RCPT and DATA together (RFC 2920)."""
        commands = (b"MAIL FROM:<%b>\r\n" % sender, b"RCPT TO:<%b>\r\n" % recipient, b"DATA\r\n")
        if pipelined:
            await self.ask(*commands)
        else:
            for command in commands:
                await self.ask(command)
        await self.ask(mail + (b".\r\n" if mail.endswith(b"\r\n") else b"\r\n.\r\n"))

    async def close(self) -> None:
        try:
            await self.ask(b"QUIT\r\n")
        finally:
            self._transport.close()

    def _await_reply(self, loop: asyncio.AbstractEventLoop) -> "asyncio.Future[bytes]":
        waiting: asyncio.Future[bytes] = loop.create_future()
        self._waiting.append(waiting)
        return waiting

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        *lines, self._unread = (self._unread + data).split(b"\r\n")
        for line in lines:
            # RFC 5321 §4.2.1: a hyphen after the code announces another line of the same reply.
            if line[3:4] != b"-" and self._waiting:
                waiting = self._waiting.popleft()
                if not waiting.done():
                    waiting.set_result(line)

    def connection_lost(self, exc: Exception | None) -> None:
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_exception(BenchFailed(f"the server hung up: {exc or 'without a word'}"))
        self._waiting.clear()
