"""What can go wrong while one writes."""

from apps.accounts.errors import FieldInvalid


class WritingError(Exception):
    """Anything this room raises."""


class WritingInvalid(WritingError, FieldInvalid):
    """It cannot be kept as it was given; `field` names what to change. Edges answer 422."""


class PieceMisplaced(WritingError):
    """A piece of a file does not begin where the last one ended: go on at `received_bytes`. Edges answer 409."""

    def __init__(self, received_bytes: int) -> None:
        super().__init__(f"go on at {received_bytes}")
        self.received_bytes = received_bytes
