"""One client's conversation with the scripted server: SMTP as RFC 5321 has it, with the script's steps in between."""

import asyncio
import base64
import contextlib
import ssl
from dataclasses import dataclass, field
from typing import Protocol

from tests.remote.script import PATIENCE_SECONDS, Answer, Garbage, HangUp, Phase, Stall, Step


@dataclass(frozen=True)
class TakenMessage:
    """One message the server answered for (or took without saying so)."""

    sender: str
    recipients: tuple[str, ...]
    content: bytes
    connection: int


class Closed(Exception):
    """The conversation is over."""


@dataclass(frozen=True)
class Manners:
    """What the server offers. `users` makes it ask for AUTH; `latency_seconds` is before every answer.

    With `messages_per_connection` it hangs up, without a word, after that many. `data_without_recipients` is a server
    that says 354 although it refused them all.
    """

    pipelining: bool = True
    eight_bit_mime: bool = True
    smtputf8: bool = True
    size: int | None = 50_000_000
    tls: ssl.SSLContext | None = None
    implicit_tls: bool = False
    users: dict[str, str] = field(default_factory=dict)
    mechanisms: tuple[str, ...] = ("PLAIN", "LOGIN")
    latency_seconds: float = 0
    messages_per_connection: int | None = None
    data_without_recipients: bool = False


class Host(Protocol):
    """What a session needs of its server."""

    manners: Manners
    messages: list[TakenMessage]
    commands: list[str]

    def step_at(self, phase: Phase, recipient: str | None) -> Step | None: ...


