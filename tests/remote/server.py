"""A remote SMTP server that does what a test tells it, and counts what it took.

It is a real server on a real socket, in a thread of its own, written from RFC 5321 rather than over a library, so
that it can be rude at any point of a conversation:

    remote.play(Phase.RCPT, defer())                             for every conversation from now on
    remote.play(Phase.RCPT, refuse(), recipient="gone@x.test")   for this recipient only
    remote.play(Phase.DOT, hang_up(after_taking=True), times=1)  once, then as usual
    stall = remote.stall(Phase.DATA); stall.wait_reached(); …; stall.release()
    remote.forget_script()

The newest step that fits is played. Without one the server accepts. What it took is in `messages`, in order, each
with its envelope and its very bytes (dot-stuffing undone); `taken_by_recipient` counts copies: more than one is a
doubled mail.

Limits: one thread for all connections (asyncio), a megabyte or so a message; no CHUNKING, no DSN.
"""

import asyncio
import base64
import contextlib
import ssl
import threading
import time
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from tests.remote.script import PATIENCE_SECONDS, Answer, Garbage, HangUp, Phase, Stall, Step

T = TypeVar("T")
LINE_LIMIT = 16 * 1024 * 1024


@dataclass(frozen=True)
class TakenMessage:
    """One message the server answered for (or took without saying so)."""

    sender: str
    recipients: tuple[str, ...]
    content: bytes
    connection: int


@dataclass
class _Entry:
    phase: Phase
    step: Step
    recipient: str | None
    times: int | None


class _Closed(Exception):
    """The conversation is over."""


@dataclass(frozen=True)
class Manners:
    """What the server offers. `users` makes it ask for AUTH; `latency_seconds` is before every answer."""

    pipelining: bool = True
    eight_bit_mime: bool = True
    smtputf8: bool = True
    size: int | None = 50_000_000
    tls: ssl.SSLContext | None = None
    implicit_tls: bool = False
    users: dict[str, str] = field(default_factory=dict)
    mechanisms: tuple[str, ...] = ("PLAIN", "LOGIN")
    latency_seconds: float = 0


class RemoteServer:
    """Start it, script it, ask it. Use it as a context manager."""

    def __init__(self, **manners: Any) -> None:
        self.manners = Manners(**manners)
        self.messages: list[TakenMessage] = []
        self.connections = 0
        self.open_connections = 0
        self.commands: list[str] = []
        self.port = 0
        self._script: list[_Entry] = []
        self._lock = threading.Lock()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="remote-smtp", daemon=True)
        self._tasks: set[asyncio.Task[None]] = set()

    def __enter__(self) -> "RemoteServer":
        self._thread.start()
        self.listen()
        return self

    def __exit__(self, *error: object) -> None:
        self.forget_script()
        self.close()
        self._run(self._end_conversations())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    # controlling it

    def listen(self) -> None:
        """Accept connections, on the same port as before where there was one."""
        self._server = self._run(self._listen())
        self.port = self._server.sockets[0].getsockname()[1]

    def close(self) -> None:
        """Accept no connections, as a server that is down; those that are open go on."""
        self._loop.call_soon_threadsafe(self._server.close)
        self._run(asyncio.sleep(0))

    def behave(self, **manners: Any) -> None:
        """Change what conversations from now on are offered."""
        self.manners = replace(self.manners, **manners)

    def play(
        self, phase: Phase, step: Step, *, recipient: str | None = None, times: int | None = None
    ) -> None:
        """Do this at a phase: always, for one recipient (from RCPT on), or a number of times."""
        with self._lock:
            self._script.append(_Entry(phase, step, recipient, times))

    def stall(
        self,
        phase: Phase,
        *,
        recipient: str | None = None,
        times: int | None = 1,
        taking: bool = False,
        then: Answer | HangUp | None = None,
    ) -> Stall:
        """Stop at a phase until `release`; the stall tells when a conversation has come to it."""
        step = Stall(taking=taking, then=then)
        self.play(phase, step, recipient=recipient, times=times)
        return step

    def forget_script(self) -> None:
        """Accept everything again; conversations that stall go on."""
        with self._lock:
            steps, self._script = [entry.step for entry in self._script], []
        for step in steps:
            if isinstance(step, Stall):
                step.release()

    # asking it

    @property
    def taken_by_recipient(self) -> Counter[str]:
        """How many copies each recipient would have got."""
        return Counter(recipient for message in list(self.messages) for recipient in message.recipients)

    def wait_left_alone(self, timeout: float = 10) -> None:
        """Wait until every conversation is over; fail the test when one goes on."""
        deadline = time.monotonic() + timeout
        while self.open_connections:
            assert time.monotonic() < deadline, "a conversation does not end"
            time.sleep(0.005)

    def commands_of(self, verb: str) -> list[str]:
        return [command for command in list(self.commands) if command.upper().startswith(verb)]

    # its own life

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    async def _listen(self) -> asyncio.Server:
        context = self.manners.tls if self.manners.implicit_tls else None
        return await asyncio.start_server(
            self._converse, "127.0.0.1", self.port, limit=LINE_LIMIT, ssl=context, backlog=512
        )

    async def _end_conversations(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        self.open_connections += 1
        try:
            await _Conversation(self, reader, writer, self.connections).run()
        except (_Closed, OSError, EOFError, asyncio.CancelledError):
            pass  # every way in which a client may leave
        finally:
            self.open_connections -= 1
            self._tasks.discard(task)
            writer.transport.abort()

    def step_at(self, phase: Phase, recipient: str | None) -> Step | None:
        """The newest step that fits, used up where it has a number of times."""
        with self._lock:
            for entry in reversed(self._script):
                fits = entry.phase == phase and (entry.recipient is None or entry.recipient == recipient)
                if fits and entry.times != 0:
                    if entry.times is not None:
                        entry.times -= 1
                    return entry.step
        return None


class _Conversation:
    """One client."""

    def __init__(
        self,
        server: RemoteServer,
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
            raise _Closed
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
        if not self.recipients:
            await self._say(Answer(503, "5.5.1 RCPT first"))
            return
        if not await self._answer(Phase.DATA, Answer(354, "go ahead")):
            return
        content = await self._read_message()
        message = TakenMessage(str(self.sender), tuple(self.recipients), content, self.number)
        self._begin()
        await self._end_of_data(message, message.recipients[0])

    async def _read_message(self) -> bytes:
        lines: list[bytes] = []
        step = self.server.step_at(Phase.BODY, self.recipients[0])
        while (line := await self.reader.readline()) != b".\r\n":
            if not line.endswith(b"\r\n"):
                raise _Closed
            lines.append(line[1:] if line.startswith(b".") else line)
            if step is not None:
                await self._play(step)
                step = None
        return b"".join(lines)

    async def _end_of_data(self, message: TakenMessage, recipient: str) -> None:
        step = self.server.step_at(Phase.DOT, recipient)
        if (isinstance(step, HangUp) and step.after_taking) or (isinstance(step, Stall) and step.taking):
            self.server.messages.append(message)
        took_already = isinstance(step, Stall) and step.taking
        answer = await self._play(step) if step is not None else None
        answer = answer or Answer(250, "2.0.0 taken")
        if answer.code < 300 and not took_already:
            self.server.messages.append(message)
        await self._say(answer)

    async def _rset(self, _nothing: str) -> None:
        self._begin()
        await self._answer(Phase.RSET, Answer(250, "2.0.0 forgotten"))

    async def _quit(self, _nothing: str) -> None:
        await self._answer(Phase.QUIT, Answer(221, "2.0.0 bye"))
        raise _Closed

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
            raise _Closed
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
