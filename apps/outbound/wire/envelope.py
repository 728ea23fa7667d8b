"""What a conversation is told of a message besides its bytes: who it is from and to, and how long to wait for what."""

import re
from dataclasses import dataclass

_UNSAFE_IN_PATH = re.compile(r"[\x00-\x20<>\x7f]")


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds to wait in each phase: RFC 5321 §4.5.3.2's minimums.

    `fence` is none of them: an answer of the fence that took longer may be over already, and it is asked again.
    """

    connect: float = 30
    greeting: float = 300
    command: float = 300
    data: float = 120
    block: float = 180
    fence: float = 3
    dot: float = 600
    farewell: float = 1


@dataclass(frozen=True, slots=True)
class Envelope:
    """Return path ("" is the null one) and the one recipient."""

    sender: str
    recipient: str

    @property
    def is_ascii(self) -> bool:
        return self.sender.isascii() and self.recipient.isascii()


def path_of(address: str) -> bytes:
    """An address fit for a command line. Addresses are checked long before; here nothing may end the command early."""
    if _UNSAFE_IN_PATH.search(address):
        msg = "an address with control characters, blanks or angle brackets reached SMTP"
        raise ValueError(msg)
    return address.encode()
