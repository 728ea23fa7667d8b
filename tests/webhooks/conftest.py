import asyncio
from collections.abc import Callable, Iterator
from ipaddress import ip_network

import pytest

from apps.events.services import sequence_committed
from apps.webhooks.connection import PushPolicy
from apps.webhooks.fan_out import fan_out
from apps.webhooks.push import Pusher
from tests.webhooks.receiver import Receiver, receiving

LOOPBACK = (ip_network("127.0.0.0/8"),)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as one:
        yield one


@pytest.fixture
def push_all() -> Callable[..., None]:
    """Number what was published, queue it, and push until nothing is due."""

    def run(policy: PushPolicy = PushPolicy(allowed_networks=LOOPBACK)) -> None:  # noqa: B008  frozen
        while sequence_committed():
            pass
        while fan_out():
            pass
        asyncio.run(Pusher(policy).run())

    return run
