"""Every change of a delivery's state. Each is one conditional UPDATE; a row in another state is left alone.

    submission ──▶ scheduled ─────────────┐ due
         │                                ▼
         ├───────▶ queued ──────────▶ sending ──▶ sent        a relay said 250
         │           ▲  ▲   take_up      │  ├────▶ delivered   laid into our own Inbox
         │           │  │                │  ├────▶ failed      the other side said no for good
         │           │  └─ lapsed, or ───┤  ├────▶ rejected    it cannot be sent as it is
         │           │     given back    │  ├────▶ expired     the next try would come too late
         │           │                   │  └────▶ uncertain   lapsed at or after the fence, or the reply was lost
         │           │     put off       ▼             │
         │           ├─ due ─────── deferred           ├──▶ sent, bounced, queued    a person decides
         │           │                                 └──▶ sent, failed, deferred   a late answer decides
         ├───────▶ delivered, failed     (local recipients, at once)
         │
    scheduled, queued, deferred ──▶ cancelled   a person, as long as no worker has it
    scheduled, queued, deferred ──▶ expired     nobody took it up in its lifetime
    deferred ──▶ queued                         a person: "try now"
    failed, expired, rejected, bounced, suppressed ──▶ queued   a person resubmits it from the error queue
    submission, sending ──▶ suppressed          we do not write to this address any more
    sent, uncertain ──▶ bounced                 a report says that it did not arrive
    uncertain ──▶ sent                          a report says that it was accepted after all

While it is `sending` the row has a lease and a token; `pass_fence` sets the phase `committing`.

With each change, in the same transaction: an event (taking up has none: the attempt's row tells it), the message's
state, which is its least finished delivery's, and after the commit a notice to the sender's mailbox. Locks are
taken in one order, deliveries before messages and messages by id, so that no two changes wait for each other.
"""

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import F, QuerySet
from django.db.models.functions import Now

from apps.events.notices import announce
from apps.events.services import publish
from apps.mailboxes.models import MailboxEntry, Message, Side
from apps.outbound.causes import Cause
from apps.outbound.errors import LeaseLost
from apps.outbound.models import (
    IN_ERROR,
    LEAST_FINISHED_FIRST,
    UNFINISHED,
    WAITING,
    Delivery,
    DeliveryAttempt,
    DeliveryState,
    Lane,
    Phase,
)

# `now()` stands still during a transaction; leases need the time that passes.
_TAKE_UP = """
UPDATE outbound_delivery SET
    state = 'sending', phase = '', due_at = NULL, cause = '', reason = '',
    lease_token = gen_random_uuid(), lease_expires_at = clock_timestamp() + make_interval(secs => %(lease_seconds)s),
    attempts_made = attempts_made + 1
WHERE id IN (
    SELECT id FROM outbound_delivery
    WHERE lane = %(lane)s AND state IN ('scheduled', 'queued', 'deferred') AND due_at <= clock_timestamp()
    ORDER BY due_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
) RETURNING id
"""
_RENEW = """
UPDATE outbound_delivery SET lease_expires_at = clock_timestamp() + make_interval(secs => %(lease_seconds)s)
WHERE state = 'sending' AND lease_token = ANY(%(tokens)s) AND lease_expires_at > clock_timestamp()
RETURNING lease_token
"""
_COMMIT = """
UPDATE outbound_delivery SET phase = 'committing'
WHERE id = %(id)s AND state = 'sending' AND lease_token = %(token)s AND lease_expires_at > clock_timestamp()
"""
_RECOVER = """
UPDATE outbound_delivery SET
    state = CASE WHEN phase = 'committing' THEN 'uncertain' ELSE 'queued' END,
    due_at = CASE WHEN phase = 'committing' THEN NULL ELSE clock_timestamp() END,
    cause = CASE WHEN phase = 'committing' THEN %(lost_reply)s ELSE %(lost_worker)s END,
    reason = CASE WHEN phase = 'committing' THEN %(uncertain)s ELSE %(queued)s END,
    phase = '', lease_token = NULL, lease_expires_at = NULL
WHERE id IN (
    SELECT id FROM outbound_delivery WHERE state = 'sending' AND lease_expires_at <= clock_timestamp()
    ORDER BY lease_expires_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
) RETURNING id
"""
LOST_BEFORE_FENCE = "Its worker vanished before the message was complete, so nothing was accepted."
LOST_AFTER_FENCE = (
    "Its worker vanished after the message was complete and before the answer was recorded: "
    "it may have been accepted."
)


