"""What an attempt met, kept with it: the server's words, and where the time went."""

import json
import uuid
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import connection

from apps.outbound.transitions import Change

_WRITE = """
UPDATE outbound_deliveryattempt AS a SET
    finished_at = %(now)s, outcome = g.outcome, relay_id = g.relay_id, code = g.code, enhanced = g.enhanced,
    text = g.text, server = g.server, tls = g.tls, phases_ms = g.phases_ms
FROM unnest(
    %(deliveries)s::uuid[], %(numbers)s::int[], %(outcomes)s::text[], %(relays)s::uuid[], %(codes)s::int[],
    %(enhanced)s::text[], %(texts)s::text[], %(servers)s::text[], %(tls)s::text[], %(phases)s::jsonb[]
) AS g (delivery_id, number, outcome, relay_id, code, enhanced, text, server, tls, phases_ms)
WHERE a.delivery_id = g.delivery_id AND a.number = g.number
"""
_TAKE_BACK = """
DELETE FROM outbound_deliveryattempt AS a
USING unnest(%(deliveries)s::uuid[], %(numbers)s::int[]) AS g (delivery_id, number)
WHERE a.delivery_id = g.delivery_id AND a.number = g.number
"""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What an attempt met: the server's words, and where the time went."""

    relay_id: uuid.UUID | None = None
    code: int | None = None
    enhanced: str = ""
    text: str = ""
    server: str = ""
    tls: str = ""
    phases_ms: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Account:
    """One attempt, by its delivery and number, and how it ended."""

    delivery_id: uuid.UUID
    number: int
    change: Change
    evidence: Evidence


def write_evidence(accounts: Collection[Account], now: datetime) -> None:
    """Complete the attempts' rows; those that were none go. In the transaction of their results."""
    attempts = [one for one in accounts if one.change.attempted]
    none_at_all = [one for one in accounts if not one.change.attempted]
    with connection.cursor() as cursor:
        if attempts:
            cursor.execute(_WRITE, _columns(attempts) | {"now": now})
        if none_at_all:
            cursor.execute(_TAKE_BACK, _keys(none_at_all))


def _keys(accounts: Collection[Account]) -> dict[str, Any]:
    return {
        "deliveries": [one.delivery_id for one in accounts],
        "numbers": [one.number for one in accounts],
    }


def _columns(accounts: Collection[Account]) -> dict[str, Any]:
    evidence = [one.evidence for one in accounts]
    return _keys(accounts) | {
        "outcomes": [one.change.state.value for one in accounts],
        "relays": [one.relay_id for one in evidence],
        "codes": [one.code for one in evidence],
        "enhanced": [one.enhanced for one in evidence],
        "texts": [one.evidence.text or one.change.reason for one in accounts],
        "servers": [one.server for one in evidence],
        "tls": [one.tls for one in evidence],
        "phases": [json.dumps(one.phases_ms) for one in evidence],
    }
