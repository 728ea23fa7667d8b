"""What people do with messages on their way out: take them back, hurry them, decide what nobody could tell.

Each asks first whether the caller is on the sender's side; whoever is not must not learn that there is anything.
"""

import uuid
from collections.abc import Callable
from datetime import datetime

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet

from apps.accounts.principal import Principal
from apps.mailboxes.errors import NotVisible
from apps.mailboxes.models import Message
from apps.mailboxes.selectors import is_on_senders_side
from apps.mime.address import comparable_address, normalise_address
from apps.outbound import transitions
from apps.outbound.bounces.suppressions import suppressed_among, unsuppress
from apps.outbound.causes import Cause
from apps.outbound.clocks import on_the_clock
from apps.outbound.errors import Fault, NotCancellable, NotResolvable, NotRetryable, SubmissionInvalid
from apps.outbound.models import (
    IN_ERROR,
    Delivery,
    DeliveryState,
    Lane,
    RecipientField,
    RefusedSubmission,
    Relay,
    Route,
)
from apps.outbound.retry import DEFAULT_RETRY_POLICY
from apps.outbound.screening import put_away_refused
from apps.outbound.selectors import deliveries_for, relays_to_choose, waiting_for
from apps.outbound.submission.recipients import read_address, resolve
from apps.outbound.submission.refused import reopen_mended
from apps.outbound.submission.rewriting import write_anew
from apps.outbound.submission.senders_copy import put_senders_copy_away
from apps.outbound.submission.validation import check_send_at
from apps.outbound.transitions import Change
from apps.outbound.wakeups import wake_on_commit

RESOLUTIONS = {
    DeliveryState.SENT: "A person found that it was accepted.",
    DeliveryState.QUEUED: "A person decided to send it again, with the same Message-ID.",
    DeliveryState.BOUNCED: "A person found that it did not arrive.",
}

# What is done to a whole cause is done by batches, each a transaction, so that a hundred thousand rows are locked a few
# hundred at a time; and up to a bound, so that whoever asked gets an answer.
BATCH = 500
AT_ONCE = 5000


def cancel_message(principal: Principal, message: Message, now: datetime) -> int:
    """Take a message back from every recipient no worker has yet; how many.

    When that was all of them, the sender's copy leaves the Outbox for the Trash, as something that was never sent;
    otherwise it is in Sent, for those who have it.
    Raises NotCancellable when nobody waits any more, NotVisible for whoever is not on the sender's side.
    """
    _demand_senders_side(principal, message)
    cancelled = _cancel(principal, Delivery.objects.filter(message=message), now)
    if not cancelled:
        msg = "It is too late: no recipient is waiting any more."
        raise NotCancellable(msg)
    return cancelled


def cancel_delivery(principal: Principal, delivery: Delivery, now: datetime) -> None:
    """Take a message back from one recipient. Raises NotCancellable, NotVisible."""
    _demand_known(principal, delivery)
    if not _cancel(principal, Delivery.objects.filter(pk=delivery.pk), now):
        msg = "It is too late: this recipient is not waiting any more."
        raise NotCancellable(msg)


def retry_message(
    principal: Principal, message: Message, now: datetime, *, relay_id: uuid.UUID | str | None = None
) -> int:
    """Try again now for every recipient that was put off or is in the error queue; how many.

    With a relay, over this one and no other, and also for those that are due. Recipients that are `uncertain` are left
    alone: a person decides for each of those. Raises NotRetryable, NotVisible, and SubmissionInvalid for the relay.
    """
    _demand_senders_side(principal, message)
    relay = _relay(principal, relay_id)
    with transaction.atomic():
        again = _resubmit(principal, message.pk, None, now)
        hurried = _hurry(principal, Delivery.objects.filter(message=message), relay, now)
        # What was just resubmitted is queued now: over another relay it goes with what waited, and is counted there.
        if relay is None:
            hurried += again
        if not hurried:
            msg = "No recipient was put off or failed."
            raise NotRetryable(msg)
    return hurried


