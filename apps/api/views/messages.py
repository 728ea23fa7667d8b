"""Messages: sent, listed, read, taken back."""

import hashlib
import uuid
from collections.abc import Sequence
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet
from django.http import Http404
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.http import content_disposition_header
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.principal import Principal
from apps.api.answers import (
    Answer,
    outgoing_answer,
    submitted_answer,
    visible_events,
    whole_deliveries,
    whole_messages,
)
from apps.api.refusals import check_or_keep
from apps.api.schema import IDEMPOTENCY_KEY, documents, documents_bytes, page_of
from apps.api.serializers.messages import (
    AcceptedSerializer,
    EventSerializer,
    MessageSerializer,
    NewMessageSerializer,
    RescheduleSerializer,
    RetrySerializer,
    WholeDeliverySerializer,
)
from apps.api.serializers.queries import MessagesQuery, PageQuery
from apps.api.views.base import ApiView
from apps.blobs.selectors import read
from apps.mailboxes.models import MailboxEntry, Message, Side
from apps.mailboxes.selectors import (
    entries_for,
    mailbox_for,
    message_for,
    messages_for,
    raw_of,
    visible_mailboxes,
)
from apps.mime.compose import Unsubscribe
from apps.outbound.models import Delivery
from apps.outbound.selectors import deliveries_for
from apps.outbound.services import cancel_message, reschedule_message, retry_message
from apps.outbound.signing.sending import signature_before
from apps.outbound.submission.submit import Submission, SubmittedAttachment, submit_message
from apps.tickets.finding import find_messages
from apps.tickets.intake import FILED


class MessagesView(ApiView):
    """The messages you may see, and the way to send one."""

    @documents(
        "list_messages",
        "Messages, newest first",
        answers={200: page_of(MessageSerializer)},
        query=MessagesQuery,
        problems=(404,),
    )
    def get(self, request: Request) -> Response:
        query = self.read_query(MessagesQuery)
        return messages_page(self, filtered_messages(self.principal, query), query)

    @documents(
        "send_message",
        "Send a message",
        answers={202: AcceptedSerializer},
        request=NewMessageSerializer,
        problems=(400, 409),
        parameters=(IDEMPOTENCY_KEY,),
    )
    def post(self, request: Request) -> Response:
        now = timezone.now()
        key = request.headers.get("Idempotency-Key")
        body = check_or_keep(self.principal, request.data, NewMessageSerializer, key=key)
        submitted = submit_message(self.principal, submission_of(body), idempotency_key=key, now=now)
        return Response(AcceptedSerializer(submitted_answer(submitted, now)).data, status=202)


class MessageView(ApiView):
    """One message with its bodies."""

    @documents("get_message", "A message", answers={200: MessageSerializer}, problems=(404,))
    def get(self, request: Request, message_id: uuid.UUID) -> Response:
        message = message_for(self.principal, message_id)
        answer = whole_messages(request, self.principal, [message], timezone.now())[0]
        return Response(MessageSerializer(answer).data)


class RawMessageView(ApiView):
    """The message as `message/rfc822`, byte for byte."""

    @documents_bytes("get_raw_message", "The very bytes that were received or sent", "message/rfc822")
    def get(self, request: Request, message_id: uuid.UUID) -> HttpResponseBase:
        message = message_for(self.principal, message_id)
        signature = signature_before(self.principal, message)
        return self.send_bytes(
            lambda: signature + raw_of(message),
            etag=_etag_of(message, signature),
            content_type="message/rfc822",
            disposition=f'attachment; filename="{message.pk}.eml"',
        )


def _etag_of(message: Message, signature: bytes) -> str:
    digest = message.raw.hex_digest
    return hashlib.sha256(signature + digest.encode()).hexdigest() if signature else digest


class AttachmentView(ApiView):
    """Always a download of unspecific type: what the mail calls it stands in the message's JSON."""

    @documents_bytes("get_attachment", "The bytes of an attachment", "application/octet-stream")
    def get(self, request: Request, message_id: uuid.UUID, n: int) -> HttpResponseBase:
        message = message_for(self.principal, message_id)
        part = next((part for part in message.parts.all() if part.n == n), None)
        if part is None:
            raise Http404
        # What the mail calls it is told in JSON. As a header a stranger's `text/html` would make a page of ours.
        return self.send_bytes(
            lambda: read(part.blob),
            etag=part.blob.hex_digest,
            content_type="application/octet-stream",
            disposition=content_disposition_header(as_attachment=True, filename=part.filename)
            or "attachment",
        )


class MessageEventsView(ApiView):
    """Ids and codes of what happened; deliveries are told to the sender's side only."""

    @documents(
        "list_message_events",
        "What happened to a message, latest first",
        answers={200: page_of(EventSerializer)},
        query=PageQuery,
        problems=(404,),
    )
    def get(self, request: Request, message_id: uuid.UUID) -> Response:
        query = self.read_query(PageQuery)
        message = message_for(self.principal, message_id)
        events = visible_events(self.principal, message)
        return self.page(events, query, by="created_at", kind=EventSerializer)


class CancelMessageView(ApiView):
    """What has left already stays sent; 409 when nothing is waiting any more."""

    @documents(
        "cancel_message",
        "Take back what was not sent yet",
        answers={200: AcceptedSerializer},
        problems=(404, 409),
    )
    def post(self, request: Request, message_id: uuid.UUID) -> Response:
        now = timezone.now()
        message = message_for(self.principal, message_id)
        cancel_message(self.principal, message, now)
        return Response(AcceptedSerializer(outgoing_answer(self.principal, message, now)).data)


