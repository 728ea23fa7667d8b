"""Reading what came back, and what the sender was told: for whoever sees the sender's copy, and nobody else."""

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable

from django.db.models import Exists, OuterRef

from apps.accounts.principal import Principal
from apps.mailboxes.models import Mailbox, MailboxEntry, Message, Side
from apps.mailboxes.selectors import entries_for
from apps.outbound.models import Delivery, DeliveryNotice, DeliveryReport
from apps.outbound.selectors import deliveries_for


def notices_of(principal: Principal, messages: Collection[Message]) -> list[DeliveryNotice]:
    """What the sender was told about these messages, oldest first."""
    senders_copy = entries_for(principal).filter(message=OuterRef("message"), side=Side.SENDER)
    notices = DeliveryNotice.objects.filter(
        Exists(senders_copy),
        organisation_id=principal.organisation_id,
        message__in=[message.pk for message in messages],
    )
    return list(notices.order_by("told_at", "id"))


def reports_by_delivery(
    principal: Principal, deliveries: Iterable[Delivery]
) -> dict[uuid.UUID, list[DeliveryReport]]:
    """The reports on each of these deliveries, oldest first, with their mails at hand."""
    found: defaultdict[uuid.UUID, list[DeliveryReport]] = defaultdict(list)
    known = deliveries_for(principal).filter(pk__in=[one.pk for one in deliveries])
    reports = DeliveryReport.objects.filter(delivery__in=known.order_by().values("pk"))
    for report in reports.select_related("message"):
        found[report.delivery_id].append(report)
    return dict(found)


def reports_in(mailbox: Mailbox, thread_id: uuid.UUID) -> set[uuid.UUID]:
    """Those messages of a conversation that are reports on mail of ours: they are shown with the mail they are about.

    By the conversation and not by its messages: to name a thousand of them costs more than to find them.
    """
    of_conversation = MailboxEntry.objects.filter(mailbox=mailbox, thread_id=thread_id).values("message_id")
    return set(
        DeliveryReport.objects.filter(message__in=of_conversation).values_list("message_id", flat=True)
    )
