"""The worker's end of a wake-up, which names nothing: what is due is in PostgreSQL."""

import asyncio
from typing import Any

import dramatiq
from django.conf import settings
from dramatiq.middleware import Middleware

from apps.webhooks.connection import PushPolicy
from apps.webhooks.push import Pusher
from apps.webhooks.queue import PUSH


class Pushers(Middleware):
    """This process's pusher, at most one, on Dramatiq's event loop; told to end before the worker's threads are."""

    def __init__(self) -> None:
        self._running: Pusher | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = False

    def before_worker_boot(self, broker: dramatiq.Broker, worker: Any) -> None:
        self._stopping = False

    def before_worker_shutdown(self, broker: dramatiq.Broker, worker: Any) -> None:
        self._stopping = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stop)

    def _stop(self) -> None:
        if self._running is not None:
            self._running.stop()

    async def push(self) -> None:
        """Push what is due, or let the pusher that is at it know that there is more."""
        if self._running is not None:
            self._running.wake()
            return
        self._loop = asyncio.get_running_loop()
        look_again = True
        while look_again and not self._stopping:
            pusher = self._running = Pusher(PushPolicy(allowed_networks=settings.WEBHOOK_ALLOWED_NETWORKS))
            try:
                await pusher.run()
            finally:
                self._running = None
            look_again = pusher.is_woken


pushers = Pushers()
dramatiq.get_broker().add_middleware(pushers)


@dramatiq.actor(queue_name="webhooks", notify_shutdown=False)
async def push() -> None:
    """Push whatever is due."""
    await asyncio.to_thread(PUSH.answer)
    await pushers.push()
