"""The scriptable remote server as fixtures."""

from collections.abc import Iterator

import pytest

from apps.outbound.relays.environment import reconcile_relays
from tests.remote.server import RemoteServer


@pytest.fixture
def remote() -> Iterator[RemoteServer]:
    """A server that accepts everything until a test tells it otherwise."""
    with RemoteServer() as server:
        yield server


@pytest.fixture
def relay(remote: RemoteServer, transactional_db: None) -> RemoteServer:
    """The same, as the platform's one relay, without TLS."""
    reconcile_relays([f"{remote.url}?tls=none"])
    return remote
