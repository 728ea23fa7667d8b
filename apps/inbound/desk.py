"""Mail from the world: is a recipient ours, and the message into custody.

What many connections ask at the same time is asked together, of a few threads, because Django's database calls block.
"""

from collections.abc import Collection, Mapping
from types import MappingProxyType

from apps.inbound.custody import Custody
from apps.inbound.outages import is_away
from apps.inbound.receiving import Envelope
from apps.inbound.recipients import recognise_recipients
from apps.inbound.service import Client, Command, RecipientAnswer, Transaction
from apps.organisations.database_threads import DatabaseThreads
from apps.organisations.group_commit import GroupCommit

THREADS = 8
REMEMBERED = 1000
MOST_RECIPIENTS = 200


class Desk:
    """Decides on recipients and takes custody of messages, for every connection of an event loop."""

    commands: Mapping[str, Command] = MappingProxyType({})
    mail_parameters: Collection[str] = ()

    def __init__(self, hostname: str) -> None:
        self._hostname = hostname
        self._threads = DatabaseThreads(THREADS)
        self._custody = Custody(self._threads)
        self._recipients = GroupCommit[str, RecipientAnswer](
            self._recognise, most=MOST_RECIPIENTS, at_once=1, is_away=is_away
        )

    def extensions(self, _client: Client) -> tuple[str, ...]:
        return ()

    async def sender(self, _client: Client, _address: str) -> str:
        return ""

    async def recipient(self, _client: Client, address: str) -> RecipientAnswer:
        """Whether a RCPT is ours. Raises what the database raises when it is away."""
        return await self._recipients.ask(address)

    async def accept(self, client: Client, transaction: Transaction, content: bytes) -> str:
        """Take custody. Raises as `Custody.take` does; then nothing was promised."""
        envelope = envelope_of(client, transaction, self._hostname)
        accepted = await self._custody.take(envelope, content, frozenset(client.acknowledged))
        # The client goes on talking once it has read the 250, so the same again is a second message.
        if len(client.acknowledged) > REMEMBERED:
            client.acknowledged.clear()
        client.acknowledged.update(accepted.marks)
        return f"250 2.0.0 Accepted as {accepted.queue_id}"

    def close(self) -> None:
        self._custody.close()
        self._threads.close(wait=True)

    async def _recognise(self, addresses: list[str]) -> list[RecipientAnswer]:
        return await self._threads(recognise_recipients, addresses, self._hostname)


def envelope_of(client: Client, transaction: Transaction, hostname: str) -> Envelope:
    return Envelope(
        sender=transaction.sender,
        recipients={owner: tuple(known) for owner, known in transaction.recipients.items()},
        peer=client.address,
        helo=client.helo,
        protocol=_protocol(client, utf8=transaction.utf8),
        tls=client.tls,
        host=hostname,
    )


def _protocol(client: Client, *, utf8: bool) -> str:
    """RFC 3848, and RFC 6531 §4.3 for internationalised mail."""
    if not client.extended:
        return "SMTP"
    return ("UTF8SMTP" if utf8 else "ESMTP") + ("S" if client.tls else "") + ("A" if client.identity else "")
