"""What workers do with deliveries: many in one statement each."""

import uuid
from collections.abc import Collection
from datetime import datetime, timedelta

from django.db import connection

from apps.outbound.causes import Cause
from apps.outbound.models import UNFINISHED, Delivery, DeliveryState, Lane
from apps.outbound.transitions.change import Change, Held, apply_change
from apps.outbound.transitions.settling import delivery_event, tell_of

# `now()` stands still during a transaction; leases need the time that passes.
_RENEW = """
WITH mine AS MATERIALIZED (
    SELECT id FROM outbound_delivery
    WHERE state = 'sending' AND lease_token = ANY(%(tokens)s::uuid[]) AND lease_expires_at > clock_timestamp()
    ORDER BY id FOR NO KEY UPDATE
)
UPDATE outbound_delivery AS d
SET lease_expires_at = clock_timestamp() + make_interval(secs => %(lease_seconds)s)
FROM mine WHERE d.id = mine.id
RETURNING d.lease_token
"""
_FENCE = """
WITH given AS (
    SELECT * FROM unnest(%(ids)s::uuid[], %(tokens)s::uuid[], %(relays)s::uuid[]) AS g (id, token, relay_id)
), mine AS MATERIALIZED (
    SELECT d.id FROM outbound_delivery AS d JOIN given USING (id)
    WHERE d.state = 'sending' AND d.lease_token = given.token
    ORDER BY d.id FOR NO KEY UPDATE OF d
)
UPDATE outbound_delivery AS d SET phase = 'committing', relay_id = COALESCE(given.relay_id, d.relay_id)
FROM given JOIN mine USING (id)
WHERE d.id = given.id AND d.state = 'sending' AND d.lease_token = given.token AND d.lease_expires_at > clock_timestamp()
RETURNING d.lease_token
"""
_LEAVE = """
WITH given AS (
    SELECT * FROM unnest(
        %(ids)s::uuid[], %(tokens)s::uuid[], %(states)s::text[], %(causes)s::text[], %(reasons)s::text[],
        %(dues)s::timestamptz[], %(finished)s::timestamptz[], %(setbacks)s::int[], %(taken_back)s::int[],
        %(relays)s::uuid[]
    ) AS g (id, token, state, cause, reason, due_at, finished_at, setbacks, taken_back, relay_id)
), mine AS MATERIALIZED (
    SELECT d.id FROM outbound_delivery AS d JOIN given USING (id)
    WHERE d.state = 'sending' AND d.lease_token = given.token
    ORDER BY d.id FOR NO KEY UPDATE OF d
)
UPDATE outbound_delivery AS d SET
    state = given.state, phase = '', cause = given.cause, reason = given.reason, due_at = given.due_at,
    finished_at = given.finished_at, lease_token = NULL, lease_expires_at = NULL,
    setbacks = d.setbacks + given.setbacks, attempts_made = d.attempts_made - given.taken_back,
    relay_id = COALESCE(given.relay_id, d.relay_id)
FROM given JOIN mine USING (id)
WHERE d.id = given.id AND d.state = 'sending' AND d.lease_token = given.token
RETURNING given.token, d.organisation_id, d.message_id, d.id, d.state, d.cause
"""
_PUT_OFF = """
WITH chosen AS MATERIALIZED (
    SELECT id, state FROM outbound_delivery
    WHERE lane = ANY(%(lanes)s::text[]) AND destination = %(destination)s AND state IN ('queued', 'deferred')
        AND due_at < %(until)s AND route = 'relay'
    ORDER BY due_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
UPDATE outbound_delivery AS d SET
    state = 'deferred', cause = %(cause)s, reason = %(reason)s,
    due_at = LEAST(%(until)s + make_interval(secs => random() * %(spread_seconds)s), d.expires_at)
FROM chosen WHERE d.id = chosen.id
RETURNING d.organisation_id, d.message_id, d.id, d.state, d.cause, chosen.state
"""


def renew_leases(tokens: Collection[uuid.UUID], *, lease: timedelta) -> set[uuid.UUID]:
    """Lengthen what is still ours; the tokens that are."""
    with connection.cursor() as cursor:
        cursor.execute(_RENEW, {"tokens": list(tokens), "lease_seconds": lease.total_seconds()})
        return {row[0] for row in cursor.fetchall()}


def pass_fence(held: Collection[Held]) -> set[uuid.UUID]:
    """sending, phase `committing`: from here on nobody can tell. Whose token is not in the answer sends no dot."""
    with connection.cursor() as cursor:
        cursor.execute(
            _FENCE,
            {
                "ids": [one.delivery_id for one in held],
                "tokens": [one.token for one in held],
                "relays": [one.relay_id for one in held],
            },
        )
        return {row[0] for row in cursor.fetchall()}


def leave_sending(changes: Collection[tuple[Held, Change]], now: datetime) -> set[uuid.UUID]:
    """sending → whatever each attempt came to, by the holders of the tokens; the tokens that held. In a transaction."""
    if not changes:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(
            _LEAVE,
            {
                "ids": [held.delivery_id for held, _change in changes],
                "tokens": [held.token for held, _change in changes],
                "states": [change.state.value for _held, change in changes],
                "causes": [str(change.cause) for _held, change in changes],
                "reasons": [change.reason for _held, change in changes],
                "dues": [change.due_at for _held, change in changes],
                "finished": [None if change.state in UNFINISHED else now for _held, change in changes],
                "setbacks": [int(change.setback) for _held, change in changes],
                "taken_back": [int(not change.attempted) for _held, change in changes],
                "relays": [change.relay_id for _held, change in changes],
            },
        )
        left = cursor.fetchall()
    tell_of([delivery_event(*row[1:]) for row in left])
    return {row[0] for row in left}


def decide_by_late_answer(delivery_id: uuid.UUID, attempt_number: int, change: Change, now: datetime) -> bool:
    """uncertain → what the server did say, when it comes after the lease lapsed and nobody has acted since."""
    uncertain = Delivery.objects.filter(
        pk=delivery_id, state=DeliveryState.UNCERTAIN, attempts_made=attempt_number
    )
    return bool(apply_change(uncertain, change, now))


def put_off_destination(
    destination: str,
    until: datetime,
    cause: Cause,
    reason: str,
    *,
    lanes: Collection[Lane] = tuple(Lane),
    spread: timedelta = timedelta(minutes=1),
    limit: int = 2000,
) -> int:
    """queued, deferred → deferred until then, for all that waits for a destination known to take nothing; how many.

    At most `limit`: ask again until it answers less. They come due spread over a while, not all at once, and what
    waits for a later moment keeps it. In a transaction.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            _PUT_OFF,
            {
                "lanes": [lane.value for lane in lanes],
                "destination": destination,
                "until": until,
                "cause": str(cause),
                "reason": reason,
                "spread_seconds": spread.total_seconds(),
                "limit": limit,
            },
        )
        moved = cursor.fetchall()
    tell_of([delivery_event(*row[:5]) for row in moved if row[5] == DeliveryState.QUEUED])
    return len(moved)
