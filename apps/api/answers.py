"""What a caller is told of messages and tickets: gathered here for a page at a time, in a fixed number of queries.

What only the sender's side may know stands here, in one place: Bcc, deliveries, tags, metadata, and the state, which is
that of the deliveries. To whoever merely received the message it is `filed`.
"""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet
from rest_framework.request import Request
from rest_framework.reverse import reverse

from apps.accounts.principal import Principal
from apps.automation.selectors import acknowledgement_of
from apps.events.models import Event
from apps.events.selectors import events_of_message
from apps.mailboxes.attachments import warning_of
from apps.mailboxes.models import MailboxEntry, Message, Part, Side
from apps.mailboxes.provenance import authentication_of
from apps.mailboxes.selectors import bodies_of, entries_by_message, is_on_senders_side
from apps.mime.quotes import split_quotes
from apps.outbound.bounces.selectors import reports_by_delivery
from apps.outbound.models import Delivery, DeliveryAttempt, DeliveryReport
from apps.outbound.selectors import attempts_of, deliveries_by_message, explain, screenings_of
from apps.outbound.submission.submit import Submitted
from apps.tickets.intake import FILED
from apps.tickets.models import Ticket
from apps.tickets.selectors import messages_of, moves_of, notes_of, ticket_ids_by_message, tickets_for

Answer = dict[str, Any]


def whole_messages(
    request: Request, principal: Principal, messages: Sequence[Message], now: datetime
) -> list[Answer]:
    """Each message whole, in order. The messages are such as `messages_for` gives. Raises ObjectStoreUnavailable."""
    entries = entries_by_message(principal, [message.pk for message in messages])
    tickets = ticket_ids_by_message(principal, messages)
    bodies = bodies_of(messages)
    sent = [message for message in messages if _on_senders_side(entries[message.pk])]
    deliveries = told_by_message(principal, sent, now)
    screenings = screenings_of(principal, sent) if sent else {}
    answers = []
    for message in messages:
        text, html = bodies[message.pk]
        answer: Answer = {
            "message": message,
            "entries": entries[message.pk],
            "ticket": tickets.get(message.pk),
            "sender": {"name": message.sender_name, "address": message.sender_address},
            "attachments": [_attachment(request, part) for part in message.parts.all()],
            "text": text,
            "new_text": split_quotes(text).new_text,
            "html": html,
            "enclosed": message.contents.get("enclosed", []),
            "invitation": message.contents.get("invitation"),
            "remarks": message.contents.get("remarks", []),
            "authentication": authentication_of(message),
            "state": FILED,
            "tags": [],
            "metadata": {},
            "screening": None,
        }
        if _on_senders_side(entries[message.pk]):
            answer |= {
                "state": message.state,
                "tags": message.tags,
                "metadata": message.metadata,
                "bcc": message.bcc,
                "deliveries": deliveries[message.pk],
                "screening": screenings.get(message.pk),
            }
        answers.append(answer)
    return answers


def told_by_message(
    principal: Principal, sent: Sequence[Message], now: datetime
) -> dict[uuid.UUID, list[Answer]]:
    """The recipients of messages the caller sees the sender's copy of."""
    if not sent:
        return {}
    deliveries = deliveries_by_message(principal, sent)
    reports = reports_by_delivery(principal, [one for told in deliveries.values() for one in told])
    return {
        message_id: [delivery_answer(one, now, reports.get(one.pk, ())) for one in told]
        for message_id, told in deliveries.items()
    }


def delivery_answer(delivery: Delivery, now: datetime, reports: Sequence[DeliveryReport] = ()) -> Answer:
    """One recipient with the reason it stands where it stands, and with what came back about it."""
    explanation = explain(delivery, now)
    return {
        "id": delivery.pk,
        "recipient": delivery.recipient,
        "state": delivery.state,
        "route": delivery.route,
        "reason": explanation.sentence,
        "next_attempt_at": explanation.next_attempt_at,
        "reports": reports,
    }


def whole_deliveries(
    principal: Principal, message: Message, deliveries: Sequence[Delivery], now: datetime
) -> list[Answer]:
    """These recipients of a message with all that was tried."""
    attempts = attempts_of(principal, message, deliveries)
    reports = reports_by_delivery(principal, deliveries)
    screening = screenings_of(principal, [message]).get(message.pk)
    return [
        _whole_delivery(one, attempts.get(one.pk, ()), reports.get(one.pk, ()), now)
        | {"screening": screening}
        for one in deliveries
    ]


def _whole_delivery(
    delivery: Delivery,
    attempts: Sequence[DeliveryAttempt],
    reports: Sequence[DeliveryReport],
    now: datetime,
) -> Answer:
    return delivery_answer(delivery, now, reports) | {
        "cause": delivery.cause,
        "lane": delivery.lane,
        "attempts_made": delivery.attempts_made,
        "created_at": delivery.created_at,
        "finished_at": delivery.finished_at,
        "expires_at": delivery.expires_at,
        "cancel_if_replied": delivery.cancel_if_replied,
        "attempts": attempts,
    }


def outgoing_answer(principal: Principal, message: Message, now: datetime) -> Answer:
    """What an outgoing message has come to, after something was done to it."""
    message.refresh_from_db(fields=["state"])
    return {"message": message, "deliveries": told_by_message(principal, [message], now)[message.pk]}


def submitted_answer(submitted: Submitted, now: datetime) -> Answer:
    """The answer to whoever sent something."""
    return {
        "message": submitted.message,
        "deliveries": [delivery_answer(delivery, now) for delivery in submitted.deliveries],
    }


def ticket_answer(ticket: Ticket) -> Answer:
    """A ticket as lists show it."""
    requester = {"name": ticket.requester_name, "address": ticket.requester_address}
    return {"ticket": ticket, "requester": requester}


def whole_ticket(request: Request, principal: Principal, ticket: Ticket, now: datetime) -> Answer:
    """A ticket with its messages and notes, and what became of its acknowledgement."""
    messages = messages_of(principal, ticket)
    return ticket_answer(ticket) | {
        "messages": whole_messages(request, principal, messages, now),
        "notes": notes_of(ticket),
        "moves": moves_of(ticket),
        "acknowledgement": acknowledgement_of(ticket),
    }


def visible_events(principal: Principal, message: Message) -> QuerySet[Event]:
    """What happened to a message, as far as the caller may know: no delivery to who did not send it."""
    events = events_of_message(principal.organisation_id, message.pk)
    if not is_on_senders_side(principal, message):
        events = events.filter(delivery_id__isnull=True)
    visible_tickets = tickets_for(principal).filter(thread=message.thread_id).order_by().values("pk")
    return events.filter(Q(ticket_id__isnull=True) | Q(ticket_id__in=visible_tickets))


def _on_senders_side(entries: Sequence[MailboxEntry]) -> bool:
    return any(entry.side == Side.SENDER for entry in entries)


def _attachment(request: Request, part: Part) -> Answer:
    warning = warning_of(part)
    return {
        "n": part.n,
        "filename": part.filename,
        "content_type": part.content_type,
        "detected_type": part.detected_type,
        "warning": {"code": warning.code, "reason": warning.sentence} if warning else None,
        "size_bytes": part.blob.size_bytes,
        "inline": part.inline,
        "content_id": part.content_id,
        "within": part.within or None,
        "sha256": part.blob.hex_digest,
        "url": reverse("api:attachment", args=[part.message_id, part.n], request=request),
    }
