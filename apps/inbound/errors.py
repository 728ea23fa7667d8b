"""What can go wrong on the road in."""


class InboundError(Exception):
    """Anything this room raises."""


class CannotListen(InboundError):
    """The SMTP port cannot be had; the text is one line for the person who starts the process."""


class PeerGone(InboundError):
    """The other side closed the connection. Nothing is owed to it any more."""


class WaitedTooLong(InboundError):
    """The other side took longer than it may."""


class Draining(InboundError):
    """We are stopping, and end a conversation that waits for its next command."""


class TlsFailed(InboundError):
    """A TLS handshake came to nothing, and with it the connection."""


class NotProxied(InboundError):
    """A proxy we are told to believe did not say whom it speaks for."""


class LineRefused(InboundError):
    """A command line that cannot be used; it has been read to its end and dropped. `reply` is what is said to that."""

    def __init__(self, reply: str) -> None:
        super().__init__(reply)
        self.reply = reply


class CommandRefused(LineRefused):
    """A command whose words cannot be used."""


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
