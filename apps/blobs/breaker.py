"""Not asking again for a while what has just not answered.

Where there is another way, a server that hangs should cost one short wait and not one for each who asks. After a
failure nobody asks for `rest_seconds`; then one does, and the others still take the other way until it was answered.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Resting(Exception):
    """It has failed a moment ago, and is not asked."""


class Breaker:
    """Threads share it."""

    def __init__(self, rest_seconds: float) -> None:
        self._rest_seconds = rest_seconds
        self._rests_until = 0.0
        self._lock = threading.Lock()

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Ask within; what is raised there is a failure. Raises Resting while it rests."""
        with self._lock:
            now = time.monotonic()
            if now < self._rests_until:
                raise Resting
            was_away = self._rests_until > 0
            if was_away:
                self._rests_until = now + self._rest_seconds  # for the others, while this one tries
        try:
            yield
        except BaseException:
            self._rests_until = time.monotonic() + self._rest_seconds
            raise
        if was_away:
            self._rests_until = 0.0
