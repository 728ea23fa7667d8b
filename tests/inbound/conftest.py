from collections.abc import Callable, Iterator

import pytest

from apps.inbound.certificates import Certificates
from apps.inbound.limits import Limits
from apps.inbound.service import Service
from tests.inbound.listening import Listening

Listen = Callable[..., Listening]


@pytest.fixture
def listen() -> Iterator[Callable[..., Listening]]:
    """Start a listener with the given limits, such as `listen(command_seconds=0.3)`."""
    started: list[Listening] = []

    def start(
        certificates: Certificates | None = None, service: Service | None = None, **limits: object
    ) -> Listening:
        # Tests come often; those of how often one may come say so.
        often = {"max_connections_per_minute": 0, "max_messages_per_minute": 0}
        started.append(Listening(Limits(**often | limits), certificates, service))  # type: ignore[arg-type]
        return started[-1]

    yield start
    for listening in started:
        listening.stop()


@pytest.fixture
def port(listen: Callable[..., Listening]) -> int:
    """A listener with the product's limits, a message of a megabyte being the largest."""
    return listen(max_size_bytes=1024 * 1024).port