class RetryMessageView(ApiView):
    """Every recipient that was put off or failed is due again at once; 409 when there is none."""

    @documents(
        "retry_message",
        "Try again now what waits or failed, over another relay if you like",
        answers={200: AcceptedSerializer},
        request=RetrySerializer,
        problems=(400, 404, 409),
    )
    def post(self, request: Request, message_id: uuid.UUID) -> Response:
        now = timezone.now()
        message = message_for(self.principal, message_id)
        relay_id = self.read_body(RetrySerializer)["relay"]
        retry_message(self.principal, message, now, relay_id=relay_id)
        return Response(AcceptedSerializer(outgoing_answer(self.principal, message, now)).data)


class RescheduleMessageView(ApiView):
    """409 once nothing of it waits for its time any more."""

    @documents(
        "reschedule_message",
        "Send at another time, or now, what is scheduled",
        answers={200: AcceptedSerializer},
        request=RescheduleSerializer,
        problems=(400, 404, 409),
    )
    def post(self, request: Request, message_id: uuid.UUID) -> Response:
        now = timezone.now()
        message = message_for(self.principal, message_id)
        send_at = self.read_body(RescheduleSerializer)["send_at"]
        reschedule_message(self.principal, message, send_at, now)
        return Response(AcceptedSerializer(outgoing_answer(self.principal, message, now)).data)


class DeliveriesView(ApiView):
    """Every attempt with the server, its words and the time each phase took, what a scanner said before and what came
    back afterwards; for the sender's side only."""

    @documents(
        "list_deliveries",
        "A message's whole story, recipient by recipient",
        answers={200: page_of(WholeDeliverySerializer)},
        query=PageQuery,
        problems=(404,),
    )
    def get(self, request: Request, message_id: uuid.UUID) -> Response:
        query = self.read_query(PageQuery)
        message = message_for(self.principal, message_id)
        now = timezone.now()

        def describe(rows: Sequence[Delivery]) -> list[Answer]:
            return whole_deliveries(self.principal, message, rows, now)

        deliveries = deliveries_for(self.principal).filter(message=message)
        return self.page(deliveries, query, by="created_at", kind=WholeDeliverySerializer, describe=describe)


def filtered_messages(principal: Principal, query: dict[str, Any]) -> QuerySet[Message]:
    """The caller's messages that a query asks for. Raises NotVisible for a mailbox the caller may not see."""
    messages = messages_for(principal)
    mailbox_id, folder = query.get("mailbox"), query.get("folder")
    if mailbox_id or folder:
        messages = messages.filter(Exists(_entries_in(principal, mailbox_id, folder)))
    if state := query.get("state"):
        # To whoever did not send it, a message is filed; its deliveries' state is the sender's to know.
        sent = Exists(entries_for(principal).filter(message=OuterRef("pk"), side=Side.SENDER))
        messages = messages.filter(~sent) if state == FILED else messages.filter(sent, state=state)
    if text := query.get("q"):
        messages = find_messages(principal, messages, text, timezone.now())
    return messages


def _entries_in(
    principal: Principal, mailbox_id: uuid.UUID | None, folder: str | None
) -> QuerySet[MailboxEntry]:
    """What lies there of the outer query's message."""
    # Ids rather than a subquery: PostgreSQL then knows how many entries to expect, and walks the better index.
    mailboxes = [mailbox_for(principal, mailbox_id)] if mailbox_id else list(visible_mailboxes(principal))
    entries = MailboxEntry.objects.filter(message=OuterRef("pk"), mailbox__in=[one.pk for one in mailboxes])
    return entries.filter(folder=folder) if folder else entries


def messages_page(view: ApiView, messages: QuerySet[Message], query: dict[str, Any]) -> Response:
    """A page of messages, as any list of them is answered."""
    now = timezone.now()

    def describe(rows: Sequence[Message]) -> list[Answer]:
        return whole_messages(view.request, view.principal, rows, now)

    return view.page(messages, query, by="received_at", kind=MessageSerializer, describe=describe)


def submission_of(body: dict[str, Any]) -> Submission:
    """A checked request body as the room below takes it."""
    return Submission(
        sender=body["sender"],
        to=tuple(body["to"]),
        cc=tuple(body["cc"]),
        bcc=tuple(body["bcc"]),
        reply_to=tuple(body["reply_to"]),
        subject=body["subject"],
        text=body["text"],
        html=body["html"],
        headers=tuple(body["headers"].items()),
        attachments=attachments_of(body),
        in_reply_to=body["in_reply_to"],
        cancel_if_replied=body["cancel_if_replied"],
        unsubscribe=Unsubscribe(**unsubscribe) if (unsubscribe := body["list_unsubscribe"]) else None,
        send_at=body["send_at"],
        hold_seconds=body["hold_seconds"],
        priority=body["priority"],
        tags=tuple(body["tags"]),
        metadata=body["metadata"],
    )


def attachments_of(body: dict[str, Any]) -> tuple[SubmittedAttachment, ...]:
    """The files of a checked request body."""
    return tuple(SubmittedAttachment(**attachment) for attachment in body["attachments"])
