"""Reading deliveries. Only the sender's side may know who else got a message and how it went."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.core.exceptions import ValidationError
from django.db.models import Case, Count, Exists, F, Max, Min, OuterRef, Q, QuerySet, Value, When

from apps.accounts.principal import Principal
from apps.mailboxes.errors import NotVisible
from apps.mailboxes.models import MailboxEntry, Message, Side
from apps.mailboxes.selectors import entries_for, is_on_senders_side, visible_mailboxes
from apps.outbound.explanations import Explanation, explain
from apps.outbound.figures import QueueFigures, queue_figures
from apps.outbound.models import (
    IN_ERROR,
    UNFINISHED,
    Delivery,
    DeliveryAttempt,
    DeliveryState,
    OutgoingScreening,
    RefusedSubmission,
    Relay,
)
from apps.outbound.relays.selectors import relays_for

__all__ = [
    "CauseOfWaiting",
    "Explanation",
    "QueueFigures",
    "attempts_of",
    "causes_of_waiting",
    "deliveries_by_message",
    "deliveries_for",
    "delivery_for",
    "errors_for",
    "explain",
    "last_attempts_of",
    "queue_figures",
    "refused_by_id",
    "refused_for",
    "relays_to_choose",
    "screenings_of",
    "waiting_for",
]

# Beyond this many, a count says "more than": an Outbox with a million rows opens as quickly as one with ten.
COUNTED = 10_000


def deliveries_for(principal: Principal) -> QuerySet[Delivery]:
    """Every delivery of messages whose sender's copy the caller may see."""
    deliveries = Delivery.objects.filter(organisation_id=principal.organisation_id)
    if principal.sees_everything:
        return deliveries
    # Ids rather than a subquery: PostgreSQL then asks the unique index once a row, and stops where the page ends.
    visible = list(visible_mailboxes(principal).values_list("pk", flat=True))
    senders_copy = MailboxEntry.objects.filter(
        mailbox__in=visible, message=OuterRef("message"), side=Side.SENDER
    )
    return deliveries.filter(Exists(senders_copy))


def delivery_for(principal: Principal, delivery_id: uuid.UUID | str) -> Delivery:
    """One delivery the caller may know of. Raises NotVisible."""
    try:
        return deliveries_for(principal).select_related("message").get(pk=delivery_id)
    except (Delivery.DoesNotExist, ValidationError, ValueError) as error:
        raise NotVisible(str(delivery_id)) from error


def deliveries_by_message(
    principal: Principal, messages: Iterable[Message]
) -> dict[uuid.UUID, list[Delivery]]:
    """The deliveries of a page of messages, each in the order of its recipients, in one query; [] for a message the
    caller did not send."""
    found: dict[uuid.UUID, list[Delivery]] = {message.pk: [] for message in messages}
    for delivery in deliveries_for(principal).filter(message__in=found):
        found[delivery.message_id].append(delivery)
    return found


def errors_for(principal: Principal) -> QuerySet[Delivery]:
    """The error queue: what will not move without a person, newest first; discarded ones are gone from it."""
    return (
        deliveries_for(principal)
        .filter(state__in=IN_ERROR, discarded_at__isnull=True)
        .select_related("message", "relay")
        .order_by("-created_at", "-id")
    )


def waiting_for(principal: Principal, cause: str | None = None) -> QuerySet[Delivery]:
    """The Outbox: every recipient who has not got a mail of ours yet, oldest first; of one cause only where it is given
    (being sent is "sending")."""
    unfinished = deliveries_for(principal).filter(state__in=UNFINISHED)
    if cause == DeliveryState.SENDING:
        unfinished = unfinished.filter(state=DeliveryState.SENDING)
    elif cause is not None:
        unfinished = unfinished.filter(cause=cause).exclude(state=DeliveryState.SENDING)
    return unfinished.select_related("message", "relay", "pinned_relay").order_by("created_at", "id")


