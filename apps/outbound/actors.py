"""The worker's end of a wake-up. A wake-up names a lane and nothing else: what is due is in PostgreSQL."""

import asyncio

import dramatiq

from apps.events.residents import residents
from apps.outbound.draining.drain import Drain
from apps.outbound.models import Lane
from apps.outbound.wakeups import wake_up


# Dramatiq's own interruption would cancel a conversation behind the fence; a drain knows which may be ended.
@dramatiq.actor(queue_name="outbound", notify_shutdown=False)
async def deliver(lane: str) -> None:
    """Drain a lane of whatever is due."""
    await asyncio.to_thread(wake_up(Lane(lane)).answer)
    await residents.work(f"outbound:{lane}", lambda: Drain(Lane(lane)))
