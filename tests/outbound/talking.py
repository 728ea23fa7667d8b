"""Conversations in tests: with the scriptable remote, and with little patience."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from apps.outbound.models import RelaySecurity
from apps.outbound.wire.conversation import Conversation, Envelope
from apps.outbound.wire.endpoint import Endpoint
from apps.outbound.wire.payload import Payload
from tests.outbound.sending import IMPATIENT
from tests.remote.server import RemoteServer

ENVELOPE = Envelope("support@house.test", "elena@x.example")
CONTENT = b"Subject: hello\r\n\r\nHello.\r\n"
PAYLOAD = Payload.of(CONTENT)


async def nothing() -> None:
    """A fence that lets everything pass."""


def endpoint_of(remote: RemoteServer, **changes: Any) -> Endpoint:
    return replace(Endpoint("127.0.0.1", remote.port, RelaySecurity.NONE), **changes)


@asynccontextmanager
async def talking_to(endpoint: Endpoint) -> AsyncIterator[Conversation]:
    conversation = Conversation(endpoint, IMPATIENT)
    await conversation.open()
    try:
        yield conversation
    finally:
        await conversation.close()


async def remote_is_left_alone(remote: RemoteServer) -> None:
    """Until the server has no conversation any more, and the loop has heard of what it sent last."""
    await asyncio.to_thread(remote.wait_left_alone)
    for _round in range(20):
        await asyncio.sleep(0.005)
