"""Signatures and saved replies: the page where they are kept, and what the composer's picker shows of them."""

import json
import uuid
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST, require_safe

from apps.accounts.principal import Principal
from apps.mailboxes.models import Mailbox, Message
from apps.mailboxes.selectors import mailbox_for, messages_for, visible_mailboxes
from apps.mime.document import document_of, document_of_text
from apps.tickets.selectors import ticket_of
from apps.webmail.access import for_people
from apps.webmail.drafts import thread_of
from apps.webmail.shell import show_page, team_first
from apps.writing.errors import WritingInvalid
from apps.writing.models import SavedReply, Signature
from apps.writing.phrases import (
    VARIABLES,
    filled,
    keep_saved_reply,
    keep_signature,
    saved_replies,
    saved_reply_for,
    signatures_in,
    values_for,
)


@require_safe
@for_people
def phrases(request: HttpRequest, principal: Principal) -> HttpResponse:
    return _page(request, principal)


@require_POST
@for_people
def change_signature(request: HttpRequest, principal: Principal, mailbox_id: uuid.UUID) -> HttpResponse:
    mailbox = mailbox_for(principal, mailbox_id)
    is_own = request.POST.get("own") == "1"
    try:
        keep_signature(principal, mailbox, _written(request), is_own=is_own, now=timezone.now())
    except WritingInvalid as error:
        return _page(request, principal, wrong={f"{mailbox.pk}{'own' if is_own else ''}": error.reason})
    return _kept(request, _("The signature is kept."))


@require_POST
@for_people
def add_saved_reply(request: HttpRequest, principal: Principal) -> HttpResponse:
    return _keep_reply(request, principal, None)


@require_POST
@for_people
def change_saved_reply(request: HttpRequest, principal: Principal, reply_id: uuid.UUID) -> HttpResponse:
    return _keep_reply(request, principal, saved_reply_for(principal, reply_id))


@require_POST
@for_people
def remove_saved_reply(request: HttpRequest, principal: Principal, reply_id: uuid.UUID) -> HttpResponse:
    saved_reply_for(principal, reply_id).delete()
    return _kept(request, _("The saved reply is gone."))


@require_GET
@for_people
def offered(request: HttpRequest, principal: Principal, mailbox_id: uuid.UUID) -> HttpResponse:
    """The saved replies of a mailbox with their variables filled in for a conversation."""
    mailbox = mailbox_for(principal, mailbox_id)
    thread_id = thread_of(principal, mailbox, request.GET.get("thread", ""))
    answered = _answered(principal, thread_id)
    ticket = ticket_of(mailbox, thread_id) if thread_id else None
    values = values_for(principal, mailbox, ticket=ticket, answered=answered)
    told = []
    for row in saved_replies(principal, mailbox):
        document = document_of(filled(row.document, values))
        told.append(
            {"name": row.name, "snippet": row.snippet, "document": document.tree, "text": document.text}
        )
    return JsonResponse({"replies": told})


def _answered(principal: Principal, thread_id: uuid.UUID | None) -> Message | None:
    if thread_id is None:
        return None
    came = messages_for(principal).filter(thread=thread_id, author=None)
    return came.order_by("-received_at", "-id").first()


def _keep_reply(request: HttpRequest, principal: Principal, row: SavedReply | None) -> HttpResponse:
    where = request.POST.get("mailbox", "")
    try:
        keep_saved_reply(
            principal,
            name=request.POST.get("name", ""),
            document=_written(request),
            mailbox=mailbox_for(principal, where) if where else None,
            row=row,
            now=timezone.now(),
        )
    except WritingInvalid as error:
        return _page(request, principal, wrong={str(row.pk) if row else "new": error.reason})
    return _kept(request, _("The saved reply is kept."))


def _written(request: HttpRequest) -> Any:
    """The editor's document, or what was typed without it."""
    source = request.POST.get("document", "")
    if not source:
        return document_of_text(request.POST.get("text", "")).tree
    try:
        return json.loads(source)
    except (ValueError, RecursionError) as error:
        raise WritingInvalid("document", _("This is no text of the editor.")) from error


def _kept(request: HttpRequest, sentence: str) -> HttpResponse:
    messages.success(request, sentence)
    return HttpResponseRedirect(reverse("webmail:phrases"))


def _page(request: HttpRequest, principal: Principal, *, wrong: dict[str, str] | None = None) -> HttpResponse:
    mailboxes = team_first(visible_mailboxes(principal))
    signatures = signatures_in(principal, mailboxes)
    wrong = wrong or {}
    cards = [_card(one, signatures[one.pk].of_mailbox, wrong, own=False) for one in mailboxes]
    cards += [_card(one, signatures[one.pk].own, wrong, own=True) for one in mailboxes]
    replies = [
        {"row": row, "text": document_of(row.document).text, "wrong": wrong.get(str(row.pk), "")}
        for row in saved_replies(principal)
    ]
    context: dict[str, Any] = {
        "mailboxes": mailboxes,
        "signatures": cards,
        "replies": replies,
        "variables": ["{{" + name + "}}" for name in VARIABLES],
        "wrong": wrong.get("new", ""),
        "typed": request.POST if "new" in wrong else {},
    }
    return show_page(request, principal, "phrases", status=422 if wrong else 200, **context)


def _card(mailbox: Mailbox, row: Signature | None, wrong: dict[str, str], *, own: bool) -> dict[str, Any]:
    document = row.document if row is not None else None
    return {
        "mailbox": mailbox,
        "is_own": own,
        "key": f"{mailbox.pk}{'own' if own else ''}",
        "document": document,
        "text": document_of(document).text if document is not None else "",
        "wrong": wrong.get(f"{mailbox.pk}{'own' if own else ''}", ""),
    }
