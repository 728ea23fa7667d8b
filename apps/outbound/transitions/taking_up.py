"""Which of the due deliveries a worker takes up next: the oldest first, and no destination to the exclusion of others.

The oldest due ones of a lane are looked at through a window, and taken in turns: of each destination the first, then of
each the second, and so on, none beyond the places it has left. So a fresh recipient behind a hundred that wait for one
server is taken with the first of those.

When the whole window is of destinations that have no place left (a server that stalls, and a hundred thousand that wait
for it), the oldest would hide all others. Then the lane is walked destination by destination instead, from where the
last walk ended, a bounded number of them at a time. Both ways go through one partial index each and cost the same
however many wait: `delivery_due` (lane, due_at), `delivery_by_destination` (lane, destination, due_at).

That must not depend on what PostgreSQL believes to be in the table. A queue is empty nearly always, and so say its
statistics: when a hundred thousand come at once, every partial index still counts as empty, any of them as good as the
others, and reading all of one as good as a look-up. So each look names an order that only its own index has, with
sorting switched off until the transaction ends, and the rows found are fetched by their id with a condition that
matches no partial index.

Several workers choose at the same time: what another has locked is skipped and the next in turn is taken.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from apps.organisations.models import new_id
from apps.outbound.models import Lane
from apps.outbound.one_trip import in_one_trip
from apps.outbound.transitions.settling import SETTLE_TAKEN, SETTLING, announce_news

# How many times as many as can be taken are looked at.
WINDOW = 8
LARGEST_WINDOW = 800
# A walk stops at so many destinations, and looks at so many of each.
HOPS = 64
AT_A_STOP = 8

# `statement_timestamp()` is stable, so an index is read up to it and no further; a lease needs the time that passes.
# Nor is anything compiled, which for a statement that looks dear takes longer than running it.
_IN_INDEX_ORDER = "SELECT set_config('jit', 'off', true), " + ", ".join(
    f"set_config('enable_{way}', 'off', true)"
    for way in ("seqscan", "bitmapscan", "sort", "incremental_sort", "hashjoin", "mergejoin")
)
_NEXT_DUE = """
SELECT due_at FROM outbound_delivery WHERE lane = %(lane)s AND state IN ('scheduled', 'queued', 'deferred')
ORDER BY lane, due_at LIMIT 1
"""
_OLDEST = """
WITH seen AS MATERIALIZED (
    SELECT id, destination, due_at FROM outbound_delivery
    WHERE lane = %(lane)s AND state IN ('scheduled', 'queued', 'deferred') AND due_at <= statement_timestamp()
    ORDER BY lane, due_at LIMIT %(window)s
), scope AS (
    SELECT count(*) AS seen, '' AS last FROM seen
), candidates AS (
    SELECT ranked.id, ranked.due_at, ranked.turn
    FROM (SELECT *, row_number() OVER (PARTITION BY destination ORDER BY due_at) AS turn FROM seen) AS ranked
    LEFT JOIN unnest(%(destinations)s::text[], %(places)s::int[]) AS known (destination, places) USING (destination)
    WHERE ranked.turn <= COALESCE(known.places, %(each)s)
)"""
_BY_DESTINATION = """
WITH RECURSIVE walk AS (
    (SELECT destination, 1 AS hop FROM outbound_delivery
     WHERE lane = %(lane)s AND state IN ('scheduled', 'queued', 'deferred') AND destination > %(after)s
     ORDER BY lane, destination LIMIT 1)
    UNION ALL
    SELECT (SELECT next.destination FROM outbound_delivery AS next
            WHERE lane = %(lane)s AND state IN ('scheduled', 'queued', 'deferred')
                AND next.destination > walk.destination
            ORDER BY lane, destination LIMIT 1), hop + 1
    FROM walk WHERE walk.destination IS NOT NULL AND hop < %(hops)s
), scope AS (
    SELECT count(destination) AS seen, COALESCE(max(destination), '') AS last FROM walk
), candidates AS (
    SELECT due.id, due.due_at, due.turn
    FROM walk
    LEFT JOIN unnest(%(destinations)s::text[], %(places)s::int[]) AS known (destination, places) USING (destination)
    CROSS JOIN LATERAL (
        SELECT id, due_at, row_number() OVER (ORDER BY due_at) AS turn FROM (
            SELECT id, due_at FROM outbound_delivery
            WHERE (lane, destination, due_at) >= (%(lane)s, walk.destination, '-infinity')
                AND (lane, destination, due_at) <= (%(lane)s, walk.destination, statement_timestamp())
                AND state IN ('scheduled', 'queued', 'deferred')
            ORDER BY lane, destination, due_at LIMIT LEAST(%(at_a_stop)s, COALESCE(known.places, %(each)s))
        ) AS first
    ) AS due
)"""
# Whom the turn passes to is looked up one after the other, until there are enough.
_TAKE = """, in_turn AS MATERIALIZED (
    SELECT id FROM candidates ORDER BY turn, due_at
), mine AS MATERIALIZED (
    SELECT free.id FROM in_turn CROSS JOIN LATERAL (
        SELECT d.id FROM outbound_delivery AS d
        WHERE d.id = in_turn.id AND d.state || '' IN ('scheduled', 'queued', 'deferred')
            AND d.due_at <= statement_timestamp()
        FOR UPDATE OF d SKIP LOCKED
    ) AS free
    LIMIT %(limit)s
), taken AS (
    UPDATE outbound_delivery AS d SET
        state = 'sending', phase = '', due_at = NULL, cause = '', reason = '', lease_token = gen_random_uuid(),
        lease_expires_at = clock_timestamp() + make_interval(secs => %(lease_seconds)s),
        attempts_made = attempts_made + 1
    FROM mine WHERE d.id = mine.id
    RETURNING d.*
), noted AS (
    INSERT INTO outbound_deliveryattempt
        (id, delivery_id, number, token, started_at, outcome, enhanced, text, server, tls, phases_ms)
    SELECT (%(attempts)s::uuid[])[(row_number() OVER ())::int], id, attempts_made, lease_token, clock_timestamp(),
        '', '', '', '', '', '{}'
    FROM taken
), locked AS MATERIALIZED (
    SELECT id, sender_address, size_bytes, kind FROM mailboxes_message
    WHERE id = ANY(ARRAY(SELECT message_id FROM taken)) ORDER BY id FOR NO KEY UPDATE
)
SELECT scope.seen, scope.last, d.id, d.lease_token, d.attempts_made, d.message_id, d.organisation_id, d.lane, d.route,
    m.sender_address, d.recipient, d.destination, m.size_bytes, d.setbacks, d.expires_at, d.pinned_relay_id,
    d.cancel_if_replied, m.kind
