"""The worker's end of a wake-up. A wake-up names a lane and nothing else: what is due is in PostgreSQL."""

import asyncio
from typing import Any

import dramatiq
import structlog
from dramatiq.middleware import Middleware

from apps.outbound.draining.drain import Drain
from apps.outbound.models import Lane
from apps.outbound.wakeups import wake_up

log = structlog.get_logger(__name__)


class Drains(Middleware):
    """This process's drains, at most one a lane, on Dramatiq's event loop; ended before the worker's threads."""

    def __init__(self) -> None:
        self._running: dict[Lane, Drain] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = False

    def before_worker_boot(self, broker: dramatiq.Broker, worker: Any) -> None:
        self._stopping = False

    def before_worker_shutdown(self, broker: dramatiq.Broker, worker: Any) -> None:
        self._stopping = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stop_all)

    def _stop_all(self) -> None:
        for drain in self._running.values():
            drain.stop()

    async def drain(self, lane: Lane) -> None:
        """Empty a lane, or let the drain that is at it know that there is more."""
        running = self._running.get(lane)
        if running is not None:
            running.wake()
            return
        self._loop = asyncio.get_running_loop()
        look_again = True
        while look_again and not self._stopping:
            drain = self._running[lane] = Drain(lane)
            try:
                await drain.run()
            finally:
                del self._running[lane]
            look_again = drain.is_woken


drains = Drains()
dramatiq.get_broker().add_middleware(drains)


# Dramatiq's own interruption would cancel a conversation behind the fence; `Drains` knows which may be ended.
@dramatiq.actor(queue_name="outbound", notify_shutdown=False)
async def deliver(lane: str) -> None:
    """Drain a lane of whatever is due."""
    await asyncio.to_thread(wake_up(Lane(lane)).answer)
    await drains.drain(Lane(lane))
