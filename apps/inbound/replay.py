"""Send a folder of raw mails through SMTP, as the world would, over several connections at once.

Each mail gets an envelope sender of its own (`RUN.NUMBER@replay.invalid`, a domain that exists nowhere, so that nothing
can be mailed back). The listener recognises a repeated envelope and content as a resend; with these senders two equal
mails of a folder, or two replays of one folder, are as many messages as there were files, while a mail that this
program has to send again is still recognised. And they tell which row a file became.
"""

import asyncio
import hashlib
import re
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from apps.inbound.errors import ReplayImpossible

SENDER_DOMAIN = "replay.invalid"
TRIES = 6
FIRST_PAUSE_SECONDS = 0.5
REPLY_SECONDS = 120

# Narrower than RFC 5322 §2.2 allows: `{"id":` would do for a field name.
_HEADER_LINE = re.compile(rb"[A-Za-z][A-Za-z0-9_.-]*[ \t]*:")
_SEPARATOR = b"From "


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file: the last reply to it, and the digest of what was sent."""

    path: Path
    sender: str
    sha256: bytes
    reply: str

    @property
    def accepted(self) -> bool:
        return self.reply.startswith("250")


@dataclass(slots=True)
class Replay:
    """One run. `outcomes` grows while it sends."""

    paths: Sequence[Path]
    recipient: str
    host: str
    port: int
    sessions: int
    run: str = field(default_factory=lambda: secrets.token_hex(6))
    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def senders_prefix(self) -> str:
        return f"{self.run}."

    def send_all(self, on_sent: Callable[[], None]) -> None:
        """Send every file; `on_sent` is called after each. Raises ReplayImpossible when nobody listens."""
        try:
            asyncio.run(self._send_all(on_sent))
        except ExceptionGroup as group:
            # Every connection fails for the same reason; one line tells it.
            impossible, _rest = group.split(ReplayImpossible)
            if impossible is None:
                raise
            raise ReplayImpossible(str(impossible.exceptions[0])) from group

    async def _send_all(self, on_sent: Callable[[], None]) -> None:
        numbered = iter(enumerate(self.paths, start=1))
        async with asyncio.TaskGroup() as sessions:
            for _ in range(min(self.sessions, len(self.paths))):
                sessions.create_task(self._send_some(numbered, on_sent))

    async def _send_some(self, numbered: Iterator[tuple[int, Path]], on_sent: Callable[[], None]) -> None:
        """One connection's work: take the next file until there is none."""
        async with _line(self.host, self.port) as line:
            for number, path in numbered:
                raw = read_mail(path)
                sender = f"{self.senders_prefix}{number}@{SENDER_DOMAIN}"
                reply = await line.deliver(sender, self.recipient, raw)
                self.outcomes.append(Outcome(path, sender, hashlib.sha256(raw).digest(), reply))
                on_sent()


def find_mails(folder: Path, limit: int | None = None) -> tuple[list[Path], int]:
    """(the mail files under a folder in the order of their names, how many other files were left out).

    A file is a mail when it begins with a header field, or with a mailbox separator and then one. Raises
    ReplayImpossible.
    """
    if not folder.is_dir():
        raise ReplayImpossible(f"{folder} is not a folder")
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    mails = [path for path in files if _is_mail(path)]
    if not mails:
        raise ReplayImpossible(f"there is no mail in {folder}")
    return mails[:limit], len(files) - len(mails)


def _is_mail(path: Path) -> bool:
    with path.open("rb") as file:
        line = file.readline(1000)
        if line.startswith(_SEPARATOR):
            line = file.readline(1000)
    return _HEADER_LINE.match(line) is not None


def read_mail(path: Path) -> bytes:
    """A file as SMTP carries it: no mailbox separator, each line ended by CRLF. Bare CR is content and stays."""
    raw = path.read_bytes()
    if raw.startswith(_SEPARATOR):
        raw = raw.partition(b"\n")[2]
    raw = raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    return raw if raw.endswith(b"\r\n") else raw + b"\r\n"


class _Line:
    """A connection that is made anew when it breaks."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def deliver(self, sender: str, recipient: str, raw: bytes) -> str:
        """Send one mail, again while the answer is "not now"; the last reply.

        Raises ReplayImpossible when nobody listens any more.
        """
        pause = FIRST_PAUSE_SECONDS
        for left in reversed(range(TRIES)):
            try:
                reply = await self._transaction(sender, recipient, raw)
            except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
                await self.hang_up()
                reply = f"421 {type(error).__name__}: {error}"
                if not left and isinstance(error, ConnectionRefusedError):
                    raise ReplayImpossible(f"nobody listens on {self._host}:{self._port}") from error
            if not reply.startswith("4") or not left:
                return reply
            if reply.startswith("421"):
                await self.hang_up()
            await asyncio.sleep(pause)
            pause *= 2
        raise AssertionError  # the last try returns

    async def hang_up(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def _transaction(self, sender: str, recipient: str, raw: bytes) -> str:
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port)
            greeting = await self._reply()
            if not greeting.startswith("220"):
                return greeting
            await self._ask("EHLO replay.invalid")
        for command in (f"MAIL FROM:<{sender}>", f"RCPT TO:<{recipient}>", "DATA"):
            reply = await self._ask(command)
            if reply[0] not in "23":
                await self._ask("RSET")
                return reply
        self._streams[1].write((b"\r\n" + raw).replace(b"\r\n.", b"\r\n..")[2:] + b".\r\n")
        return await self._reply()

    async def _ask(self, command: str) -> str:
        if self._streams is None:
            raise ConnectionResetError("the connection is closed")
        self._streams[1].write(command.encode() + b"\r\n")
        return await self._reply()

    async def _reply(self) -> str:
        """The last line of one reply."""
        if self._streams is None:
            raise ConnectionResetError("the connection is closed")
        reader, writer = self._streams
        async with asyncio.timeout(REPLY_SECONDS):
            await writer.drain()
            while True:
                line = (await reader.readuntil(b"\n")).decode("utf-8", "replace").rstrip("\r\n")
                if line[3:4] != "-":
                    return line


@asynccontextmanager
async def _line(host: str, port: int) -> AsyncIterator[_Line]:
    line = _Line(host, port)
    try:
        yield line
    finally:
        await line.hang_up()
