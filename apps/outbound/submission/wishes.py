"""What the sender wished for while a mail still waits: not to send it once they have answered.

Whether somebody has answered is asked twice. At the claim, by `replied_meanwhile`, which decides: an answer that was
filed before a worker took the mail up stops it. And by a consumer of the event log, so that the Outbox shows it as
cancelled when the answer comes and not days later at its hour; the same consumer lays the sender's copy of what was
cancelled at the claim into the Trash. A crash anywhere changes nothing: the claim asks again, the events come again.

An answer is a mail that came into the conversation from outside after ours was written; within the house, one that a
recipient of ours wrote. An automatic reply, a bounce or a receipt is nobody's answer.
"""

import uuid
from collections.abc import Collection, Sequence

from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from apps.events.models import Event
from apps.events.services import Consumer
from apps.mailboxes.models import Direction, Message, MessageKind
from apps.outbound import transitions
from apps.outbound.models import WAITING, Delivery
from apps.outbound.submission.senders_copy import put_senders_copy_away

CONSUMER = "outbound.wishes"
_CANCELLED = "delivery.cancelled"
_HEARD = frozenset({"message.received", "delivery.delivered"})


def replied_meanwhile(delivery_ids: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Those of the deliveries that wish to be cancelled by an answer, and have got one."""
    if not delivery_ids:
        return set()
    recipient_wrote = Delivery.objects.filter(
        message=OuterRef(OuterRef("message")), recipient__iexact=OuterRef("sender_address")
    )
    answers = Message.objects.filter(
        Q(direction=Direction.IN) | Q(Exists(recipient_wrote), direction=Direction.LOCAL),
        thread=OuterRef("message__thread"),
        kind=MessageKind.MAIL,
        received_at__gt=OuterRef("message__received_at"),
    )
    wished = Delivery.objects.filter(pk__in=delivery_ids, cancel_if_replied=True)
    return set(wished.filter(Exists(answers)).order_by().values_list("pk", flat=True))


def _cancel_answered(events: Sequence[Event]) -> None:
    cancelled = {event.message_id for event in events if event.kind == _CANCELLED and event.message_id}
    if cancelled:
        put_senders_copy_away(cancelled)
    arrived = {event.message_id for event in events if event.kind in _HEARD and event.message_id is not None}
    if not arrived:
        return
    threads = Message.objects.filter(pk__in=arrived).values_list("thread", flat=True)
    waiting = Delivery.objects.filter(
        cancel_if_replied=True, state__in=WAITING, message__thread__in=list(threads)
    )
    answered = replied_meanwhile(list(waiting.values_list("pk", flat=True)))
    if answered:
        transitions.cancel_replied(answered, timezone.now())
        messages = Delivery.objects.filter(pk__in=answered).order_by().values_list("message_id", flat=True)
        put_senders_copy_away(set(messages))


# What an answer has made needless.
cancel_what_was_answered = Consumer(CONSUMER, _cancel_answered, only=Q(kind__in=[_CANCELLED, *_HEARD]))
