"""DNS as the tests make it."""

from collections.abc import Iterator

import pytest

from apps.outbound.domains.resolver import NameServer, SystemDns
from tests.outbound.domains.name_server import Zone, name_server


@pytest.fixture
def zone(settings: object) -> Iterator[Zone]:
    """An empty DNS, which the settings name too."""
    with name_server() as (zone, address):
        settings.DNS_SERVERS = [address]  # type: ignore[attr-defined]
        zone.server = address
        yield zone


@pytest.fixture
def dns(zone: Zone) -> SystemDns:
    return SystemDns([NameServer(*zone.server)])
