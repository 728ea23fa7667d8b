"""What nobody goes on writing is let go of: ended drafts after a day, and files that stopped on their way.

A draft whose message still waits to be sent stays until it has left: it is what Undo and "write it anew" go back to.
Open drafts stay for good. Bytes go once no row refers to them (`blobs.discarding`).
"""

from datetime import datetime, timedelta

from django.db.models import F, Q

from apps.outbound.models import DeliveryState
from apps.writing.models import Draft, DraftFile, DraftState

KEPT = timedelta(days=1)
AT_ONCE = 500


def sweep_drafts(now: datetime) -> int:
    """How many went."""
    waits = Q(message__state__in=[DeliveryState.SCHEDULED, DeliveryState.REJECTED])
    ended = Draft.objects.filter(~Q(state=DraftState.OPEN), ~waits, ended_at__lt=now - KEPT)
    gone = list(ended.order_by("ended_at").values_list("pk", flat=True)[:AT_ONCE])
    Draft.objects.filter(pk__in=gone).delete()
    stopped = DraftFile.objects.filter(
        blob__isnull=True, received_bytes__lt=F("size_bytes"), created_at__lt=now - KEPT
    )
    stuck = list(stopped.order_by("pk").values_list("pk", flat=True)[:AT_ONCE])
    DraftFile.objects.filter(pk__in=stuck).delete()
    return len(gone) + len(stuck)
