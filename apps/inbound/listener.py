"""The receive process: one event loop that listens, and drains when told to.

On SIGTERM nothing new is accepted, connections between two messages are told 421, and a message that is arriving may
end within the grace. What is being committed then is waited for; what is not has had no 250, and is its sender's still.
"""

import asyncio
import errno
import socket

import structlog

from apps.inbound.desk import Desk
from apps.inbound.errors import CannotListen
from apps.inbound.limits import Gate, Limits
from apps.inbound.smtp import SmtpSession

log = structlog.get_logger(__name__)

BACKLOG = 256


class Listener:
    """Serves SMTP on one address until stopped. Its methods belong to one event loop."""

    def __init__(self, *, host: str, port: int, limits: Limits, hostname: str | None = None) -> None:
        self._host = host
        self._port = port
        self._hostname = hostname or socket.gethostname()
        self._desk = Desk()
        self._gate = Gate(limits)
        self._sessions: set[SmtpSession] = set()
        self._server: asyncio.Server

    @property
    def port(self) -> int:
        """Where it listens: chosen by the system when 0 was asked for."""
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self) -> None:
        """Raises CannotListen, with a line for a person, when the port cannot be had."""
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(
                lambda: SmtpSession(
                    self._desk, self._gate, self._sessions, hostname=self._hostname, loop=loop
                ),
                self._host,
                self._port,
                backlog=BACKLOG,
            )
        except OSError as error:
            reason = "is taken" if error.errno == errno.EADDRINUSE else f"cannot be opened: {error.strerror}"
            raise CannotListen(f"SMTP_PORT: {self._host}:{self._port} {reason}") from error

    async def stop(self, grace_seconds: float) -> None:
        """Drain: see the module's docstring. Returns when no connection and no commit is left."""
        self._server.close()
        sessions = list(self._sessions)
        for session in sessions:
            session.drain()
        if sessions:
            await asyncio.wait([session.conversation for session in sessions], timeout=grace_seconds)
        for session in list(self._sessions):
            session.abort()
        await asyncio.to_thread(self._desk.close)
