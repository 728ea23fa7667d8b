"""What people do to deliveries, to one or to many, in the caller's transaction."""

import uuid
from datetime import datetime, timedelta

from django.db.models import QuerySet

from apps.events.services import publish
from apps.mime.address import normalise_address
from apps.outbound.causes import Cause
from apps.outbound.models import IN_ERROR, WAITING, Delivery, DeliveryState
from apps.outbound.submission.recipients import Recipient
from apps.outbound.transitions.change import Change, apply_change
from apps.outbound.transitions.settling import announce_senders, tell


def cancel(deliveries: QuerySet[Delivery], *, actor: str, now: datetime) -> int:
    """scheduled, queued, deferred → cancelled for every recipient no worker has; how many."""
    change = Change(DeliveryState.CANCELLED, Cause.CANCELLED, "It was cancelled before it was sent.")
    return apply_change(deliveries.filter(state__in=WAITING), change, now, actor)


def try_now(deliveries: QuerySet[Delivery], *, actor: str, now: datetime) -> int:
    """deferred → queued and due at once; how many."""
    return apply_change(deliveries.filter(state=DeliveryState.DEFERRED), _due_again(now), now, actor)


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
    return apply_change(stuck, _due_again(now), now, actor, fresh)


def resolve_uncertain(delivery_id: uuid.UUID, change: Change, *, actor: str, now: datetime) -> int:
    """uncertain → sent, queued or bounced, as a person decided; whether it still was."""
    uncertain = Delivery.objects.filter(pk=delivery_id, state=DeliveryState.UNCERTAIN)
    return apply_change(uncertain, change, now, actor)


def reroute(deliveries: QuerySet[Delivery], relay_id: uuid.UUID, *, actor: str, now: datetime) -> int:
    """queued, deferred → queued and due at once, over this relay and no other; how many. A schedule is kept."""
    waiting = deliveries.filter(state__in=[DeliveryState.QUEUED, DeliveryState.DEFERRED])
    return apply_change(waiting, _due_again(now), now, actor, {"pinned_relay_id": relay_id})


def reschedule(
    message_id: uuid.UUID, due_at: datetime | None, *, lifetime: timedelta, actor: str, now: datetime
) -> int:
    """scheduled → scheduled for another time, or queued and due at once for None; how many."""
    scheduled = Delivery.objects.filter(message=message_id, state=DeliveryState.SCHEDULED)
    change = Change(DeliveryState.SCHEDULED, Cause.SCHEDULE, due_at=due_at) if due_at else _due_again(now)
    return apply_change(scheduled, change, now, actor, {"expires_at": (due_at or now) + lifetime})


def look_for_relay_again(organisation_id: uuid.UUID, now: datetime) -> int:
    """Not a change of state: a relay was added or mended, and what waits for our relays' sake is due; how many."""
    waiting = Delivery.objects.filter(
        organisation=organisation_id,
        state=DeliveryState.DEFERRED,
        cause__in=[Cause.NO_RELAY_SERVES, Cause.RELAY_REFUSED, Cause.RELAY_UNAVAILABLE],
        due_at__gt=now,
    )
    return waiting.update(due_at=now)


def add_recipient(
    failed: Delivery, recipient: Recipient, *, lifetime: timedelta, actor: str, now: datetime
) -> Delivery:
    """A new delivery of the same message, queued: a person corrected the address of one that failed."""
    delivery = Delivery(
        organisation_id=failed.organisation_id,
        message_id=failed.message_id,
        recipient=recipient.address,
        destination=normalise_address(recipient.address).rpartition("@")[2],
        field=failed.field,
        route=recipient.route,
        local_mailbox=recipient.mailbox,
        lane=failed.lane,
        expires_at=now + lifetime,
        **_due_again(now).columns(now),
    )
    delivery.save(force_insert=True)
    tell([delivery.pk], actor)
    return delivery


def discard(delivery_id: uuid.UUID, *, actor: str, now: datetime) -> int:
    """Not a change of state: a person has seen the failure, and it leaves the error queue; whether it was there."""
    return _mark_discarded(delivery_id, now, "delivery.discarded", actor)


def undiscard(delivery_id: uuid.UUID, *, actor: str) -> int:
    """Not a change of state: what a person took off the error queue is in it again; whether it was off."""
    return _mark_discarded(delivery_id, None, "delivery.restored", actor)


def _mark_discarded(delivery_id: uuid.UUID, discarded_at: datetime | None, kind: str, actor: str) -> int:
    stuck = Delivery.objects.filter(pk=delivery_id, state__in=IN_ERROR)
    marked = stuck.filter(discarded_at__isnull=discarded_at is not None).update(discarded_at=discarded_at)
    for one in stuck[:marked]:
        publish(one.organisation_id, kind, message_id=one.message_id, delivery_id=one.pk, actor=actor)
        announce_senders([one.message_id])
    return marked


def _due_again(now: datetime) -> Change:
    return Change(DeliveryState.QUEUED, Cause.REQUESTED, "A person asked for it to be sent now.", due_at=now)
