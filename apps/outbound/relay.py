"""One recipient's way out: which relays are asked, in which order, and what is made of their answers.

    candidates   those that may take this mail, best first (`relays.routing`); none: NoRelayServes
    each in turn unless it rests or has no room just now (`relays.health`)
    the next     at once, when the trouble is the relay's own: no line, no welcome, refused before RCPT, 421; or when it
                 cannot take such a mail at all (RFC 6531 addresses, 8-bit content)
    no next      after anything that was said about the recipient or the message, and after a lost reply: from then on
                 another relay could only make it two

A mail for which every relay rests or is full has not been attempted: it waits until the first of them is free, and
those who wait so come back at the pace of all these relays together. The same
when one has failed and another is only full: it would be wrong to wait for the failed one's sake.

A delivery that is pinned has one candidate. It is how an uncertain one is tried again: only the very server that may
have it can recognise it.
"""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Protocol

import structlog
from django.conf import settings
from django.utils import timezone
from redis.asyncio import Redis

from apps.names.breaker import BreakerPolicy
from apps.outbound.causes import Cause
from apps.outbound.delivery import Claim, Evidence
from apps.outbound.errors import ConversationError, NoRelayServes, RelayRefused, RelayUnavailable
from apps.outbound.limits.gate import LimitGate
from apps.outbound.models import Lane, Relay
from apps.outbound.relays.attempt import Attempt, Fence, RelayPolicy
from apps.outbound.relays.direct import Directions, DirectWay, usual_directions
from apps.outbound.relays.endpoints import endpoint_of
from apps.outbound.relays.health import Answer, Health
from apps.outbound.relays.routing import Mail, candidates
from apps.outbound.relays.smarthost import SmarthostWay
from apps.outbound.verdict import is_relays_trouble
from apps.outbound.waiting import Wait, soonest
from apps.outbound.wire.conversation import Envelope
from apps.outbound.wire.payload import Payload

log = structlog.get_logger(__name__)

__all__ = ["Attempt", "Fence", "RelayPolicy", "RelayRoad"]

LOOK_FOR_IDLE_EVERY_SECONDS = 1.0


class _Way(Protocol):
    """How one relay is used."""

    async def attempt(self, domain: str, envelope: Envelope, payload: Payload, fence: Fence) -> Attempt: ...

    async def close_idle(self, *, unless_used_within: float = 0) -> None: ...


_Send = Callable[[_Way], Awaitable[Attempt]]


@dataclass(frozen=True, slots=True)
class _Open:
    """A way and the version of the relay it was made for."""

    way: _Way
    updated_at: datetime


class RelayRoad:
    """All relays of this process, as one drain uses them."""

    def __init__(
        self,
        policy: RelayPolicy | None = None,
        *,
        directions: Callable[[], Directions] = usual_directions,
        health: Health | None = None,
        gate: LimitGate | None = None,
    ) -> None:
        self._policy = policy or RelayPolicy()
        self._directions = directions
        self._health = health or Health(_breakers(self._policy), _connect)
        self._gate = gate
        self._ways: dict[tuple[uuid.UUID, Lane], _Open] = {}
        self._relays: Sequence[Relay] = ()
        self._retired: list[_Way] = []
        self._closing_idle: asyncio.Task[None] | None = None

    def use(self, relays: Sequence[Relay]) -> None:
        """Know these from now on."""
        self._relays = relays

    async def attempt(self, claim: Claim, payload: Payload, fence: Fence) -> Attempt:
        """Send one claim's message over the first relay that can.

        Raises what `fence` raises, and what the database raises where limits have to be read.
        """
        if self._closing_idle is None:
            self._closing_idle = asyncio.create_task(self._close_what_is_idle())
        try:
            relays = candidates(mail_of(claim), self._relays)
        except NoRelayServes as error:
            return Attempt(Evidence(text=error.public), error=error)

        def send(way: _Way) -> Awaitable[Attempt]:
            return way.attempt(claim.destination, claim.envelope, payload, fence)

        since = time.monotonic()
        while True:
            attempt = await self._round(claim, relays, send)
            # A relay that has room in a moment is waited for here.
            if attempt.waits is None or self._gate is None or not _is_of_limits(attempt.waits):
                return attempt
            if not await self._gate.linger(attempt.waits, since):
                return attempt

    async def _round(self, claim: Claim, relays: Sequence[Relay], send: _Send) -> Attempt:
        """Each candidate once, until one has said something that is final."""
        tried: list[tuple[Relay, Attempt]] = []
        for relay in relays:
            attempt = await self._through_gate(claim, relay, send)
            tried.append((relay, attempt))
            if attempt.waits is None and not may_go_elsewhere(attempt.error):
                break
        return conclude(tried)

    async def close(self) -> None:
        """Say goodbye on all lines."""
        if self._closing_idle is not None:
            self._closing_idle.cancel()
        await asyncio.gather(*(way.close_idle() for way in self._all_ways()))
        if self._gate is not None:
            await self._gate.close()
        await self._health.close()

    async def _through_gate(self, claim: Claim, relay: Relay, send: _Send) -> Attempt:
        """The limits are asked before, and told afterwards: a server's answer may tell of one of its own."""
        if self._gate is None:
            return await self._over(relay, claim.lane, send)
        try:
            permit = await self._gate.admit(claim, relay)
        except RelayRefused as error:
            return Attempt(_refusal(relay, error), error=error)
        if isinstance(permit, Wait):
            return Attempt(Evidence(relay_id=relay.pk, text=permit.reason), waits=permit)
        attempt: Attempt | None = None
        try:
            attempt = await self._over(relay, claim.lane, send)
        finally:
            await permit.give_back(attempt)
        return attempt

    async def _over(self, relay: Relay, lane: Lane, send: _Send) -> Attempt:
        try:
            way = self._way(relay, lane)
        except RelayUnavailable as error:
            return Attempt(Evidence(relay_id=relay.pk, text=error.public), error=error)
        attempt = await send(way)
        if attempt.waits is None:
            await self._health.note(str(relay.pk), _answer(attempt, timezone.now()))
        return attempt

    def _way(self, relay: Relay, lane: Lane) -> _Way:
        """Raises RelayUnavailable for a relay whose password is not to be had."""
        known = self._ways.get((relay.pk, lane))
        if known is not None and known.updated_at == relay.updated_at:
            return known.way
        way: _Way
        open_line = partial(self._gate.open_line, relay, relay.organisation_id, lane) if self._gate else None
        if relay.is_direct:
            way = DirectWay(relay, self._policy, self._directions(), self._health, open_line)
        else:
            way = SmarthostWay(relay, endpoint_of(relay), self._policy, self._health, open_line)
        if known is not None:
            # Its conversations go on; what they leave idle is closed with the rest.
            self._retired.append(known.way)
        self._ways[relay.pk, lane] = _Open(way, relay.updated_at)
        return way

    async def _close_what_is_idle(self) -> None:
        """Also while nothing is begun: one slow message must not keep the lines of those that went with it."""
        long_ago = self._policy.idle_seconds
        while True:
            await asyncio.sleep(LOOK_FOR_IDLE_EVERY_SECONDS)
            try:
                await asyncio.gather(
                    *(way.close_idle(unless_used_within=long_ago) for way in self._all_ways())
                )
            except Exception:
                log.exception("idle_lines_not_closed")

    def _all_ways(self) -> list[_Way]:
        return [*self._retired, *(one.way for one in self._ways.values())]


