"""What senders wish for a mail that waits, and for one that failed; in the caller's transaction."""

import uuid
from collections.abc import Collection
from datetime import datetime, timedelta

from apps.events.services import publish
from apps.mime.address import normalise_address
from apps.outbound.causes import Cause
from apps.outbound.models import IN_ERROR, WAITING, Delivery, DeliveryState
from apps.outbound.submission.recipients import Recipient
from apps.outbound.transitions.change import Change, apply_change
from apps.outbound.transitions.settling import announce_senders, tell


def cancel_these(delivery_ids: Collection[uuid.UUID], *, actor: str, now: datetime) -> int:
    """scheduled, queued, deferred → cancelled for single recipients; how many."""
    waiting = Delivery.objects.filter(pk__in=delivery_ids, state__in=WAITING)
    change = Change(DeliveryState.CANCELLED, Cause.CANCELLED, "It was cancelled before it was sent.")
    return apply_change(waiting, change, now, actor)


def try_these_now(delivery_ids: Collection[uuid.UUID], *, actor: str, now: datetime) -> int:
    """deferred → queued and due at once, for single recipients; how many."""
    deferred = Delivery.objects.filter(pk__in=delivery_ids, state=DeliveryState.DEFERRED)
    return apply_change(deferred, _due_now(now), now, actor)


def reschedule(
    message_id: uuid.UUID, due_at: datetime | None, *, lifetime: timedelta, actor: str, now: datetime
) -> int:
    """scheduled → scheduled for another time, or queued and due at once for None; how many."""
    scheduled = Delivery.objects.filter(message=message_id, state=DeliveryState.SCHEDULED)
    change = Change(DeliveryState.SCHEDULED, Cause.SCHEDULE, due_at=due_at) if due_at else _due_now(now)
    return apply_change(scheduled, change, now, actor, {"expires_at": (due_at or now) + lifetime})


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
        **_due_now(now).columns(now),
    )
    delivery.save(force_insert=True)
    tell([delivery.pk], actor)
    return delivery


def undiscard(delivery_id: uuid.UUID, *, actor: str) -> int:
    """Not a change of state: what a person took off the error queue is in it again; whether it was off."""
    off = Delivery.objects.filter(pk=delivery_id, state__in=IN_ERROR, discarded_at__isnull=False)
    restored = off.update(discarded_at=None)
    for one in Delivery.objects.filter(pk=delivery_id)[:restored]:
        publish(
            one.organisation_id,
            "delivery.restored",
            message_id=one.message_id,
            delivery_id=one.pk,
            actor=actor,
        )
        announce_senders([one.message_id])
    return restored


def _due_now(now: datetime) -> Change:
    return Change(DeliveryState.QUEUED, Cause.REQUESTED, "A person asked for it to be sent now.", due_at=now)
