"""Recognising in a server's refusal that it has a limit, and until when.

The table (`providers.toml`, and before it the entries of PROVIDER_LIMITS_FILE) tells by code, enhanced code and words
what a reply means. A time the reply states itself beats the table's: "try again in 300 seconds", "come back in
00:05:00", "not before 14:30 UTC". A stated time is believed up to a day, and one of day without a zone is taken for
UTC.

A reply that no entry fits is no limit: `verdict` goes by its code.

Limits: replies in other languages than the table's are not recognised by their words.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import cache
from pathlib import Path

from django.conf import settings

from apps.outbound.limits.provider_table import BUILT_IN, Kind, Rule, Scope, read_table

LONGEST_STATED = timedelta(days=1)
# A time of day that is farther ahead was meant as one that has passed, or on another clock.
FARTHEST_TIME_OF_DAY = timedelta(hours=12)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
# Each is linear: it begins with a literal, and what repeats in it is bounded and cannot match what follows.
_IN = re.compile(
    r"\b(?:in|after|wait|for|within|retry=)[ =:]{0,2}(?:(?:about|at least|another) )?(\d{1,6}) ?"
    r"(s|m|h|d|secs?|seconds?|mins?|minutes?|hrs?|hours?|days?)\b"
)
_CLOCKED = re.compile(r"\b(?:in|after) (\d{1,3}):([0-5]\d):([0-5]\d)\b(?! ?(?:utc|gmt|z\b|[ap]m))")
_AT = re.compile(r"\b(?:after|not before|until) ([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))? ?(?:utc|gmt|z)?\b")
_VAGUE = {"in a few minutes": 300, "in a few hours": 3 * 3600, "in an hour": 3600, "in one hour": 3600}

_WORDS = {
    Kind.RATE: "sending too fast",
    Kind.CONNECTIONS: "too many connections",
    Kind.QUOTA: "the quota is used up",
    Kind.BUSY: "the server is busy",
    Kind.RECIPIENTS: "too many recipients",
    Kind.REPUTATION: "our reputation there",
    Kind.GREYLISTING: "greylisting",
    Kind.MAILBOX_FULL: "the mailbox is full",
    Kind.SIZE: "the message is too large",
    Kind.POLICY: "a policy there",
}


@dataclass(frozen=True, slots=True)
class ProviderLimit:
    """A limit a server told us of. `stated`: the wait is the server's own word."""

    provider: str
    kind: Kind
    scope: Scope
    wait: timedelta
    stated: bool
    code: int
    enhanced: str = ""

    @property
    def holds_up_others(self) -> bool:
        """Whether more than this one mail has to wait for it."""
        return self.scope != Scope.RECIPIENT

    @property
    def is_of_destination(self) -> bool:
        return self.scope == Scope.DESTINATION

    @property
    def slower(self) -> str:
        """What to have less of, besides waiting; a quota is no question of speed."""
        match self.kind:
            case Kind.CONNECTIONS:
                return "lines"
            case Kind.QUOTA:
                return ""
            case _:
                return "rate"

    @property
    def because(self) -> str:
        """In words. Without the server's own, which may name somebody's recipient."""
        code = f"{self.code} {self.enhanced}".strip()
        return f"{self.provider} answered {code} ({_WORDS[self.kind]})"


class Providers:
    """The table in use."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = tuple(rules)

    def rule_for(self, code: int, enhanced: str, text: str) -> Rule | None:
        """The first entry that fits a reply. `text` may be the whole reply."""
        folded = text.casefold()
        return next((rule for rule in self.rules if rule.fits(code, enhanced, folded)), None)

    def recognise(self, code: int, enhanced: str, text: str, *, now: datetime) -> ProviderLimit | None:
        """The limit a reply tells of, or None."""
        rule = self.rule_for(code, enhanced, text)
        if rule is None:
            return None
        stated = stated_wait(text, now)
        return ProviderLimit(
            provider=rule.provider,
            kind=rule.kind,
            scope=rule.scope,
            wait=stated or rule.wait,
            stated=stated is not None,
            code=code,
            enhanced=enhanced,
        )


def stated_wait(text: str, now: datetime) -> timedelta | None:
    """How long a reply asks us to wait, or None where it does not say."""
    folded = text.casefold()
    if found := _CLOCKED.search(folded):
        hours, minutes, seconds = map(int, found.groups())
        return _believed(hours * 3600 + minutes * 60 + seconds)
    if found := _IN.search(folded):
        return _believed(int(found[1]) * _SECONDS[found[2][0]])
    if found := _AT.search(folded):
        moment = time(int(found[1]), int(found[2]), int(found[3] or 0), tzinfo=UTC)
        ahead = (datetime.combine(now, moment) - now) % timedelta(days=1)
        return ahead if timedelta(0) < ahead <= FARTHEST_TIME_OF_DAY else None
    return next((_believed(seconds) for words, seconds in _VAGUE.items() if words in folded), None)


def _believed(seconds: float) -> timedelta | None:
    return min(timedelta(seconds=seconds), LONGEST_STATED) if seconds > 0 else None


@cache
def known_providers() -> Providers:
    """The installation's own entries, then ours. Read once; a file that cannot be used stopped the start already."""
    own: Path | None = settings.PROVIDER_LIMITS_FILE
    return Providers((*(read_table(own) if own else ()), *read_table(BUILT_IN)))
