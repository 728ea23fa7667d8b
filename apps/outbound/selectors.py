"""Reading deliveries. Only the sender's side may know who else got a message and how it went."""

import uuid
from collections.abc import Iterable

from django.core.exceptions import ValidationError
from django.db.models import Exists, OuterRef, QuerySet

from apps.accounts.principal import Principal
from apps.mailboxes.errors import NotVisible
from apps.mailboxes.models import Message, Side
from apps.mailboxes.selectors import entries_for, is_on_senders_side
from apps.outbound.explanations import Explanation, explain
from apps.outbound.figures import QueueFigures, queue_figures
from apps.outbound.models import IN_ERROR, Delivery

__all__ = [
    "Explanation",
    "QueueFigures",
    "deliveries_by_message",
    "deliveries_for",
    "deliveries_of",
    "delivery_for",
    "errors_for",
    "explain",
    "queue_figures",
]


def deliveries_for(principal: Principal) -> QuerySet[Delivery]:
    """Every delivery of messages whose sender's copy the caller may see."""
    deliveries = Delivery.objects.filter(organisation_id=principal.organisation_id)
    if principal.sees_everything:
        return deliveries
    senders_copy = entries_for(principal).filter(message=OuterRef("message"), side=Side.SENDER)
    return deliveries.filter(Exists(senders_copy))


def delivery_for(principal: Principal, delivery_id: uuid.UUID | str) -> Delivery:
    """One delivery the caller may know of. Raises NotVisible."""
    try:
        return deliveries_for(principal).select_related("message").get(pk=delivery_id)
    except (Delivery.DoesNotExist, ValidationError, ValueError) as error:
        raise NotVisible(str(delivery_id)) from error


def deliveries_of(principal: Principal, message: Message) -> list[Delivery]:
    """A message's deliveries in the order of its recipients; [] unless the caller is on the sender's side."""
    if not is_on_senders_side(principal, message):
        return []
    return list(Delivery.objects.filter(message=message))


def deliveries_by_message(
    principal: Principal, messages: Iterable[Message]
) -> dict[uuid.UUID, list[Delivery]]:
    """`deliveries_of` for a page of messages, in one query."""
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
