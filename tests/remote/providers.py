"""Remote servers that behave like the providers people really send through, with their limits and their words.

Each is a `RemoteServer`, so that a test can still script it; the provider's own rule is asked first. What a provider
would have punished is counted in `trespasses`: a sender that keeps to a limit leaves it at zero.
"""

import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable
from typing import Any

from tests.remote.script import Answer, Phase, Step
from tests.remote.server import RemoteServer


class LimitedProvider(RemoteServer):
    """So many messages in any window of `window_seconds` by its clock, over so many connections at once."""

    def __init__(
        self,
        *,
        messages: int,
        window_seconds: float,
        connections: int,
        clock: Callable[[], float] = time.monotonic,
        **manners: Any,
    ) -> None:
        super().__init__(**manners)
        self._clock = clock
        self._messages = messages
        self._window_seconds = window_seconds
        self._connections = connections
        self.taken_at: list[float] = []
        self.most_in_a_window = 0
        self.most_connections = 0
        self.trespasses: Counter[str] = Counter()

    def step_at(self, phase: Phase, recipient: str | None) -> Step | None:
        if phase == Phase.CONNECT:
            self.most_connections = max(self.most_connections, self.open_connections)
            if self.open_connections > self._connections:
                self.trespasses["connections"] += 1
                return Answer(421, "4.7.0 Too many concurrent connections from your account")
        if phase == Phase.MAIL and self._in_window() >= self._messages:
            self.trespasses["messages"] += 1
            return Answer(454, "4.7.0 Throttling failure: Maximum sending rate exceeded")
        step = super().step_at(phase, recipient)
        if phase == Phase.DOT and step is None:
            self.taken_at.append(self._clock())
            self.most_in_a_window = max(self.most_in_a_window, self._in_window())
        return step

    def _in_window(self) -> int:
        since = self._clock() - self._window_seconds
        return len(self.taken_at) - bisect_right(self.taken_at, since)


class Throttling(RemoteServer):
    """Takes `first` messages, then says 454 to every MAIL until `recover`."""

    def __init__(self, *, first: int, **manners: Any) -> None:
        super().__init__(**manners)
        self._first = first
        self.is_throttling = True

    def recover(self) -> None:
        self.is_throttling = False

    def step_at(self, phase: Phase, recipient: str | None) -> Step | None:
        if phase == Phase.MAIL and self.is_throttling and len(self.messages) >= self._first:
            return Answer(454, "4.7.0 Throttling failure: Daily message quota exceeded")
        return super().step_at(phase, recipient)


class ClosesAfter(RemoteServer):
    """421 instead of every n-th MAIL, and the line is closed: a server that is restarted all the time."""

    def __init__(self, *, every: int, **manners: Any) -> None:
        super().__init__(**manners)
        self._every = every
        self._mails = 0

    def step_at(self, phase: Phase, recipient: str | None) -> Step | None:
        if phase == Phase.MAIL:
            self._mails += 1
            if self._mails % self._every == 0:
                return Answer(421, "4.3.2 Service shutting down, closing transmission channel")
        return super().step_at(phase, recipient)


class Greylisting(RemoteServer):
    """Refuses every recipient the first time it is named."""

    def __init__(self, **manners: Any) -> None:
        super().__init__(**manners)
        self._known: set[str | None] = set()

    def step_at(self, phase: Phase, recipient: str | None) -> Step | None:
        if phase == Phase.RCPT and recipient not in self._known:
            self._known.add(recipient)
            return Answer(450, "4.2.0 Greylisted, please try again in 300 seconds")
        return super().step_at(phase, recipient)
