"""One recipient over a relay: which relay, which connection, and what it said.

Relays are asked in the order of their positions; the next one only when the trouble is the relay's own and nothing
was accepted. Connections are opened as they are needed, up to a bound per relay, used one message after the other,
and closed when the drain ends.

A relay that could not be reached is left alone for a moment: a batch of fifty need not wait for fifty time-outs.
"""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from apps.outbound.delivery import Claim, Evidence
from apps.outbound.errors import ConversationError, RelayRefused, RelayUnavailable
from apps.outbound.models import Relay
from apps.outbound.relays.environment import endpoint_of
from apps.outbound.verdict import is_relays_trouble
from apps.outbound.waiting import Wait
from apps.outbound.wire.conversation import Conversation, Envelope, Timeouts
from apps.outbound.wire.endpoint import Endpoint
from apps.outbound.wire.payload import Payload
from apps.outbound.wire.smtp_reply import Reply

# Told over which relay the dot is about to leave: a second try of what nobody can tell goes over the same one.
Fence = Callable[[uuid.UUID], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class RelayPolicy:
    """Bounds for each relay in each process."""

    connections: int = 200
    messages_per_connection: int = 100
    rest_seconds: float = 2
    timeouts: Timeouts = field(default_factory=Timeouts)


@dataclass(frozen=True, slots=True)
class Attempt:
    """How one recipient fared: the reply that accepted it, the error that did not, or the limit nobody may pass now."""

    evidence: Evidence
    reply: Reply | None = None
    error: ConversationError | None = None
    waits: Wait | None = None


class RelayLines:
    """This process's connections to one relay."""

    def __init__(self, relay_id: uuid.UUID, endpoint: Endpoint, policy: RelayPolicy) -> None:
        self._relay_id = relay_id
        self._endpoint = endpoint
        self._policy = policy
        self._slots = asyncio.Semaphore(policy.connections)
        self._idle: list[Conversation] = []
        self._rests_until = 0.0
        self._last_trouble: ConversationError | None = None

    async def attempt(self, envelope: Envelope, payload: Payload, fence: Fence) -> Attempt:
        """Send one message. Raises only what `fence` raises."""
        async with self._slots:
            conversation = self._take()
            if conversation.messages_begun:
                attempt = await self._over(conversation, envelope, payload, fence)
                if not _went_stale(attempt):
                    return attempt
                conversation = self._new()
            return await self._over(conversation, envelope, payload, fence)

    async def close(self) -> None:
        """Say goodbye on every idle line."""
        idle, self._idle = self._idle, []
        await asyncio.gather(*(conversation.close() for conversation in idle))

    async def _over(
        self, conversation: Conversation, envelope: Envelope, payload: Payload, fence: Fence
    ) -> Attempt:
        try:
            if not conversation.messages_begun:
                await self._open(conversation)
            reply = await conversation.send(envelope, payload, partial(fence, self._relay_id))
        except RelayRefused as error:
            evidence = self._evidence(conversation, error.code, error.enhanced, error.public)
            return Attempt(evidence, error=error)
        except ConversationError as error:
            return Attempt(self._evidence(conversation, text=error.public), error=error)
        finally:
            await self._give_back(conversation)
        return Attempt(self._evidence(conversation, reply.code, reply.enhanced, reply.text), reply=reply)

    def _take(self) -> Conversation:
        return self._idle.pop() if self._idle else self._new()

    def _new(self) -> Conversation:
        return Conversation(self._endpoint, self._policy.timeouts)

    async def _open(self, conversation: Conversation) -> None:
        if self._last_trouble is not None and time.monotonic() < self._rests_until:
            raise RelayUnavailable(self._last_trouble.phase, self._last_trouble.public)
        try:
            await conversation.open()
        except ConversationError as error:
            self._last_trouble = error
            self._rests_until = time.monotonic() + self._policy.rest_seconds
            raise
        self._last_trouble = None

    async def _give_back(self, conversation: Conversation) -> None:
        if not conversation.usable:
            return
        if conversation.messages_begun < self._policy.messages_per_connection:
            self._idle.append(conversation)
        else:
            await conversation.close()

    def _evidence(
        self, conversation: Conversation, code: int | None = None, enhanced: str = "", text: str = ""
    ) -> Evidence:
        return Evidence(
            relay_id=self._relay_id,
            code=code,
            enhanced=enhanced,
            text=text,
            server=str(self._endpoint)[:255],
            tls=conversation.tls,
            phases_ms=dict(conversation.phases_ms),
        )


def _went_stale(attempt: Attempt) -> bool:
    """Whether a reused line was dead at its first command: servers close what is idle (RFC 5321 §4.5.3.2.7)."""
    return (
        attempt.error is not None
        and attempt.error.phase in {"rset", "mail"}
        and is_relays_trouble(attempt.error)
    )


class RelayRoad:
    """All relays of this process, in the order in which they are asked."""

    def __init__(self, policy: RelayPolicy | None = None) -> None:
        self._policy = policy or RelayPolicy()
        self._lines: dict[uuid.UUID, RelayLines] = {}
        self._order: list[Relay] = []

    def use(self, relays: Sequence[Relay]) -> None:
        """Ask these from now on, the first one first."""
        self._order = list(relays)

    async def attempt(self, claim: Claim, payload: Payload, fence: Fence) -> Attempt:
        """Send one message over the first relay that can. Raises only what `fence` raises."""
        attempt = Attempt(Evidence(), error=RelayUnavailable("connect", "no relay is set up"))
        for relay in self._order:
            try:
                lines = self._lines_to(relay)
            except RelayUnavailable as error:
                attempt = Attempt(Evidence(relay_id=relay.pk, text=error.public), error=error)
                continue
            attempt = await lines.attempt(claim.envelope, payload, fence)
            if attempt.error is None or not is_relays_trouble(attempt.error):
                break
        return attempt

    def _lines_to(self, relay: Relay) -> RelayLines:
        if relay.pk not in self._lines:
            self._lines[relay.pk] = RelayLines(relay.pk, endpoint_of(relay), self._policy)
        return self._lines[relay.pk]

    async def close(self) -> None:
        await asyncio.gather(*(lines.close() for lines in self._lines.values()))
