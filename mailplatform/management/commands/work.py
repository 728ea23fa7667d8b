"""The work process: ingests what came in and delivers what goes out, woken by Dramatiq.

On SIGTERM it takes nothing new and gives what it has begun a few seconds. What is not done by then keeps its lease,
which lapses, and another worker takes it up: stopping is never more dangerous than being killed.
"""

import asyncio
import signal
import sys
import threading
from types import FrameType
from typing import Any

import dramatiq
import structlog
import uvloop
from django.conf import settings
from django.core.management.base import BaseCommand

from apps.monitoring.heartbeat import Heartbeat
from apps.outbound.relays.environment import reconcile_relays

log = structlog.get_logger(__name__)

GRACE_MILLISECONDS = 5000
# An idle consumer of Redis asks again after a pause that doubles up to this. Dramatiq's own second would be most of
# the time between a customer's mail and an agent's screen.
LONGEST_PAUSE_MILLISECONDS = 80
# The event loop lets go of the interpreter for every write to a socket. Python's own 5 ms, for which a thread that
# signs or screens may then keep it, would be longer than the whole conversation.
SWITCH_SECONDS = 0.0005


class Command(BaseCommand):
    help = "Run a worker with WORKER_THREADS threads."

    def handle(self, *args: Any, **options: Any) -> None:
        reconcile_relays(settings.RELAY_URLS)
        # Dramatiq makes the loop on which all conversations run; hundreds of them are worth the quicker one.
        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
        sys.setswitchinterval(SWITCH_SECONDS)
        stopping = threading.Event()

        def stop(signum: int, frame: FrameType | None) -> None:
            stopping.set()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        broker = dramatiq.get_broker()
        broker.emit_after("process_boot")
        worker = dramatiq.Worker(
            broker, worker_timeout=LONGEST_PAUSE_MILLISECONDS, worker_threads=settings.WORKER_THREADS
        )
        worker.start()
        heartbeat = Heartbeat("work", check=lambda: _all_live(worker))
        heartbeat.start()
        log.info("work_ready", threads=settings.WORKER_THREADS)
        stopping.wait()
        heartbeat.stop()
        worker.stop(timeout=GRACE_MILLISECONDS)
        broker.close()
        log.info("work_stopped")


def _all_live(worker: dramatiq.Worker) -> bool:
    return bool(worker.workers) and all(thread.is_alive() for thread in worker.workers)
