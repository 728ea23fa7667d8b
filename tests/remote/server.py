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
import threading
import time
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from tests.remote.script import Answer, HangUp, Phase, Stall, Step
from tests.remote.session import Closed, Manners, Session, TakenMessage

T = TypeVar("T")
LINE_LIMIT = 16 * 1024 * 1024


@dataclass
class _Entry:
    phase: Phase
    step: Step
    recipient: str | None
    times: int | None


class RemoteServer:
    """Start it, script it, ask it. Use it as a context manager."""

    def __init__(self, *, host: str = "127.0.0.1", port: int = 0, **manners: Any) -> None:
        self.manners = Manners(**manners)
        self.host = host
        self.messages: list[TakenMessage] = []
        self.connections = 0
        self.open_connections = 0
        self.commands: list[str] = []
        self.port = port
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
        return f"smtp://{self.host}:{self.port}"

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
            self._converse, self.host, self.port, limit=LINE_LIMIT, ssl=context, backlog=512
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
            await Session(self, reader, writer, self.connections).run()
        except (Closed, OSError, EOFError, asyncio.CancelledError):
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
