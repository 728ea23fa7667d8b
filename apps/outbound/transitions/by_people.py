"""What people do to deliveries, in the caller's transaction."""

import uuid
from collections.abc import Collection
from datetime import datetime, timedelta

from django.db.models import QuerySet

from apps.events.services import publish
from apps.outbound.causes import Cause
from apps.outbound.models import IN_ERROR, WAITING, Delivery, DeliveryState
from apps.outbound.transitions.change import Change, apply_change
from apps.outbound.transitions.settling import announce_senders


def cancel_waiting(message_id: uuid.UUID, *, actor: str, now: datetime) -> int:
    """scheduled, queued, deferred → cancelled for every recipient no worker has; how many."""
    change = Change(DeliveryState.CANCELLED, Cause.CANCELLED, "It was cancelled before it was sent.")
    return apply_change(Delivery.objects.filter(message=message_id, state__in=WAITING), change, now, actor)


def try_now(message_id: uuid.UUID, *, actor: str, now: datetime) -> int:
    """deferred → queued and due at once; how many."""
    deferred = Delivery.objects.filter(message=message_id, state=DeliveryState.DEFERRED)
    return apply_change(deferred, _due_again(now), now, actor)


def resubmit(deliveries: QuerySet[Delivery], *, lifetime: timedelta, actor: str, now: datetime) -> int:
    """failed, expired, rejected, bounced → queued with a new lifetime and a fresh backoff; how many."""
    stuck = deliveries.filter(state__in=IN_ERROR)
    fresh = {"setbacks": 0, "expires_at": now + lifetime, "discarded_at": None}
    return apply_change(stuck, _due_again(now), now, actor, fresh)


def resolve_uncertain(delivery_id: uuid.UUID, change: Change, *, actor: str, now: datetime) -> int:
    """uncertain → sent, queued or bounced, as a person decided; whether it still was."""
    uncertain = Delivery.objects.filter(pk=delivery_id, state=DeliveryState.UNCERTAIN)
    return apply_change(uncertain, change, now, actor)


def reroute(delivery_ids: Collection[uuid.UUID], relay_id: uuid.UUID, *, actor: str, now: datetime) -> int:
    """queued, deferred → queued and due at once, over this relay and no other; how many. A schedule is kept."""
    waiting = Delivery.objects.filter(
        pk__in=delivery_ids, state__in=[DeliveryState.QUEUED, DeliveryState.DEFERRED]
    )
    return apply_change(waiting, _due_again(now), now, actor, {"pinned_relay_id": relay_id})


def look_for_relay_again(organisation_id: uuid.UUID, now: datetime) -> int:
    """Not a change of state: a relay was added or mended, and what waits for our relays' sake is due; how many."""
    waiting = Delivery.objects.filter(
        organisation=organisation_id,
        state=DeliveryState.DEFERRED,
        cause__in=[Cause.NO_RELAY_SERVES, Cause.RELAY_REFUSED, Cause.RELAY_UNAVAILABLE],
        due_at__gt=now,
    )
    return waiting.update(due_at=now)


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
        announce_senders([one.message_id])
    return discarded


def _due_again(now: datetime) -> Change:
    return Change(DeliveryState.QUEUED, Cause.REQUESTED, "A person asked for another try.", due_at=now)
