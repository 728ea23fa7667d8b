"""From the event log to the queue of pushes: one row for each event and each webhook that asked for its kind.

Reads by a cursor of its own. The rows and the cursor move in one transaction: a crash leaves both, and doing it again
adds nothing, because a webhook is told once of an event.
"""

from collections import defaultdict
from collections.abc import Sequence

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from apps.events.models import Event
from apps.events.services import Consumer
from apps.webhooks.models import Webhook, WebhookDelivery
from apps.webhooks.queue import PUSH

CONSUMER = "webhooks"


def _queue_pushes(events: Sequence[Event]) -> None:
    webhooks: dict[object, list[Webhook]] = defaultdict(list)
    for webhook in Webhook.objects.filter(
        organisation__in={event.organisation_id for event in events}, is_active=True
    ):
        webhooks[webhook.organisation_id].append(webhook)
    now = timezone.now()
    rows = [
        WebhookDelivery(
            organisation_id=event.organisation_id, webhook=webhook, event=event, due_at=now, created_at=now
        )
        for event in events
        for webhook in webhooks[event.organisation_id]
        if webhook.wants(event)
    ]
    if rows:
        WebhookDelivery.objects.bulk_create(rows, ignore_conflicts=True)
        transaction.on_commit(PUSH.send)


_LISTENING = Webhook.objects.filter(is_active=True).values("organisation")
fan_out = Consumer(CONSUMER, _queue_pushes, only=Q(organisation__in=_LISTENING))
