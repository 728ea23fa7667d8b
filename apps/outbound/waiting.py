"""Waiting for a limit: until when, why, and how many who wait for the same one are spread over time.

A limit that is used up is no setback and no attempt: nobody was asked. Of a thousand recipients that wait for thirty a
minute each is put off to a moment of its own, at about the limit's pace, so that they do not all come back, be told
to wait and go again. Each worker draws its own schedule: with several of them, or after a restart, some come early and
are put off once more, which costs a claim and nothing else.

Limits: a schedule reaches `HORIZON` at most. What would come later comes then, and is put off again: a limit that was
raised meanwhile is noticed within that time.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from apps.outbound.causes import Cause

HORIZON = timedelta(minutes=15)
ABOUT_THE_SAME_TIME = timedelta(minutes=1)
LONGEST_GAP = timedelta(seconds=2)
SHORTEST_GAP = timedelta(milliseconds=5)
# Rather too dense than too sparse: who comes too early is put off again, but who comes too late leaves a limit unused.
DENSITY = 2
FORGET_AFTER = 10_000


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing may be sent before `until`. `gap` is the limit's own pace where it is known; `key` names it, however
    its numbers change meanwhile. With `is_of_destination` everybody at that destination waits, whoever writes to them
    and over whichever relay.
    """

    until: datetime
    cause: Cause
    reason: str
    gap: timedelta | None = None
    key: str = ""
    is_of_destination: bool = False


def soonest(waits: Collection[Wait]) -> Wait:
    """What several ways that are all full just now come to, for one who may take any of them: the first that has room.

    Those ways that have room at about the same time are used together, so their paces add up.
    """
    first = min(waits, key=lambda wait: wait.until)
    together = [wait for wait in waits if wait.gap and wait.until <= first.until + ABOUT_THE_SAME_TIME]
    if first.gap is None or len(together) < 2:
        return first
    a_second = sum(1 / wait.gap.total_seconds() for wait in together if wait.gap)
    key = " ".join(sorted(wait.key for wait in together))
    return replace(first, gap=timedelta(seconds=1 / a_second), key=key)


class Schedule:
    """Gives each of those who wait for one limit a moment of its own."""

    def __init__(self, chance: Callable[[], float]) -> None:
        self._chance = chance
        self._last: dict[tuple[str, str], datetime] = {}

    def place(self, wait: Wait, about: str, now: datetime) -> datetime:
        """The moment at which to come again. `about` is what the limit is on, as far as its cause does not say."""
        key = (wait.cause, about)
        if len(self._last) > FORGET_AFTER:
            self._last = {one: at for one, at in self._last.items() if at > now}
        gap = wait.gap or max(SHORTEST_GAP, min(LONGEST_GAP, wait.until - now)) / DENSITY
        earliest = max(wait.until, now + SHORTEST_GAP)
        at = max(earliest, self._last.get(key, earliest - gap) + gap)
        if at > earliest + HORIZON:
            return earliest + HORIZON * (0.5 + self._chance() / 2)
        self._last[key] = at
        return at
