"""Held mail, whom the organisation trusts, and what is spam."""

import uuid
from collections.abc import Sequence

from django.http.response import HttpResponseBase
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from apps.api.answers import Answer, whole_messages
from apps.api.schema import documents, documents_bytes, page_of
from apps.api.serializers.held import (
    HeldQuery,
    HeldSerializer,
    NewTrustedSenderSerializer,
    ReceivingPolicyChangeSerializer,
    ReceivingPolicySerializer,
    ReleasedSerializer,
    ReleaseSerializer,
    TrustedSenderSerializer,
)
from apps.api.serializers.messages import MessageSerializer
from apps.api.serializers.queries import PageQuery
from apps.api.views.base import ApiView
from apps.blobs.selectors import read
from apps.mailboxes.selectors import mailbox_for, message_for, visible_mailboxes
from apps.tickets.holding import discard, release, restore
from apps.tickets.models import HeldMessage
from apps.tickets.receiving_policy import change_receiving_policy, receiving_policy_of
from apps.tickets.selectors import held_for, held_one, ticket_ids_by_message
from apps.tickets.spam import mark_message
from apps.tickets.trust import distrust_sender, trust_sender, trusted_sender_for, trusted_senders_for


class HeldBase(ApiView):
    """What the views of held mail have in common."""

    def told(self, rows: Sequence[HeldMessage]) -> list[Answer]:
        """Held mails as they are answered, with those mailboxes that the caller may see."""
        visible = set(visible_mailboxes(self.principal).values_list("pk", flat=True))
        return [_told(row, [one.pk for one in row.mailboxes.all() if one.pk in visible]) for row in rows]

    def answer(self, row: HeldMessage) -> Response:
        return Response(HeldSerializer(self.told([row])[0]).data)


class HeldView(HeldBase):
    """Mail with a cause to look at it first. Nothing leaves here by itself."""

    @documents(
        "list_held",
        "Incoming mail held for a person, newest first",
        answers={200: page_of(HeldSerializer)},
        query=HeldQuery,
        problems=(404,),
    )
    def get(self, request: Request) -> Response:
        query = self.read_query(HeldQuery)
        rows = held_for(self.principal).filter(state=query["state"])
        if cause := query.get("cause"):
            rows = rows.filter(cause=cause)
        if mailbox_id := query.get("mailbox"):
            rows = rows.filter(mailboxes=mailbox_for(self.principal, mailbox_id))
        return self.page(rows, query, by="held_at", kind=HeldSerializer, describe=self.told)


class OneHeldView(HeldBase):
    """One held mail."""

    @documents("get_held", "A held mail", answers={200: HeldSerializer}, problems=(404,))
    def get(self, request: Request, held_id: uuid.UUID) -> Response:
        return self.answer(held_one(self.principal, held_id))


class RawHeldView(ApiView):
    """The mail as `message/rfc822`, byte for byte, with whatever it is held for."""

    @documents_bytes("get_raw_held", "The very bytes that were received", "message/rfc822")
    def get(self, request: Request, held_id: uuid.UUID) -> HttpResponseBase:
        held = held_one(self.principal, held_id)
        return self.send_bytes(
            lambda: read(held.raw),
            etag=held.raw.hex_digest,
            content_type="message/rfc822",
            disposition=f'attachment; filename="{held.pk}.eml"',
        )


class ReleaseView(ApiView):
    """Doing it again answers the same message. What has a virus in it is let in by admins alone."""

    @documents(
        "release_held",
        "File a held mail where it would have gone",
        answers={200: ReleasedSerializer},
        request=ReleaseSerializer,
        problems=(400, 403, 404, 409),
    )
    def post(self, request: Request, held_id: uuid.UUID) -> Response:
        held = held_one(self.principal, held_id)
        trust = self.read_body(ReleaseSerializer)["trust"]
        message = release(self.principal, held, now=timezone.now(), trust=trust)
        held.refresh_from_db(fields=["state"])
        ticket = ticket_ids_by_message(self.principal, [message]).get(message.pk)
        answer = {"id": held.pk, "state": held.state, "message": message.pk, "ticket": ticket}
        return Response(ReleasedSerializer(answer).data)


class DiscardView(HeldBase):
    """For 30 days it can be restored; then it is erased."""

    @documents("discard_held", "Discard a held mail", answers={200: HeldSerializer}, problems=(404, 409))
    def post(self, request: Request, held_id: uuid.UUID) -> Response:
        discard(self.principal, held_one(self.principal, held_id), now=timezone.now())
        return self.answer(held_one(self.principal, held_id))


