"""The work process: ingests what came in and delivers what goes out, woken by Dramatiq.

On SIGTERM it takes nothing new and gives what it has begun a few seconds. What is not done by then keeps its lease,
which lapses, and another worker takes it up: stopping is never more dangerous than being killed.
"""

import asyncio
import os
import resource
import signal
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
# To whoever takes mail in, answers a page, or commits, this process gives way while all of them want the same cores:
# what it does not get to stands in the queue, and is safe there.
GIVES_WAY = 10


class Command(BaseCommand):
    help = "Run a worker with WORKER_THREADS threads."

    def handle(self, *args: Any, **options: Any) -> None:
        _allow_open_files()
        os.nice(GIVES_WAY)
        reconcile_relays(settings.RELAY_URLS)
        # Dramatiq makes the loop on which all conversations run; hundreds of them are worth the quicker one.
        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
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


def _allow_open_files() -> None:
    """As many sockets as the system lets us have: the usual soft limit, 1,024, is one lane's conversations."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _all_live(worker: dramatiq.Worker) -> bool:
    return bool(worker.workers) and all(thread.is_alive() for thread in worker.workers)