def retry_delivery(
    principal: Principal, delivery: Delivery, now: datetime, *, relay_id: uuid.UUID | str | None = None
) -> None:
    """Try again now for one recipient that was put off; with a relay, over this one and no other.

    Raises NotRetryable, NotVisible, and SubmissionInvalid for the relay.
    """
    _demand_known(principal, delivery)
    relay = _relay(principal, relay_id)
    if not _hurry(principal, Delivery.objects.filter(pk=delivery.pk), relay, now):
        msg = "This recipient was not put off, or is not waiting any more."
        raise NotRetryable(msg)


def reschedule_message(
    principal: Principal, message: Message, send_at: datetime | None, now: datetime
) -> int:
    """Send at another time what waits for its time, or now for None; how many recipients.

    Raises SubmissionInvalid for the time, NotPossibleNow when nothing is scheduled any more, NotVisible.
    """
    _demand_senders_side(principal, message)
    if send_at is not None:
        check_send_at(send_at, now)
    with transaction.atomic():
        changed = transitions.reschedule(
            message.pk, send_at, lifetime=DEFAULT_RETRY_POLICY.lifetime, actor=principal.actor, now=now
        )
        if not changed:
            msg = "Nothing of it waits for its time any more."
            raise NotRetryable(msg)
        _wake(Delivery.objects.filter(message=message))
    return changed


# a whole cause of waiting


def retry_waiting(
    principal: Principal, cause: str, now: datetime, *, relay_id: uuid.UUID | str | None = None
) -> int:
    """Try now for whoever waits for this cause, oldest first and at most `AT_ONCE`; how many."""
    relay = _relay(principal, relay_id)
    return _by_batches(principal, cause, lambda these: _hurry(principal, these, relay, now))


def cancel_waiting(principal: Principal, cause: str, now: datetime) -> int:
    """Take back from whoever waits for this cause, oldest first and at most `AT_ONCE`; how many."""
    return _by_batches(principal, cause, lambda these: _cancel(principal, these, now))


def _by_batches(principal: Principal, cause: str, act: Callable[[QuerySet[Delivery]], int]) -> int:
    ids = list(waiting_for(principal, cause).select_related(None).values_list("pk", flat=True)[:AT_ONCE])
    batches = (ids[start : start + BATCH] for start in range(0, len(ids), BATCH))
    return sum(act(Delivery.objects.filter(pk__in=batch)) for batch in batches)


def _cancel(principal: Principal, deliveries: QuerySet[Delivery], now: datetime) -> int:
    """What is taken back whole before anybody got it is in the error queue again, if it came from there."""
    with transaction.atomic():
        cancelled = transitions.cancel(deliveries, actor=principal.actor, now=now)
        touched = deliveries.filter(state=DeliveryState.CANCELLED).order_by()
        message_ids = set(touched.values_list("message_id", flat=True)) if cancelled else set()
        put_senders_copy_away(message_ids)
        reopen_mended(message_ids)
    return cancelled


def _hurry(principal: Principal, deliveries: QuerySet[Delivery], relay: Relay | None, now: datetime) -> int:
    with transaction.atomic():
        if relay is None:
            hurried = transitions.try_now(deliveries, actor=principal.actor, now=now)
        else:
            hurried = transitions.reroute(deliveries, relay.pk, actor=principal.actor, now=now)
        _wake(deliveries)
    return hurried


def _relay(principal: Principal, relay_id: uuid.UUID | str | None) -> Relay | None:
    if not relay_id:
        return None
    try:
        return relays_to_choose(principal).get(pk=relay_id)
    except (Relay.DoesNotExist, ValidationError, ValueError) as error:
        raise SubmissionInvalid("relay", "There is no such relay in use.") from error


# one recipient


def resubmit_delivery(principal: Principal, delivery: Delivery, now: datetime) -> None:
    """Put one recipient of the error queue back on the road, with a fresh lifetime. Raises NotRetryable, NotVisible.

    One who is suppressed stays there until the suppression is removed: a worker would only put it back.
    """
    _demand_known(principal, delivery)
    if delivery.route == Route.RELAY:
        still = suppressed_among(delivery.organisation_id, [delivery.recipient], now)
        if still:
            raise NotRetryable(on_the_clock(still[delivery.recipient].reason, now))
    with transaction.atomic():
        if not _resubmit(principal, delivery.message_id, delivery.pk, now):
            msg = "It is not in the error queue any more."
            raise NotRetryable(msg)
        wake_on_commit(Lane(delivery.lane))