class RestoreView(HeldBase):
    """It waits for a person again."""

    @documents(
        "restore_held", "Bring a discarded mail back", answers={200: HeldSerializer}, problems=(404, 409)
    )
    def post(self, request: Request, held_id: uuid.UUID) -> Response:
        restore(self.principal, held_one(self.principal, held_id), now=timezone.now())
        return self.answer(held_one(self.principal, held_id))


class TrustedSendersView(ApiView):
    """Trust is in who they are: it counts for mail that is proven to be theirs, and lets no virus in."""

    @documents(
        "list_trusted_senders",
        "Senders whose mail is not held as spam, newest first",
        answers={200: page_of(TrustedSenderSerializer)},
        query=PageQuery,
    )
    def get(self, request: Request) -> Response:
        query = self.read_query(PageQuery)
        rows = trusted_senders_for(self.principal)
        return self.page(rows, query, by="created_at", kind=TrustedSenderSerializer)

    @documents(
        "trust_sender",
        "Trust an address or a domain",
        answers={201: TrustedSenderSerializer},
        request=NewTrustedSenderSerializer,
        problems=(400,),
    )
    def post(self, request: Request) -> Response:
        sender = self.read_body(NewTrustedSenderSerializer)["sender"]
        row = trust_sender(self.principal, sender, now=timezone.now())
        return Response(TrustedSenderSerializer(row).data, status=201)


class TrustedSenderView(ApiView):
    """One of them."""

    @documents(
        "get_trusted_sender", "A trusted sender", answers={200: TrustedSenderSerializer}, problems=(404,)
    )
    def get(self, request: Request, trusted_id: uuid.UUID) -> Response:
        return Response(TrustedSenderSerializer(trusted_sender_for(self.principal, trusted_id)).data)

    @documents("distrust_sender", "Trust a sender no more", answers={204: None}, problems=(404,))
    def delete(self, request: Request, trusted_id: uuid.UUID) -> Response:
        distrust_sender(self.principal, trusted_sender_for(self.principal, trusted_id))
        return Response(status=204)


class ReceivingPolicyView(ApiView):
    """It holds for mail that comes in from then on; what is held stays so."""

    @documents(
        "get_receiving_policy", "What is held of received mail", answers={200: ReceivingPolicySerializer}
    )
    def get(self, request: Request) -> Response:
        return Response(ReceivingPolicySerializer(receiving_policy_of(self.principal.organisation_id)).data)

    @documents(
        "change_receiving_policy",
        "Say what is to be held; for admins",
        answers={200: ReceivingPolicySerializer},
        request=ReceivingPolicyChangeSerializer,
        problems=(400, 403),
    )
    def patch(self, request: Request) -> Response:
        policy = change_receiving_policy(self.principal, self.read_body(ReceivingPolicyChangeSerializer))
        return Response(ReceivingPolicySerializer(policy).data)


class SpamView(ApiView):
    """Its conversation goes to Spam in every mailbox of yours, and the organisation's filter learns from it."""

    is_spam = True

    @documents(
        "mark_spam",
        "Say that a received message is spam",
        answers={200: MessageSerializer},
        problems=(404, 422),
    )
    def post(self, request: Request, message_id: uuid.UUID) -> Response:
        return self.mark(request, message_id)

    def mark(self, request: Request, message_id: uuid.UUID) -> Response:
        now = timezone.now()
        message = message_for(self.principal, message_id)
        mark_message(self.principal, message, is_spam=self.is_spam, now=now)
        return Response(MessageSerializer(whole_messages(request, self.principal, [message], now)[0]).data)


class NotSpamView(SpamView):
    """Its conversation goes back to the Inbox, and the filter learns that it is none."""

    is_spam = False

    @documents(
        "mark_not_spam",
        "Say that a received message is no spam",
        answers={200: MessageSerializer},
        problems=(404, 422),
    )
    def post(self, request: Request, message_id: uuid.UUID) -> Response:
        return self.mark(request, message_id)


def _told(row: HeldMessage, mailboxes: Sequence[uuid.UUID]) -> Answer:
    return {
        "row": row,
        "mailbox": mailboxes[0] if mailboxes else None,
        "mailboxes": mailboxes,
        "written_by": {"name": row.sender_name, "address": row.sender_address},
    }