@dataclass(frozen=True, slots=True)
class Change:
    """What a delivery becomes. `due_at` goes with the waiting states only; a setback lengthens the next wait."""

    state: DeliveryState
    cause: Cause = Cause.NONE
    reason: str = ""
    due_at: datetime | None = None
    setback: bool = False
    relay_id: uuid.UUID | None = None

    def columns(self, now: datetime) -> dict[str, Any]:
        columns: dict[str, Any] = {
            "state": self.state,
            "phase": Phase.NONE,
            "cause": self.cause,
            "reason": self.reason,
            "due_at": self.due_at,
            "lease_token": None,
            "lease_expires_at": None,
            "finished_at": None if self.state in UNFINISHED else now,
        }
        if self.setback:
            columns["setbacks"] = F("setbacks") + 1
        if self.relay_id is not None:
            columns["relay_id"] = self.relay_id
        return columns


# what workers do


def take_up(lane: Lane, *, limit: int, lease: timedelta) -> list[Delivery]:
    """Due → sending, oldest first, each with a new token and the row of its attempt. In a transaction."""
    with connection.cursor() as cursor:
        cursor.execute(_TAKE_UP, {"lane": lane.value, "limit": limit, "lease_seconds": lease.total_seconds()})
        ids = [row[0] for row in cursor.fetchall()]
    if not ids:
        return []
    taken = list(
        Delivery.objects.select_related("message__raw", "local_mailbox")
        .filter(pk__in=ids)
        .order_by("created_at", "id")
    )
    DeliveryAttempt.objects.bulk_create(
        [
            DeliveryAttempt(delivery=one, number=one.attempts_made, token=one.lease_token, started_at=Now())
            for one in taken
            if one.lease_token is not None
        ]
    )
    _settle({one.message_id for one in taken})
    return taken


def renew_leases(tokens: Collection[uuid.UUID], *, lease: timedelta) -> set[uuid.UUID]:
    """Lengthen what is still ours; the tokens that are."""
    with connection.cursor() as cursor:
        cursor.execute(_RENEW, {"tokens": list(tokens), "lease_seconds": lease.total_seconds()})
        return {row[0] for row in cursor.fetchall()}


def pass_fence(delivery_id: uuid.UUID, token: uuid.UUID) -> None:
    """sending, phase `committing`: from here on nobody can tell. Raises LeaseLost; then no dot may be sent."""
    with connection.cursor() as cursor:
        cursor.execute(_COMMIT, {"id": delivery_id, "token": token})
        if not cursor.rowcount:
            raise LeaseLost(delivery_id)


def leave_sending(delivery_id: uuid.UUID, token: uuid.UUID, change: Change, now: datetime) -> None:
    """sending → whatever the attempt came to, by the holder of the token. Raises LeaseLost."""
    held = Delivery.objects.filter(pk=delivery_id, state=DeliveryState.SENDING, lease_token=token)
    if not held.update(**change.columns(now)):
        raise LeaseLost(delivery_id)
    _tell(Delivery.objects.filter(pk=delivery_id))


