"""Changing a ticket and remarking on it."""

import uuid
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from apps.accounts.principal import Principal
from apps.mailboxes.models import Folder
from apps.tickets.errors import TicketInvalid
from apps.tickets.selectors import ticket_for
from apps.tickets.services import add_note, change_ticket
from apps.webmail.access import for_people
from apps.webmail.reading import show_conversation

NOBODY = "nobody"


@require_POST
@for_people
def change(request: HttpRequest, principal: Principal, ticket_id: uuid.UUID, folder: Folder) -> HttpResponse:
    """Change state, priority or assignee; the answer is the conversation's bar and chips anew."""
    ticket = ticket_for(principal, ticket_id)
    try:
        changes: dict[str, Any] = {}
        if "state" in request.POST:
            changes["state"] = request.POST["state"]
        if "assignee" in request.POST:
            changes["assignee_id"] = _person(request.POST["assignee"])
        if "priority" in request.POST:
            changes["priority"] = request.POST["priority"]
        change_ticket(principal, ticket, now=timezone.now(), **changes)
    except TicketInvalid as error:
        return JsonResponse({"errors": {error.field: error.reason}}, status=422)
    shown = show_conversation(principal, ticket.mailbox, folder, ticket.thread_id, timezone.now())
    context = {"shown": shown, "mailbox": ticket.mailbox, "folder": folder, "with_about": True}
    return render(request, "webmail/bar.html", context)


@require_POST
@for_people
def note(request: HttpRequest, principal: Principal, ticket_id: uuid.UUID) -> HttpResponse:
    ticket = ticket_for(principal, ticket_id)
    try:
        add_note(principal, ticket, request.POST.get("text", ""), now=timezone.now())
    except TicketInvalid as error:
        return JsonResponse({"errors": {error.field: error.reason}}, status=422)
    return JsonResponse({"sentence": _("Note added. Only your team sees it.")}, status=201)


def _person(value: str) -> uuid.UUID | None:
    """Raises TicketInvalid for what is no id at all."""
    if value == NOBODY:
        return None
    try:
        return uuid.UUID(value)
    except ValueError as error:
        raise TicketInvalid("assignee", _("Nobody with this id sees the ticket's mailbox.")) from error
