"""The queue of pushes: claims, and every transition of a `WebhookDelivery` (drawn in `models.py`).

A claim leases deliveries for `LEASE_SECONDS` by PostgreSQL's clock under a token; what a dead worker held is due again
when the lease lapses, and its receiver then gets the event a second time with the same `webhook-id`. So: at least
once, in no promised order.

When it fails, two things wait. The delivery waits by `BACKOFF`, the schedule Standard Webhooks suggests, until three
days after it was queued; then it is given up. The webhook waits too: while it fails, one delivery at a time is tried,
and the pause between tries grows with the time it has been failing, up to five minutes. A receiver that is away for an
hour with 10,000 events before it is therefore asked a few dozen times and not 10,000 times, and holds up nobody else.
After five days of failure, or at once after 410 Gone, it is switched off, and an event tells of it.
"""

import random
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Case, F, Q, QuerySet, Value, When
from django.db.models.functions import Now

from apps.events.services import publish
from apps.events.wakeups import WakeUp
from apps.webhooks.errors import PushFailed
from apps.webhooks.models import DeliveryState, DisabledBecause, Webhook, WebhookDelivery

PUSH = WakeUp("webhooks", "push")
LEASE_SECONDS = 60
AT_ONCE_PER_WEBHOOK = 8

BACKOFF = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
)
GIVE_UP_AFTER = timedelta(days=3)
DISABLE_AFTER = timedelta(days=5)
SHORTEST_PAUSE = timedelta(seconds=5)
LONGEST_PAUSE = timedelta(minutes=5)
KEEP_FINISHED = timedelta(days=14)
GONE = 410

_CLAIM = """
WITH picked AS (
    SELECT delivery.id, webhook.id AS webhook_id, webhook.failing_since
    FROM webhooks_webhook AS webhook
    CROSS JOIN LATERAL (
        SELECT id FROM webhooks_webhookdelivery
        WHERE webhook_id = webhook.id AND state = 'waiting' AND due_at <= now()
        ORDER BY due_at, id
        LIMIT CASE WHEN webhook.failing_since IS NULL THEN %(at_once)s ELSE 1 END
        FOR UPDATE SKIP LOCKED
    ) AS delivery
    WHERE webhook.is_active AND (webhook.paused_until IS NULL OR webhook.paused_until <= now())
      AND NOT webhook.id = ANY(%(busy)s::uuid[])
    ORDER BY webhook.id LIMIT %(limit)s
), probing AS (
    UPDATE webhooks_webhook SET paused_until = now() + make_interval(secs => %(lease)s)
    WHERE id IN (SELECT webhook_id FROM picked WHERE failing_since IS NOT NULL)
)
UPDATE webhooks_webhookdelivery AS delivery
SET state = 'sending', attempts = attempts + 1, due_at = NULL, lease_token = gen_random_uuid(),
    lease_expires_at = now() + make_interval(secs => %(lease)s)
FROM picked WHERE delivery.id = picked.id
RETURNING delivery.id, delivery.webhook_id, delivery.lease_token
"""


@dataclass(frozen=True, slots=True)
class Claim:
    """A delivery leased to this worker."""

    delivery_id: uuid.UUID
    webhook_id: uuid.UUID
    token: uuid.UUID


def claim_due(*, limit: int, busy: Collection[uuid.UUID] = ()) -> list[Claim]:
    """Lease due deliveries of active webhooks other than the `busy` ones; oldest first within each webhook."""
    parameters: dict[str, Any] = {
        "limit": limit,
        "at_once": AT_ONCE_PER_WEBHOOK,
        "lease": LEASE_SECONDS,
        "busy": list(busy),
    }
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_CLAIM, parameters)
        return [Claim(*row) for row in cursor.fetchall()]


def is_anything_due() -> bool:
    """Whether a worker would find something."""
    open_webhooks = Webhook.objects.filter(Q(paused_until=None) | Q(paused_until__lte=Now()), is_active=True)
    return WebhookDelivery.objects.filter(
        webhook__in=open_webhooks, state=DeliveryState.WAITING, due_at__lte=Now()
    ).exists()


