"""How much may be unpacked from one mail: a bomb goes off in the hands of whoever opens it, and should not be us.

42.zip holds 4.5 petabytes in 42 KB by nesting; D. Fifield's zip bomb (2019) 281 terabytes in 10 MB without, by letting
its members overlap. Neither can be told from its headers, so what comes out is counted as it comes.
"""

import time
from dataclasses import dataclass, field

MAX_UNPACKED_BYTES = 256 * 1024 * 1024
MAX_MEMBERS = 10_000
MAX_DEPTH = 8
MAX_SECONDS = 12
# Text seldom shrinks below a fiftieth; long runs of one byte do, and harm nobody while they are small.
MAX_RATIO = 300
RATIO_COUNTS_FROM_BYTES = 24 * 1024 * 1024


class TooMuch(Exception):
    """A bound was met. `code` says which; nothing more of the mail is unpacked."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class OutOfTime(Exception):
    """The scan took too long. Nothing is known about the mail."""


@dataclass(slots=True)
class Budget:
    """What is left for one mail, all of its archives together."""

    bytes_left: int = MAX_UNPACKED_BYTES
    members_left: int = MAX_MEMBERS
    deadline: float = field(default_factory=lambda: time.monotonic() + MAX_SECONDS)

    def take_member(self) -> None:
        """One more member, at whatever depth. Raises TooMuch, OutOfTime."""
        self.members_left -= 1
        if self.members_left < 0:
            raise TooMuch("archive_too_many_files")
        self.look_at_the_clock()

    def take_bytes(self, count: int) -> None:
        """`count` more unpacked bytes. Raises TooMuch, OutOfTime."""
        self.bytes_left -= count
        if self.bytes_left < 0:
            raise TooMuch("archive_too_large")
        self.look_at_the_clock()

    def look_at_the_clock(self) -> None:
        if time.monotonic() > self.deadline:
            raise OutOfTime


def check_ratio(packed: int, unpacked: int) -> None:
    """Raises TooMuch where so little became so much that only a bomb does."""
    if unpacked > RATIO_COUNTS_FROM_BYTES and unpacked > packed * MAX_RATIO:
        raise TooMuch("archive_bomb")
