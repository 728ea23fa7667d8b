"""What an attempt's end means for its delivery: a pure judgement, from errors to the next state.

    accepted                                        sent
    the reply was lost after the dot                uncertain
    no relay, no line, or refused before RCPT       deferred: our relay's trouble, not this recipient's, unless we
                                                    spoke to the recipient's own server
    421 at any time                                 deferred: the relay is closing down (RFC 5321 §3.8)
    4yz to RCPT, DATA or the dot                    deferred: put off for this recipient
    5yz to RCPT, DATA or the dot                    failed for good (RFC 5321 §4.2.1)

A deferral whose next try would come after the delivery's lifetime is `expired` instead.

Limits: a relay's rate limits are not told apart from other 4yz yet, and cost a setback; nothing is passed on to another
relay after RCPT.
"""

import random
from datetime import datetime

from apps.outbound.causes import Cause
from apps.outbound.delivery import Claim
from apps.outbound.errors import ConversationError, NoRelayServes, RelayRefused, ReplyLost
from apps.outbound.models import DeliveryState
from apps.outbound.retry import DEFAULT_RETRY_POLICY, RetryPolicy, Trouble, next_try
from apps.outbound.transitions import Change
from apps.outbound.wire.smtp_reply import Reply

# What the server answers before it knows the recipient says something about itself or about us.
RELAYS_OWN_PHASES = frozenset({"connect", "greeting", "ehlo", "starttls", "auth", "rset", "mail"})


def is_relays_trouble(error: ConversationError) -> bool:
    """Whether another relay might do better, because nothing was said about this recipient or message."""
    match error:
        case ReplyLost():
            return False
        case RelayRefused():
            return error.code == 421 or error.phase in RELAYS_OWN_PHASES
        case _:
            return True


def _relays_trouble(error: ConversationError) -> tuple[Trouble, Cause]:
    """Whose trouble it is when no recipient was spoken of."""
    if error.by_destination:
        # Sent directly, what will not talk to us is the recipient's own server.
        return Trouble.RECIPIENT, Cause.RECIPIENT_UNAVAILABLE
    if isinstance(error, NoRelayServes):
        return Trouble.RELAY, Cause.NO_RELAY_SERVES
    if isinstance(error, RelayRefused) and error.permanent:
        return Trouble.RELAY, Cause.RELAY_REFUSED
    return Trouble.RELAY, Cause.RELAY_UNAVAILABLE


def accepted(reply: Reply, server: str) -> Change:
    return Change(DeliveryState.SENT, Cause.NONE, f"Accepted by {server}: {reply}")


class Judge:
    """Turns an attempt's trouble into a change, with a retry policy and a source of chance."""

    def __init__(
        self, policy: RetryPolicy = DEFAULT_RETRY_POLICY, chance: random.Random | None = None
    ) -> None:
        self._policy = policy
        self._chance = chance or random.SystemRandom()

    def after(self, error: ConversationError, claim: Claim, now: datetime) -> Change:
        """What a failed conversation makes of its delivery."""
        if isinstance(error, ReplyLost):
            return Change(DeliveryState.UNCERTAIN, Cause.REPLY_LOST, error.public)
        if is_relays_trouble(error):
            trouble, cause = _relays_trouble(error)
            return self.put_off(claim, now, trouble, cause, error.public)
        if isinstance(error, RelayRefused) and error.permanent:
            cause = Cause.RECIPIENT_REFUSED if error.phase == "rcpt" else Cause.MESSAGE_REFUSED
            return Change(DeliveryState.FAILED, cause, error.public)
        return self.put_off(claim, now, Trouble.RECIPIENT, Cause.RECIPIENT_UNAVAILABLE, error.public)

    def put_off(self, claim: Claim, now: datetime, trouble: Trouble, cause: Cause, reason: str) -> Change:
        """Deferred until the next try, or expired when there is none."""
        at = next_try(
            now,
            trouble=trouble,
            setbacks=claim.setbacks,
            expires_at=claim.expires_at,
            chance=self._chance,
            policy=self._policy,
        )
        setback = trouble != Trouble.OURSELVES
        if at is None:
            return Change(DeliveryState.EXPIRED, Cause.GAVE_UP, reason, setback=setback)
        return Change(DeliveryState.DEFERRED, cause, reason, due_at=at, setback=setback)
