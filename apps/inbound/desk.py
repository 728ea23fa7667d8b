"""Mail from the world: is a recipient ours, and the message into custody."""

import uuid
from collections.abc import Collection, Mapping
from functools import partial
from types import MappingProxyType

from django.utils import timezone

from apps.inbound.database_threads import DatabaseThreads
from apps.inbound.receiving import Accepted, Envelope, accept_message
from apps.inbound.recipients import recognise_recipient
from apps.inbound.service import Client, Command, RecipientAnswer, Transaction

REMEMBERED = 1000


class Desk:
    """Decides on recipients and takes custody of messages, for every connection of a process."""

    commands: Mapping[str, Command] = MappingProxyType({})
    mail_parameters: Collection[str] = ()

    def __init__(self) -> None:
        self._threads = DatabaseThreads("desk")

    def extensions(self, _client: Client) -> tuple[str, ...]:
        return ()

    async def sender(self, _client: Client, _address: str) -> str:
        return ""

    async def recipient(self, _client: Client, address: str) -> RecipientAnswer:
        """Whether a RCPT is ours. Raises what the database raises when it is away."""
        return await self._threads.ask(partial(recognise_recipient, address))

    async def accept(self, client: Client, transaction: Transaction, content: bytes) -> str:
        """Take custody. Raises as `accept_message` does; then nothing was promised."""
        envelope = Envelope(
            sender=transaction.sender,
            recipients={owner: tuple(known) for owner, known in transaction.recipients.items()},
            peer=client.address,
            helo=client.helo,
        )
        known = frozenset[uuid.UUID](client.acknowledged)
        accepted: Accepted = await self._threads.ask(
            partial(accept_message, envelope, content, now=timezone.now(), acknowledged=known)
        )
        # The client goes on talking once it has read the 250, so the same again is a second message.
        if len(client.acknowledged) > REMEMBERED:
            client.acknowledged.clear()
        client.acknowledged.update(accepted.digests)
        return f"250 2.0.0 Accepted as {accepted.queue_id}"

    def close(self) -> None:
        self._threads.close()
