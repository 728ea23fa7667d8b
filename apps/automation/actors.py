"""The worker's end of a wake-up, which names nothing: what is due is in PostgreSQL."""

import dramatiq
from django.db import connection
from django.utils import timezone

from apps.automation.acknowledge import ACKNOWLEDGE, acknowledge_due, is_anything_due


@dramatiq.actor(queue_name="automation", notify_shutdown=False)
def acknowledge() -> None:
    """Acknowledge what is due, a share at a time, and pass the wake-up on when there is more."""
    ACKNOWLEDGE.answer()
    try:
        if acknowledge_due(timezone.now()) and is_anything_due():
            ACKNOWLEDGE.send()
    finally:
        connection.close()  # or each of the worker's threads would keep one from the pool while it idles
