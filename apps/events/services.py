"""Publishing and numbering events.

`publish` writes the row in the caller's transaction: an event exists exactly when what it tells of does. Row ids are
handed out before commits, so a reader that goes by them skips whatever commits late. `sequence_committed` therefore
numbers events afterwards, one sequencer at a time: a number is visible only after all smaller ones are.

A crash in the sequencer rolls its numbers back; the next run gives them again.
"""

import json
import uuid
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from django.db import connection, transaction
from django.db.models import Max, Q, Subquery
from django.db.models.functions import Coalesce

from apps.events.models import Cursor, Event

SEQUENCER_LOCK = 0x5E9CE
# How many events a consumer passes by at a time that are none of its own.
PASSED_AT_ONCE = 10_000

_SEQUENCE = """
WITH unnumbered AS (
    SELECT id, row_number() OVER (ORDER BY id) AS position
    FROM (SELECT id FROM events_event WHERE sequence IS NULL ORDER BY id LIMIT %(limit)s) AS batch
), top AS (SELECT COALESCE(MAX(sequence), 0) AS sequence FROM events_event)
UPDATE events_event SET sequence = top.sequence + unnumbered.position
FROM unnumbered, top WHERE events_event.id = unnumbered.id
"""
# For who changes many rows in one statement: publishes the rows of a source (a CTE) with these columns.
PUBLISH_FROM = """
INSERT INTO events_event (organisation_id, kind, message_id, delivery_id, actor, data, created_at)
SELECT organisation_id, kind, message_id, delivery_id, actor, data, now() FROM {source}
"""
_PUBLISH = PUBLISH_FROM.format(
    source="""unnest(
    %(organisations)s::uuid[], %(kinds)s::text[], %(messages)s::uuid[], %(deliveries)s::uuid[], %(actors)s::text[],
    %(data)s::jsonb[]
) AS one (organisation_id, kind, message_id, delivery_id, actor, data)"""
)


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event about a message on its way, for `publish_all`. `data` holds codes and ids only."""

    organisation_id: uuid.UUID
    kind: str
    message_id: uuid.UUID
    delivery_id: uuid.UUID | None = None
    actor: str = ""
    data: dict[str, str | int | float | bool | None] = field(default_factory=dict)


def publish_all(events: Collection[NewEvent]) -> None:
    """`publish` for many, in one statement and in their order."""
    if not events:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            _PUBLISH,
            {
                "organisations": [one.organisation_id for one in events],
                "kinds": [one.kind for one in events],
                "messages": [one.message_id for one in events],
                "deliveries": [one.delivery_id for one in events],
                "actors": [one.actor for one in events],
                "data": [json.dumps(one.data) for one in events],
            },
        )


def publish(
    organisation_id: uuid.UUID,
    kind: str,
    *,
    message_id: uuid.UUID | None = None,
    ticket_id: uuid.UUID | None = None,
    delivery_id: uuid.UUID | None = None,
    actor: str = "",
    **data: str | int | float | bool | None,
) -> Event:
    """Write one event in the caller's transaction. `data` holds codes and ids, never addresses or texts."""
    row = event(
        organisation_id,
        kind,
        message_id=message_id,
        ticket_id=ticket_id,
        delivery_id=delivery_id,
        actor=actor,
        **data,
    )
    row.save(force_insert=True)
    return row


def event(
    organisation_id: uuid.UUID,
    kind: str,
    *,
    message_id: uuid.UUID | None = None,
    ticket_id: uuid.UUID | None = None,
    delivery_id: uuid.UUID | None = None,
    actor: str = "",
    **data: str | int | float | bool | None,
) -> Event:
    """The same, for the caller to write with other rows of its own."""
    return Event(
        organisation_id=organisation_id,
        kind=kind,
        message_id=message_id,
        ticket_id=ticket_id,
        delivery_id=delivery_id,
        actor=actor,
        data=data,
    )


def sequence_committed(limit: int = 1000) -> int:
    """Number up to `limit` committed events; how many. Zero also when another sequencer is at it."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [SEQUENCER_LOCK])
        row = cursor.fetchone()
        if row is None or not row[0]:
            return 0
        cursor.execute(_SEQUENCE, {"limit": limit})
        return int(cursor.rowcount)


def consume(
    name: str, handle: Callable[[Sequence[Event]], None], *, only: Q | None = None, limit: int = 200
) -> int:
    """Hand the next events to a named consumer and move its cursor, in one transaction; how many were passed by.

    The consumer's row is locked, so each name is read by one process at a time. When `handle` raises, the cursor stays
    and the same events come again: consumers are idempotent. Those that are not `only` what it wants are not read.
    """
    if not _has_news(name):
        return 0
    with transaction.atomic():
        Cursor.objects.get_or_create(name=name)
        cursor = Cursor.objects.select_for_update().get(name=name)
        # Numbers have no gaps. The end is looked up first: `only` is asked after all that it is asked about.
        newest = Event.objects.aggregate(sequence=Max("sequence"))["sequence"] or 0
        read_to = min(newest, cursor.sequence + PASSED_AT_ONCE)
        unread = Event.objects.filter(only or Q(), sequence__gt=cursor.sequence, sequence__lte=read_to)
        events = list(unread.order_by("sequence")[:limit])
        if events:
            handle(events)
        if len(events) == limit:
            read_to = events[-1].sequence or read_to
        Cursor.objects.filter(name=name).update(sequence=read_to)
        return read_to - cursor.sequence


def _has_news(name: str) -> bool:
    """Asked without a lock, twice a second by each consumer."""
    newest = Event.objects.filter(sequence__isnull=False).order_by("-sequence").values("sequence")[:1]
    return not Cursor.objects.filter(name=name, sequence__gte=Coalesce(Subquery(newest), 0)).exists()
