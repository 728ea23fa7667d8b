"""The schedule process: sweepers, the event sequencer, the offloader, housekeeping."""

import signal
import threading
from importlib import import_module
from types import FrameType
from typing import Any

import structlog
from django.conf import settings
from django.core.management.base import BaseCommand
from django.utils import timezone

from apps.automation.acknowledge import plan_acknowledgements
from apps.automation.sweeper import sweep_acknowledgements
from apps.blobs.discarding import UnreferencedWalk, delete_discarded, remove_orphans
from apps.blobs.services import offload
from apps.erasure.walk import erase_some
from apps.events.services import sequence_committed
from apps.inbound.admission import judge_again
from apps.inbound.sweeper import forget_discarded, sweep_received, sweep_spam_marks
from apps.monitoring.heartbeat import Heartbeat
from apps.organisations.resealing import reseal_stale
from apps.outbound.bounces.notices import tell_of_late, tell_of_lost
from apps.outbound.domains.tending import tend
from apps.outbound.signing.rotation import retire_due
from apps.outbound.submission.idempotency import forget_old_keys
from apps.outbound.submission.quotas import forget_old_use
from apps.outbound.submission.refused import forget_old_refusals
from apps.outbound.submission.wishes import cancel_what_was_answered
from apps.outbound.sweeper import sweep_deliveries
from apps.tickets.spam import forget_old_clues, learn_from_answers
from apps.webhooks.fan_out import fan_out
from apps.webhooks.queue import forget_finished
from apps.webhooks.sweeper import sweep_webhooks
from mailplatform.schedule import Clock, Schedule

log = structlog.get_logger(__name__)

GRACE_SECONDS = 4.0
HOUR = 3600.0
# Of what is cheaper done together: fewer wait for the next tick.
SOME = 100
_WALK = UnreferencedWalk()


def _clear_sessions() -> int:
    import_module(settings.SESSION_ENGINE).SessionStore.clear_expired()
    return 0


CLOCKS = (
    Clock("sweep deliveries", 1.0, sweep_deliveries),
    Clock("sweep received", 1.0, sweep_received),
    Clock("judge held mail again", 15.0, judge_again),
    Clock("learn from answers", 5.0, learn_from_answers, batch=SOME),
    Clock("sweep spam marks", 5.0, sweep_spam_marks),
    Clock("tell of lost mail", 2.0, tell_of_lost),
    Clock("tell of late mail", 30.0, tell_of_late),
    Clock("sequence events", 0.5, sequence_committed, batch=SOME),
    Clock("plan acknowledgements", 0.5, plan_acknowledgements, batch=SOME),
    Clock("sweep acknowledgements", 1.0, sweep_acknowledgements),
    Clock("fan out webhooks", 0.5, fan_out, batch=SOME),
    Clock("sweep webhooks", 1.0, sweep_webhooks),
    Clock("offload spool", 0.5, offload, batch=SOME),
    Clock("tend domains", 60.0, lambda: tend(timezone.now())),
    Clock("retire signing keys", HOUR, lambda: retire_due(timezone.now())),
    Clock("reseal secrets", HOUR, reseal_stale),
    Clock("erase customers", 1.0, erase_some),
    Clock("delete discarded objects", 1.0, delete_discarded, batch=SOME),
    Clock("discard what nobody refers to", 10.0, lambda: _WALK.step(timezone.now()), batch=SOME),
    Clock("remove orphans", 6 * HOUR, lambda: remove_orphans(timezone.now())),
    Clock("forget idempotency keys", HOUR, lambda: forget_old_keys(timezone.now())),
    Clock("forget webhook deliveries", HOUR, lambda: forget_finished(timezone.now())),
    Clock("cancel what was answered", 1.0, cancel_what_was_answered, batch=SOME),
    Clock("forget refused submissions", HOUR, lambda: forget_old_refusals(timezone.now())),
    Clock("forget quota tallies", HOUR, lambda: forget_old_use(timezone.now())),
    Clock("forget discarded mail", HOUR, lambda: forget_discarded(timezone.now())),
    Clock("forget old clues", HOUR, lambda: forget_old_clues(timezone.now())),
    Clock("clear sessions", HOUR, _clear_sessions),
)


class Command(BaseCommand):
    help = "Let the platform's clocks tick. Any number may run; one leads."

    def handle(self, *args: Any, **options: Any) -> None:
        stopping = threading.Event()

        def stop(signum: int, frame: FrameType | None) -> None:
            stopping.set()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        schedule = Schedule(CLOCKS)
        schedule.start()
        heartbeat = Heartbeat("schedule", check=schedule.is_well)
        heartbeat.start()
        log.info("schedule_ready", clocks=len(CLOCKS))
        stopping.wait()
        heartbeat.stop()
        schedule.stop(GRACE_SECONDS)
        log.info("schedule_stopped")
