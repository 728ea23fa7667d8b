"""Over one server that takes mail for everybody."""

from apps.outbound.models import Relay
from apps.outbound.relays.attempt import Attempt, Fence, RelayPolicy
from apps.outbound.relays.health import Health
from apps.outbound.relays.lines import Lines, OpenLine, Server
from apps.outbound.wire.conversation import Envelope
from apps.outbound.wire.endpoint import Endpoint
from apps.outbound.wire.payload import Payload


class SmarthostWay:
    """One smarthost in one process: the same lines for every domain."""

    def __init__(
        self,
        relay: Relay,
        endpoint: Endpoint,
        policy: RelayPolicy,
        health: Health,
        open_line: OpenLine | None = None,
    ) -> None:
        server = Server(
            relay=relay,
            health_name=str(relay.pk),
            title=relay.name,
            endpoint=endpoint,
            connections=policy.connections,
        )
        self._lines = Lines(server, policy, health, open_line)

    async def attempt(self, _domain: str, envelope: Envelope, payload: Payload, fence: Fence) -> Attempt:
        """Send one message. Raises only what `fence` raises."""
        return await self._lines.attempt(envelope, payload, fence)

    async def close_idle(self, *, unless_used_within: float = 0) -> None:
        await self._lines.close_idle(unless_used_within=unless_used_within)
