"""What an attempt's end means for its delivery: a pure judgement, from errors to the next state.

    accepted                                        sent
    the reply was lost after the dot                uncertain
    a limit of ours                                 deferred until it has room: no attempt, no setback
    a limit of the provider's, whatever its code    deferred until the time it stated: no setback. A quota that
                                                    answers as a failure (550 5.4.5) is one; other relays take over
    our reputation with the provider                deferred, with ever longer waits; other relays take over
    no relay, no line, or refused before RCPT       deferred: our relay's trouble, not this recipient's, unless we spoke
                                                    to the recipient's own server
    421 at any time                                 deferred: the server is closing down (RFC 5321 §3.8)
    greylisting, a full mailbox                     deferred for this recipient, by their own patience
    4yz to RCPT, DATA or the dot                    deferred: put off for this recipient
    5yz to RCPT, DATA or the dot                    failed for good (RFC 5321 §4.2.1)

Who is to blame decides, and `blame` is where that is decided. Which replies are limits, and of what, stands in
`limits/providers.toml`. A deferral whose next try would come after the delivery's lifetime is `expired` instead.
"""

import random
from datetime import UTC, datetime
from enum import StrEnum

from apps.outbound.causes import Cause
from apps.outbound.delivery import Claim
from apps.outbound.errors import ConversationError, NoRelayServes, RelayRefused, ReplyLost
from apps.outbound.limits.provider_table import Kind
from apps.outbound.limits.providers import ProviderLimit, Providers, known_providers
from apps.outbound.models import DeliveryState
from apps.outbound.retry import DEFAULT_RETRY_POLICY, RetryPolicy, Trouble, next_try
from apps.outbound.transitions import Change
from apps.outbound.wire.smtp_reply import Reply

# What the server answers before it knows the recipient says something about itself or about us.
RELAYS_OWN_PHASES = frozenset({"connect", "greeting", "ehlo", "starttls", "auth", "rset", "mail"})


class Blame(StrEnum):
    """Who, or what, an attempt failed for."""

    NOBODY_KNOWS = "nobody_knows"
    LIMIT = "limit"
    RELAY = "relay"
    DESTINATION = "destination"
    RECIPIENT = "recipient"
    MESSAGE = "message"


def blame(error: ConversationError, limit: ProviderLimit | None) -> Blame:
    """Who is to blame for an attempt that was not accepted."""
    if isinstance(error, ReplyLost):
        return Blame.NOBODY_KNOWS
    if limit is not None and limit.holds_up_others:
        return Blame.LIMIT
    server = Blame.DESTINATION if error.by_destination else Blame.RELAY
    if not isinstance(error, RelayRefused) or error.phase in RELAYS_OWN_PHASES:
        return server
    if error.code == 421 and limit is None:
        return server
    return Blame.RECIPIENT if error.phase == "rcpt" else Blame.MESSAGE


def limit_told_by(error: ConversationError, providers: Providers | None = None) -> ProviderLimit | None:
    """The provider's limit a refusal tells of, if any."""
    if not isinstance(error, RelayRefused):
        return None
    known = providers or known_providers()
    return known.recognise(error.code, error.enhanced, error.public, now=datetime.now(UTC))


def is_relays_trouble(error: ConversationError) -> bool:
    """Whether another relay might do better, because nothing was said about this recipient or message."""
    return blame(error, limit_told_by(error)) in {Blame.RELAY, Blame.DESTINATION, Blame.LIMIT}


def _relays_cause(error: ConversationError) -> Cause:
    """What kept our own relay from taking it."""
    if isinstance(error, NoRelayServes):
        return Cause.NO_RELAY_SERVES
    if isinstance(error, RelayRefused) and error.permanent:
        return Cause.RELAY_REFUSED
    return Cause.RELAY_UNAVAILABLE


def accepted(reply: Reply, server: str) -> Change:
    return Change(DeliveryState.SENT, Cause.NONE, f"Accepted by {server}: {reply}")


