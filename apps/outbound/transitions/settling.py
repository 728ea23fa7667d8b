"""What goes with every change of a delivery: its event, its message's state, a notice to the sender's mailbox.

All of it is done for many at once, in a constant number of statements, in the transaction that made the change. Locks
are taken in one order, deliveries before messages and each by id, so that no two changes wait for each other.
"""

import uuid
from collections.abc import Collection, Iterable

from apps.events.notices import announce
from apps.events.services import NewEvent, publish_all
from apps.mailboxes.models import MailboxEntry, Side
from apps.outbound.models import LEAST_FINISHED_FIRST, Delivery, DeliveryState
from apps.outbound.one_trip import in_one_trip

LOCK_GIVEN = (
    "SELECT id FROM mailboxes_message WHERE id = ANY(%(messages)s::uuid[]) ORDER BY id FOR NO KEY UPDATE"
)
# Its rows are the mailboxes that the messages were sent from. Each message is looked up by its id, whatever PostgreSQL
# believes to be in the tables: OFFSET 0 keeps it from reading all senders' entries instead, of which it knows too few.
_SETTLE = """
WITH these AS MATERIALIZED ({these}), least AS MATERIALIZED (
    SELECT message_id, (
        SELECT min(array_position(%(least_finished_first)s::text[], d.state::text))
        FROM outbound_delivery AS d WHERE d.message_id = these.message_id
    ) AS place
    FROM these
), settled AS (
    UPDATE mailboxes_message AS m SET state = (%(least_finished_first)s::text[])[least.place]
    FROM least WHERE m.id = least.message_id AND m.state <> (%(least_finished_first)s::text[])[least.place]
)
SELECT DISTINCT senders.mailbox_id FROM these CROSS JOIN LATERAL (
    SELECT e.mailbox_id FROM mailboxes_mailboxentry AS e
    WHERE e.message_id = these.message_id AND e.side = 'sender' OFFSET 0
) AS senders
"""
# The last statement of a trip that has changed deliveries and locked their messages in statements before it.
SETTLE_GIVEN = _SETTLE.format(these="SELECT unnest(%(messages)s::uuid[]) AS message_id")
SETTLE_TAKEN = _SETTLE.format(
    these="SELECT DISTINCT d.message_id FROM unnest(%(attempts)s::uuid[]) AS a (id) "
    "JOIN outbound_deliveryattempt AS attempt USING (id) JOIN outbound_delivery AS d ON d.id = attempt.delivery_id"
)
SETTLING = {"least_finished_first": [state.value for state in LEAST_FINISHED_FIRST]}


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
    if message_ids:
        parameters = {"messages": sorted(message_ids), **SETTLING}
        announce_news(in_one_trip([LOCK_GIVEN, SETTLE_GIVEN], parameters)[-1])


def announce_news(mailboxes: Iterable[tuple[uuid.UUID]]) -> None:
    """Let these mailboxes, the rows of a settling, know of it."""
    announce({mailbox_id for (mailbox_id,) in mailboxes}, "deliveries")


def announce_senders(message_ids: Collection[uuid.UUID]) -> None:
    """Let the mailboxes that these were sent from know that there is news."""
    mailboxes = MailboxEntry.objects.filter(message__in=message_ids, side=Side.SENDER).order_by()
    announce(set(mailboxes.values_list("mailbox_id", flat=True)), "deliveries")


def least_finished(states: Collection[str]) -> DeliveryState:
    """The state a message has when its deliveries have these."""
    return next(state for state in LEAST_FINISHED_FIRST if state in states)
