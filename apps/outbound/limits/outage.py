"""Limits while Redis is away: each process keeps to its share, and counts what it cannot see as if it were there.

Nobody tells the processes of one another then. But PostgreSQL is there (without it nothing is sent at all), and knows
all that was sent until now. So at the first message of an outage a process reads the record of attempts, and from then
on lets a message through only where

    what the record held in the window  +  processes × (what this process has sent in it since, and this one)

keeps the limit. Every process does the same, so together they keep it, however late each of them notices.

A gap and connections are shared out likewise. A limit smaller than the number of processes would let nothing through:
there each process takes the whole limit once in so many windows as its share takes to grow to it.

Limits: such a small limit is kept on average only. A process that is cut off from Redis while the others are not
shares a limit they believe to have for themselves. Paces are remembered as far as this process has learnt them.
"""

import math
import uuid
from collections import defaultdict, deque
from dataclasses import dataclass, field

from apps.outbound.limits.bounds import DAY_MS, Demand, Granted, Window
from apps.outbound.limits.history import History
from apps.outbound.limits.words import share_of
from apps.outbound.waiting import Wait

POLL_MS = 1000


@dataclass(slots=True)
class _Counted:
    """What one thing has seen: moments in milliseconds, oldest first, and what is in flight."""

    recorded: dict[int, list[tuple[float, int]]] = field(default_factory=dict)
    begun: deque[float] = field(default_factory=deque)
    flying: int = 0


class Outage:
    """One process's share, from when Redis went away until it is back."""

    def __init__(self, processes: int) -> None:
        self._processes = max(1, processes)
        self._counted: defaultdict[str, _Counted] = defaultdict(_Counted)
        self._begun_at: dict[uuid.UUID, float] = {}
        self.has_record = False
        self.has_granted = False

    def read_record(self, history: History, now_ms: float) -> None:
        """Take over what was sent until now."""
        for log in history.logs:
            self._counted[log.key].recorded[log.length_ms] = [
                (now_ms - age, count) for age, count in log.entries
            ]
        self.has_record = True

    def admit(self, granted: Granted, now_ms: float) -> Granted | Wait:
        """Whether a message may begin by this process's share."""
        blocked = [
            (free, demand)
            for demand in granted.parts
            if (free := self._blocked_until(demand, now_ms)) is not None
        ]
        if blocked:
            free, demand = max(blocked, key=lambda one: one[0])
            return demand.wait(free, share_of(demand))
        self.has_granted = True
        self._begun_at[granted.id] = now_ms
        for demand in granted.parts:
            counted = self._counted[demand.key]
            while counted.begun and counted.begun[0] < now_ms - DAY_MS:
                counted.begun.popleft()
            counted.begun.append(now_ms)
            counted.flying += 1
        return granted

    def release(self, granted: Granted, now_ms: float) -> None:
        """It counts from its end on. One that Redis granted before the outage is in the record."""
        begun_at = self._begun_at.pop(granted.id, None)
        if begun_at is None:
            return
        for demand in granted.parts:
            counted = self._counted[demand.key]
            counted.flying -= 1
            if begun_at in counted.begun:
                counted.begun.remove(begun_at)
                counted.begun.append(now_ms)

    def _blocked_until(self, demand: Demand, now_ms: float) -> float | None:
        counted, bounds = self._counted[demand.key], demand.kept
        found = [self._window_full_until(counted, window, now_ms) for window in bounds.windows]
        if bounds.gap_ms and counted.begun:
            free = counted.begun[-1] + bounds.gap_ms * self._processes
            found.append(free if free > now_ms else None)
        if bounds.connections is not None and counted.flying >= max(1, bounds.connections // self._processes):
            found.append(now_ms + POLL_MS)
        return max((one for one in found if one is not None), default=None)

    def _window_full_until(self, counted: _Counted, window: Window, now_ms: float) -> float | None:
        length, share = window.length_ms, self._processes
        if window.limit < self._processes:
            length, share = length * math.ceil(self._processes / window.limit), 1
        since = now_ms - length
        recorded = [one for one in counted.recorded.get(window.length_ms, ()) if one[0] > since]
        begun = [moment for moment in counted.begun if moment > since]
        used = sum(count for _moment, count in recorded) + share * (len(begun) + 1)
        if used <= window.limit:
            return None
        oldest = min((moment for moment in (*(one[0] for one in recorded), *begun)), default=now_ms)
        return max(oldest + length, now_ms + 1)
