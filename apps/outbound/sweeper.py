"""Finds what nobody was told of: leases that lapsed, rows that became due, deliveries past their lifetime, and those
that nobody can tell of where the organisation wants them tried once more.

Runs every second or two, in as many processes as like to. Every step is safe to repeat and to be killed in. Redis
may have forgotten every wake-up: this is what makes that harmless.
"""

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from apps.outbound.models import WAITING, Delivery, Lane
from apps.outbound.transitions import expire_waiting, recover_lapsed, retry_uncertain
from apps.outbound.wakeups import wake_up

BATCH = 500


def sweep_deliveries() -> int:
    """One round; how many deliveries it recovered, expired or gave their second try."""
    with transaction.atomic():
        recovered = recover_lapsed(limit=BATCH)
    with transaction.atomic():
        expired = expire_waiting(limit=BATCH, now=timezone.now())
    with transaction.atomic():
        retried = retry_uncertain(limit=BATCH, now=timezone.now())
    for lane in Lane:
        if Delivery.objects.filter(lane=lane, state__in=WAITING, due_at__lte=Now()).exists():
            wake_up(lane).call()
    return recovered + expired + retried
