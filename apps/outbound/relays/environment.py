"""The relays RELAY_URL names, reconciled into rows at start; their passwords stay in the process that read them.

The rows let the queue say which relay a recipient waits for, and let evidence outlive a change of relays: one that
is no longer named becomes inactive and is kept. Several processes reconcile the same list at the same time; each
ends with the same rows.
"""

from collections.abc import Sequence

from django.db import transaction

from apps.outbound.errors import RelayUnavailable
from apps.outbound.models import Relay, RelaySecurity
from apps.outbound.wire.endpoint import Endpoint, parse_relay_url

_endpoints: dict[str, Endpoint] = {}


def reconcile_relays(urls: Sequence[str]) -> list[Relay]:
    """Make the environment's relays exactly these, the first one preferred.

    Called once by each process that sends. Raises RelayAddressInvalid before anything is changed.
    """
    endpoints = {endpoint.name: endpoint for endpoint in map(parse_relay_url, urls)}
    with transaction.atomic():
        relays = [
            Relay.objects.update_or_create(name=name, defaults=_columns(endpoint, position))[0]
            for position, (name, endpoint) in enumerate(endpoints.items())
        ]
        Relay.objects.filter(from_environment=True, is_active=True).exclude(name__in=endpoints).update(
            is_active=False
        )
    _endpoints.clear()
    _endpoints.update(endpoints)
    return relays


def _columns(endpoint: Endpoint, position: int) -> dict[str, object]:
    return {
        "host": endpoint.host,
        "port": endpoint.port,
        "security": endpoint.security,
        "username": endpoint.username,
        "position": position,
        "is_active": True,
        "from_environment": True,
    }


def active_relays() -> list[Relay]:
    """Those to ask, in order of preference."""
    return list(Relay.objects.filter(is_active=True).order_by("position", "id"))


def endpoint_of(relay: Relay) -> Endpoint:
    """Where to connect and what to show there.

    Raises RelayUnavailable for a relay with a user whose password this process was never told.
    """
    known = _endpoints.get(relay.name)
    if known is not None:
        return known
    if relay.username:
        raise RelayUnavailable("auth", f"the password for {relay.name} is not known to this worker")
    return Endpoint(host=relay.host, port=relay.port, security=RelaySecurity(relay.security))