def decide_by_late_answer(delivery_id: uuid.UUID, attempt_number: int, change: Change, now: datetime) -> bool:
    """uncertain → what the server did say, when it comes after the lease lapsed and nobody has acted since."""
    uncertain = Delivery.objects.filter(
        pk=delivery_id, state=DeliveryState.UNCERTAIN, attempts_made=attempt_number
    )
    changed = uncertain.update(**change.columns(now))
    if changed:
        _tell(Delivery.objects.filter(pk=delivery_id))
    return bool(changed)


# what the sweeper does


def recover_lapsed(*, limit: int) -> list[Delivery]:
    """Sending with a lapsed lease → queued, or uncertain where the fence was passed. In a transaction."""
    with connection.cursor() as cursor:
        cursor.execute(
            _RECOVER,
            {
                "limit": limit,
                "lost_reply": Cause.REPLY_LOST.value,
                "lost_worker": Cause.WORKER_LOST.value,
                "uncertain": LOST_AFTER_FENCE,
                "queued": LOST_BEFORE_FENCE,
            },
        )
        recovered = list(Delivery.objects.filter(pk__in=[row[0] for row in cursor.fetchall()]))
    for state in (DeliveryState.QUEUED, DeliveryState.UNCERTAIN):
        ids = [one.pk for one in recovered if one.state == state]
        DeliveryAttempt.objects.filter(delivery__in=ids, finished_at__isnull=True).update(
            finished_at=Now(),
            outcome=state,
            text=LOST_AFTER_FENCE if state == "uncertain" else LOST_BEFORE_FENCE,
        )
    _tell(recovered)
    return recovered


def expire_waiting(*, limit: int, now: datetime) -> list[Delivery]:
    """Waiting beyond its lifetime → expired; what it waited for last stays in the reason. In a transaction."""
    ids = list(
        Delivery.objects.select_for_update(skip_locked=True)
        .filter(state__in=WAITING, expires_at__lte=now)
        .order_by("expires_at")
        .values_list("pk", flat=True)[:limit]
    )
    # The reason is kept: it says what stood in the way until the end.
    Delivery.objects.filter(pk__in=ids).update(
        state=DeliveryState.EXPIRED, cause=Cause.GAVE_UP, due_at=None, finished_at=now
    )
    expired = list(Delivery.objects.filter(pk__in=ids))
    _tell(expired)
    return expired


# what the world says afterwards


def bounce(delivery_id: uuid.UUID, change: Change, now: datetime) -> bool:
    """sent, uncertain → bounced, as a report says; whether it was one of these. In a transaction."""
    accepted = Delivery.objects.filter(
        pk=delivery_id, state__in=[DeliveryState.SENT, DeliveryState.UNCERTAIN]
    )
    return bool(_apply(accepted, change, now))


def confirm(delivery_id: uuid.UUID, reason: str, now: datetime) -> bool:
    """uncertain → sent: a server reports on a message that it must have accepted. In a transaction."""
    uncertain = Delivery.objects.filter(pk=delivery_id, state=DeliveryState.UNCERTAIN)
    return bool(_apply(uncertain, Change(DeliveryState.SENT, Cause.NONE, reason), now))


# what people do


def cancel_waiting(message_id: uuid.UUID, *, actor: str, now: datetime) -> int:
    """scheduled, queued, deferred → cancelled for every recipient no worker has; how many."""
    change = Change(DeliveryState.CANCELLED, Cause.CANCELLED, "It was cancelled before it was sent.")
    return _apply(Delivery.objects.filter(message=message_id, state__in=WAITING), change, now, actor)


def try_now(message_id: uuid.UUID, *, actor: str, now: datetime) -> int:
    """deferred → queued and due at once; how many."""
    deferred = Delivery.objects.filter(message=message_id, state=DeliveryState.DEFERRED)
    return _apply(deferred, _due_again(now), now, actor)


