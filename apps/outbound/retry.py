"""When a delivery is tried again. The whole policy is here, in prose and as one frozen value.

A delivery that could not be made waits, and waits longer after each setback, because whatever is wrong is seldom
mended by asking more often. The wait doubles with each setback up to a ceiling, and its length is drawn at random
below that bound ("full jitter", M. Brooker, AWS Architecture Blog, 2015), so that a thousand recipients of one
broken server do not come back in the same second. A floor keeps the draw from being no wait at all.

What is wrong decides how patient we are:

- **relay**: our own relay does not answer or refuses us. One cause for the whole queue, usually mended within minutes
  and watched by the operator: from about 5 seconds up to 5 minutes.
- **recipient**: the relay or the recipient's server put off this one recipient or message (4yz after RCPT or DATA):
  from about a minute up to 2 hours. RFC 5321 §4.5.4.1 asks for at least 30 minutes between tries once the first ones
  are over.
- **greylisting**: the server refuses the unknown once and takes them a few minutes later (RFC 6647): never sooner than
  it said, or than a minute; up to 15 minutes, because a list that still says no after some tries is something else.
- **mailbox full**: passes when a person tidies up: from half an hour up to 6 hours.
- **policy block**: our address or domain is unwelcome there for now. Asking often makes it worse: from a quarter of an
  hour up to 4 hours.
- **ourselves**: the bytes could not be read just now, or a worker was told to stop. Not a setback, so the wait does not
  grow: a few seconds.

Some waits are no trouble at all and are not drawn but told: a limit of ours (until it has room again) and a limit of
the provider's (until the time it stated, or its usual one). They are no setback and cost no attempt. What a server says
about its own patience ("try again in 300 seconds") is the floor of the wait, and up to a tenth is added at random, so
that not all come back in the same second.

Five days after it became due (RFC 5321 §4.5.4.1: "at least 4-5 days") a delivery expires: a next try later than that is
not made, and the recipient is `expired` with the last evidence. Four hours after it became due (RFC 3464's "delayed",
as Sendmail and Postfix have it) its sender is told that it is late; an organisation may choose another time
(`SendingPolicy.delay_told_after`).
"""

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum


class Trouble(StrEnum):
    """Whose trouble keeps a delivery waiting."""

    RELAY = "relay"
    RECIPIENT = "recipient"
    GREYLISTING = "greylisting"
    MAILBOX_FULL = "mailbox_full"
    POLICY_BLOCK = "policy_block"
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


MINUTE, HOUR = 60, 3600


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """The numbers of the prose above."""

    relay: Backoff = field(default=Backoff(first_seconds=5, ceiling_seconds=5 * MINUTE, floor_seconds=2))
    recipient: Backoff = field(
        default=Backoff(first_seconds=MINUTE, ceiling_seconds=2 * HOUR, floor_seconds=20)
    )
    greylisting: Backoff = field(
        default=Backoff(first_seconds=5 * MINUTE, ceiling_seconds=15 * MINUTE, floor_seconds=MINUTE)
    )
    mailbox_full: Backoff = field(
        default=Backoff(first_seconds=HOUR, ceiling_seconds=6 * HOUR, floor_seconds=30 * MINUTE)
    )
    policy_block: Backoff = field(
        default=Backoff(first_seconds=30 * MINUTE, ceiling_seconds=4 * HOUR, floor_seconds=15 * MINUTE)
    )
    ourselves: Backoff = field(default=Backoff(first_seconds=5, ceiling_seconds=5, floor_seconds=1))
    stated_jitter: float = 0.1
    lifetime: timedelta = timedelta(days=5)
    delay_told_after: timedelta = timedelta(hours=4)

    def backoff_of(self, trouble: Trouble) -> Backoff:
        return {
            Trouble.RELAY: self.relay,
            Trouble.RECIPIENT: self.recipient,
            Trouble.GREYLISTING: self.greylisting,
            Trouble.MAILBOX_FULL: self.mailbox_full,
            Trouble.POLICY_BLOCK: self.policy_block,
            Trouble.OURSELVES: self.ourselves,
        }[trouble]

    def after_stated(self, stated: timedelta, chance: random.Random) -> timedelta:
        """A wait that somebody else named, and a little more."""
        return stated * (1 + chance.uniform(0, self.stated_jitter))


DEFAULT_RETRY_POLICY = RetryPolicy()


def next_try(
    now: datetime,
    *,
    trouble: Trouble,
    setbacks: int,
    expires_at: datetime,
    chance: random.Random,
    policy: RetryPolicy = DEFAULT_RETRY_POLICY,
    stated: timedelta | None = None,
) -> datetime | None:
    """The moment of the next try after `setbacks` earlier setbacks, or None when it would come after `expires_at`.

    `stated` is the wait the server asked for; it is kept at least.
    """
    wait = policy.backoff_of(trouble).draw(setbacks, chance)
    if stated is not None:
        wait = max(wait, policy.after_stated(stated, chance))
    at = now + wait
    return at if at < expires_at else None
