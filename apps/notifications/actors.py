"""The worker's end of a wake-up, which names nothing: what is due is in PostgreSQL."""

import asyncio

import dramatiq
from django.conf import settings

from apps.events.residents import residents
from apps.notifications.push import Teller
from apps.notifications.queue import PUSH
from apps.webhooks.connection import PushPolicy


@dramatiq.actor(queue_name="notifications", notify_shutdown=False)
async def push_notifications() -> None:
    """Tell whatever is due."""
    await asyncio.to_thread(PUSH.answer)
    await residents.work("notifications", _teller)


def _teller() -> Teller:
    return Teller(PushPolicy(allowed_networks=settings.WEBHOOK_ALLOWED_NETWORKS))
