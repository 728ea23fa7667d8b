"""Which limits a message meets: from the rows people made to the demands the limiter is asked.

A message over a relay counts for the relay, for the relay with its destination (which has no rows, but a pace when a
provider asked for one), for its destination, its sender and its organisation. Where both everybody's row and the
organisation's own row fit, both hold; they are counted apart, because they count different mail.

Rows are few and read whole, once for each batch of claims.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Protocol
from uuid import UUID

from apps.outbound.limits.bounds import Bounds, Demand, Demands
from apps.outbound.models import EACH, Lane, LimitScope, SendingLimit

Owner = UUID | None


class Addressed(Protocol):
    """What demands are made of: a claim has these. `destination` is the recipient's domain, lower case, in A-labels."""

    @property
    def organisation_id(self) -> UUID: ...
    @property
    def sender(self) -> str: ...
    @property
    def destination(self) -> str: ...
    @property
    def size_bytes(self) -> int: ...
    @property
    def lane(self) -> Lane: ...


class Named(Protocol):
    """A relay, as far as limits know it."""

    @property
    def pk(self) -> UUID: ...
    @property
    def name(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Rules:
    """All rows, by what they bound. `version` grows whenever a row is made or changed."""

    bounds: dict[tuple[Owner, LimitScope, str], Bounds] = field(default_factory=dict)
    version: int = 0

    @classmethod
    def of(cls, rows: Iterable[SendingLimit]) -> "Rules":
        bounds: dict[tuple[Owner, LimitScope, str], Bounds] = {}
        version = 0
        for row in rows:
            bounds[row.organisation_id, LimitScope(row.scope), row.subject] = bounds_of(row)
            version = max(version, round(row.updated_at.timestamp() * 1000))
        return cls(bounds, version)

    def find(self, owner: Owner, scope: LimitScope, subject: str) -> Bounds | None:
        """The row for this very subject, or the one for each."""
        return self.bounds.get((owner, scope, subject)) or self.bounds.get((owner, scope, EACH))


def load_rules() -> Rules:
    """All rows as they are now. One query."""
    return Rules.of(SendingLimit.objects.all())


def bounds_of(row: SendingLimit) -> Bounds:
    return Bounds(
        connections=row.connections,
        per_second=row.per_second,
        per_minute=row.per_minute,
        per_hour=row.per_hour,
        per_day=row.per_day,
        gap_ms=row.gap_ms,
        recipients_per_transaction=row.recipients_per_transaction,
        max_size_bytes=row.max_size_bytes,
    )


def key_of(scope: LimitScope, subject: str, owner: Owner) -> str:
    """What a limited thing is called in Redis."""
    # Only relays and domains are shared: an organisation and its addresses have no mail but their own.
    apart = owner is not None and scope in {LimitScope.RELAY, LimitScope.DESTINATION}
    return f"{scope}:{subject}@{owner}" if apart else f"{scope}:{subject}"


def demands_for(claim: Addressed, relay: Named, rules: Rules) -> Demands:
    """All that a claim would count for, sent over this relay."""
    found = {
        one.key: one for one in (relay_demand(relay), relay_destination_demand(relay, claim.destination))
    }
    if rules.bounds:
        _bound(found, claim, relay, rules)
    if claim.lane == Lane.BULK:
        return Demands(tuple(replace(one, is_bulk=True) for one in found.values()), rules.version)
    return Demands(tuple(found.values()), rules.version)


def _bound(found: dict[str, Demand], claim: Addressed, relay: Named, rules: Rules) -> None:
    """Put the rows' bounds to what they are on."""
    subjects = (
        (LimitScope.RELAY, str(relay.pk), relay_words(relay)),
        (LimitScope.DESTINATION, claim.destination, f"Destination {claim.destination}"),
        (LimitScope.SENDER, claim.sender.lower(), f"Sender {claim.sender}"),
        (LimitScope.ORGANISATION, str(claim.organisation_id), "Your organisation"),
    )
    for scope, subject, words in subjects:
        for owner in (None, claim.organisation_id):
            bounds = rules.find(owner, scope, subject)
            if bounds is not None:
                key = key_of(scope, subject, owner)
                known = found.get(key)
                together = bounds.tightest(known.bounds) if known else bounds
                found[key] = Demand(key, scope, words, together, is_own=owner is not None)


def line_demand(relay: Named, rules: Rules, owner: Owner, lane: Lane) -> Demand | None:
    """What an open line to a relay counts for, idle or not; None where the relay has no bound of connections."""
    bounds = [rules.find(one, LimitScope.RELAY, str(relay.pk)) for one in (None, owner)]
    connections = [one.connections for one in bounds if one is not None and one.connections is not None]
    if not connections:
        return None
    key = f"{relay_demand(relay).key}/lines"
    bound = Bounds(connections=min(connections))
    return Demand(key, LimitScope.RELAY, relay_words(relay), bound, is_bulk=lane == Lane.BULK)


def too_large(size_bytes: int, demands: Demands) -> str:
    """Why a message of this size is not let through, in words; "" when it is. No waiting mends that."""
    for demand in demands.parts:
        bound = demand.bounds.max_size_bytes
        if bound is not None and size_bytes > bound:
            return f"{demand.name} allows messages of {bound:,} bytes; this one has {size_bytes:,}."
    return ""


def relay_demand(relay: Named) -> Demand:
    return _relay_demand(relay.pk, relay.name)


def relay_destination_demand(relay: Named, destination: str) -> Demand:
    """What one provider behind a relay is paced by."""
    return _relay_destination_demand(relay.pk, relay.name, destination)


def relay_words(relay: Named) -> str:
    return f"Relay {relay.name}"


# Asked for every mail, also where nobody made a limit: a provider may have asked for a pace.
@lru_cache(maxsize=256)
def _relay_demand(relay_id: UUID, name: str) -> Demand:
    return Demand(key_of(LimitScope.RELAY, str(relay_id), None), LimitScope.RELAY, f"Relay {name}")


@lru_cache(maxsize=4096)
def _relay_destination_demand(relay_id: UUID, name: str, destination: str) -> Demand:
    relay = _relay_demand(relay_id, name)
    return Demand(f"{relay.key}/{destination}", LimitScope.DESTINATION, f"{relay.name} to {destination}")
