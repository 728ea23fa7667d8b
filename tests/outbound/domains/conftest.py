"""DNS as the tests make it."""

from collections.abc import Iterator

import pytest

from apps.outbound.domains.resolver import NameServer as Server
from apps.outbound.domains.resolver import SystemDns
from tests.remote.names import NameServer


@pytest.fixture
def zone(settings: object) -> Iterator[NameServer]:
    """An empty DNS, which the settings name too."""
    with NameServer() as names:
        settings.DNS_SERVERS = [("127.0.0.1", names.port)]  # type: ignore[attr-defined]
        yield names


@pytest.fixture
def dns(zone: NameServer) -> SystemDns:
    return SystemDns([Server("127.0.0.1", zone.port)])
