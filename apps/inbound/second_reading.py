"""Read once more what could not be read in time when it came.

A machine that has too much to do may overrun the time in which a mail must be read; the mail is filed as plain text
with all of it attached, and somebody waits for its files. So it is read again when no mail waits to be filed, once:
what takes too long then too is hostile, or beyond us, and stays as it is until `manage.py reingest`.

A crash leaves a mail to be read again, which is safe to repeat (`reingest`).

Limits: what was concluded when it was filed stays: a bounce that could not be read opened a ticket.
"""

from django.db.models import F, Func, QuerySet, Value

from apps.inbound.claims import is_anything_due
from apps.inbound.reingest import Choice, reingest
from apps.inbound.wakeups import READ_AGAIN
from apps.mailboxes.models import Direction, Message
from apps.mime.bounded import TIMED_OUT, TIMED_OUT_TWICE


def sweep_read_in_haste() -> int:
    """Wake a worker when there is something to read again, and nothing else to do. Answers 0: see `sweeper`."""
    if is_anything_to_read_again():
        READ_AGAIN.call()
    return 0


def is_anything_to_read_again() -> bool:
    return _in_haste().exists() and not is_anything_due()


def read_again_in_peace() -> int:
    """Read the oldest such mail again; how many it was, 0 or 1. Raises ObjectStoreUnavailable."""
    message_id = _in_haste().order_by("received_at").values_list("pk", flat=True).first()
    if message_id is None:
        return 0
    for _tally in reingest(Choice(message_id=message_id)):
        pass
    gives_up = Func(F("defects"), Value(TIMED_OUT), Value(TIMED_OUT_TWICE), function="array_replace")
    _in_haste().filter(pk=message_id).update(defects=gives_up)
    return 1


def _in_haste() -> QuerySet[Message]:
    return Message.objects.filter(direction=Direction.IN, defects__contains=[TIMED_OUT])
