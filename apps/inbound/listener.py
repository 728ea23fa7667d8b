"""A port that is listened on: one event loop that serves it, and drains when told to.

On SIGTERM nothing new is accepted, connections between two messages are told 421, and a message that is arriving may
end within the grace. What is being committed then is waited for; what is not has had no 250, and is its sender's still.
"""

import asyncio
import errno
import socket
from collections.abc import Sequence
from functools import partial

import structlog

from apps.inbound.errors import CannotListen
from apps.inbound.smtp import ListenerKind, SmtpSession
from apps.inbound.wire import BLOCK_BYTES, Wire

log = structlog.get_logger(__name__)

BACKLOG = 256


def open_port(host: str, port: int, *, setting: str = "SMTP_PORT") -> list[socket.socket]:
    """Bound and listening at every address of the host, for one process or for several that take turns.

    Raises CannotListen, with a line for a person, when the port cannot be had.
    """
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        addresses = dict.fromkeys((family, address[:2]) for family, *_kind, address in found)
        return [
            socket.create_server(address, family=family, backlog=BACKLOG) for family, address in addresses
        ]
    except OSError as error:
        reason = "is taken" if error.errno == errno.EADDRINUSE else f"cannot be opened: {error.strerror}"
        raise CannotListen(f"{setting}: {host}:{port} {reason}") from error


class Listener:
    """Serves SMTP at an open port until stopped. Its methods belong to one event loop."""

    def __init__(self, kind: ListenerKind, opened: Sequence[socket.socket]) -> None:
        self._kind = kind
        self._sockets = opened
        self._conversations: dict[asyncio.Task[None], SmtpSession] = {}
        self._scratch = memoryview(bytearray(BLOCK_BYTES))
        self._servers: list[asyncio.Server] = []

    @property
    def port(self) -> int:
        """Where it listens: chosen by the system when 0 was asked for."""
        return int(self._sockets[0].getsockname()[1])

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        for opened in self._sockets:
            wired = partial(Wire, self._converse, self._scratch)
            self._servers.append(await loop.create_server(wired, sock=opened, backlog=BACKLOG))

    async def stop(self, grace_seconds: float) -> None:
        """Drain: see the module's docstring. Returns when no connection and no commit is left."""
        for server in self._servers:
            server.close()
        for session in self._conversations.values():
            session.drain()
        if self._conversations:
            await asyncio.wait(list(self._conversations), timeout=grace_seconds)
        for session in list(self._conversations.values()):
            session.abort()
        await asyncio.to_thread(self._kind.service.close)
        if self._conversations:
            await asyncio.wait(list(self._conversations))
        if self._kind.rates is not None:
            await self._kind.rates.close()

    def _converse(self, wire: Wire) -> None:
        session = SmtpSession(self._kind, wire)
        task = asyncio.get_running_loop().create_task(session.converse())
        self._conversations[task] = session
        task.add_done_callback(self._conversations.pop)
