"""What a listener is for: the decisions behind the protocol, which `smtp` does not make.

Mail from the world (`desk`) and submission by people who have an account differ in these and in nothing else.
"""

import uuid
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from apps.inbound.smtp import SmtpSession


@dataclass(slots=True)
class Client:
    """Who is on the line, as far as it is known. `tls`: protocol and cipher, "" in the clear.

    `identity` is whatever a service that authenticates puts there, `failures` how often that came to nothing.
    `acknowledged`: what this client has read a 250 for.
    """

    address: str = ""
    helo: str = ""
    extended: bool = False
    tls: str = ""
    identity: object = None
    failures: int = 0
    acknowledged: set[uuid.UUID] = field(default_factory=set)


@dataclass(slots=True)
class Transaction:
    """What has been said since MAIL. `sender` is "" for bounces (RFC 5321 §4.5.5); recipients by whose they are;
    `excess`: how many came beyond those that one message may have.
    """

    sender: str
    utf8: bool = False
    recipients: dict[uuid.UUID, list[str]] = field(default_factory=dict)
    count: int = 0
    excess: int = 0

    def add(self, recipient: str, organisation_id: uuid.UUID) -> None:
        self.count += 1
        known = self.recipients.setdefault(organisation_id, [])
        if recipient not in known:
            known.append(recipient)


@dataclass(frozen=True, slots=True)
class RecipientAnswer:
    """The normalised address and whose it is; or, with no organisation, the reply that refuses it."""

    address: str
    organisation_id: uuid.UUID | None
    refusal: str = ""


# A command beyond those every listener has: called with the session and what follows the verb.
Command = Callable[["SmtpSession", str], Awaitable[None]]


class Service(Protocol):
    """Answers for all connections of a listener. What a method raises becomes 451, and nothing was promised."""

    @property
    def commands(self) -> Mapping[str, Command]:
        """Such as AUTH."""

    @property
    def mail_parameters(self) -> Collection[str]:
        """Those of MAIL that come with the commands, such as AUTH (RFC 4954 §5), and change nothing here."""

    def extensions(self, client: Client) -> tuple[str, ...]:
        """What EHLO offers of them to this client now, such as `AUTH PLAIN LOGIN`."""

    async def sender(self, client: Client, address: str) -> str:
        """The reply that refuses MAIL FROM, or ""."""

    async def recipient(self, client: Client, address: str) -> RecipientAnswer:
        """Whether and for whom RCPT TO is taken."""

    async def accept(self, client: Client, transaction: Transaction, content: bytes) -> str:
        """Take custody; the reply, which is 250 only after the commit."""

    def close(self) -> None:
        """Wait for what is being committed; what has not begun is dropped, and its sender has no 250."""
