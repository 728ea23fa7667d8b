"""Publishing and numbering events.

`publish` writes the row in the caller's transaction: an event exists exactly when what it tells of does. Row ids are
handed out before commits, so a reader that goes by them skips whatever commits late. `sequence_committed` therefore
numbers events afterwards, one sequencer at a time: a number is visible only after all smaller ones are.

A crash in the sequencer rolls its numbers back; the next run gives them again.
"""

import json
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import or_

import structlog
from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import Max, Q

from apps.events.models import Cursor, Event

log = structlog.get_logger(__name__)

SEQUENCER_LOCK = 0x5E9CE
EVENTS_AT_ONCE = 500
REST_SECONDS = 5.0
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


@dataclass(frozen=True, slots=True)
class Consumer:
    """A reader of the log: its name, under which its place is kept, what it does with events, and which it wants.

    `handle` is given some events in the transaction that moves its place behind them. When it raises, the place stays
    and the same events come again: consumers are idempotent. Called, it reads on alone; `Consumers` reads for several.
    """

    name: str
    handle: Callable[[Sequence[Event]], None]
    only: Q = field(default_factory=Q)

    def __call__(self) -> int:
        """Read on; by how many events."""
        return consume(self.name, self.handle, only=self.only)


class Consumers:
    """Consumers that read on together: what several of them want is fetched once, with one look for news for all.

    Each still moves in a transaction of its own, so that one that fails holds up none but itself. It rests for a while.
    """

    def __init__(self, *consumers: Consumer) -> None:
        self._consumers = consumers
        self._rests_until: dict[str, float] = {}

    def read_on(self) -> int:
        """By how many events the furthest of them has read on."""
        now = time.monotonic()
        awake = [one for one in self._consumers if self._rests_until.get(one.name, 0) <= now]
        passed = [0]
        for portion in _portions(awake, EVENTS_AT_ONCE):
            for consumer in portion.consumers:
                try:
                    passed.append(portion.pass_by(consumer))
                except (OperationalError, InterfaceError):
                    raise  # the database is away, for all of them
                except Exception:
                    # A consumer that ended would silently fall behind until the next start; tell, and go on.
                    log.exception("consumer_failed", consumer=consumer.name)
                    self._rests_until[consumer.name] = now + REST_SECONDS
        return max(passed)


def consume(
    name: str,
    handle: Callable[[Sequence[Event]], None],
    *,
    only: Q | None = None,
    limit: int = EVENTS_AT_ONCE,
) -> int:
    """Hand the next events to one consumer and move its place; how many were passed by. Raises what `handle` raises."""
    consumer = Consumer(name, handle, only or Q())
    return sum(portion.pass_by(consumer) for portion in _portions([consumer], limit))


@dataclass(frozen=True, slots=True)
class _Portion:
    """The log between two numbers, read once for the consumers whose place is the first of them."""

    after: int
    to: int
    consumers: Sequence[Consumer]
    events: Sequence[Event]

    def pass_by(self, consumer: Consumer) -> int:
        """Hand a consumer what it wants and move its place; zero when another process has moved it meanwhile."""
        mark = _mark(self.consumers.index(consumer))
        wanted = [event for event in self.events if getattr(event, mark)]
        with transaction.atomic():
            # Locks the place too, so that each consumer is served by one process at a time.
            place = Cursor.objects.filter(name=consumer.name, sequence=self.after)
            if not place.update(sequence=self.to):
                return 0
            if wanted:
                consumer.handle(wanted)
        return self.to - self.after


def _mark(number: int) -> str:
    return f"is_for_{number}"


def _portions(consumers: Sequence[Consumer], limit: int) -> Iterator[_Portion]:
    """What is unread; usually one portion, since all that keep up stand at the same place."""
    # Numbers have no gaps. The end is looked up first: what is wanted is asked for after all that it is asked about.
    newest = Event.objects.aggregate(sequence=Max("sequence"))["sequence"] or 0
    names = [one.name for one in consumers]
    places = dict(Cursor.objects.filter(name__in=names).values_list("name", "sequence"))
    missing = [Cursor(name=name) for name in names if name not in places]
    if missing:
        Cursor.objects.bulk_create(missing, ignore_conflicts=True)
    standing = defaultdict[int, list[Consumer]](list)
    for one in consumers:
        standing[places.get(one.name, 0)].append(one)
    for place, those in standing.items():
        if place < newest:
            yield _read(place, min(newest, place + PASSED_AT_ONCE), those, limit)


def _read(after: int, to: int, consumers: Sequence[Consumer], limit: int) -> _Portion:
    """What none of them wants is not fetched."""
    wanted = [one.only or Q(pk__isnull=False) for one in consumers]
    marks = {_mark(number): only for number, only in enumerate(wanted)}
    unread = Event.objects.filter(sequence__gt=after, sequence__lte=to).annotate(**marks)
    events = list(unread.filter(reduce(or_, wanted)).order_by("sequence")[:limit])
    if len(events) == limit:
        to = events[-1].sequence or to
    return _Portion(after, to, consumers, events)
