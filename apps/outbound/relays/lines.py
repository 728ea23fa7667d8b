"""One server as this process uses it: its connections, opened as they are needed, and whether it rests.

Whether it rests is asked with a place in hand and told before the place is given on: of two hundred messages that wait
for a server which turns out to be dead, the first few find out and the others are spared its time-outs.

A line that was idle may be dead without our knowing (RFC 5321 §4.5.3.2.7 lets servers close what is idle): the message
that finds out is sent over a new one, as long as nothing but RSET or MAIL was said. Lines are closed after
`idle_seconds`, so that a thousand recipients' servers do not each keep one.

Where TLS is opportunistic and its handshake fails, the message goes in plain text over a new line, as it would to a
server that offers no TLS (RFC 7435 §3); the server is met in plain text from then on, until it is given another
chance. Where TLS is required a failed handshake is the server's trouble.

Nothing is sent twice: a message goes over a second line only when the first one ended before RCPT.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from django.utils import timezone

from apps.outbound.causes import Cause
from apps.outbound.clocks import kept
from apps.outbound.delivery import Evidence
from apps.outbound.errors import ConversationError, RelayRefused
from apps.outbound.limits.gate import LinePermit
from apps.outbound.models import Relay, RelaySecurity
from apps.outbound.relays.attempt import Attempt, Fence, RelayPolicy, speaks_against_server
from apps.outbound.relays.health import Health, Rest
from apps.outbound.verdict import is_relays_trouble
from apps.outbound.waiting import Wait
from apps.outbound.wire.conversation import Conversation, Envelope
from apps.outbound.wire.endpoint import Endpoint, without_tls
from apps.outbound.wire.payload import Payload

# When the rest is over they may all go, so they are hardly spread: only not to come back in the same instant.
COME_BACK_APART = timedelta(milliseconds=5)


# Asked before a line is opened; what is given back when it is closed.
OpenLine = Callable[[], Awaitable[LinePermit | Wait]]


@dataclass(frozen=True, slots=True)
class Server:
    """Which server it is: for the shared health board, for people, and whose trouble its troubles are."""

    relay: Relay
    health_name: str
    title: str
    endpoint: Endpoint
    connections: int
    is_destination: bool = False


class Lines:
    """This process's connections to one server."""

    def __init__(
        self, server: Server, policy: RelayPolicy, health: Health, open_line: OpenLine | None = None
    ) -> None:
        self._server = server
        self._endpoint = server.endpoint
        self._policy = policy
        self._health = health
        self._open_line = open_line
        self._permits: dict[Conversation, LinePermit] = {}
        self._slots = asyncio.Semaphore(server.connections)
        self._idle: deque[tuple[Conversation, float]] = deque()
        self._plain_until = 0.0
        self._used_at = time.monotonic()
        self._busy = 0

    async def attempt(self, envelope: Envelope, payload: Payload, fence: Fence) -> Attempt:
        """Send one message, unless the server rests. Raises only what `fence` raises."""
        self._busy += 1
        try:
            async with self._slots:
                rest = await self._health.ask(self._server.health_name, timezone.now())
                if rest is not None:
                    return self._left_alone(rest)
                attempt = await self._first_that_lives(envelope, payload, fence)
                await self._tell(attempt)
                return attempt
        finally:
            self._busy -= 1
            self._used_at = time.monotonic()

    @property
    def is_unused(self) -> bool:
        """Nobody uses it and no line is open: it may be forgotten."""
        unused_for = time.monotonic() - self._used_at
        return not self._busy and not self._idle and unused_for > self._policy.idle_seconds

    async def close_idle(self, *, unless_used_within: float = 0) -> None:
        """Say goodbye on the lines that have been idle for so many seconds."""
        long_ago = time.monotonic() - unless_used_within
        ended = []
        while self._idle and self._idle[0][1] <= long_ago:
            ended.append(self._idle.popleft()[0])
        await asyncio.gather(*(self._end(conversation) for conversation in ended))

    def _left_alone(self, rest: Rest) -> Attempt:
        cause = Cause.RECIPIENT_UNAVAILABLE if self._server.is_destination else Cause.RELAY_UNAVAILABLE
        reason = (
            f"{self._server.title} is left alone until {kept(rest.until)} "
            f"after it failed several times: {rest.because}"
        )
        evidence = Evidence(relay_id=self._server.relay.pk, text=reason)
        return Attempt(evidence, waits=Wait(rest.until, cause, reason, gap=COME_BACK_APART))

    async def _tell(self, attempt: Attempt) -> None:
        name = self._server.health_name
        if attempt.error is not None and speaks_against_server(attempt.error):
            await self._health.failed(name, attempt.error.public, timezone.now())
        elif attempt.waits is None:
            await self._health.worked(name)

    async def _first_that_lives(self, envelope: Envelope, payload: Payload, fence: Fence) -> Attempt:
        if self._idle:
            attempt = await self._over(self._idle.pop()[0], envelope, payload, fence)
            if not _went_stale(attempt):
                return attempt
        attempt = await self._over(self._new(), envelope, payload, fence)
        if self._fell_over_tls(attempt):
            self._plain_until = time.monotonic() + self._policy.plain_again_seconds
            return await self._over(self._new(), envelope, payload, fence)
        return attempt

    def _new(self) -> Conversation:
        plain = time.monotonic() < self._plain_until
        endpoint = without_tls(self._endpoint) if plain else self._endpoint
        return Conversation(endpoint, self._policy.timeouts)

    def _fell_over_tls(self, attempt: Attempt) -> bool:
        return (
            self._endpoint.security == RelaySecurity.OPPORTUNISTIC
            and not self._endpoint.checks_certificate
            and attempt.error is not None
            and attempt.error.phase == "starttls"
        )

    async def _over(
        self, conversation: Conversation, envelope: Envelope, payload: Payload, fence: Fence
    ) -> Attempt:
        try:
            if not conversation.messages_begun:
                wait = await self._permit(conversation)
                if wait is not None:
                    return Attempt(Evidence(relay_id=self._server.relay.pk, text=wait.reason), waits=wait)
                await conversation.open()
            reply = await conversation.send(envelope, payload, partial(fence, self._server.relay.pk))
        except ConversationError as error:
            error.by_destination = self._server.is_destination
            if isinstance(error, RelayRefused):
                return Attempt(
                    self._evidence(conversation, error.code, error.enhanced, error.public), error=error
                )
            return Attempt(self._evidence(conversation, text=error.public), error=error)
        finally:
            await self._give_back(conversation)
        return Attempt(self._evidence(conversation, reply.code, reply.enhanced, reply.text), reply=reply)

    async def _permit(self, conversation: Conversation) -> Wait | None:
        """A connection counts for as long as it is open, idle or not."""
        if self._open_line is None:
            return None
        permit = await self._open_line()
        if isinstance(permit, Wait):
            return permit
        self._permits[conversation] = permit
        return None

    async def _give_back(self, conversation: Conversation) -> None:
        if conversation.usable and conversation.messages_begun < self._policy.messages_per_connection:
            self._idle.append((conversation, time.monotonic()))
        else:
            await self._end(conversation)

    async def _end(self, conversation: Conversation) -> None:
        await conversation.close()
        permit = self._permits.pop(conversation, None)
        if permit is not None:
            await permit.give_back()

    def _evidence(
        self, conversation: Conversation, code: int | None = None, enhanced: str = "", text: str = ""
    ) -> Evidence:
        return Evidence(
            relay_id=self._server.relay.pk,
            code=code,
            enhanced=enhanced,
            text=text,
            server=_where(self._endpoint, conversation.peer_address),
            tls=conversation.tls,
            phases_ms=dict(conversation.phases_ms),
        )


def _where(endpoint: Endpoint, address: str) -> str:
    """The name that was meant and the address that answered: `mx1.example.org[203.0.113.5]:25`."""
    if not address or address == endpoint.host:
        return str(endpoint)[:255]
    return f"{endpoint.host[:200]}[{address}]:{endpoint.port}"


def _went_stale(attempt: Attempt) -> bool:
    """Whether a reused line was dead at its first command. A server that says no is alive, unless it is closing."""
    error = attempt.error
    if isinstance(error, RelayRefused) and error.code != 421:
        return False
    return error is not None and error.phase in {"rset", "mail"} and is_relays_trouble(error)
