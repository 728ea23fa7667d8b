"""What can go wrong with tickets."""

from apps.accounts.errors import FieldInvalid


class TicketError(Exception):
    """Anything this room raises."""


class TicketInvalid(TicketError, FieldInvalid):
    """A change that cannot be made. `field` names what is wrong and `reason` says how, in words for a person."""
