"""What people do with messages on their way out: take them back, hurry them, decide what nobody could tell.

Each asks first whether the caller is on the sender's side; whoever is not must not learn that there is anything.
"""

import uuid
from datetime import datetime

from django.db import transaction

from apps.accounts.principal import Principal
from apps.mailboxes.errors import NotVisible
from apps.mailboxes.models import Folder, Message
from apps.mailboxes.selectors import is_on_senders_side
from apps.mailboxes.services import move_sender_copy
from apps.outbound import transitions
from apps.outbound.bounces.suppressions import suppressed_among
from apps.outbound.causes import Cause
from apps.outbound.errors import NotCancellable, NotResolvable, NotRetryable
from apps.outbound.idempotency import forget_old_keys
from apps.outbound.models import IN_ERROR, Delivery, DeliveryState, Lane
from apps.outbound.retry import DEFAULT_RETRY_POLICY
from apps.outbound.selectors import deliveries_for
from apps.outbound.transitions import Change
from apps.outbound.wakeups import wake_on_commit

RESOLUTIONS = {
    DeliveryState.SENT: "A person found that it was accepted.",
    DeliveryState.QUEUED: "A person decided to send it again, with the same Message-ID.",
    DeliveryState.BOUNCED: "A person found that it did not arrive.",
}


def cancel_message(principal: Principal, message: Message, now: datetime) -> int:
    """Take a message back from every recipient no worker has yet; how many.

    When that was all of them, the sender's copy leaves the Outbox for the Trash, as something that was never sent;
    otherwise it is in Sent, for those who have it.
    Raises NotCancellable when nobody waits any more, NotVisible for whoever is not on the sender's side.
    """
    _demand_senders_side(principal, message)
    with transaction.atomic():
        cancelled = transitions.cancel_waiting(message.pk, actor=principal.actor, now=now)
        if not cancelled:
            msg = "It is too late: no recipient is waiting any more."
            raise NotCancellable(msg)
        went_out = Delivery.objects.filter(message=message).exclude(state=DeliveryState.CANCELLED).exists()
        move_sender_copy(message, Folder.SENT if went_out else Folder.TRASH)
    return cancelled


def retry_message(principal: Principal, message: Message, now: datetime) -> int:
    """Try again now for every recipient that was put off or is in the error queue; how many.

    Recipients that are `uncertain` are left alone: a person decides for each of those. Raises NotRetryable, NotVisible.
    """
    _demand_senders_side(principal, message)
    with transaction.atomic():
        hurried = transitions.try_now(message.pk, actor=principal.actor, now=now)
        again = _resubmit(principal, message.pk, None, now)
        if not hurried + again:
            msg = "No recipient was put off or failed."
            raise NotRetryable(msg)
        _wake_lanes(message.pk)
    return hurried + again


def resubmit_delivery(principal: Principal, delivery: Delivery, now: datetime) -> None:
    """Put one recipient of the error queue back on the road, with a fresh lifetime. Raises NotRetryable, NotVisible.

    One who is suppressed stays there until the suppression is removed: a worker would only put it back.
    """
    _demand_known(principal, delivery)
    if delivery.state == DeliveryState.SUPPRESSED:
        still = suppressed_among(delivery.organisation_id, [delivery.recipient], now)
        if still:
            raise NotRetryable(still[delivery.recipient].reason)
    with transaction.atomic():
        if not _resubmit(principal, delivery.message_id, delivery.pk, now):
            msg = "It is not in the error queue any more."
            raise NotRetryable(msg)
        _wake_lanes(delivery.message_id)


def discard_delivery(principal: Principal, delivery: Delivery, now: datetime) -> None:
    """Take one recipient out of the error queue; its state and evidence stay. Raises NotRetryable, NotVisible."""
    _demand_known(principal, delivery)
    with transaction.atomic():
        if not transitions.discard(delivery.pk, actor=principal.actor, now=now):
            msg = "It is not in the error queue any more."
            raise NotRetryable(msg)


def resolve_uncertain(principal: Principal, delivery: Delivery, state: DeliveryState, now: datetime) -> None:
    """Decide what nobody could tell: `sent`, `queued` (again) or `bounced`. Raises NotResolvable, NotVisible."""
    _demand_known(principal, delivery)
    if state not in RESOLUTIONS:
        msg = f"It can become one of {', '.join(RESOLUTIONS)}."
        raise NotResolvable(msg)
    due_at = now if state == DeliveryState.QUEUED else None
    change = Change(state, Cause.RESOLVED_BY_PERSON, RESOLUTIONS[state], due_at=due_at)
    with transaction.atomic():
        if not transitions.resolve_uncertain(delivery.pk, change, actor=principal.actor, now=now):
            msg = "It is not uncertain any more."
            raise NotResolvable(msg)
        _wake_lanes(delivery.message_id)


def forget_old_idempotency_keys(now: datetime) -> int:
    """Housekeeping: keys older than a day are good for nothing; how many went."""
    return forget_old_keys(now)


def _resubmit(
    principal: Principal, message_id: uuid.UUID, delivery_id: uuid.UUID | None, now: datetime
) -> int:
    stuck = Delivery.objects.filter(message=message_id, state__in=IN_ERROR, discarded_at__isnull=True)
    if delivery_id is not None:
        stuck = stuck.filter(pk=delivery_id)
    return transitions.resubmit(stuck, lifetime=DEFAULT_RETRY_POLICY.lifetime, actor=principal.actor, now=now)


def _wake_lanes(message_id: uuid.UUID) -> None:
    for lane in (
        Delivery.objects.filter(message=message_id).order_by().values_list("lane", flat=True).distinct()
    ):
        wake_on_commit(Lane(lane))


def _demand_senders_side(principal: Principal, message: Message) -> None:
    if message.organisation_id != principal.organisation_id or not is_on_senders_side(principal, message):
        raise NotVisible(str(message.pk))


def _demand_known(principal: Principal, delivery: Delivery) -> None:
    if not deliveries_for(principal).filter(pk=delivery.pk).exists():
        raise NotVisible(str(delivery.pk))
