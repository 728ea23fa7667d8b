"""Straight to the recipients' servers: each domain's own, in their order, as their domain's policy demands.

    MTA-STS policy     what the domain demands of the line (`relays.mta_sts`)
    mail servers       who they are and where (`relays.mx`)
    each in its turn   until one takes the message or says something about it; the next one only when a server could
                       not be used at all, so nothing is ever offered twice after RCPT

A server that could not be used several times in a row rests (`relays.health`), and with it goes the waiting for its
time-outs. When all of a domain's servers rest the mail waits for the first of them, which is no attempt.

Lines are kept per server and not per domain: the thousand domains of one provider share them.
"""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import structlog
from django.conf import settings

from apps.names.resolver import Resolver
from apps.outbound.delivery import Evidence
from apps.outbound.errors import RelayRefused, RelayUnavailable
from apps.outbound.models import CertificatePolicy, Relay, RelaySecurity
from apps.outbound.relays.attempt import Attempt, Fence, RelayPolicy
from apps.outbound.relays.health import Health
from apps.outbound.relays.lines import Lines, OpenLine, Server
from apps.outbound.relays.mta_sts import Mode, Policies, Policy, fetcher
from apps.outbound.relays.mx import MailServer, mail_servers
from apps.outbound.verdict import is_relays_trouble
from apps.outbound.wire.conversation import Envelope
from apps.outbound.wire.endpoint import Endpoint
from apps.outbound.wire.payload import Payload

log = structlog.get_logger(__name__)

LOOK_UP_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Directions:
    """How a domain's servers and its policy are found, and which authority vouches for them ("": the system's)."""

    resolver: Resolver
    policies: Policies
    ca_file: str = ""


@cache
def usual_directions() -> Directions:
    """This process's own, over the name servers of the settings: one cache for all drains."""
    resolver = Resolver(settings.DNS_SERVERS)
    return Directions(resolver, Policies(resolver, fetcher(resolver)))


class DirectWay:
    """One direct relay in one process."""

    def __init__(
        self,
        relay: Relay,
        policy: RelayPolicy,
        directions: Directions,
        health: Health,
        open_line: OpenLine | None = None,
    ) -> None:
        self._open_line = open_line
        self._relay = relay
        self._policy = policy
        self._directions = directions
        self._health = health
        self._lines: dict[Endpoint, Lines] = {}
        self._chance = random.SystemRandom()

    async def attempt(self, domain: str, envelope: Envelope, payload: Payload, fence: Fence) -> Attempt:
        """Send one message to a domain's servers. Raises only what `fence` raises."""
        try:
            async with asyncio.timeout(LOOK_UP_SECONDS):
                demands = await self._directions.policies.of(domain)
                servers = await servers_of(domain, self._relay, demands, self._directions, self._chance)
        except TimeoutError:
            why = f"the mail servers of {domain} could not be looked up in time"
            return self._unable(RelayUnavailable("dns", why, by_destination=True))
        except (RelayUnavailable, RelayRefused) as error:
            return self._unable(error)
        return await self._first_usable(servers, demands, envelope, payload, fence)

    async def close_idle(self, *, unless_used_within: float = 0) -> None:
        await asyncio.gather(
            *(lines.close_idle(unless_used_within=unless_used_within) for lines in list(self._lines.values()))
        )
        self._lines = {endpoint: lines for endpoint, lines in self._lines.items() if not lines.is_unused}

    async def _first_usable(
        self,
        servers: list[MailServer],
        demands: Policy | None,
        envelope: Envelope,
        payload: Payload,
        fence: Fence,
    ) -> Attempt:
        attempts = []
        for server in servers[: self._policy.servers_tried]:
            attempt = await self._lines_to(server, demands).attempt(envelope, payload, fence)
            if attempt.waits is None and not (attempt.error and is_relays_trouble(attempt.error)):
                return attempt
            attempts.append(attempt)
        return _of_none_usable(attempts)

    def _lines_to(self, server: MailServer, demands: Policy | None) -> Lines:
        endpoint = endpoint_for(self._relay, server, demands, self._directions)
        lines = self._lines.get(endpoint)
        if lines is None:
            named = Server(
                relay=self._relay,
                health_name=f"{self._relay.pk}/{server.host}",
                title=server.host,
                endpoint=endpoint,
                connections=self._policy.connections_per_server,
                is_destination=True,
            )
            lines = self._lines[endpoint] = Lines(named, self._policy, self._health, self._open_line)
        return lines

    def _unable(self, error: RelayUnavailable | RelayRefused) -> Attempt:
        """Nobody could be asked, or nobody need be."""
        code, enhanced = (error.code, error.enhanced) if isinstance(error, RelayRefused) else (None, "")
        evidence = Evidence(relay_id=self._relay.pk, code=code, enhanced=enhanced, text=error.public)
        return Attempt(evidence, error=error)


def endpoint_for(
    relay: Relay, server: MailServer, demands: Policy | None, directions: Directions
) -> Endpoint:
    """Where a recipient's server is and how it is met: as the relay says, and no less than its domain's policy."""
    usual = Endpoint(
        host=server.host,
        port=relay.port,
        security=RelaySecurity(relay.security),
        certificates=CertificatePolicy(relay.certificates),
        addresses=server.addresses,
        ca_file=directions.ca_file,
        hello_name=relay.hello_name,
    )
    if demands is not None and demands.mode == Mode.ENFORCE:
        return replace(usual, security=RelaySecurity.STARTTLS, certificates=CertificatePolicy.REQUIRED)
    return usual


async def servers_of(
    domain: str, relay: Relay, demands: Policy | None, directions: Directions, chance: random.Random
) -> list[MailServer]:
    """A domain's servers as far as its policy lets us use them. Raises RelayRefused, RelayUnavailable."""
    found = await mail_servers(
        domain, directions.resolver, chance, allow_private=relay.allow_private_networks
    )
    if demands is None or demands.mode == Mode.NONE:
        return found
    named = [server for server in found if demands.covers(server.host)]
    if demands.mode == Mode.TESTING:
        if len(named) < len(found):
            log.warning("mta_sts_would_fail", domain=domain, why="a server is not in the policy")
        return found
    if not named:
        # RFC 8461 §4.2: not delivered, and tried again: it may be an attack that passes.
        strangers = ", ".join(server.host for server in found[:3])
        why = f"the MTA-STS policy of {domain} does not name its mail servers ({strangers})"
        raise RelayUnavailable("mta-sts", why, by_destination=True)
    return named


def _of_none_usable(attempts: Sequence[Attempt]) -> Attempt:
    """The last failure; where every server rests, the wait for the first of them."""
    failed = [one for one in attempts if one.waits is None]
    if failed:
        return failed[-1]
    _until, _n, first = min((one.waits.until, n, one) for n, one in enumerate(attempts) if one.waits)
    return first