class Session:
    """One client."""

    def __init__(
        self,
        server: Host,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        number: int,
    ) -> None:
        self.server = server
        self.reader = reader
        self.writer = writer
        self.number = number
        self.manners = server.manners
        self.encrypted = server.manners.implicit_tls
        self.user = ""
        self.ended = 0
        self._begin()

    def _begin(self) -> None:
        self.sender: str | None = None
        self.recipients: list[str] = []

    async def run(self) -> None:
        await self._answer(Phase.CONNECT, Answer(220, "remote.test ESMTP"))
        handlers = {
            "EHLO": self._ehlo,
            "HELO": self._ehlo,
            "STARTTLS": self._starttls,
            "AUTH": self._auth,
            "MAIL": self._mail,
            "RCPT": self._rcpt,
            "DATA": self._data,
            "RSET": self._rset,
            "QUIT": self._quit,
        }
        while True:
            line = await self._read_line()
            self.server.commands.append(line)
            verb, _, argument = line.partition(" ")
            handler = handlers.get(verb.upper())
            if handler is None:
                await self._say(Answer(500, "5.5.2 unknown command"))
            else:
                await handler(argument)

    async def _read_line(self) -> str:
        line = await self.reader.readline()
        if not line.endswith(b"\r\n"):
            raise Closed
        return line[:-2].decode("utf-8", "surrogateescape")

    # the commands

    async def _ehlo(self, _name: str) -> None:
        offers = ["remote.test"]
        offers += ["PIPELINING"] if self.manners.pipelining else []
        offers += ["8BITMIME"] if self.manners.eight_bit_mime else []
        offers += ["SMTPUTF8"] if self.manners.smtputf8 else []
        offers += [f"SIZE {self.manners.size}"] if self.manners.size is not None else []
        offers += ["STARTTLS"] if self.manners.tls and not self.encrypted else []
        offers += [f"AUTH {' '.join(self.manners.mechanisms)}"] if self.manners.users else []
        self._begin()
        await self._answer(Phase.EHLO, Answer(250, "\n".join(offers)))

    async def _starttls(self, _nothing: str) -> None:
        if self.manners.tls is None or self.encrypted:
            await self._say(Answer(502, "5.5.1 not offered"))
            return
        if await self._answer(Phase.STARTTLS, Answer(220, "go ahead")):
            await self.writer.start_tls(self.manners.tls)
            self.encrypted = True

    async def _auth(self, argument: str) -> None:
        mechanism, _, initial = argument.partition(" ")
        if mechanism.upper() == "PLAIN":
            _zero, user, password = base64.b64decode(initial).decode().split("\0")
        else:
            user, password = [await self._prompt(word) for word in ("Username:", "Password:")]
        known = self.manners.users.get(user) == password
        usual = Answer(235, "2.7.0 welcome") if known else Answer(535, "5.7.8 wrong credentials")
        if await self._answer(Phase.AUTH, usual):
            self.user = user

    async def _prompt(self, word: str) -> str:
        await self._say(Answer(334, base64.b64encode(word.encode()).decode()))
        return base64.b64decode(await self._read_line()).decode()

    async def _mail(self, argument: str) -> None:
        if self.manners.users and not self.user:
            await self._say(Answer(530, "5.7.0 sign in first"))
        elif await self._answer(Phase.MAIL, Answer(250, "2.1.0 sender fine")):
            self.sender = _path(argument)

    async def _rcpt(self, argument: str) -> None:
        if self.sender is None:
            await self._say(Answer(503, "5.5.1 MAIL first"))
            return
        recipient = _path(argument)
        if await self._answer(Phase.RCPT, Answer(250, "2.1.5 recipient fine"), recipient):
            self.recipients.append(recipient)

    async def _data(self, _nothing: str) -> None:
        if not self.recipients and not self.manners.data_without_recipients:
            await self._say(Answer(503, "5.5.1 RCPT first"))
            return
        if not await self._answer(Phase.DATA, Answer(354, "go ahead")):
            return
        content = await self._read_message()
        message = TakenMessage(str(self.sender), tuple(self.recipients), content, self.number)
        self._begin()
        await self._end_of_data(message, message.recipients[0] if message.recipients else None)

    async def _read_message(self) -> bytes:
        lines: list[bytes] = []
        step = self.server.step_at(Phase.BODY, self.recipients[0] if self.recipients else None)
        while (line := await self.reader.readline()) != b".\r\n":
            if not line.endswith(b"\r\n"):
                raise Closed
            lines.append(line[1:] if line.startswith(b".") else line)
            if step is not None:
                await self._play(step)
                step = None
        return b"".join(lines)

    async def _end_of_data(self, message: TakenMessage, recipient: str | None) -> None:
        step = self.server.step_at(Phase.DOT, recipient)
        if (isinstance(step, HangUp) and step.after_taking) or (isinstance(step, Stall) and step.taking):
            self.server.messages.append(message)
        took_already = isinstance(step, Stall) and step.taking
        answer = await self._play(step) if step is not None else None
        answer = answer or Answer(250, "2.0.0 taken")
        if answer.code < 300 and not took_already:
            self.server.messages.append(message)
        await self._say(answer)
        self.ended += 1
        if self.ended == self.manners.messages_per_connection:
            raise Closed

    async def _rset(self, _nothing: str) -> None:
        self._begin()
        await self._answer(Phase.RSET, Answer(250, "2.0.0 forgotten"))

    async def _quit(self, _nothing: str) -> None:
        await self._answer(Phase.QUIT, Answer(221, "2.0.0 bye"))
        raise Closed

    # answering

    async def _answer(self, phase: Phase, usual: Answer, recipient: str | None = None) -> bool:
        """Play the script's step for a phase, or answer as usual; whether that was an acceptance."""
        step = self.server.step_at(phase, recipient)
        if isinstance(step, Garbage):
            self.writer.write(step.content)
            await self.writer.drain()
            return True
        answer = (await self._play(step) if step is not None else None) or usual
        await self._say(answer)
        return answer.code < 400

    async def _play(self, step: Step) -> Answer | None:
        """What to answer instead of the usual, after whatever the step does; None for the usual."""
        if isinstance(step, Stall):
            step.reached.set()
            await asyncio.get_running_loop().run_in_executor(None, step.released.wait, PATIENCE_SECONDS)
            if step.then is None:
                return None
            step_after: Answer | HangUp = step.then
            return await self._play(step_after)
        if isinstance(step, HangUp):
            raise Closed
        return step if isinstance(step, Answer) else None

    async def _say(self, answer: Answer) -> None:
        if self.manners.latency_seconds:
            await asyncio.sleep(self.manners.latency_seconds)
        *first, last = answer.text.split("\n")
        lines = [f"{answer.code}-{line}\r\n" for line in first] + [f"{answer.code} {last}\r\n"]
        self.writer.write("".join(lines).encode())
        with contextlib.suppress(ConnectionError):
            await self.writer.drain()


def _path(argument: str) -> str:
    """The address in `FROM:<a@b> SIZE=1` or `TO:<a@b>`."""
    return argument.partition("<")[2].partition(">")[0]
