"""What can go wrong with tickets."""


class TicketError(Exception):
    """Anything this room raises."""


class TicketInvalid(TicketError):
    """A change that cannot be made. `field` names what is wrong and `reason` says how, in words for a person."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason
