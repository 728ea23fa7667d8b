"""Housekeeping of received mail: wake who files it and who learns from it, and erase what people discarded.

Safe to repeat and to be killed in. `forget_discarded` erases in one transaction a mail; a crash leaves the others for
the next round.
"""

import uuid
from datetime import datetime

from django.db import transaction

from apps.blobs.discarding import discard
from apps.inbound.claims import is_anything_due
from apps.inbound.models import ReceivedMessage
from apps.inbound.wakeups import INGEST
from apps.tickets.holding import KEPT_FOR
from apps.tickets.models import HeldMessage, HeldState
from apps.tickets.spam import LEARN, is_anything_to_learn

ERASED_AT_ONCE = 100


def sweep_received() -> int:
    """Wake a worker when mail is due: accepted mail whose wake-up was lost, whose worker died, or whose time to try
    again has come.

    Answers 0 whatever it finds, for a clock asks again at once after "something": nobody has woken by then.
    """
    if is_anything_due():
        INGEST.call()
    return 0


def sweep_spam_marks() -> int:
    """Wake a worker when somebody has marked mail that nobody has learned from. Answers 0 likewise."""
    if is_anything_to_learn():
        LEARN.call()
    return 0


def forget_discarded(now: datetime) -> int:
    """Erase held mail that a person discarded `KEPT_FOR` ago, bytes and all; how many mails."""
    old = HeldMessage.objects.filter(state=HeldState.DISCARDED, decided_at__lt=now - KEPT_FOR)
    held_ids = list(old.order_by("decided_at").values_list("pk", flat=True)[:ERASED_AT_ONCE])
    return sum(_erase(held_id) for held_id in held_ids)


@transaction.atomic
def _erase(held_id: uuid.UUID) -> bool:
    # Locked, so that whoever restores it in this moment comes before or too late.
    held = HeldMessage.objects.select_for_update().filter(pk=held_id, state=HeldState.DISCARDED).first()
    if held is None:
        return False
    ReceivedMessage.objects.filter(held=held).delete()
    held.delete()
    discard([held.raw_id])  # unless the same bytes came again, or are attached to something
    return True
