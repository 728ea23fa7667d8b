"""Addresses that servers refuse again and again while we talk to them.

A refusal ("550 5.1.1" to RCPT) fails its delivery at once, and nothing need come back for it. Many of them for one
address say what a bounce says, though, and `policy` has how many. They are counted when the sender is told of the
failure: each failure is told of once, so it is counted once.
"""

from collections.abc import Sequence
from datetime import datetime

from django.db.models import Count
from django.db.models.functions import Lower

from apps.outbound.bounces.policy import DEFAULT_SUPPRESSION_POLICY, SuppressionPolicy, nature_of
from apps.outbound.bounces.suppressions import suppress
from apps.outbound.causes import Cause
from apps.outbound.models import Delivery, DeliveryState, SuppressionReason
from apps.outbound.selectors import last_attempts_of


def heed_refusals(
    lost: Sequence[Delivery], now: datetime, policy: SuppressionPolicy = DEFAULT_SUPPRESSION_POLICY
) -> None:
    """Suppress those among `lost` whose servers have refused them often enough, in the caller's transaction."""
    hard = _refused_for_good(lost, policy)
    for organisation_id in {one.organisation_id for one in hard}:
        ours = {one.recipient.lower(): one for one in hard if one.organisation_id == organisation_id}
        alike = (
            Delivery.objects.filter(
                organisation_id=organisation_id,
                state=DeliveryState.FAILED,
                cause=Cause.RECIPIENT_REFUSED,
                created_at__gt=now - policy.within,
            )
            .order_by()
            .annotate(address=Lower("recipient"))
            .filter(address__in=ours)
        )
        for address, refusals in alike.values_list("address").annotate(n=Count("id")):
            if refusals >= policy.refusals:
                suppress(
                    organisation_id,
                    address,
                    SuppressionReason.HARD_BOUNCE,
                    now=now,
                    evidence=ours[address].reason,
                    delivery=ours[address],
                    policy=policy,
                )


def _refused_for_good(lost: Sequence[Delivery], policy: SuppressionPolicy) -> list[Delivery]:
    """Those whose last server said that there is no such address, and not that it dislikes us or the mail."""
    refused = {one.pk: one for one in lost if one.cause == Cause.RECIPIENT_REFUSED}
    return [
        refused[pk]
        for pk, attempt in last_attempts_of(refused.values()).items()
        if nature_of(attempt.enhanced, attempt.text) in policy.at_once
    ]
