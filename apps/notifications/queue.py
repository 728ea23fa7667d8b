"""What is due to be pushed, and what becomes of it.

A claim puts `due_at` a minute on: whoever dies with it leaves a row that is due again then. A push that was taken is
deleted; one that failed waits a little longer each time; an hour after the event nobody wants to hear of it.
"""

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from apps.events.wakeups import WakeUp
from apps.notifications.models import Push, PushSubscription

PUSH = WakeUp("notifications", "push_notifications")
LEASE = timedelta(seconds=60)
BACKOFF = (timedelta(seconds=30), timedelta(minutes=3), timedelta(minutes=15))
TOO_OLD = timedelta(hours=1)
# RFC 8030 §7.3: the subscription is over. Services also say 410.
OVER = frozenset({404, 410})


def claim_due(limit: int) -> list[Push]:
    """Take up to `limit` due pushes for a minute, oldest first, with their browsers and people."""
    with transaction.atomic():
        due = Push.objects.select_for_update(skip_locked=True).filter(due_at__lte=Now()).order_by("due_at")
        ids = list(due.values_list("pk", flat=True)[:limit])
        Push.objects.filter(pk__in=ids).update(due_at=Now() + LEASE, attempts=F("attempts") + 1)
    return list(Push.objects.filter(pk__in=ids).select_related("subscription__user").order_by("created_at"))


def record(push: Push, status: int | None, now: datetime) -> None:
    """`status` is what the push service answered; None when it did not answer, 0 when there was nothing to tell."""
    if status in OVER:
        PushSubscription.objects.filter(pk=push.subscription_id).delete()
    elif status == 0 or (status is not None and 200 <= status < 300):
        Push.objects.filter(pk=push.pk).delete()
    elif status is not None and 400 <= status < 500 and status != 429:
        Push.objects.filter(pk=push.pk).delete()  # it would be refused again
    else:
        wait = BACKOFF[min(push.attempts, len(BACKOFF)) - 1]
        Push.objects.filter(pk=push.pk).update(due_at=now + wait)


def sweep_notifications() -> int:
    """Forget what is too old to be told, and wake a worker for the rest; how many were forgotten."""
    forgotten = Push.objects.filter(created_at__lte=timezone.now() - TOO_OLD).delete()[0]
    if Push.objects.filter(due_at__lte=Now()).exists():
        PUSH.call()
    return forgotten
