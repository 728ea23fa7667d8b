"""The worker's end of a wake-up, which names nothing: what is due is in PostgreSQL."""

import asyncio

import dramatiq
from django.conf import settings

from apps.events.residents import residents
from apps.webhooks.connection import PushPolicy
from apps.webhooks.push import Pusher
from apps.webhooks.queue import PUSH


@dramatiq.actor(queue_name="webhooks", notify_shutdown=False)
async def push() -> None:
    """Push whatever is due."""
    await asyncio.to_thread(PUSH.answer)
    await residents.work("webhooks", _pusher)


def _pusher() -> Pusher:
    return Pusher(PushPolicy(allowed_networks=settings.WEBHOOK_ALLOWED_NETWORKS))
