"""What can go wrong with mailboxes and domains."""

from collections.abc import Sequence

from apps.accounts.errors import FieldInvalid


class MailboxError(Exception):
    """Anything this room raises."""


class NotVisible(MailboxError):
    """There is no such thing, or the caller may not know of it. Edges answer 404 to both alike."""


class AddressTaken(MailboxError):
    """Another mailbox of the platform has this address."""


class AliasInvalid(MailboxError, FieldInvalid):
    """A mailbox cannot have this address; `field` names what to change. Edges answer 422."""


class AppPasswordInvalid(MailboxError, FieldInvalid):
    """An app password cannot be as it was asked for; `field` names what to change. Edges answer 422."""


class LabelInvalid(MailboxError, FieldInvalid):
    """A label cannot be as it was asked for; `field` names what to change. Edges answer 422."""


class ViewInvalid(MailboxError, FieldInvalid):
    """A search cannot be kept under this name. Edges answer 422."""


class DomainError(MailboxError):
    """Something about a domain of the caller's own."""


class DomainInvalid(DomainError, FieldInvalid):
    """What was given is no domain name; the text says so to a person. Edges answer 422."""

    def __init__(self, reason: str) -> None:
        super().__init__("name", reason)

    def __str__(self) -> str:
        return self.reason


class DomainClaimed(DomainError):
    """It is this organisation's already, or another one has proven that it is theirs. Edges answer 409."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is here already: added before, or proven by another organisation.")


class DomainInUse(DomainError):
    """Mailboxes have addresses in it; the text names them. Edges answer 409."""

    NAMED = 5

    def __init__(self, name: str, addresses: Sequence[str]) -> None:
        named = ", ".join(addresses[: self.NAMED]) + (" and more" if len(addresses) > self.NAMED else "")
        super().__init__(f"{name} is in use by {named}: move or remove these addresses first.")
