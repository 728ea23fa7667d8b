"""When a delivery is tried again. The whole policy is here, in prose and as one frozen value.

A delivery that could not be made waits, and waits longer after each setback, because whatever is wrong is seldom
mended by asking more often. The wait doubles with each setback up to a ceiling, and its length is drawn at random
below that bound ("full jitter", M. Brooker, AWS Architecture Blog, 2015), so that a thousand recipients of one
broken server do not come back in the same second. A floor keeps the draw from being no wait at all.

What is wrong decides how patient we are:

- **relay**: our own relay does not answer, refuses us, or is full. One cause for the whole queue, usually mended within
  minutes and watched by the operator: from about 5 seconds up to 5 minutes.
- **recipient**: the relay or the recipient's server put off this one recipient or message (4yz after RCPT or DATA).
  Greylisting passes within minutes, a full mailbox within days: from about a minute up to 2 hours. RFC 5321
  §4.5.4.1 asks for at least 30 minutes between tries once the first ones are over.
- **ourselves**: the bytes could not be read just now, or a worker was told to stop. Not a setback, so the wait does not
  grow: a few seconds.

Five days after it became due (RFC 5321 §4.5.4.1: "at least 4-5 days") a delivery expires: a next try later than that is
not made, and the recipient is `expired` with the last evidence.
"""

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum


class Trouble(StrEnum):
    """Whose trouble keeps a delivery waiting."""

    RELAY = "relay"
    RECIPIENT = "recipient"
    OURSELVES = "ourselves"


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits in seconds: the first bound, the ceiling it doubles up to, and the floor under every draw."""

    first_seconds: float
    ceiling_seconds: float
    floor_seconds: float

    def draw(self, setbacks: int, chance: random.Random) -> timedelta:
        bound = min(self.ceiling_seconds, self.first_seconds * 2 ** min(setbacks, 32))
        return timedelta(seconds=max(self.floor_seconds, chance.uniform(0, bound)))


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    relay: Backoff = field(default=Backoff(first_seconds=5, ceiling_seconds=300, floor_seconds=2))
    recipient: Backoff = field(default=Backoff(first_seconds=60, ceiling_seconds=7200, floor_seconds=20))
    ourselves: Backoff = field(default=Backoff(first_seconds=5, ceiling_seconds=5, floor_seconds=1))
    lifetime: timedelta = timedelta(days=5)

    def backoff_of(self, trouble: Trouble) -> Backoff:
        return {
            Trouble.RELAY: self.relay,
            Trouble.RECIPIENT: self.recipient,
            Trouble.OURSELVES: self.ourselves,
        }[trouble]


DEFAULT_RETRY_POLICY = RetryPolicy()


def next_try(
    now: datetime,
    *,
    trouble: Trouble,
    setbacks: int,
    expires_at: datetime,
    chance: random.Random,
    policy: RetryPolicy = DEFAULT_RETRY_POLICY,
) -> datetime | None:
    """The moment of the next try after `setbacks` earlier setbacks, or None when it would come after `expires_at`."""
    at = now + policy.backoff_of(trouble).draw(setbacks, chance)
    return at if at < expires_at else None
