"""The world's server, to which mail is relayed: takes everything, keeps nothing, answers after a set delay.

`python -m mailplatform.bench.remote PORT` listens on 127.0.0.1. Each reply leaves so long after its command was read,
in the order of the commands, as over a long line: commands sent together are answered together. Two commands of our own
steer it, over any connection: `XDELAY milliseconds` (of later connections' replies), and `XTAKEN`, which answers
`250 count first last signed` (monotonic seconds; how many bore a DKIM signature) of the mails taken since the last
`XDELAY`. `XWHEN` answers `250 number=seconds …`: when the newest thousand numbered mails (see `mails`) were taken.
"""

import asyncio
import re
import signal
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from typing import cast

import uvloop

_END = b"\r\n.\r\n"
_HEAD_BYTES = 8192
_NUMBER = re.compile(rb"\r\nSubject: Parcel [0-9a-f]+-(\d{6})\r\n")
_NEWEST = 1000
_EHLO = (
    b"250-remote.invalid\r\n250-PIPELINING\r\n250-SIZE 100000000\r\n250-8BITMIME\r\n"
    b"250-ENHANCEDSTATUSCODES\r\n250 SMTPUTF8\r\n"
)


@dataclass(slots=True)
class Taken:
    """What all connections took together."""

    delay_seconds: float = 0.0
    count: int = 0
    first_at: float = 0.0
    last_at: float = 0.0
    signed: int = 0
    numbered: deque[tuple[int, float]] = field(default_factory=lambda: deque(maxlen=_NEWEST))

    def take(self, head: bytes) -> None:
        """`head`: a mail's first bytes, in which its header is."""
        self.last_at = time.monotonic()
        self.first_at = self.first_at or self.last_at
        self.count += 1
        self.signed += b"\r\nDKIM-Signature:" in head
        if number := _NUMBER.search(head):
            self.numbered.append((int(number[1]), self.last_at))

    def start_over(self, delay_seconds: float) -> None:
        self.delay_seconds = delay_seconds
        self.count, self.first_at, self.last_at, self.signed = 0, 0.0, 0.0, 0
        self.numbered.clear()


class Remote(asyncio.Protocol):
    """One connection. `\\r\\n` before the first byte of data lets an empty mail end as any other."""

    def __init__(self, taken: Taken) -> None:
        self._taken = taken
        self._delay_seconds = taken.delay_seconds
        self._loop = asyncio.get_running_loop()
        self._buffer = bytearray()
        self._searched = 0
        self._in_data = False
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._answer(b"220 remote.invalid ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while self._take_mail() if self._in_data else self._take_command():
            pass

    def _take_mail(self) -> bool:
        end = self._buffer.find(_END, max(0, self._searched - len(_END)))
        if end < 0:
            self._searched = len(self._buffer)
            return False
        head = bytes(self._buffer[: min(end, _HEAD_BYTES)])
        del self._buffer[: end + len(_END)]
        self._in_data = False
        self._taken.take(head)
        self._answer(b"250 2.0.0 Taken\r\n")
        return True

    def _take_command(self) -> bool:
        end = self._buffer.find(b"\r\n")
        if end < 0:
            return False
        line = bytes(self._buffer[:end])
        verb, _, argument = line.partition(b" ")
        match verb.upper():
            case b"EHLO" | b"HELO":
                self._answer(_EHLO)
            case b"DATA":
                self._in_data, self._searched = True, 0
                # The command's own CRLF stays, as the one before the first byte of data.
                del self._buffer[:end]
                self._answer(b"354 Go on\r\n")
                return True
            case b"QUIT":
                self._answer(b"221 2.0.0 Goodbye\r\n", hang_up=True)
            case b"XDELAY":
                self._taken.start_over(int(argument) / 1000)
                self._answer(b"250 2.0.0 Set\r\n")
            case b"XTAKEN":
                taken = self._taken
                answer = f"250 {taken.count} {taken.first_at!r} {taken.last_at!r} {taken.signed}\r\n"
                self._answer(answer.encode())
            case b"XWHEN":
                when = " ".join(f"{number}={at!r}" for number, at in self._taken.numbered)
                self._answer(f"250 {when}\r\n".encode())
            case _:
                self._answer(b"250 2.0.0 Good\r\n")
        del self._buffer[: end + 2]
        return True

    def _answer(self, reply: bytes, *, hang_up: bool = False) -> None:
        if self._delay_seconds:
            self._loop.call_later(self._delay_seconds, self._write, reply, hang_up)
        else:
            self._write(reply, hang_up)

    def _write(self, reply: bytes, hang_up: bool) -> None:  # noqa: FBT001 - call_later passes no names
        if not self._transport.is_closing():
            self._transport.write(reply)
            if hang_up:
                self._transport.close()


async def serve(port: int) -> None:
    """Take mail until SIGTERM or SIGINT. Raises OSError when the port cannot be opened."""
    loop = asyncio.get_running_loop()
    taken = Taken()
    server = await loop.create_server(lambda: Remote(taken), "127.0.0.1", port, backlog=512)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with server:
        await stop.wait()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
