"""What the processes of one listener have open, written where all of them see it.

The system gives each new connection to whichever process takes it first, so that a bound for a listener or an address
holds only where all are counted. Each process writes a row of its own in memory that all of them share, and adds up
the others' when it decides. Nobody writes where another does, so there is no lock, and nothing that a process that
dies could leave locked; its row is wiped before the next one sits down there.

A process writes first and reads then: of two that come at the same time, one at least sees the other.

Limits: an address is known by one of `BUCKETS` numbers, chosen anew at each start. Two addresses with the same one
count in the neighbours' eyes as one: with hundreds open, a few may be told 421 a connection or two early.
"""

import mmap
from collections.abc import Sequence
from enum import IntEnum

BUCKETS = 16384
_BYTES_EACH = 8  # written in one go on every machine Linux runs on


class Held(IntEnum):
    """Where in a row it is counted: in all, and after that by address."""

    CONNECTIONS = 0
    IN_FLIGHT_BYTES = 1 + BUCKETS


_ROW = 2 * (1 + BUCKETS)


class Seat:
    """One process's row, and a look at the others'."""

    def __init__(self, own: memoryview, others: Sequence[memoryview]) -> None:
        self._own = own
        self._others = others

    def add(self, held: Held, group: str, change: int) -> tuple[int, int]:
        """Count what this process takes, or with a negative number gives back; what the others hold in all, and
        for this group of addresses."""
        of_group = held + 1 + hash(group) % BUCKETS
        self._own[held] += change
        self._own[of_group] += change
        return self.others(held), sum(row[of_group] for row in self._others)

    def others(self, held: Held) -> int:
        """What the others hold in all."""
        return sum(row[held] for row in self._others)


class Board:
    """Rows for so many processes; made before they are forked."""

    def __init__(self, processes: int) -> None:
        memory = memoryview(mmap.mmap(-1, processes * _ROW * _BYTES_EACH)).cast("q")
        self._rows = [memory[n * _ROW : (n + 1) * _ROW] for n in range(processes)]

    def seat(self, number: int) -> Seat:
        """For the process of this number, which is counted from 0."""
        return Seat(self._rows[number], [row for n, row in enumerate(self._rows) if n != number])

    def wipe(self, number: int) -> None:
        """Whoever sat there has died, and holds nothing any more."""
        self._rows[number][:] = memoryview(bytes(_ROW * _BYTES_EACH)).cast("q")


def sit_alone() -> Seat:
    """For a process without neighbours."""
    return Board(1).seat(0)