def resubmit(deliveries: QuerySet[Delivery], *, lifetime: timedelta, actor: str, now: datetime) -> int:
    """failed, expired, rejected, bounced, suppressed → queued, with a new lifetime, a fresh backoff, and the sender to
    be told anew if it goes wrong again; how many."""
    stuck = deliveries.filter(state__in=IN_ERROR)
    fresh = {
        "setbacks": 0,
        "expires_at": now + lifetime,
        "discarded_at": None,
        "delay_told_at": None,
        "failure_told_at": None,
    }
    return _apply(stuck, _due_again(now), now, actor, fresh)


def resolve_uncertain(delivery_id: uuid.UUID, change: Change, *, actor: str, now: datetime) -> int:
    """uncertain → sent, queued or bounced, as a person decided; whether it still was."""
    uncertain = Delivery.objects.filter(pk=delivery_id, state=DeliveryState.UNCERTAIN)
    return _apply(uncertain, change, now, actor)


def discard(delivery_id: uuid.UUID, *, actor: str, now: datetime) -> int:
    """Not a change of state: a person has seen the failure, and it leaves the error queue; whether it was there."""
    stuck = Delivery.objects.filter(pk=delivery_id, state__in=IN_ERROR, discarded_at__isnull=True)
    discarded = stuck.update(discarded_at=now)
    for one in Delivery.objects.filter(pk=delivery_id)[:discarded]:
        publish(
            one.organisation_id,
            "delivery.discarded",
            message_id=one.message_id,
            delivery_id=one.pk,
            actor=actor,
        )
        _announce([one.message_id])
    return discarded


def _due_again(now: datetime) -> Change:
    return Change(DeliveryState.QUEUED, Cause.REQUESTED, "A person asked for another try.", due_at=now)


# what goes with every change


def _apply(
    deliveries: QuerySet[Delivery],
    change: Change,
    now: datetime,
    actor: str = "",
    more: dict[str, Any] | None = None,
) -> int:
    """The conditional UPDATE of `deliveries`, and all that goes with it, in the caller's transaction; how many."""
    # Locked first, by id, so that the ids told of are exactly those changed.
    ids = list(deliveries.select_for_update(of=("self",)).order_by("pk").values_list("pk", flat=True))
    changed = deliveries.filter(pk__in=ids).update(**change.columns(now), **(more or {}))
    _tell(Delivery.objects.filter(pk__in=ids), actor)
    return changed


def _tell(deliveries: Iterable[Delivery], actor: str = "") -> None:
    deliveries = list(deliveries)
    for one in deliveries:
        publish(
            one.organisation_id,
            f"delivery.{one.state}",
            message_id=one.message_id,
            delivery_id=one.pk,
            actor=actor,
            cause=one.cause,
        )
    _settle({one.message_id for one in deliveries})


def _settle(message_ids: Collection[uuid.UUID]) -> None:
    """Give messages the state of their least finished delivery, and tell the mailboxes they were sent from.

    The lock comes before the look: of two recipients that finish together, the later one sees the earlier.
    """
    if not message_ids:
        return
    messages = Message.objects.select_for_update(no_key=True).filter(pk__in=message_ids).order_by("pk")
    current = dict(messages.values_list("pk", "state"))
    states: defaultdict[uuid.UUID, set[str]] = defaultdict(set)
    for message_id, state in (
        Delivery.objects.filter(message__in=current).order_by().values_list("message_id", "state").distinct()
    ):
        states[message_id].add(state)
    for message_id, before in current.items():
        state = least_finished(states[message_id])
        if state != before:
            Message.objects.filter(pk=message_id).update(state=state)
    _announce(current)


def _announce(message_ids: Iterable[uuid.UUID]) -> None:
    mailboxes = MailboxEntry.objects.filter(message__in=list(message_ids), side=Side.SENDER)
    announce(set(mailboxes.values_list("mailbox_id", flat=True)), "deliveries")


def least_finished(states: Collection[str]) -> DeliveryState:
    """The state a message has when its deliveries have these."""
    return next(state for state in LEAST_FINISHED_FIRST if state in states)
