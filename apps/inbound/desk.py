"""Mail from the world: is a recipient ours, and the message into custody.

Django's database calls block, so a bounded number of threads answers; each gives its connection back to the pool
afterwards, so that no thread holds one while it waits for the network.
"""

import asyncio
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import MappingProxyType
from typing import TypeVar

from django.db import connection
from django.utils import timezone

from apps.inbound.receiving import Accepted, Envelope, accept_message
from apps.inbound.recipients import recognise_recipient
from apps.inbound.service import Client, Command, RecipientAnswer, Transaction

Answer = TypeVar("Answer")
THREADS = 8
REMEMBERED = 1000


class Desk:
    """Decides on recipients and takes custody of messages, for every connection of a process."""

    commands: Mapping[str, Command] = MappingProxyType({})

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="desk")

    def extensions(self, _client: Client) -> tuple[str, ...]:
        return ()

    async def sender(self, _client: Client, _address: str) -> str:
        return ""

    async def recipient(self, _client: Client, address: str) -> RecipientAnswer:
        """Whether a RCPT is ours. Raises what the database raises when it is away."""
        return await self._ask(partial(recognise_recipient, address))

    async def accept(self, client: Client, transaction: Transaction, content: bytes) -> str:
        """Take custody. Raises as `accept_message` does; then nothing was promised."""
        envelope = Envelope(
            sender=transaction.sender,
            recipients={owner: tuple(known) for owner, known in transaction.recipients.items()},
            peer=client.address,
            helo=client.helo,
        )
        known = frozenset[uuid.UUID](client.acknowledged)
        accepted: Accepted = await self._ask(
            partial(accept_message, envelope, content, now=timezone.now(), acknowledged=known)
        )
        # The client goes on talking once it has read the 250, so the same again is a second message.
        if len(client.acknowledged) > REMEMBERED:
            client.acknowledged.clear()
        client.acknowledged.update(accepted.digests)
        return f"250 2.0.0 Accepted as {accepted.queue_id}"

    def close(self) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)

    async def _ask(self, question: Callable[[], Answer]) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self._threads, _answer, question)


def _answer(question: Callable[[], Answer]) -> Answer:
    try:
        return question()
    finally:
        connection.close()
