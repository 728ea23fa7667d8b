"""What can go wrong on the road in."""


class InboundError(Exception):
    """Anything this room raises."""


class CannotListen(InboundError):
    """The SMTP port cannot be had; the text is one line for the person who starts the process."""


class PeerGone(InboundError):
    """The other side closed the connection. Nothing is owed to it any more."""


class LineTooLong(InboundError):
    """A command line went past its bound; it has been read to its end and dropped."""


class DataRefused(InboundError):
    """The bytes after DATA cannot be taken. `reply` is what the sender is told; `hang_up` ends the connection."""

    def __init__(self, reply: str, *, hang_up: bool = False) -> None:
        super().__init__(reply)
        self.reply = reply
        self.hang_up = hang_up


class LeaseLost(InboundError):
    """Another worker has taken the row over: whatever this one has done for it must not be committed."""


class NowhereToFile(InboundError):
    """Every address the mail was accepted for is gone, and the organisation has no shared mailbox either."""


class VerdictTooEarly(InboundError):
    """A scanner did not answer, and may within minutes. Nothing was done; the mail comes again."""


class ReplayImpossible(InboundError):
    """A replay cannot begin, or cannot go on; the text is one line for the person who started it."""
