"""The worker's side of the road in."""

import dramatiq
from django.db import connection

from apps.inbound.claims import is_anything_due
from apps.inbound.ingest import ingest_due
from apps.inbound.second_reading import is_anything_to_read_again, read_again_in_peace
from apps.inbound.wakeups import INGEST, READ_AGAIN
from apps.tickets.spam import LEARN, is_anything_to_learn, learn_due

ROWS_PER_WAKE_UP = 50
SECONDS_PER_WAKE_UP = 2.0


# A stopping worker lets it end: it takes nothing new after two seconds, and a row given up half-way would wait for its
# lease to lapse.
@dramatiq.actor(queue_name="inbound", notify_shutdown=False)
def ingest() -> None:
    """File what is due: the rows say what there is to do.

    After its share it passes the wake-up on, so that a backlog of mail keeps no thread from other work for ever.
    """
    INGEST.answer()
    try:
        if ingest_due(limit=ROWS_PER_WAKE_UP, seconds=SECONDS_PER_WAKE_UP) and is_anything_due():
            INGEST.send()
    finally:
        connection.close()  # or each of the worker's threads would keep one from the pool while it idles


@dramatiq.actor(queue_name="inbound", notify_shutdown=False)
def learn_spam() -> None:
    """Learn from what people marked, a share at a time, and pass the wake-up on when there is more.

    Here and not in the room that keeps the marks, because mail is read for it, and these processes have the readers.
    """
    LEARN.answer()
    try:
        if learn_due() and is_anything_to_learn():
            LEARN.send()
    finally:
        connection.close()


@dramatiq.actor(queue_name="inbound", notify_shutdown=False)
def read_again() -> None:
    """Read one mail again that could not be read in time, and pass the wake-up on when there is another."""
    READ_AGAIN.answer()
    try:
        if read_again_in_peace() and is_anything_to_read_again():
            READ_AGAIN.send()
    finally:
        connection.close()
