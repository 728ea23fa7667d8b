"""What can go wrong with mailboxes."""


class MailboxError(Exception):
    """Anything this room raises."""


class NotVisible(MailboxError):
    """There is no such thing, or the caller may not know of it. Edges answer 404 to both alike."""


class AddressTaken(MailboxError):
    """Another mailbox of the platform has this address."""
