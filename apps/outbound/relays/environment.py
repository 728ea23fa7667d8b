"""The relays RELAY_URL names, reconciled into rows at start; their passwords stay in the processes that read them.

The rows let the queue say which relay a recipient waits for, and let evidence outlive a change of relays: one that
is no longer named becomes inactive and is kept. Several processes reconcile the same list at the same time; each
ends with the same rows.

They come after the relays that organisations manage themselves, unless those say otherwise: their priorities begin at
`FIRST_PRIORITY`.
"""

from collections.abc import Sequence

from django.db import transaction
from django.utils import timezone

from apps.outbound.models import Relay
from apps.outbound.wire.endpoint import Endpoint, parse_relay_url

FIRST_PRIORITY = 100

_endpoints: dict[str, Endpoint] = {}


def reconcile_relays(urls: Sequence[str]) -> list[Relay]:
    """Make the environment's relays exactly these, the first one preferred.

    Called once by each process that sends. Raises RelayAddressInvalid before anything is changed.
    """
    endpoints = _read(urls)
    with transaction.atomic():
        relays = [_keep(name, endpoint, n) for n, (name, endpoint) in enumerate(endpoints.items())]
        Relay.objects.filter(from_environment=True, is_active=True).exclude(name__in=endpoints).update(
            is_active=False, updated_at=timezone.now()
        )
    _remember(endpoints)
    return relays


def learn_relays(urls: Sequence[str]) -> None:
    """Know their passwords without touching the rows: for a process that tests relays and does not send."""
    _remember(_read(urls))


def endpoint_named(name: str) -> Endpoint | None:
    """Where the relay with this name is, if this process was told; only ever for a row of the environment."""
    return _endpoints.get(name)


def _read(urls: Sequence[str]) -> dict[str, Endpoint]:
    return {endpoint.name: endpoint for endpoint in map(parse_relay_url, urls)}


def _remember(endpoints: dict[str, Endpoint]) -> None:
    _endpoints.clear()
    _endpoints.update(endpoints)


def _keep(name: str, endpoint: Endpoint, n: int) -> Relay:
    wanted = {
        "host": endpoint.host,
        "port": endpoint.port,
        "security": endpoint.security,
        "username": endpoint.username,
        "priority": FIRST_PRIORITY + n,
        "is_active": True,
    }
    relay, _is_new = Relay.objects.get_or_create(
        name=name, organisation=None, from_environment=True, defaults=wanted
    )
    if any(getattr(relay, column) != value for column, value in wanted.items()):
        # Only then: what is newer is read anew by every worker.
        Relay.objects.filter(pk=relay.pk).update(**wanted, updated_at=timezone.now())
        relay.refresh_from_db()
    return relay
