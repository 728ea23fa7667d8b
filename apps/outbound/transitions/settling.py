"""What goes with every change of a delivery: its event, its message's state, a notice to the sender's mailbox.

All of it is done for many at once, in a constant number of statements, in the transaction that made the change. Locks
are taken in one order, deliveries before messages and each by id, so that no two changes wait for each other.
"""

import uuid
from collections.abc import Collection

from django.db import connection

from apps.events.notices import announce
from apps.events.services import NewEvent, publish_all
from apps.mailboxes.models import MailboxEntry, Side
from apps.outbound.models import LEAST_FINISHED_FIRST, Delivery, DeliveryState

_LOCK_MESSAGES = (
    "SELECT id FROM mailboxes_message WHERE id = ANY(%(ids)s::uuid[]) ORDER BY id FOR NO KEY UPDATE"
)
_SETTLE = """
UPDATE mailboxes_message SET state = least.state
FROM (
    SELECT DISTINCT ON (message_id) message_id, state FROM outbound_delivery
    WHERE message_id = ANY(%(ids)s::uuid[])
    ORDER BY message_id, array_position(%(order)s::text[], state::text)
) AS least
WHERE mailboxes_message.id = least.message_id AND mailboxes_message.state <> least.state
"""
_ORDER = [state.value for state in LEAST_FINISHED_FIRST]


def tell(delivery_ids: Collection[uuid.UUID], actor: str = "") -> None:
    """Publish what these deliveries have become, and settle their messages. In the transaction of the change."""
    rows = (
        Delivery.objects.filter(pk__in=delivery_ids)
        .order_by("created_at", "id")
        .values_list("organisation_id", "message_id", "pk", "state", "cause")
    )
    tell_of([delivery_event(*row, actor=actor) for row in rows])


def delivery_event(
    organisation_id: uuid.UUID,
    message_id: uuid.UUID,
    delivery_id: uuid.UUID,
    state: str,
    cause: str,
    *,
    actor: str = "",
) -> NewEvent:
    """The event that a delivery came into a state."""
    return NewEvent(
        organisation_id,
        f"delivery.{DeliveryState(state).value}",
        message_id,
        delivery_id,
        actor,
        {"cause": str(cause)},
    )


def tell_of(events: Collection[NewEvent]) -> None:
    """`tell` for those whose events are known already."""
    publish_all(events)
    settle({one.message_id for one in events})


def settle(message_ids: Collection[uuid.UUID]) -> None:
    """Give messages the state of their least finished delivery, and tell the mailboxes they were sent from.

    The lock comes before the look: of two recipients that finish together, the later one sees the earlier.
    """
    if not message_ids:
        return
    ids = sorted(message_ids)
    with connection.cursor() as cursor:
        cursor.execute(_LOCK_MESSAGES, {"ids": ids})
        cursor.execute(_SETTLE, {"ids": ids, "order": _ORDER})
    announce_senders(ids)


def announce_senders(message_ids: Collection[uuid.UUID]) -> None:
    """Let the mailboxes that these were sent from know that there is news."""
    mailboxes = MailboxEntry.objects.filter(message__in=message_ids, side=Side.SENDER).order_by()
    announce(set(mailboxes.values_list("mailbox_id", flat=True)), "deliveries")


def least_finished(states: Collection[str]) -> DeliveryState:
    """The state a message has when its deliveries have these."""
    return next(state for state in LEAST_FINISHED_FIRST if state in states)
