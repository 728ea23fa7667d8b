"""How many recipients an organisation, a person and a key may have in a rolling day, and when there is room again.

A quota is a column of the organisation's SendingPolicy; null is none. What is taken on is tallied by the minute, in the
submission's own transaction: a message and its count commit together, and neither exists without the other. While any
quota is set, an organisation's submissions pass one after the other through an advisory lock that ends with the commit,
so that two of them never share the last place. An organisation without a quota pays for none of this.

    check_quota     before anything else, unlocked: whoever is over is told at once, and validation is not asked
    charge_quota    first thing in the transaction: exact

The window is a day and up to a minute: a minute counts until its last second is a day old, so no rolling day ever has
more than the quota. The organisation's own admin key is counted and never refused (the contract promises it).

A mailbox's own app password is counted with the organisation alone: it is neither a person nor a key.

Limits: counting begins with the first quota; what was sent before is not in it. A cancelled message stays counted, or
undo would be a way around.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection

from apps.accounts.principal import Principal
from apps.outbound.errors import Fault, QuotaReached, SubmissionInvalid
from apps.outbound.models import QuotaUse

WINDOW = timedelta(days=1)
MINUTE = timedelta(minutes=1)
KEPT = timedelta(days=2)

# Every submission asks, most of them in vain.
_LIMITS = """
SELECT recipients_per_day, recipients_per_day_of_user, recipients_per_day_of_key
FROM outbound_sendingpolicy WHERE organisation_id = %s
"""
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))"
_ADD = """
INSERT INTO outbound_quotause AS used (organisation_id, who, minute, recipients) VALUES (%s, %s, %s, %s)
ON CONFLICT (organisation_id, who, minute) DO UPDATE SET recipients = used.recipients + EXCLUDED.recipients
"""


@dataclass(frozen=True, slots=True)
class Quota:
    """One bound that applies to a caller. `who` is the tally's name, `of` the word for it; limit None only tallies."""

    who: str
    of: str
    limit: int | None


def quotas_of(principal: Principal) -> list[Quota]:
    """The tallies a caller's submissions go into; [] where the organisation has no quota at all."""
    with connection.cursor() as cursor:
        cursor.execute(_LIMITS, [principal.organisation_id])
        limits = cursor.fetchone()
    if limits is None or not any(limit is not None for limit in limits):
        return []
    of_organisation, of_user, of_key = limits
    found = [Quota("", "organisation", of_organisation)]
    if principal.user is not None:
        found.append(Quota(f"user:{principal.user.pk}", "person", of_user))
    if principal.api_key is not None:
        found.append(Quota(f"key:{principal.api_key.pk}", "key", of_key))
    return found


def check_quota(principal: Principal, asked: int, now: datetime) -> list[Quota]:
    """The quotas to charge later. Raises QuotaReached, or SubmissionInvalid for more than a whole day allows."""
    quotas = quotas_of(principal)
    _demand_room(principal, quotas, asked, now)
    return quotas


def charge_quota(principal: Principal, quotas: Sequence[Quota], recipients: int, now: datetime) -> None:
    """Tally recipients in the caller's transaction, which holds the organisation's lock from here on. Raises like
    `check_quota`."""
    if not quotas:
        return
    with connection.cursor() as cursor:
        cursor.execute(_LOCK, [f"quota:{principal.organisation_id}"])
        _demand_room(principal, quotas, recipients, now)
        minute = now.replace(second=0, microsecond=0)
        for quota in quotas:
            cursor.execute(_ADD, [principal.organisation_id, quota.who, minute, recipients])


def forget_old_use(now: datetime) -> int:
    """Housekeeping: delete tallies no window reaches; how many."""
    return QuotaUse.objects.filter(minute__lt=now - KEPT).delete()[0]


def _demand_room(principal: Principal, quotas: Sequence[Quota], asked: int, now: datetime) -> None:
    if principal.sees_everything:
        return
    for quota in quotas:
        if quota.limit is None:
            continue
        if asked > quota.limit:
            reason = f"The limit of this {quota.of} is {quota.limit:,} recipients a day; this message has {asked:,}."
            raise SubmissionInvalid("to", reason, Fault.QUOTA)
        minutes = _minutes(principal, quota, now)
        used = sum(recipients for _minute, recipients in minutes)
        if used + asked > quota.limit:
            frees_at = _frees_at(minutes, used + asked - quota.limit)
            raise QuotaReached(quota.of, limit=quota.limit, used=used, asked=asked, frees_at=frees_at)


def _minutes(principal: Principal, quota: Quota, now: datetime) -> list[tuple[datetime, int]]:
    """What counts now, oldest first."""
    counting = QuotaUse.objects.filter(
        organisation=principal.organisation_id, who=quota.who, minute__gt=now - WINDOW - MINUTE
    )
    return list(counting.order_by("minute").values_list("minute", "recipients"))


def _frees_at(minutes: Sequence[tuple[datetime, int]], wanted: int) -> datetime:
    """When `wanted` places are free again: enough of the oldest minutes have left the window."""
    freed = 0
    for minute, recipients in minutes:
        freed += recipients
        if freed >= wanted:
            return minute + WINDOW + MINUTE
    msg = "more places were asked for than the quota has"
    raise AssertionError(msg)
