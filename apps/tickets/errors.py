"""What can go wrong with tickets."""

from apps.accounts.errors import FieldInvalid


class TicketError(Exception):
    """Anything this room raises."""


class MoveNotPossible(TicketError):
    """What is to be moved is elsewhere by now; the text says so to a person. Edges answer 409."""


class TicketInvalid(TicketError, FieldInvalid):
    """A change that cannot be made. `field` names what is wrong and `reason` says how, in words for a person."""
