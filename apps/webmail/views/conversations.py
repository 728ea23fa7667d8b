"""Folders, conversations, and what one does with them."""

import uuid
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from apps.accounts.principal import Principal
from apps.mailboxes.errors import NotVisible
from apps.mailboxes.models import Folder, Mailbox
from apps.mailboxes.selectors import mailbox_for, message_for, visible_mailboxes
from apps.mailboxes.services import MOVABLE, mark_conversation_read
from apps.tickets.selectors import ticket_of
from apps.tickets.spam import mark_conversation, move_and_remember
from apps.webmail.access import for_people, wants_fragment
from apps.webmail.answering import recipients_of_answer
from apps.webmail.customers import customer_of
from apps.webmail.drafts import answer_begun
from apps.webmail.listing import list_context, query_in, rows_context
from apps.webmail.reading import ShownConversation, show_conversation, show_folded, show_message
from apps.webmail.send_later import choices
from apps.webmail.shell import Place, page_context, rail_of, team_first


@require_safe
@for_people
def home(request: HttpRequest, principal: Principal) -> HttpResponse:
    """The first mailbox's inbox."""
    mailboxes = team_first(visible_mailboxes(principal))
    if not mailboxes:
        return render(request, "webmail/no_mailbox.html", page_context(principal, Place()))
    return HttpResponseRedirect(folder_url(mailboxes[0], Folder.INBOX))


@require_safe
@for_people
def rail(request: HttpRequest, principal: Principal) -> HttpResponse:
    """The rail's figures, fetched whenever something changed."""
    return render(request, "webmail/rail_figures.html", {"rail": rail_of(principal, Place())})


@require_safe
@for_people
def folder(request: HttpRequest, principal: Principal, mailbox_id: uuid.UUID, folder: Folder) -> HttpResponse:
    mailbox = mailbox_for(principal, mailbox_id)
    context = list_context(request, principal, mailbox, folder)
    return render(
        request,
        "webmail/folder.html",
        page_context(principal, Place(mailbox.pk, folder, query_in(request)), **context),
    )


@require_safe
@for_people
def rows(request: HttpRequest, principal: Principal, mailbox_id: uuid.UUID, folder: Folder) -> HttpResponse:
    """A page of rows alone: the next one when the list's end is reached, the first one when something changed."""
    mailbox = mailbox_for(principal, mailbox_id)
    return render(request, "webmail/rows.html", rows_context(request, principal, mailbox, folder))


@require_safe
@for_people
def conversation(
    request: HttpRequest, principal: Principal, mailbox_id: uuid.UUID, folder: Folder, thread_id: uuid.UUID
) -> HttpResponse:
    mailbox = mailbox_for(principal, mailbox_id)
    try:
        shown = show_conversation(
            principal, mailbox, folder, thread_id, timezone.now(), unfolded=_unfolded(request)
        )
    except NotVisible:
        ticket = ticket_of(mailbox, thread_id)
        if ticket is None or ticket.merged_into is None:
            raise
        return HttpResponseRedirect(conversation_url(mailbox, folder, ticket.merged_into.thread_id))
    context = _conversation_context(principal, shown, folder)
    if wants_fragment(request):
        return render(request, "webmail/conversation.html", context | {"is_fragment": True})
    context |= list_context(request, principal, mailbox, folder) | {"pane": "reading"}
    return render(
        request,
        "webmail/folder.html",
        page_context(principal, Place(mailbox.pk, folder, query_in(request)), **context),
    )


@require_safe
@for_people
def message_body(
    request: HttpRequest, principal: Principal, mailbox_id: uuid.UUID, message_id: uuid.UUID
) -> HttpResponse:
    """The body of a message that was not opened with its conversation."""
    mailbox = mailbox_for(principal, mailbox_id)
    message = message_for(principal, message_id)
    shown = show_message(principal, mailbox, message, timezone.now())
    context = {"shown": shown, "mailbox": mailbox, "ticket": ticket_of(mailbox, message.thread_id)}
    return render(request, "webmail/opened.html", context)


@require_safe
@for_people
def folded(
    request: HttpRequest,
    principal: Principal,
    mailbox_id: uuid.UUID,
    thread_id: uuid.UUID,
    message_id: uuid.UUID,
) -> HttpResponse:
    """The lines of a long conversation that were left out before a message."""
    mailbox = mailbox_for(principal, mailbox_id)
    items = show_folded(principal, mailbox, thread_id, before_id=message_id, now=timezone.now())
    context = {"items": items, "mailbox": mailbox, "thread_id": thread_id}
    return render(request, "webmail/items.html", context)


@require_safe
@for_people
def customer(
    request: HttpRequest, principal: Principal, mailbox_id: uuid.UUID, thread_id: uuid.UUID
) -> HttpResponse:
    """Who takes part, and what the customer asked before."""
    found = customer_of(principal, mailbox_for(principal, mailbox_id), thread_id)
    context = {"people": found.people, "tickets": found.tickets, "count": found.count, "more": found.more}
    return render(request, "webmail/customer.html", context)


@require_POST
@for_people
def read(
    request: HttpRequest, principal: Principal, mailbox_id: uuid.UUID, thread_id: uuid.UUID
) -> HttpResponse:
    mailbox = mailbox_for(principal, mailbox_id)
    is_read = request.POST.get("is_read") == "1"
    changed = mark_conversation_read(principal, mailbox, thread_id, is_read=is_read)
    return JsonResponse({"changed": changed})


@require_POST
@for_people
def move(
    request: HttpRequest, principal: Principal, mailbox_id: uuid.UUID, thread_id: uuid.UUID
) -> HttpResponse:
    mailbox = mailbox_for(principal, mailbox_id)
    wanted = request.POST.get("folder", "")
    if wanted not in MOVABLE:
        return JsonResponse({"errors": {"folder": wanted}}, status=422)
    now = timezone.now()
    if request.POST.get("not_spam") == "1":
        changed = mark_conversation(principal, mailbox, thread_id, is_spam=False, now=now)
    else:
        changed = move_and_remember(principal, mailbox, thread_id, Folder(wanted), now=now)
    return JsonResponse({"changed": changed})


def _unfolded(request: HttpRequest) -> uuid.UUID | None:
    """The message before which the browser has unfolded the conversation already."""
    try:
        return uuid.UUID(request.GET.get("unfolded", ""))
    except ValueError:
        return None


def folder_url(mailbox: Mailbox, folder: Folder) -> str:
    return reverse("webmail:folder", kwargs={"mailbox_id": mailbox.pk, "folder": folder})


def conversation_url(mailbox: Mailbox, folder: Folder, thread_id: uuid.UUID) -> str:
    return reverse(
        "webmail:conversation", kwargs={"mailbox_id": mailbox.pk, "folder": folder, "thread_id": thread_id}
    )


def _conversation_context(principal: Principal, shown: ShownConversation, folder: Folder) -> dict[str, Any]:
    recipients = recipients_of_answer(shown.mailbox, shown.answers)
    return {
        "shown": shown,
        "mailbox": shown.mailbox,
        "folder": folder,
        "answer_to": ", ".join(recipients.to),
        "answer_everybody": ", ".join(recipients.everybody),
        "answer_leaves_out": ", ".join(recipients.left_out),
        "begun": answer_begun(principal, shown.mailbox, shown.thread_id, shown.answers),
        "moments": choices(timezone.now()),
    }
