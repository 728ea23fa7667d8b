"""Over one server that takes mail for everybody: its lines, and whether it rests."""

from django.utils import timezone

from apps.outbound.causes import Cause
from apps.outbound.delivery import Evidence
from apps.outbound.models import Relay
from apps.outbound.relays.attempt import Attempt, Fence, RelayPolicy, speaks_against_server
from apps.outbound.relays.direct import rested
from apps.outbound.relays.health import Health
from apps.outbound.relays.lines import Lines
from apps.outbound.waiting import Wait
from apps.outbound.wire.conversation import Envelope
from apps.outbound.wire.endpoint import Endpoint
from apps.outbound.wire.payload import Payload


class SmarthostWay:
    """One smarthost in one process."""

    def __init__(self, relay: Relay, endpoint: Endpoint, policy: RelayPolicy, health: Health) -> None:
        self._relay = relay
        self._health = health
        self._lines = Lines(endpoint, policy, relay_id=relay.pk, connections=policy.connections)

    async def attempt(self, _domain: str, envelope: Envelope, payload: Payload, fence: Fence) -> Attempt:
        """Send one message. Raises only what `fence` raises."""
        name = str(self._relay.pk)
        rest = await self._health.ask(name, timezone.now())
        if rest is not None:
            reason = rested(self._relay.name, rest.until, rest.because)
            wait = Wait(rest.until, Cause.RELAY_UNAVAILABLE, reason)
            return Attempt(Evidence(relay_id=self._relay.pk, text=reason), waits=wait)
        attempt = await self._lines.attempt(envelope, payload, fence)
        if attempt.error is not None and speaks_against_server(attempt.error):
            await self._health.failed(name, attempt.error.public, timezone.now())
        else:
            await self._health.worked(name)
        return attempt

    async def close_idle(self, *, unless_used_within: float = 0) -> None:
        await self._lines.close_idle(unless_used_within=unless_used_within)
