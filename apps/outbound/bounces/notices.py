"""What a sender is told about mail that is late or lost: a line in its conversation, never a mail.

    late     a recipient waits for longer than the organisation bears (four hours unless it says otherwise): once
    lost     failed, expired, rejected, bounced, suppressed: once, when it is final
    unwanted the recipient reported it as spam

The lines of one message are one of each kind, however many recipients it has: a thousand addresses that fail are one
line with a number. With the line, the sender's copy counts as unread, so that its conversation stands out in every
list, and a conversation that was archived comes back to the Inbox. No mail is generated, so no mail can loop (RFC
3834).

`tell_of_lost` and `tell_of_late` are clocks' duties. Each batch is one transaction that marks its deliveries as told
and writes the lines: a crash leaves both undone, and the next tick does them. Two clocks at once take different rows
(SKIP LOCKED).
"""

import uuid
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from apps.events.notices import announce
from apps.events.services import publish
from apps.mailboxes.models import Folder, MailboxEntry, Message, Side
from apps.mailboxes.services import OUT_OF_SIGHT
from apps.outbound.bounces.refusals import heed_refusals
from apps.outbound.clocks import clock, on_the_clock
from apps.outbound.models import (
    IN_ERROR,
    Delivery,
    DeliveryNotice,
    DeliveryState,
    NoticeKind,
    SendingPolicy,
)
from apps.outbound.retry import DEFAULT_RETRY_POLICY

BATCH = 500

# Waiting for somebody else. What is scheduled waits because its sender wished so.
LATE = (DeliveryState.QUEUED, DeliveryState.DEFERRED)


def tell_of_complaint(delivery: Delivery, reason: str, now: datetime) -> None:
    """The recipient reported the mail as spam, in the caller's transaction."""
    _write(delivery.message_id, NoticeKind.COMPLAINED, [delivery], 1, now, reason=reason)


# the two rounds


def tell_of_lost(now: datetime | None = None) -> int:
    """Tell of what will not arrive; how many deliveries were told of."""
    now = now or timezone.now()
    with transaction.atomic():
        lost = _locked(
            Delivery.objects.filter(state__in=IN_ERROR, failure_told_at__isnull=True).order_by("finished_at")
        )
        Delivery.objects.filter(pk__in=[one.pk for one in lost]).update(failure_told_at=now)
        heed_refusals(lost, now)
        for message_id, deliveries in _by_message(lost).items():
            told = Delivery.objects.filter(
                message=message_id, state__in=IN_ERROR, failure_told_at__isnull=False
            ).count()
            _write(message_id, NoticeKind.FAILED, deliveries, told, now)
    return len(lost)


def tell_of_late(now: datetime | None = None) -> int:
    """Tell of what waits for too long; how many deliveries were told of."""
    now = now or timezone.now()
    told = 0
    patience = dict(SendingPolicy.objects.values_list("organisation_id", "delay_told_after"))
    waiting = Delivery.objects.filter(state__in=LATE, delay_told_at__isnull=True)
    told += _tell_late_of(
        waiting.exclude(organisation_id__in=patience), DEFAULT_RETRY_POLICY.delay_told_after, now
    )
    for organisation_id, bears in patience.items():
        told += _tell_late_of(waiting.filter(organisation_id=organisation_id), bears, now)
    return told


@transaction.atomic
def _tell_late_of(waiting: QuerySet[Delivery], bears: timedelta, now: datetime) -> int:
    # Walks the index by which deliveries expire, past those told of already: no index more on the rows that every
    # worker writes. A lifetime counts from when a delivery first was due: that moment, without undo window or schedule.
    due_before = now - bears + DEFAULT_RETRY_POLICY.lifetime
    late = _locked(waiting.filter(expires_at__lte=due_before).order_by("expires_at"))
    Delivery.objects.filter(pk__in=[one.pk for one in late]).update(delay_told_at=now)
    for message_id, deliveries in _by_message(late).items():
        told = Delivery.objects.filter(message=message_id, state__in=LATE, delay_told_at__isnull=False)
        since = min(one.expires_at for one in deliveries) - DEFAULT_RETRY_POLICY.lifetime
        _write(message_id, NoticeKind.DELAYED, deliveries, told.count(), now, since=since)
    return len(late)


def _locked(deliveries: QuerySet[Delivery]) -> list[Delivery]:
    return list(deliveries.select_for_update(skip_locked=True, of=("self",))[:BATCH])


def _by_message(deliveries: Sequence[Delivery]) -> dict[uuid.UUID, list[Delivery]]:
    found: defaultdict[uuid.UUID, list[Delivery]] = defaultdict(list)
    for delivery in deliveries:
        found[delivery.message_id].append(delivery)
    return found


# writing a line


def _write(
    message_id: uuid.UUID,
    kind: NoticeKind,
    deliveries: Sequence[Delivery],
    recipients: int,
    now: datetime,
    *,
    reason: str = "",
    since: datetime | None = None,
) -> None:
    first = deliveries[0]
    DeliveryNotice.objects.update_or_create(
        message_id=message_id,
        kind=kind,
        defaults={
            "organisation_id": first.organisation_id,
            "recipients": recipients,
            "recipient": first.recipient,
            "reason": reason or first.reason,
            "since": since,
            "next_try_at": first.due_at,
            "told_at": now,
        },
    )
    publish(
        first.organisation_id,
        f"message.told_{kind}",
        message_id=message_id,
        recipients=recipients,
        cause=first.cause,
    )
    _call_attention(message_id)


def _call_attention(message_id: uuid.UUID) -> None:
    """The sender's copy counts as unread, and its conversation is back in the Inbox if it was archived or snoozed."""
    copies = MailboxEntry.objects.filter(message=message_id, side=Side.SENDER)
    mailbox_ids = list(copies.values_list("mailbox_id", flat=True))
    copies.update(is_read=False)
    thread_id = Message.objects.values_list("thread_id", flat=True).get(pk=message_id)
    MailboxEntry.objects.filter(
        thread=thread_id, mailbox__in=mailbox_ids, side=Side.RECIPIENT, folder__in=OUT_OF_SIGHT
    ).update(folder=Folder.INBOX)
    announce(mailbox_ids)


# reading one


def sentence_of(notice: DeliveryNotice, now: datetime) -> str:
    """A line as a person reads it. Its times are in Django's current time zone, which they name."""
    others = notice.recipients - 1
    reason = on_the_clock(notice.reason, now).rstrip(". ")
    whom = notice.recipient
    if others > 0:
        whom = ngettext("%(one)s and %(n)d other", "%(one)s and %(n)d others", others) % {
            "one": notice.recipient,
            "n": others,
        }
    if notice.kind == NoticeKind.COMPLAINED:
        return _("%(whom)s reported this mail as spam, and gets no more from us.") % {"whom": whom}
    if notice.kind == NoticeKind.FAILED:
        return _("Not delivered to %(whom)s. %(reason)s.") % {"whom": whom, "reason": reason}
    told = _("Still waiting for %(whom)s since %(since)s. %(reason)s.") % {
        "whom": whom,
        "since": clock(notice.since or notice.told_at, now),
        "reason": reason or _("No worker has taken it up"),
    }
    if notice.next_try_at is not None:
        told += " " + _("Next try at %(at)s.") % {"at": clock(notice.next_try_at, now)}
    return told