def resubmit_unsuppressed(principal: Principal, delivery: Delivery, now: datetime) -> None:
    """`resubmit_delivery`, with its recipient off the list of suppressions: both or neither. Raises AdminsOnly too."""
    _demand_known(principal, delivery)
    with transaction.atomic():
        unsuppress(principal, delivery.recipient, now=now)
        resubmit_delivery(principal, delivery, now)


def rewrite_delivery(principal: Principal, delivery: Delivery, now: datetime) -> RefusedSubmission:
    """Open what was refused for what it says to be written anew: see `submission.rewriting`. Raises NotVisible too."""
    _demand_known(principal, delivery)
    return write_anew(principal, delivery, now)


def readdress_delivery(principal: Principal, delivery: Delivery, address: str, now: datetime) -> Delivery:
    """Send the same message to another address instead of one that failed; the new recipient's delivery.

    The bytes are the same, so the To line still shows what was written first. The one that failed leaves the error
    queue. Raises SubmissionInvalid for `recipient`, NotRetryable, NotVisible.
    """
    _demand_known(principal, delivery)
    written = read_address("recipient", address)
    recipient = next(resolve(principal.organisation_id, [(RecipientField(delivery.field), written)]))
    if recipient.exists_nowhere:
        msg = f"There is no {recipient.address} here: nobody owns this address."
        raise SubmissionInvalid("recipient", msg, Fault.ADDRESS_INVALID)
    normal = normalise_address(recipient.address)
    with transaction.atomic():
        written_to = delivery.message.deliveries.values_list("recipient", flat=True)
        if normal in map(comparable_address, written_to):
            raise SubmissionInvalid("recipient", "This message has gone to that address already.")
        if not transitions.discard(delivery.pk, actor=principal.actor, now=now):
            msg = "It is not in the error queue any more."
            raise NotRetryable(msg)
        again = transitions.add_recipient(
            delivery, recipient, lifetime=DEFAULT_RETRY_POLICY.lifetime, actor=principal.actor, now=now
        )
        wake_on_commit(Lane(again.lane))
    return again


def discard_delivery(principal: Principal, delivery: Delivery, now: datetime) -> None:
    """Take one recipient out of the error queue; its state and evidence stay. Raises NotRetryable, NotVisible."""
    _demand_known(principal, delivery)
    with transaction.atomic():
        if not transitions.discard(delivery.pk, actor=principal.actor, now=now):
            msg = "It is not in the error queue any more."
            raise NotRetryable(msg)
        put_away_refused(delivery.message_id)


def restore_delivery(principal: Principal, delivery: Delivery) -> None:
    """Undo a discard. Raises NotRetryable, NotVisible."""
    _demand_known(principal, delivery)
    with transaction.atomic():
        if not transitions.undiscard(delivery.pk, actor=principal.actor):
            msg = "It is in the error queue already, or was sent again."
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
        wake_on_commit(Lane(delivery.lane))


def _resubmit(
    principal: Principal, message_id: uuid.UUID, delivery_id: uuid.UUID | None, now: datetime
) -> int:
    stuck = Delivery.objects.filter(message=message_id, state__in=IN_ERROR, discarded_at__isnull=True)
    if delivery_id is not None:
        stuck = stuck.filter(pk=delivery_id)
    return transitions.resubmit(stuck, lifetime=DEFAULT_RETRY_POLICY.lifetime, actor=principal.actor, now=now)


def _wake(deliveries: QuerySet[Delivery]) -> None:
    for lane in deliveries.order_by().values_list("lane", flat=True).distinct():
        wake_on_commit(Lane(lane))


def _demand_senders_side(principal: Principal, message: Message) -> None:
    if message.organisation_id != principal.organisation_id or not is_on_senders_side(principal, message):
        raise NotVisible(str(message.pk))


def _demand_known(principal: Principal, delivery: Delivery) -> None:
    if not deliveries_for(principal).filter(pk=delivery.pk).exists():
        raise NotVisible(str(delivery.pk))
