"""The transitions of a ReceivedMessage after its acceptance; `receiving` creates it.

    accepted ──claim_due──▶ ingesting ──finish──▶ filed
        ▲                       │        └──────▶ held      a HeldMessage has it now: `tickets.holding`
        └──give_back────────────┘   failed, not judged yet, or a lease that lapsed

A claim leases a row for `LEASE_SECONDS` by PostgreSQL's clock, under a new token, and counts an attempt; `LeaseKeeper`
renews it while its process lives. Until the lease lapses `due_at` lies in the future, so "due" means the same in both
states.

The threads of a process that want a row at the same time claim them in one statement (`claim_next`). Its commit waits
for no disk: when PostgreSQL crashes within that moment the rows are due again, their tokens are nobody's, and whoever
believed to hold one finds so at its fence. What files them waits as ever, and takes the claim to disk with it.
"""

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import InterfaceError, OperationalError, connection
from django.db.models.functions import Now

from apps.blobs.models import BLOB_COLUMNS, Blob
from apps.inbound.errors import LeaseLost
from apps.inbound.leases import LEASE_SECONDS
from apps.inbound.models import ReceivedMessage, ReceivedState
from apps.inbound.outages import is_away
from apps.organisations.joint_work import JointWork
from apps.organisations.prepared import Question, executed

WAITING = (ReceivedState.ACCEPTED, ReceivedState.INGESTING)
GIVE_BACK_TRIES = 20
CLAIMED_AT_ONCE = 16

# What filing asks of a row, in its model's order; anything else is read when it is asked for.
_OF_RECEIVED = [
    "id", "organisation_id", "raw_id", "envelope_sender", "recipients", "peer", "helo", "protocol", "received_at",
    "attempts", "lease_token",
]  # fmt: skip
_CLAIM = f"""
WITH due AS MATERIALIZED (
    SELECT id FROM inbound_receivedmessage
    WHERE state IN ('accepted', 'ingesting') AND due_at <= now()
        AND (SELECT set_config('synchronous_commit', 'off', true)) = 'off'
    ORDER BY due_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
UPDATE inbound_receivedmessage AS received
SET state = 'ingesting', attempts = attempts + 1, lease_token = gen_random_uuid(),
    due_at = now() + make_interval(secs => %(lease)s)
FROM due, blobs_blob AS blob WHERE received.id = due.id AND blob.id = received.raw_id
RETURNING {", ".join(f"received.{name}" for name in _OF_RECEIVED)}, {", ".join(f"blob.{name}" for name in BLOB_COLUMNS)}
"""  # noqa: S608 - our own names

# `ANY`: of a table that it is to be joined with, PostgreSQL believes that it is large, and would read all of ours.
_FINISH = """
UPDATE inbound_receivedmessage AS received SET state = one.state, lease_token = NULL, last_error = '',
    message_id = one.message, held_id = one.held
FROM unnest(%(ids)s::uuid[], %(tokens)s::uuid[], %(states)s::text[], %(messages)s::uuid[], %(held)s::uuid[])
    AS one (id, token, state, message, held)
WHERE received.id = one.id AND received.id = ANY(%(ids)s) AND received.state = 'ingesting'
    AND received.lease_token = one.token
RETURNING received.id
"""


@dataclass(frozen=True, slots=True)
class Claim:
    """A row leased to this worker, as it was then, its raw bytes' row with it. `attempts` counts this one."""

    received: ReceivedMessage

    @property
    def received_id(self) -> uuid.UUID:
        return self.received.pk

    @property
    def token(self) -> uuid.UUID:
        token = self.received.lease_token
        if token is None:
            raise AssertionError("a claimed row has a token")
        return token

    @property
    def attempts(self) -> int:
        return self.received.attempts


def is_anything_due() -> bool:
    """Whether a row waits for a worker now: an accepted one, or one whose worker let its lease lapse."""
    return ReceivedMessage.objects.filter(state__in=WAITING, due_at__lte=Now()).exists()


class _Wanted:
    """A thread's wish for a row."""

    claim: Claim | None = None


def claim_next() -> Claim | None:
    """Lease one due row to this thread, the oldest; None is ordinary. Asked by several threads at once, one asks for
    all of them."""
    wanted = _Wanted()
    _claiming.ask(wanted)
    return wanted.claim


def _claim_for(wanted: Sequence[_Wanted]) -> None:
    for one, claim in zip(wanted, claim_due(len(wanted)), strict=False):
        one.claim = claim


_claiming = JointWork[_Wanted](_claim_for, most=CLAIMED_AT_ONCE, is_away=is_away)


def claim_due(limit: int = 1) -> list[Claim]:
    """Lease up to `limit` due rows to this worker, oldest first, in a transaction of its own. An empty list is
    ordinary."""
    with executed(_CLAIM, {"limit": limit, "lease": LEASE_SECONDS}) as cursor:
        return [_claim_of(row) for row in cursor]


def _claim_of(row: tuple[Any, ...]) -> Claim:
    columns = len(_OF_RECEIVED)
    received = ReceivedMessage.from_db(connection.alias, _OF_RECEIVED, row[:columns])
    received.raw = Blob.from_db(connection.alias, BLOB_COLUMNS, row[columns:])
    return Claim(received)


@dataclass(frozen=True, slots=True)
class Finished:
    """What became of a claimed row: it was filed as a message, or is held."""

    claim: Claim
    message: uuid.UUID | None = None
    held: uuid.UUID | None = None


def finishing(finished: Sequence[Finished]) -> Question:
    """The fence, for who asks it with other things: each row that is answered was still ours, see `require_ours`.

    Where two workers come here with one row, the second waits for the first one's commit, and finds another state or
    token.
    """
    states = (ReceivedState.HELD if one.held else ReceivedState.FILED for one in finished)
    columns = {
        "ids": [one.claim.received_id for one in finished],
        "tokens": [one.claim.token for one in finished],
        "states": [state.value for state in states],
        "messages": [one.message for one in finished],
        "held": [one.held for one in finished],
    }
    return _FINISH, columns


def require_ours(finished: Sequence[Finished], answered: Sequence[tuple[Any, ...]]) -> None:
    """Raises LeaseLost, also when it is one of many: the caller takes back everything that it has written."""
    if len(answered) != len(finished):
        raise LeaseLost(", ".join(str(one.claim.received_id) for one in finished))


def give_back(claim: Claim, error: Exception, *, delay_seconds: float, counts: bool) -> None:
    """Return a row to the queue. Keeps trying for a while when PostgreSQL restarts: a lapsed lease would cost a minute,
    and count as an attempt that nobody made."""
    pause = 0.1
    for left in reversed(range(GIVE_BACK_TRIES)):
        try:
            _return_row(claim, error, delay_seconds=delay_seconds, counts=counts)
        except (OperationalError, InterfaceError):
            connection.close()
            if not left:
                raise
            time.sleep(pause)
            pause = min(pause * 1.5, 2.0)
        else:
            return


def _return_row(claim: Claim, error: Exception, *, delay_seconds: float, counts: bool) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE inbound_receivedmessage
            SET state = 'accepted', lease_token = NULL, attempts = attempts - %(uncount)s,
                due_at = now() + make_interval(secs => %(delay)s), last_error = %(error)s
            WHERE id = %(id)s AND state = 'ingesting' AND lease_token = %(token)s
            """,
            {
                "uncount": 0 if counts else 1,
                "delay": delay_seconds,
                "error": type(error).__name__,
                "id": claim.received_id,
                "token": claim.token,
            },
        )
