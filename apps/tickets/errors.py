"""What can go wrong with tickets."""

from apps.accounts.errors import FieldInvalid


class TicketError(Exception):
    """Anything this room raises."""


class MoveNotPossible(TicketError):
    """What is to be moved is elsewhere by now; the text says so to a person. Edges answer 409."""


class TicketInvalid(TicketError, FieldInvalid):
    """A change that cannot be made. `field` names what is wrong and `reason` says how, in words for a person."""


class HeldError(TicketError):
    """Anything about held mail. The text is a sentence for a person."""


class NotHeld(HeldError):
    """It was released or discarded meanwhile, or never discarded. Edges answer 409."""


class TrustInvalid(TicketError, FieldInvalid):
    """A sender that cannot be trusted as it was asked. `field` names what is wrong."""


class ReceivingPolicyInvalid(TicketError, FieldInvalid):
    """What should be held cannot be said like that. `field` names what is wrong."""
