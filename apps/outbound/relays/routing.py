"""Which relays may take a mail, and in which order they are asked: a pure choice, from facts to a list.

    pinned              the one relay a person chose, or an uncertain attempt went over: it or none
    the organisation's  its own relays and those of RELAY_URL, which everybody shares
    not paused
    what they are for   sender's domain, recipient's domain, lane; an empty list means all
    priority            lower ones first
    weight              among equals a draw, in which a relay of weight 3 comes first three times as often as one of 1

The draw is the same for the same delivery each time: a recipient's server that greylists meets the same sender again,
and two workers agree. How well a relay is does not change the order: one that rests is passed by when its turn comes
(`relays.health`), so that mail returns to it by itself.
"""

import math
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b

from apps.outbound.errors import NoRelayServes
from apps.outbound.models import Relay


@dataclass(frozen=True, slots=True)
class Mail:
    """What a choice depends on. Domains are lower case and in ASCII; a sender's domain is "" for the null path."""

    delivery_id: uuid.UUID
    organisation_id: uuid.UUID
    sender_domain: str
    recipient_domain: str
    lane: str
    pinned_relay_id: uuid.UUID | None = None


def candidates(mail: Mail, relays: Iterable[Relay]) -> list[Relay]:
    """The relays to ask, in this order; never empty. Raises NoRelayServes, which says why there is none."""
    own = [relay for relay in relays if relay.organisation_id in {None, mail.organisation_id}]
    if mail.pinned_relay_id is not None:
        return [_pinned(mail.pinned_relay_id, own)]
    active = [relay for relay in own if relay.is_active]
    serving = [
        relay
        for relay in active
        if relay.serves(
            sender_domain=mail.sender_domain, recipient_domain=mail.recipient_domain, lane=mail.lane
        )
    ]
    if not serving:
        raise NoRelayServes(_why_none(mail, own, active))
    if len(serving) == 1:
        return serving
    return sorted(serving, key=lambda relay: (relay.priority, _draw(mail.delivery_id, relay), relay.pk))


def _pinned(relay_id: uuid.UUID, own: list[Relay]) -> Relay:
    relay = next((one for one in own if one.pk == relay_id), None)
    if relay is None:
        msg = "it is bound to a relay that was removed; choose another one"
        raise NoRelayServes(msg)
    if not relay.is_active:
        msg = f"it is bound to {relay.name}, which is not in use now"
        raise NoRelayServes(msg)
    return relay


def _why_none(mail: Mail, own: list[Relay], active: list[Relay]) -> str:
    if not any(relay.is_active or not relay.from_environment for relay in own):
        return "no relay is set up"
    if not active:
        return "all relays are paused"
    sender = mail.sender_domain or "the null sender"
    return f"no relay in use is for {mail.lane} mail from {sender} to {mail.recipient_domain}"


def _draw(delivery_id: uuid.UUID, relay: Relay) -> float:
    """Efraimidis and Spirakis, "Weighted random sampling with a reservoir" (2006): an exponential draw of rate
    `weight`; the smallest is first with a probability in proportion to its weight.
    """
    digest = blake2b(delivery_id.bytes + relay.pk.bytes, digest_size=8).digest()
    even = (int.from_bytes(digest, "big") + 1) / (2**64 + 1)  # within (0, 1), so its logarithm exists
    return -math.log(even) / relay.weight
