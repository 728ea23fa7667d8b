"""Tickets: listed, read, changed, answered, remarked on."""

import uuid
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.principal import Principal
from apps.api.answers import submitted_answer, ticket_answer, whole_ticket
from apps.api.refusals import check_or_keep
from apps.api.schema import IDEMPOTENCY_KEY, documents, page_of
from apps.api.serializers.messages import AcceptedSerializer
from apps.api.serializers.queries import NOBODY, TicketsQuery
from apps.api.serializers.tickets import (
    NewNoteSerializer,
    NewReplySerializer,
    NoteSerializer,
    TicketChangeSerializer,
    TicketSerializer,
    WholeTicketSerializer,
)
from apps.api.views.base import ApiView
from apps.api.views.messages import attachments_of
from apps.mailboxes.selectors import mailbox_for
from apps.mime.address import comparable_address
from apps.outbound.submission.replies import Reply, reply_to_ticket
from apps.tickets.finding import find_tickets
from apps.tickets.models import Ticket
from apps.tickets.selectors import ticket_for, tickets_for
from apps.tickets.services import UNCHANGED, add_note, change_ticket


class TicketsView(ApiView):
    """Customers' conversations in shared mailboxes."""

    @documents(
        "list_tickets",
        "Tickets, latest activity first",
        answers={200: page_of(TicketSerializer)},
        query=TicketsQuery,
        problems=(404,),
    )
    def get(self, request: Request) -> Response:
        query = self.read_query(TicketsQuery)
        tickets = filtered_tickets(self.principal, query)
        return self.page(
            tickets,
            query,
            by="last_activity_at",
            kind=TicketSerializer,
            describe=lambda rows: [ticket_answer(ticket) for ticket in rows],
        )


class TicketView(ApiView):
    """One ticket, its messages, and the team's notes."""

    @documents(
        "get_ticket", "A ticket with its conversation", answers={200: WholeTicketSerializer}, problems=(404,)
    )
    def get(self, request: Request, ticket_id: uuid.UUID) -> Response:
        return self._answer(ticket_for(self.principal, ticket_id))

    @documents(
        "change_ticket",
        "Change a ticket",
        answers={200: WholeTicketSerializer},
        request=TicketChangeSerializer,
        problems=(400, 404),
    )
    def patch(self, request: Request, ticket_id: uuid.UUID) -> Response:
        ticket = ticket_for(self.principal, ticket_id)
        body = self.read_body(TicketChangeSerializer)
        changed = change_ticket(
            self.principal,
            ticket,
            state=body.get("state"),
            assignee_id=body.get("assignee", UNCHANGED),
            priority=body.get("priority"),
            tags=body.get("tags"),
            now=timezone.now(),
        )
        return self._answer(changed)

    def _answer(self, ticket: Ticket) -> Response:
        whole = whole_ticket(self.request, self.principal, ticket, timezone.now())
        return Response(WholeTicketSerializer(whole).data)


class RepliesView(ApiView):
    """The answer is sent from the ticket's mailbox and continues its conversation."""

    @documents(
        "reply_to_ticket",
        "Answer a ticket",
        answers={202: AcceptedSerializer},
        request=NewReplySerializer,
        problems=(400, 404, 409),
        parameters=(IDEMPOTENCY_KEY,),
    )
    def post(self, request: Request, ticket_id: uuid.UUID) -> Response:
        now = timezone.now()
        ticket = ticket_for(self.principal, ticket_id)
        key = request.headers.get("Idempotency-Key")
        body = check_or_keep(self.principal, request.data, NewReplySerializer, key=key, ticket=ticket)
        reply = reply_of(body)
        submitted = reply_to_ticket(self.principal, ticket, reply, idempotency_key=key, now=now)
        return Response(AcceptedSerializer(submitted_answer(submitted, now)).data, status=202)


class NotesView(ApiView):
    """Customers never see a note."""

    @documents(
        "add_note",
        "Remark on a ticket, for the team only",
        answers={201: NoteSerializer},
        request=NewNoteSerializer,
        problems=(400, 404),
    )
    def post(self, request: Request, ticket_id: uuid.UUID) -> Response:
        ticket = ticket_for(self.principal, ticket_id)
        text = self.read_body(NewNoteSerializer)["text"]
        note = add_note(self.principal, ticket, text, now=timezone.now())
        return Response(NoteSerializer(note).data, status=201)


def filtered_tickets(principal: Principal, query: dict[str, Any]) -> QuerySet[Ticket]:
    """The caller's tickets that a query asks for. Raises NotVisible for a mailbox the caller may not see."""
    tickets = tickets_for(principal)
    if state := query.get("state"):
        tickets = tickets.filter(state=state)
    if priority := query.get("priority"):
        tickets = tickets.filter(priority=priority)
    if mailbox_id := query.get("mailbox"):
        tickets = tickets.filter(mailbox=mailbox_for(principal, mailbox_id))
    if assignee := query.get("assignee"):
        tickets = tickets.filter(assignee=None if assignee == NOBODY else assignee)
    if tag := query.get("tag"):
        tickets = tickets.filter(tags__contains=[tag])
    if requester := query.get("requester"):
        tickets = tickets.filter(requester_address__iexact=comparable_address(requester))
    if text := query.get("q"):
        tickets = find_tickets(principal, tickets, text, timezone.now())
    return tickets


def reply_of(body: dict[str, Any]) -> Reply:
    """A checked request body as the room below takes it."""
    return Reply(
        text=body["text"],
        html=body["html"],
        to=tuple(body["to"]),
        cc=tuple(body["cc"]),
        attachments=attachments_of(body),
        hold_seconds=body["hold_seconds"],
        state=body["state"],
        send_at=body["send_at"],
        cancel_if_replied=body["cancel_if_replied"],
        sender=None,
    )
