"""How many of a drain's places each destination may have, so that one that stalls leaves room for the others.

A destination may hold half of what the others leave. With 1,024 places the first that stalls comes to hold 512, a
second one 256 of the rest, a third 128: however many are dead, there is room for the next. When one destination is
all there is to send to, half is still more conversations than most servers bear.

A destination that is known to take nothing before a certain time has no place until then.
"""

import uuid
from collections import Counter
from datetime import datetime

from apps.outbound.transitions import Room


class Places:
    """The places of one drain. Whoever takes one says for which destination, and gives it back."""

    def __init__(self, in_all: int) -> None:
        self._in_all = in_all
        self._held: dict[uuid.UUID, str] = {}
        self._by_destination: Counter[str] = Counter()
        self._closed: dict[str, datetime] = {}

    @property
    def free(self) -> int:
        return self._in_all - len(self._held)

    def take(self, token: uuid.UUID, destination: str) -> None:
        self._held[token] = destination
        self._by_destination[destination] += 1

    def give_back(self, token: uuid.UUID) -> bool:
        """Whether somebody may get a place now who could not before."""
        destination = self._held[token]
        was_full = not self.free or not self._left_for(destination)
        del self._held[token]
        self._by_destination[destination] -= 1
        if not self._by_destination[destination]:
            del self._by_destination[destination]
        return was_full

    def close(self, destination: str, until: datetime) -> None:
        """No place for this destination until then."""
        self._closed[destination] = until

    def room(self, limit: int, now: datetime) -> Room:
        """Whom up to `limit` of the free places may go to."""
        self._closed = {one: until for one, until in self._closed.items() if until > now}
        places = {one: self._left_for(one) for one in self._by_destination} | dict.fromkeys(self._closed, 0)
        return Room(min(limit, self.free), self._share(0), places)

    def _left_for(self, destination: str) -> int:
        held = self._by_destination[destination]
        return max(0, self._share(held) - held)

    def _share(self, held: int) -> int:
        held_by_others = len(self._held) - held
        return max(1, (self._in_all - held_by_others) // 2)
