"""What can go wrong with what one does to a mail while reading it."""


class ReadingError(Exception):
    """Anything this room raises."""


class NothingToAnswer(ReadingError):
    """The mail holds no invitation that can be answered, or no way to unsubscribe. Edges answer 409."""


class NotNow(ReadingError):
    """Others are being served; asking again in a moment is right."""


class NothingToSee(ReadingError):
    """There is no picture of this; `code` says why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code
