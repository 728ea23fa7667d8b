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
from apps.blobs.offloading import offload
from apps.blobs.repacking import repack_some
from apps.erasure.walk import erase_some
from apps.events.services import Consumers, sequence_committed
from apps.inbound.admission import judge_again
from apps.inbound.second_reading import sweep_read_in_haste
from apps.inbound.sweeper import forget_discarded, sweep_received, sweep_spam_marks
from apps.mailboxes.snoozing import WOKEN_AT_ONCE, wake_due
from apps.monitoring.heartbeat import Heartbeat
from apps.notifications.fan_out import fan_out as push_to_browsers
from apps.notifications.queue import sweep_notifications
from apps.organisations.resealing import reseal_stale
from apps.outbound.bounces.notices import tell_of_late, tell_of_lost
from apps.outbound.domains.tending import tend
from apps.outbound.signing.rotation import retire_due
from apps.outbound.submission.idempotency import forget_old_keys
from apps.outbound.submission.quotas import forget_old_use
from apps.outbound.submission.refused import forget_old_refusals
from apps.outbound.submission.wishes import cancel_what_was_answered
from apps.outbound.sweeper import sweep_deliveries
from apps.tickets.bulk import forget_old_changes
from apps.tickets.spam import forget_old_clues, learn_from_answers
from apps.webhooks.fan_out import fan_out as push_to_webhooks
from apps.webhooks.queue import forget_finished
from apps.webhooks.sweeper import sweep_webhooks
from apps.writing.completion import learn_correspondents
from apps.writing.sweeping import sweep_drafts
from mailplatform.schedule import Clock, Schedule

log = structlog.get_logger(__name__)

GRACE_SECONDS = 4.0
HOUR = 3600.0
# Of what is cheaper done together: fewer wait for the next tick.
SOME = 100
_WALK = UnreferencedWalk()
# Who reads the event log, together.
READERS = Consumers(
    plan_acknowledgements,
    push_to_webhooks,
    push_to_browsers,
    cancel_what_was_answered,
    learn_from_answers,
    learn_correspondents,
)


def _clear_sessions() -> int:
    import_module(settings.SESSION_ENGINE).SessionStore.clear_expired()
    return 0


CLOCKS = (
    Clock("sweep deliveries", 1.0, sweep_deliveries),
    Clock("sweep received", 1.0, sweep_received),
    Clock("judge held mail again", 15.0, judge_again),
    Clock("read again what was read in haste", 60.0, sweep_read_in_haste),
    Clock("sweep spam marks", 5.0, sweep_spam_marks),
    Clock("tell of lost mail", 2.0, tell_of_lost),
    Clock("tell of late mail", 30.0, tell_of_late),
    Clock("sequence events", 0.5, sequence_committed, batch=SOME),
    Clock("read events", 0.5, READERS.read_on, batch=SOME),
    Clock("sweep acknowledgements", 1.0, sweep_acknowledgements),
    Clock("sweep webhooks", 1.0, sweep_webhooks),
    Clock("sweep notifications", 5.0, sweep_notifications),
    Clock("offload spool", 0.5, offload, batch=SOME),
    Clock("tend domains", 60.0, lambda: tend(timezone.now())),
    Clock("retire signing keys", HOUR, lambda: retire_due(timezone.now())),
    Clock("reseal secrets", HOUR, reseal_stale),
    Clock("erase customers", 1.0, erase_some),
    Clock("delete discarded objects", 1.0, delete_discarded, batch=SOME),
    Clock("repack", 1.0, repack_some, batch=SOME),
    Clock("discard what nobody refers to", 10.0, lambda: _WALK.step(timezone.now()), batch=SOME),
    Clock("remove orphans", 6 * HOUR, lambda: remove_orphans(timezone.now())),
    Clock("forget idempotency keys", HOUR, lambda: forget_old_keys(timezone.now())),
    Clock("forget webhook deliveries", HOUR, lambda: forget_finished(timezone.now())),
    Clock("forget refused submissions", HOUR, lambda: forget_old_refusals(timezone.now())),
    Clock("forget quota tallies", HOUR, lambda: forget_old_use(timezone.now())),
    Clock("forget discarded mail", HOUR, lambda: forget_discarded(timezone.now())),
    Clock("wake what is snoozed", 5.0, lambda: wake_due(timezone.now()), batch=WOKEN_AT_ONCE),
    Clock("forget bulk changes", HOUR, lambda: forget_old_changes(timezone.now())),
    Clock("forget old clues", HOUR, lambda: forget_old_clues(timezone.now())),
    Clock("forget ended drafts", HOUR, lambda: sweep_drafts(timezone.now())),
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