@transaction.atomic
def record_success(claim: Claim, status: int, now: datetime) -> bool:
    """The event was taken. False when the lease was not ours any more; then nothing changes."""
    changed = _held(claim).update(
        state=DeliveryState.DELIVERED,
        lease_token=None,
        lease_expires_at=None,
        finished_at=now,
        last_status=status,
        last_error="",
        last_reason="",
    )
    if changed:
        recovered = Webhook.objects.filter(pk=claim.webhook_id, failing_since__isnull=False)
        recovered.update(failing_since=None, paused_until=None)
    return bool(changed)


@transaction.atomic
def record_failure(claim: Claim, failure: PushFailed, now: datetime) -> bool:
    """The event was not taken: it waits, or is given up. False when the lease was not ours any more."""
    delivery = _held(claim).select_for_update().first()
    if delivery is None:
        return False
    due_at = now + _backoff(delivery.attempts)
    is_over = due_at > delivery.created_at + GIVE_UP_AFTER
    _held(claim).update(
        state=DeliveryState.GIVEN_UP if is_over else DeliveryState.WAITING,
        lease_token=None,
        lease_expires_at=None,
        due_at=None if is_over else due_at,
        finished_at=now if is_over else None,
        last_status=failure.status,
        last_error=failure.code,
        last_reason=failure.public,
    )
    _pause(claim.webhook_id, now)
    if failure.status == GONE:
        disable(claim.webhook_id, DisabledBecause.GONE, now)
    elif Webhook.objects.filter(pk=claim.webhook_id, failing_since__lte=now - DISABLE_AFTER).exists():
        disable(claim.webhook_id, DisabledBecause.FAILING, now)
    return True


def disable(webhook_id: uuid.UUID, because: DisabledBecause, now: datetime, *, actor: str = "") -> bool:
    """Push nothing any more, in the caller's transaction; whether it was active. What waits ages meanwhile."""
    disabled = Webhook.objects.filter(pk=webhook_id, is_active=True)
    if not disabled.update(is_active=False, disabled_because=because, disabled_at=now):
        return False
    organisation_id = Webhook.objects.values_list("organisation_id", flat=True).get(pk=webhook_id)
    publish(organisation_id, "webhook.disabled", actor=actor, webhook=str(webhook_id), because=because.value)
    return True


def recover_lapsed() -> int:
    """Make due again what a dead worker held; how many."""
    lapsed = WebhookDelivery.objects.filter(state=DeliveryState.SENDING, lease_expires_at__lte=Now())
    return lapsed.update(
        state=DeliveryState.WAITING,
        lease_token=None,
        lease_expires_at=None,
        due_at=Now(),
        last_error="interrupted",
        last_reason="The worker that sent it ended before the answer came.",
    )


def give_up_old(now: datetime) -> int:
    """End what has waited for three days, also for webhooks that are switched off; how many."""
    old = WebhookDelivery.objects.filter(state=DeliveryState.WAITING, created_at__lte=now - GIVE_UP_AFTER)
    return old.update(
        state=DeliveryState.GIVEN_UP,
        due_at=None,
        finished_at=now,
        last_error=Case(When(last_error="", then=Value("not_tried")), default=F("last_error")),
    )


def forget_finished(now: datetime) -> int:
    """Housekeeping: what ended two weeks ago; how many went."""
    return WebhookDelivery.objects.filter(finished_at__lte=now - KEEP_FINISHED).delete()[0]


def _held(claim: Claim) -> QuerySet[WebhookDelivery]:
    return WebhookDelivery.objects.filter(
        pk=claim.delivery_id, state=DeliveryState.SENDING, lease_token=claim.token
    )


def _backoff(attempts: int) -> timedelta:
    """After the `attempts`th failure; up to a tenth longer, so that receivers are not asked in step."""
    wait = BACKOFF[min(attempts, len(BACKOFF)) - 1]
    return wait * (1 + random.random() / 10)  # noqa: S311  no secret hangs on it


def _pause(webhook_id: uuid.UUID, now: datetime) -> None:
    """For as long as it has been failing already, within bounds."""
    webhook = Webhook.objects.select_for_update().get(pk=webhook_id)
    since = webhook.failing_since or now
    pause = min(max(now - since, SHORTEST_PAUSE), LONGEST_PAUSE)
    Webhook.objects.filter(pk=webhook_id).update(failing_since=since, paused_until=now + pause)