def mail_of(claim: Claim) -> Mail:
    """What of a claim decides over its way."""
    return Mail(
        delivery_id=claim.delivery_id,
        organisation_id=claim.organisation_id,
        sender_domain=claim.sender.rpartition("@")[2].lower(),
        recipient_domain=claim.destination,
        lane=claim.lane,
        pinned_relay_id=claim.pinned_relay_id,
    )


def may_go_elsewhere(error: ConversationError | None) -> bool:
    """Whether another relay may be asked after this: nothing was accepted, and nothing was said about the recipient."""
    if error is None:
        return False
    # "envelope": this relay's software lacks what the mail needs; another one's may have it.
    return is_relays_trouble(error) or error.phase == "envelope"


def conclude(tried: Sequence[tuple[Relay, Attempt]]) -> Attempt:
    """What all of it came to. The evidence is the last conversation's, and tells of those before it."""
    if len(tried) == 1:
        return tried[0][1]
    asked = [(relay, one) for relay, one in tried if one.waits is None]
    waits = [one.waits for _relay, one in tried if one.waits is not None]
    first = soonest(waits) if waits else None
    if not asked:
        return Attempt(tried[-1][1].evidence, waits=first)
    last = asked[-1][1]
    told = replace(last, evidence=_with_earlier(last.evidence, asked[:-1]))
    if first is None or not may_go_elsewhere(last.error):
        return told
    return replace(told, waits=_because_of_both(first, last))


def _with_earlier(evidence: Evidence, earlier: Sequence[tuple[Relay, Attempt]]) -> Evidence:
    if not earlier:
        return evidence
    before = "; ".join(f"{relay.name}: {one.evidence.text}" for relay, one in earlier)
    return replace(evidence, text=f"{evidence.text} (before that, {before})")


def _because_of_both(wait: Wait, failed: Attempt) -> Wait:
    return replace(wait, reason=f"{wait.reason}; another relay failed: {failed.evidence.text}")


def _is_of_limits(wait: Wait) -> bool:
    """Whether it is a limit that is waited for, and not a server that rests."""
    return wait.cause not in {Cause.RELAY_UNAVAILABLE, Cause.RECIPIENT_UNAVAILABLE}


def _refusal(relay: Relay, error: RelayRefused) -> Evidence:
    return Evidence(relay_id=relay.pk, code=error.code, enhanced=error.enhanced, text=error.public)


def _answer(attempt: Attempt, now: datetime) -> Answer:
    evidence = attempt.evidence
    return Answer(
        now,
        good=attempt.reply is not None,
        text=evidence.text[:300],
        code=evidence.code,
        enhanced=evidence.enhanced,
        server=evidence.server,
    )


def _breakers(policy: RelayPolicy) -> BreakerPolicy:
    return BreakerPolicy(
        trips_after=policy.rests_after, first_rest=policy.rest_seconds, ceiling=policy.rest_ceiling_seconds
    )


def _connect() -> Redis:
    return Redis.from_url(settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2)
