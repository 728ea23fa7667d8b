"""Putting a message, or a whole ticket, where it belongs; and taking that back."""

import uuid

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from apps.accounts.principal import Principal
from apps.mailboxes.models import Folder
from apps.mailboxes.selectors import message_for
from apps.tickets.errors import TicketInvalid
from apps.tickets.finding import find_tickets
from apps.tickets.models import MoveKind, Ticket, TicketMove
from apps.tickets.moving import merge_tickets, move_message, split_message, undo_move
from apps.tickets.selectors import move_for, ticket_for, tickets_for, tickets_of
from apps.webmail.access import for_people
from apps.webmail.views.conversations import conversation_url

TICKETS_OFFERED = 8


@require_safe
@for_people
def mover(request: HttpRequest, principal: Principal, ticket_id: uuid.UUID) -> HttpResponse:
    """Where it could go: the customer's other tickets, or what is searched for."""
    ticket = ticket_for(principal, ticket_id)
    query = request.GET.get("q", "").strip()
    named = request.GET.get("message", "")
    candidates = tickets_for(principal).filter(mailbox=ticket.mailbox_id, merged_into=None)
    if query:
        found = find_tickets(principal, candidates, query, timezone.localtime()).order_by(
            "-last_activity_at", "-id"
        )
    else:
        found = tickets_of(principal, ticket.requester_address).filter(mailbox=ticket.mailbox_id)
    context = {
        "ticket": ticket,
        "message": message_for(principal, named) if named else None,
        "query": query,
        "tickets": found.exclude(pk=ticket.pk)[:TICKETS_OFFERED],
    }
    return render(request, "webmail/mover.html", context)


@require_POST
@for_people
def move(request: HttpRequest, principal: Principal, ticket_id: uuid.UUID) -> HttpResponse:
    """One message into another ticket; without a message, everything."""
    ticket = ticket_for(principal, ticket_id)
    if not request.POST.get("into"):
        return JsonResponse({"detail": _("Choose a ticket.")}, status=422)
    into = ticket_for(principal, request.POST["into"])
    named = request.POST.get("message", "")
    try:
        if named:
            message = message_for(principal, named)
            made = move_message(principal, ticket, message.pk, into, now=timezone.now())
        else:
            made = merge_tickets(principal, ticket, into, now=timezone.now())
    except TicketInvalid as error:
        return JsonResponse({"detail": error.reason}, status=422)
    return _told(made)


@require_POST
@for_people
def split(request: HttpRequest, principal: Principal, ticket_id: uuid.UUID) -> HttpResponse:
    """A ticket of its own for one message."""
    ticket = ticket_for(principal, ticket_id)
    if not request.POST.get("message"):
        return JsonResponse({"detail": _("Choose a message.")}, status=422)
    message = message_for(principal, request.POST["message"])
    return _told(split_message(principal, ticket, message.pk, now=timezone.now()))


@require_POST
@for_people
def undo(request: HttpRequest, principal: Principal, move_id: uuid.UUID) -> HttpResponse:
    made = undo_move(principal, move_for(principal, move_id), now=timezone.now())
    # Who looks at the ticket that is gone again is led to where its messages are.
    gone = made.target if made.kind == MoveKind.SPLIT else None
    answer = {"sentence": _("Put back.")}
    if gone is not None:
        answer |= {"left": str(gone.thread_id), "next_url": _url(made.source)}
    return JsonResponse(answer)


def _told(made: TicketMove) -> JsonResponse:
    numbers = {"from": made.source.number, "to": made.target.number}
    sentences = {
        MoveKind.MOVED: _("Moved to #%(to)s"),
        MoveKind.SPLIT: _("It is ticket #%(to)s now"),
        MoveKind.MERGED: _("#%(from)s is part of #%(to)s now"),
    }
    answer = {
        "sentence": sentences[MoveKind(made.kind)] % numbers,
        "undo_url": reverse("webmail:undo-move", kwargs={"move_id": made.pk}),
    }
    if made.kind != MoveKind.MERGED:
        answer["moved"] = str(made.message_ids[0])
    else:
        answer |= {"left": str(made.source.thread_id), "next_url": _url(made.target)}
    return JsonResponse(answer)


def _url(ticket: Ticket) -> str:
    return conversation_url(ticket.mailbox, Folder.INBOX, ticket.thread_id)