@dataclass(frozen=True, slots=True)
class CauseOfWaiting:
    """One reason why recipients wait: how many (of those counted), the soonest next try, one reason as evidence."""

    cause: str
    count: int
    next_attempt_at: datetime | None
    evidence: str


def causes_of_waiting(principal: Principal) -> tuple[list[CauseOfWaiting], bool]:
    """Why recipients wait, most common first; and whether there are more than were counted."""
    counted = waiting_for(principal).select_related(None).values("pk")[: COUNTED + 1]
    is_sent = Case(
        When(state=DeliveryState.SENDING, then=Value(DeliveryState.SENDING.value)), default=F("cause")
    )
    rows = (
        Delivery.objects.filter(pk__in=counted)
        .order_by()
        .annotate(why=is_sent)
        .values_list("why")
        .annotate(count=Count("pk"), soonest=Min("due_at"), evidence=Max("reason"))
        .order_by("-count", "why")
    )
    found = [CauseOfWaiting(*row) for row in rows]
    return found, sum(one.count for one in found) > COUNTED


def attempts_of(
    principal: Principal, message: Message, deliveries: Iterable[Delivery]
) -> dict[uuid.UUID, list[DeliveryAttempt]]:
    """Every attempt for these recipients of a message, oldest first; {} unless the caller is on the sender's side."""
    found: dict[uuid.UUID, list[DeliveryAttempt]] = {}
    if is_on_senders_side(principal, message):
        wanted = [one.pk for one in deliveries]
        attempts = DeliveryAttempt.objects.filter(delivery__in=wanted).select_related("relay")
        for attempt in attempts.order_by("delivery_id", "number"):
            found.setdefault(attempt.delivery_id, []).append(attempt)
    return found


def last_attempts_of(deliveries: Iterable[Delivery]) -> dict[uuid.UUID, DeliveryAttempt]:
    """The latest attempt for each of these, which the caller may know of; one that was never tried is absent."""
    wanted = DeliveryAttempt.objects.filter(delivery__in=[one.pk for one in deliveries])
    return {one.delivery_id: one for one in wanted.order_by("delivery_id", "-number").distinct("delivery_id")}


def screenings_of(principal: Principal, messages: Iterable[Message]) -> dict[uuid.UUID, OutgoingScreening]:
    """The latest verdict on each of these messages that was screened on its way out, for its sender's side."""
    senders_copy = entries_for(principal).filter(message=OuterRef("message"), side=Side.SENDER)
    verdicts = OutgoingScreening.objects.filter(
        Exists(senders_copy),
        organisation_id=principal.organisation_id,
        message__in=[message.pk for message in messages],
    )
    return {verdict.message_id: verdict for verdict in verdicts}


def refused_for(principal: Principal) -> QuerySet[RefusedSubmission]:
    """What was refused and waits to be mended: the caller's own, and what was to be sent from a mailbox of theirs."""
    return (
        _refused_known_to(principal)
        .filter(discarded_at__isnull=True, mended_at__isnull=True)
        .select_related("mailbox", "user", "ticket")
        .order_by("-created_at", "-id")
    )


def refused_by_id(principal: Principal, refused_id: uuid.UUID | str) -> RefusedSubmission:
    """One refused submission the caller may know of, whatever became of it. Raises NotVisible."""
    try:
        return _refused_known_to(principal).select_related("ticket").get(pk=refused_id)
    except (RefusedSubmission.DoesNotExist, ValidationError, ValueError) as error:
        raise NotVisible(str(refused_id)) from error


def _refused_known_to(principal: Principal) -> QuerySet[RefusedSubmission]:
    rows = RefusedSubmission.objects.filter(organisation_id=principal.organisation_id)
    if principal.sees_everything:
        return rows
    own = Q(user=principal.user) if principal.user is not None else Q(api_key=principal.api_key)
    return rows.filter(own | Q(mailbox__in=visible_mailboxes(principal).order_by()))


def relays_to_choose(principal: Principal) -> QuerySet[Relay]:
    """The relays a person may send a waiting mail over instead."""
    return relays_for(principal).filter(is_active=True).order_by("priority", "name")
