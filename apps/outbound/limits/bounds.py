"""What a limit is made of, what is asked of the limiter and what it answers: values that know no Redis and no rows.

A bulk send never delays an answer to a customer: whatever limit it is, bulk mail leaves a tenth of it free, and at
least one of what is counted. So an answer finds room, and where answers use up a limit, what becomes free is theirs.

Limits: a limit of one has nothing to leave; there they take turns as they come.
"""

import math
import uuid
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from apps.outbound.causes import Cause
from apps.outbound.models import LimitScope
from apps.outbound.waiting import Wait

SECOND_MS = 1000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
# The last 24 hours, whatever the time zone: nobody waits for a midnight, and no midnight lets two days' mail through.
DAY_MS = 24 * HOUR_MS
BULK_LEAVES_ONE_IN = 10


_NO_BOUND = (None, None, None, None)


@dataclass(frozen=True, slots=True)
class Window:
    """At most `limit` messages in any `length_ms`.

    `of_beginnings` counts a message from when it may begin; otherwise it counts until one window after it ended, so
    that no clock, not even the other side's, sees more in any window.
    """

    length_ms: int
    limit: int
    of_beginnings: bool = False


@dataclass(frozen=True, slots=True)
class Bounds:
    """One thing's limits; None is no bound."""

    connections: int | None = None
    per_second: int | None = None
    per_minute: int | None = None
    per_hour: int | None = None
    per_day: int | None = None
    gap_ms: int | None = None
    recipients_per_transaction: int | None = None
    max_size_bytes: int | None = None

    @property
    def windows(self) -> tuple[Window, ...]:
        """Shortest first.

        A second is shorter than many conversations: counted to their end, a limit per second would become one per
        conversation. So it bounds how fast messages begin.
        """
        made = (
            (SECOND_MS, self.per_second, True),
            (MINUTE_MS, self.per_minute, False),
            (HOUR_MS, self.per_hour, False),
            (DAY_MS, self.per_day, False),
        )
        return tuple(Window(length, limit, begun) for length, limit, begun in made if limit is not None)

    @property
    def paces(self) -> bool:
        """Whether anything here depends on what else is being sent. A size does not."""
        per_time = (self.per_second, self.per_minute, self.per_hour, self.per_day)
        return per_time != _NO_BOUND or self.connections is not None or bool(self.gap_ms)

    @property
    def of_bulk(self) -> "Bounds":
        """What bulk mail keeps, so that answers have the rest."""
        counts = ("connections", "per_second", "per_minute", "per_hour", "per_day")
        left = {name: _leave_a_part(getattr(self, name)) for name in counts}
        return replace(
            self, **left, gap_ms=self.gap_ms and self.gap_ms + math.ceil(self.gap_ms / BULK_LEAVES_ONE_IN)
        )

    def tightest(self, other: "Bounds") -> "Bounds":
        """What keeps both."""
        return Bounds(
            **{
                one.name: _tighter(
                    getattr(self, one.name), getattr(other, one.name), wide_is_tight=one.name == "gap_ms"
                )
                for one in fields(Bounds)
            }
        )


def _leave_a_part(count: int | None) -> int | None:
    return count if count is None or count <= 1 else count - math.ceil(count / BULK_LEAVES_ONE_IN)


def _tighter(one: int | None, other: int | None, *, wide_is_tight: bool) -> int | None:
    given = [value for value in (one, other) if value is not None]
    if not given:
        return None
    return max(given) if wide_is_tight else min(given)


@dataclass(frozen=True, slots=True)
class Demand:
    """One thing a message counts for: its key in Redis, its bounds, and what people call it.

    `is_own`: one organisation made it for its own mail, and nobody else's waits for it. `is_bulk`: the message is one
    of many, and leaves room for answers.
    """

    key: str
    scope: LimitScope
    name: str
    bounds: Bounds = Bounds()
    is_own: bool = False
    is_bulk: bool = False

    @property
    def kept(self) -> Bounds:
        """What this message has to keep."""
        return self.bounds.of_bulk if self.is_bulk else self.bounds

    def wait(self, until_ms: float, reason: str, gap: timedelta | None = None) -> Wait:
        """It has no room before then, by a limit of ours."""
        # What bulk mail leaves free others may use.
        of_destination = self.scope == LimitScope.DESTINATION and not self.is_own and not self.is_bulk
        return Wait(_moment(until_ms), CAUSES[self.scope], reason, gap, self.key, of_destination)

    def wait_for_provider(self, until_ms: float, reason: str, gap: timedelta | None = None) -> Wait:
        """It goes slower, or not at all before then, because a provider asked for it."""
        return Wait(_moment(until_ms), Cause.PROVIDER_LIMIT, reason, gap, self.key)

    def as_json(self) -> dict[str, Any]:
        """As the script reads it; zero is no bound there."""
        return {
            "k": self.key,
            "connections": self.kept.connections or 0,
            "gap": self.kept.gap_ms or 0,
            "windows": [[one.length_ms, one.limit, one.of_beginnings] for one in self.kept.windows],
            "leaves": BULK_LEAVES_ONE_IN if self.is_bulk else 0,
        }


def _moment(at_ms: float) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC)


CAUSES = {
    LimitScope.RELAY: Cause.RELAY_LIMIT,
    LimitScope.SENDER: Cause.SENDER_LIMIT,
    LimitScope.ORGANISATION: Cause.ORGANISATION_LIMIT,
    LimitScope.DESTINATION: Cause.DESTINATION_LIMIT,
}


@dataclass(frozen=True, slots=True)
class Demands:
    """All that one message counts for over one relay. `version` is that of the rules they were read from."""

    parts: tuple[Demand, ...]
    version: int = 0

    @property
    def needs_counts(self) -> bool:
        return any(part.bounds.windows for part in self.parts)


@dataclass(frozen=True, slots=True)
class Granted:
    """It may begin now. Give it back with `Limiter.release`, and say whether a message was begun."""

    id: uuid.UUID
    parts: tuple[Demand, ...] = ()
