"""What a scripted server does when it comes to a phase. See `tests.remote.server` for how a script is played."""

import threading
from dataclasses import dataclass, field
from enum import StrEnum

# How long a test may keep a conversation waiting before the server stops waiting itself, so that no thread outlives
# a test.
PATIENCE_SECONDS = 60


class Phase(StrEnum):
    """Where a step stands: before the server's answer to it.

    CONNECT is the greeting. DATA is the answer to the command DATA, BODY the moment the first line of the message
    has come, and DOT the moment after its end.
    """

    CONNECT = "connect"
    EHLO = "ehlo"
    STARTTLS = "starttls"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    BODY = "body"
    DOT = "dot"
    RSET = "rset"
    QUIT = "quit"


@dataclass(frozen=True)
class Answer:
    """Say this instead of the usual. At DOT a code of 2xx takes the message, any other does not."""

    code: int
    text: str


@dataclass(frozen=True)
class HangUp:
    """Close the connection without a word. `after_taking`, at DOT: the message counts as taken, its answer is lost."""

    after_taking: bool = False


@dataclass(frozen=True)
class Garbage:
    """Send these bytes instead of an answer, and go on as after an acceptance."""

    content: bytes


@dataclass(frozen=True, eq=False)
class Stall:
    """Stop here until the test lets go; then go on as usual, or hang up where `then` says so.

    `reached` is set when a conversation comes here. At DOT, `taking` counts the message as taken before the wait,
    as by a server that has stored it and is slow to say so.
    """

    taking: bool = False
    then: Answer | HangUp | None = None
    reached: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    def wait_reached(self, timeout: float = 20) -> None:
        """Wait until a conversation stands here; fail the test when none comes."""
        assert self.reached.wait(timeout), "no conversation reached the stalled phase"

    def release(self) -> None:
        self.released.set()


Step = Answer | HangUp | Garbage | Stall


def accept(text: str = "2.0.0 fine") -> Answer:
    return Answer(250, text)


def defer(code: int = 451, text: str = "4.3.0 try again later") -> Answer:
    return Answer(code, text)


def refuse(code: int = 550, text: str = "5.1.1 no such user") -> Answer:
    return Answer(code, text)


def hang_up(*, after_taking: bool = False) -> HangUp:
    return HangUp(after_taking=after_taking)
