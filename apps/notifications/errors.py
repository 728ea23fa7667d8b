"""What can be wrong with a subscription or a wish."""


class NotificationError(Exception):
    """The root of this room's errors."""


class NotificationInvalid(NotificationError):
    """What was given cannot be kept: `field` and a sentence for the person."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field
        self.reason = reason
