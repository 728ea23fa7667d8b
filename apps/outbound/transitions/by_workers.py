"""What workers do with deliveries: many in one statement each."""

import json
import uuid
from collections.abc import Collection, Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from apps.events.services import PUBLISH_FROM
from apps.outbound.causes import Cause
from apps.outbound.models import UNFINISHED, Delivery, DeliveryAttempt, DeliveryState, Lane
from apps.outbound.one_trip import in_one_trip
from apps.outbound.transitions.change import Ending, Held, apply_change
from apps.outbound.transitions.settling import (
    LOCK_GIVEN,
    SETTLE_GIVEN,
    SETTLING,
    announce_news,
    delivery_event,
    tell_of,
)

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
    SELECT id FROM outbound_delivery
    WHERE id = ANY(%(ids)s::uuid[]) AND state = 'sending' AND lease_token = ANY(%(tokens)s::uuid[])
    ORDER BY id FOR NO KEY UPDATE
)
UPDATE outbound_delivery AS d SET phase = 'committing', relay_id = COALESCE(given.relay_id, d.relay_id)
FROM given JOIN mine USING (id)
WHERE d.id = given.id AND d.state = 'sending' AND d.lease_token = given.token AND d.lease_expires_at > clock_timestamp()
RETURNING d.lease_token
"""
# With each delivery that is still its worker's, its attempt's row is completed, or taken back where there was none.
_LEAVE = """
WITH given AS (
    SELECT * FROM unnest(
        %(ids)s::uuid[], %(tokens)s::uuid[], %(numbers)s::int[], %(states)s::text[], %(causes)s::text[],
        %(reasons)s::text[], %(dues)s::timestamptz[], %(setbacks)s::int[], %(attempted)s::bool[], %(asked)s::uuid[],
        %(relays)s::uuid[], %(codes)s::int[], %(enhanced)s::text[], %(texts)s::text[], %(servers)s::text[],
        %(tls)s::text[], %(phases)s::jsonb[]
    ) AS g (id, token, number, state, cause, reason, due_at, setback, attempted, asked_id,
        relay_id, code, enhanced, text, server, tls, phases_ms)
), mine AS MATERIALIZED (
    SELECT id FROM outbound_delivery
    WHERE id = ANY(%(ids)s::uuid[]) AND state = 'sending' AND lease_token = ANY(%(tokens)s::uuid[])
    ORDER BY id FOR NO KEY UPDATE
), ended AS (
    UPDATE outbound_delivery AS d SET
        state = given.state, phase = '', cause = given.cause, reason = given.reason, due_at = given.due_at,
        finished_at = CASE WHEN given.state = ANY(%(unfinished)s::text[]) THEN NULL ELSE %(now)s END,
        lease_token = NULL, lease_expires_at = NULL, setbacks = d.setbacks + given.setback,
        attempts_made = d.attempts_made - (NOT given.attempted)::int,
        relay_id = COALESCE(given.relay_id, given.asked_id, d.relay_id)
    FROM given JOIN mine USING (id)
    WHERE d.id = given.id AND d.state = 'sending' AND d.lease_token = given.token
    RETURNING d.organisation_id, d.message_id, d.id AS delivery_id, 'delivery.' || d.state AS kind, '' AS actor,
        jsonb_build_object('cause', d.cause) AS data, given.*
), completed AS (
    UPDATE outbound_deliveryattempt AS a SET
        finished_at = %(now)s, outcome = ended.state, relay_id = ended.relay_id, code = ended.code,
        enhanced = ended.enhanced, text = ended.text, server = ended.server, tls = ended.tls,
        phases_ms = ended.phases_ms
    FROM ended WHERE a.delivery_id = ended.id AND a.number = ended.number AND ended.attempted
), taken_back AS (
    DELETE FROM outbound_deliveryattempt AS a USING ended
    WHERE a.delivery_id = ended.id AND a.number = ended.number AND NOT ended.attempted
), published AS ({publish})
SELECT token FROM ended
""".format(publish=PUBLISH_FROM.format(source="ended"))  # noqa: S608  # two constants
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


_UNFINISHED = [state.value for state in UNFINISHED]


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


def leave_sending(endings: Sequence[Ending], now: datetime) -> set[uuid.UUID]:
    """sending → whatever each attempt came to, by the holders of the tokens; the tokens that held."""
    if not endings:
        return set()
    parameters = _columns(endings) | {"now": now, "unfinished": _UNFINISHED} | SETTLING
    left, _locked, mailboxes = in_one_trip([_LEAVE, LOCK_GIVEN, SETTLE_GIVEN], parameters)
    announce_news(mailboxes)
    return {token for (token,) in left}


def _columns(endings: Sequence[Ending]) -> dict[str, list[Any]]:
    changes = [one.change for one in endings]
    evidence = [one.evidence for one in endings]
    return {
        "ids": [one.delivery_id for one in endings],
        "tokens": [one.token for one in endings],
        "numbers": [one.number for one in endings],
        "messages": list({one.message_id for one in endings}),
        "states": [one.state.value for one in changes],
        "causes": [one.cause.value for one in changes],
        "reasons": [one.reason for one in changes],
        "dues": [one.due_at for one in changes],
        "setbacks": [int(one.setback) for one in changes],
        "attempted": [one.attempted for one in changes],
        "asked": [one.relay_id for one in changes],
        "relays": [one.relay_id for one in evidence],
        "codes": [one.code for one in evidence],
        "enhanced": [one.enhanced for one in evidence],
        "texts": [one.evidence.text or one.change.reason for one in endings],
        "servers": [one.server for one in evidence],
        "tls": [one.tls for one in evidence],
        "phases": [json.dumps(one.phases_ms) for one in evidence],
    }


def decide_by_late_answer(late: Ending, now: datetime) -> bool:
    """uncertain → what the server did say, when it comes after the lease lapsed and nobody has acted since.

    In a transaction.
    """
    change, evidence = late.change, late.evidence
    uncertain = Delivery.objects.filter(
        pk=late.delivery_id, state=DeliveryState.UNCERTAIN, attempts_made=late.number
    )
    if not apply_change(uncertain, replace(change, relay_id=evidence.relay_id or change.relay_id), now):
        return False
    attempt = DeliveryAttempt.objects.filter(delivery=late.delivery_id, number=late.number)
    attempt.update(
        finished_at=now,
        outcome=change.state,
        **asdict(evidence) | {"text": evidence.text or change.reason},
    )
    return True


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
