"""What the sweeper does to deliveries that nobody has in hands: each a batch, in the caller's transaction."""

from datetime import datetime

from django.db import connection
from django.db.models.functions import Now

from apps.outbound.causes import Cause
from apps.outbound.models import WAITING, Delivery, DeliveryAttempt, DeliveryState
from apps.outbound.transitions.settling import tell

_RECOVER = """
UPDATE outbound_delivery SET
    state = CASE WHEN phase = 'committing' THEN 'uncertain' ELSE 'queued' END,
    due_at = CASE WHEN phase = 'committing' THEN NULL ELSE clock_timestamp() END,
    cause = CASE WHEN phase = 'committing' THEN %(lost_reply)s ELSE %(lost_worker)s END,
    reason = CASE WHEN phase = 'committing' THEN %(uncertain)s ELSE %(queued)s END,
    phase = '', lease_token = NULL, lease_expires_at = NULL
WHERE id IN (
    SELECT id FROM outbound_delivery WHERE state = 'sending' AND lease_expires_at <= clock_timestamp()
    ORDER BY lease_expires_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
) RETURNING id, state
"""
# Two attempts that nobody could tell of are a person's matter.
_RETRY_UNCERTAIN = """
UPDATE outbound_delivery AS d SET
    state = 'queued', due_at = %(now)s, cause = %(cause)s, reason = %(reason)s,
    pinned_relay_id = COALESCE(d.pinned_relay_id, d.relay_id)
WHERE id IN (
    SELECT u.id FROM outbound_delivery AS u
    JOIN outbound_sendingpolicy AS p ON p.organisation_id = u.organisation_id
    CROSS JOIN LATERAL (
        SELECT count(*) AS times, max(finished_at) AS at FROM outbound_deliveryattempt AS a
        WHERE a.delivery_id = u.id AND a.outcome = 'uncertain'
    ) AS uncertain
    WHERE u.state = 'uncertain' AND u.relay_id IS NOT NULL AND u.expires_at > %(now)s
        AND uncertain.times = 1 AND uncertain.at + p.uncertain_retry_after <= %(now)s
    LIMIT %(limit)s FOR UPDATE OF u SKIP LOCKED
) RETURNING id
"""
LOST_BEFORE_FENCE = "Its worker vanished before the message was complete, so nothing was accepted."
LOST_AFTER_FENCE = (
    "Its worker vanished after the message was complete and before the answer was recorded: "
    "it may have been accepted."
)
TRIED_AGAIN = (
    "Nobody could tell whether it was accepted; the organisation's policy is to send it once more, "
    "with the same Message-ID and over the same relay."
)


def recover_lapsed(*, limit: int) -> int:
    """Sending with a lapsed lease → queued, or uncertain where the fence was passed; how many."""
    with connection.cursor() as cursor:
        cursor.execute(
            _RECOVER,
            {
                "limit": limit,
                "lost_reply": Cause.REPLY_LOST.value,
                "lost_worker": Cause.WORKER_LOST.value,
                "uncertain": LOST_AFTER_FENCE,
                "queued": LOST_BEFORE_FENCE,
            },
        )
        recovered = dict(cursor.fetchall())
    for state in (DeliveryState.QUEUED, DeliveryState.UNCERTAIN):
        ids = [delivery_id for delivery_id, became in recovered.items() if became == state]
        DeliveryAttempt.objects.filter(delivery__in=ids, finished_at__isnull=True).update(
            finished_at=Now(),
            outcome=state,
            text=LOST_AFTER_FENCE if state == "uncertain" else LOST_BEFORE_FENCE,
        )
    tell(recovered)
    return len(recovered)


def expire_waiting(*, limit: int, now: datetime) -> int:
    """Waiting beyond its lifetime → expired; what it waited for last stays in the reason; how many."""
    ids = list(
        Delivery.objects.select_for_update(skip_locked=True)
        .filter(state__in=WAITING, expires_at__lte=now)
        .order_by("expires_at")
        .values_list("pk", flat=True)[:limit]
    )
    # The reason is kept: it says what stood in the way until the end.
    Delivery.objects.filter(pk__in=ids).update(
        state=DeliveryState.EXPIRED, cause=Cause.GAVE_UP, due_at=None, finished_at=now
    )
    tell(ids)
    return len(ids)


def retry_uncertain(*, limit: int, now: datetime) -> int:
    """uncertain → queued over the same relay, where the policy says so and it was uncertain once only; how many."""
    with connection.cursor() as cursor:
        cursor.execute(
            _RETRY_UNCERTAIN,
            {"now": now, "limit": limit, "cause": Cause.UNCERTAIN_RETRIED.value, "reason": TRIED_AGAIN},
        )
        ids = [row[0] for row in cursor.fetchall()]
    tell(ids)
    return len(ids)