# What one recipient waits for by the recipient's own doing, where the server told us what it is.
_RECIPIENTS_TROUBLE = {
    Kind.GREYLISTING: (Trouble.GREYLISTING, Cause.GREYLISTED),
    Kind.MAILBOX_FULL: (Trouble.MAILBOX_FULL, Cause.MAILBOX_FULL),
    Kind.REPUTATION: (Trouble.POLICY_BLOCK, Cause.REPUTATION_BLOCK),
}
_UNTOLD = (Trouble.RECIPIENT, Cause.RECIPIENT_UNAVAILABLE)


class Judge:
    """Turns an attempt's trouble into a change, with a retry policy and a source of chance."""

    def __init__(
        self,
        policy: RetryPolicy = DEFAULT_RETRY_POLICY,
        chance: random.Random | None = None,
        providers: Providers | None = None,
    ) -> None:
        self._policy = policy
        self._chance = chance or random.SystemRandom()
        self._providers = providers

    def after(self, error: ConversationError, claim: Claim, now: datetime) -> Change:
        """What a failed conversation makes of its delivery."""
        limit = limit_told_by(error, self._providers)
        match blame(error, limit):
            case Blame.NOBODY_KNOWS:
                return Change(DeliveryState.UNCERTAIN, Cause.REPLY_LOST, error.public)
            case Blame.LIMIT if limit is not None:
                return self._after_limit(limit, error.public, claim, now)
            case Blame.RELAY:
                return self.put_off(claim, now, Trouble.RELAY, _relays_cause(error), error.public)
            case Blame.DESTINATION:
                return self.put_off(claim, now, Trouble.RECIPIENT, Cause.RECIPIENT_UNAVAILABLE, error.public)
        if isinstance(error, RelayRefused) and error.permanent:
            return Change(DeliveryState.FAILED, _final_cause(error, limit), error.public)
        trouble, cause = _RECIPIENTS_TROUBLE.get(limit.kind, _UNTOLD) if limit else _UNTOLD
        return self.put_off(claim, now, trouble, cause, error.public, limit=limit)

    def put_off(
        self,
        claim: Claim,
        now: datetime,
        trouble: Trouble,
        cause: Cause,
        reason: str,
        *,
        limit: ProviderLimit | None = None,
    ) -> Change:
        """Deferred until the next try, or expired when there is none."""
        at = next_try(
            now,
            trouble=trouble,
            setbacks=claim.setbacks,
            expires_at=claim.expires_at,
            chance=self._chance,
            policy=self._policy,
            stated=limit.wait if limit is not None and limit.stated else None,
        )
        setback = trouble != Trouble.OURSELVES
        if at is None:
            return Change(DeliveryState.EXPIRED, Cause.GAVE_UP, reason, setback=setback)
        return Change(DeliveryState.DEFERRED, cause, reason, due_at=at, setback=setback)

    def _after_limit(self, limit: ProviderLimit, reason: str, claim: Claim, now: datetime) -> Change:
        if limit.kind == Kind.REPUTATION:
            return self.put_off(claim, now, Trouble.POLICY_BLOCK, Cause.REPUTATION_BLOCK, reason, limit=limit)
        at = now + self._policy.after_stated(limit.wait, self._chance)
        if at >= claim.expires_at:
            return Change(DeliveryState.EXPIRED, Cause.GAVE_UP, reason)
        return Change(DeliveryState.DEFERRED, Cause.PROVIDER_LIMIT, reason, due_at=at)


def _final_cause(error: RelayRefused, limit: ProviderLimit | None) -> Cause:
    if limit is not None and limit.kind == Kind.MAILBOX_FULL:
        return Cause.MAILBOX_FULL
    return Cause.RECIPIENT_REFUSED if error.phase == "rcpt" else Cause.MESSAGE_REFUSED
