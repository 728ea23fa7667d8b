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
from dataclasses import dataclass, field, replace

from apps.outbound.delivery import Claim, Evidence
from apps.outbound.errors import ConversationError, RelayRefused, RelayUnavailable
from apps.outbound.limits.gate import LimitGate, LinePermit
from apps.outbound.models import Relay
from apps.outbound.relays.environment import endpoint_of
from apps.outbound.verdict import is_relays_trouble
from apps.outbound.waiting import Wait
from apps.outbound.wire.conversation import Conversation, Envelope, Timeouts
from apps.outbound.wire.endpoint import Endpoint
from apps.outbound.wire.payload import Payload
from apps.outbound.wire.smtp_reply import Reply

Fence = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class RelayPolicy:
    """Bounds for each relay in each process."""

    connections: int = 50
    messages_per_connection: int = 100
    rest_seconds: float = 2
    timeouts: Timeouts = field(default_factory=Timeouts)


@dataclass(frozen=True, slots=True)
class Attempt:
    """How one recipient fared: the reply that accepted it, the error that did not, or until when it has to wait."""

    evidence: Evidence
    reply: Reply | None = None
    error: ConversationError | None = None
    waits: Wait | None = None


class RelayLines:
    """This process's connections to one relay."""

    def __init__(self, relay: Relay, endpoint: Endpoint, policy: RelayPolicy, gate: LimitGate | None) -> None:
        self._relay = relay
        self._relay_id = relay.pk
        self._endpoint = endpoint
        self._policy = policy
        self._gate = gate
        self._permits: dict[Conversation, LinePermit] = {}
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
        for conversation in idle:
            await self._give_line_back(conversation)

    async def _over(
        self, conversation: Conversation, envelope: Envelope, payload: Payload, fence: Fence
    ) -> Attempt:
        try:
            if not conversation.messages_begun:
                wait = await self._open(conversation)
                if wait is not None:
                    return Attempt(Evidence(), waits=wait)
            reply = await conversation.send(envelope, payload, fence)
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

    async def _open(self, conversation: Conversation) -> Wait | None:
        if self._last_trouble is not None and time.monotonic() < self._rests_until:
            raise RelayUnavailable(self._last_trouble.phase, self._last_trouble.public)
        # LIMITS: a connection counts for as long as it is open, idle or not.
        if self._gate is not None:
            permit = await self._gate.open_line(self._relay)
            if isinstance(permit, Wait):
                return permit
            self._permits[conversation] = permit
        try:
            await conversation.open()
        except ConversationError as error:
            self._last_trouble = error
            self._rests_until = time.monotonic() + self._policy.rest_seconds
            raise
        self._last_trouble = None
        return None

    async def _give_back(self, conversation: Conversation) -> None:
        if conversation.usable and conversation.messages_begun < self._policy.messages_per_connection:
            self._idle.append(conversation)
            return
        await conversation.close()
        await self._give_line_back(conversation)

    async def _give_line_back(self, conversation: Conversation) -> None:
        permit = self._permits.pop(conversation, None)
        if permit is not None:
            await permit.give_back()

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


def _may_go_elsewhere(error: ConversationError) -> bool:
    """Whether another relay may be asked: nothing was accepted, and nothing was said about the recipient."""
    # "envelope": this relay lacks what the mail needs, or allows no mail so large; another one's may do.
    return is_relays_trouble(error) or error.phase == "envelope"


def _went_stale(attempt: Attempt) -> bool:
    """Whether a reused line was dead at its first command: servers close what is idle (RFC 5321 §4.5.3.2.7).

    A server that answers no is alive, unless it answers that it is closing.
    """
    error = attempt.error
    if isinstance(error, RelayRefused) and error.code != 421:
        return False
    return error is not None and error.phase in {"rset", "mail"} and is_relays_trouble(error)


class RelayRoad:
    """All relays of this process, in the order in which they are asked."""

    def __init__(self, policy: RelayPolicy | None = None, *, gate: LimitGate | None = None) -> None:
        self._policy = policy or RelayPolicy()
        self._gate = gate
        self._lines: dict[uuid.UUID, RelayLines] = {}
        self._order: list[Relay] = []

    def use(self, relays: Sequence[Relay]) -> None:
        """Ask these from now on, the first one first."""
        self._order = list(relays)

    async def attempt(self, claim: Claim, payload: Payload, fence: Fence) -> Attempt:
        """Send one message over the first relay that can. Raises what `fence` raises, and what the database raises."""
        since = time.monotonic()
        while True:
            attempt = await self._round(claim, payload, fence)
            # LIMITS: a relay that has room in a moment is waited for here.
            if attempt.waits is None or self._gate is None:
                return attempt
            if not await self._gate.linger(attempt.waits, since):
                return attempt

    async def _round(self, claim: Claim, payload: Payload, fence: Fence) -> Attempt:
        attempt = Attempt(Evidence(), error=RelayUnavailable("connect", "no relay is set up"))
        waits: list[Wait] = []
        for relay in self._order:
            one = await self._through_gate(claim, relay, payload, fence)
            if one.waits is not None:
                waits.append(one.waits)
                continue
            attempt = one
            if attempt.error is None or not _may_go_elsewhere(attempt.error):
                return attempt
        first = min(waits, key=lambda one: one.until, default=None)
        return attempt if first is None else replace(attempt, waits=first)

    async def _through_gate(self, claim: Claim, relay: Relay, payload: Payload, fence: Fence) -> Attempt:
        """LIMITS: ask before, and tell afterwards."""
        if self._gate is None:
            return await self._over(claim, relay, payload, fence)
        try:
            permit = await self._gate.admit(claim, relay)
        except RelayRefused as error:
            evidence = Evidence(
                relay_id=relay.pk, code=error.code, enhanced=error.enhanced, text=error.public
            )
            return Attempt(evidence, error=error)
        if isinstance(permit, Wait):
            return Attempt(Evidence(), waits=permit)
        attempt: Attempt | None = None
        try:
            attempt = await self._over(claim, relay, payload, fence)
        finally:
            await permit.give_back(attempt)
        return attempt

    async def _over(self, claim: Claim, relay: Relay, payload: Payload, fence: Fence) -> Attempt:
        try:
            lines = self._lines_to(relay)
        except RelayUnavailable as error:
            return Attempt(Evidence(relay_id=relay.pk, text=error.public), error=error)
        return await lines.attempt(Envelope(claim.sender, claim.recipient), payload, fence)

    def _lines_to(self, relay: Relay) -> RelayLines:
        if relay.pk not in self._lines:
            self._lines[relay.pk] = RelayLines(relay, endpoint_of(relay), self._policy, self._gate)
        return self._lines[relay.pk]

    async def close(self) -> None:
        await asyncio.gather(*(lines.close() for lines in self._lines.values()))
        if self._gate is not None:
            await self._gate.close()