FROM scope LEFT JOIN (taken AS d JOIN locked AS m ON m.id = d.message_id) ON true
ORDER BY d.created_at, d.id
"""


@dataclass(frozen=True, slots=True)
class Room:
    """How many may be taken: `limit` in all, of a destination the places it has left, `each` where none are named."""

    limit: int
    each: int
    places: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TakenUp:
    """A delivery that was taken up, with what sending it needs."""

    delivery_id: uuid.UUID
    token: uuid.UUID
    number: int
    message_id: uuid.UUID
    organisation_id: uuid.UUID
    lane: str
    route: str
    sender: str
    recipient: str
    destination: str
    size_bytes: int
    setbacks: int
    expires_at: datetime
    pinned_relay_id: uuid.UUID | None
    cancel_if_replied: bool
    kind: str


@dataclass(frozen=True, slots=True)
class Takings:
    """What was taken up. `hidden` tells that there may be more, which places that are all taken keep from being seen;
    `last` is where a walk ended, "" at the end of the lane.
    """

    deliveries: list[TakenUp]
    hidden: bool
    last: str = ""


def take_oldest(lane: Lane, room: Room, *, lease: timedelta) -> Takings:
    """Due → sending, each with a new token and the row of its attempt."""
    window = max(room.limit, min(WINDOW * room.limit, LARGEST_WINDOW))
    seen, _last, taken = _take(_OLDEST + _TAKE, lane, room, lease, {"window": window})
    return Takings(taken, hidden=seen == window and len(taken) < room.limit)


def take_by_destination(lane: Lane, room: Room, *, after: str, lease: timedelta) -> Takings:
    """The same, walking the destinations that come after one in the order of the alphabet."""
    seen, last, taken = _take(
        _BY_DESTINATION + _TAKE, lane, room, lease, {"after": after, "hops": HOPS, "at_a_stop": AT_A_STOP}
    )
    went_on = seen == HOPS
    return Takings(taken, hidden=went_on, last=last if went_on else "")


def next_due_at(lane: Lane) -> datetime | None:
    """When the first of those that wait in a lane is due, be it long ago; None when nobody waits."""
    _settings, rows = in_one_trip([_IN_INDEX_ORDER, _NEXT_DUE], {"lane": lane.value})
    return rows[0][0] if rows else None


def _take(
    statement: str, lane: Lane, room: Room, lease: timedelta, more: dict[str, int | str]
) -> tuple[int, str, list[TakenUp]]:
    parameters = {
        "lane": lane.value,
        "limit": room.limit,
        "each": room.each,
        "destinations": list(room.places),
        "places": list(room.places.values()),
        "attempts": [new_id() for _ in range(room.limit)],
        "lease_seconds": lease.total_seconds(),
        **SETTLING,
        **more,
    }
    _settings, rows, mailboxes = in_one_trip([_IN_INDEX_ORDER, statement, SETTLE_TAKEN], parameters)
    announce_news(mailboxes)
    return rows[0][0], rows[0][1], [TakenUp(*row[2:]) for row in rows if row[2] is not None]
