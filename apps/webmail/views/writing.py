"""Writing: a new mail, an answer, and taking back what was just sent."""

import uuid
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST

from apps.accounts.principal import Principal
from apps.mailboxes.models import Folder, MailboxEntry, Message, Side
from apps.mailboxes.selectors import mailbox_for, message_for, visible_entries, visible_mailboxes
from apps.outbound.errors import IdempotencyConflict, NotPossibleNow, SubmissionInvalid
from apps.outbound.models import DeliveryState
from apps.outbound.replies import Reply, reply_to_ticket
from apps.outbound.services import cancel_message, retry_message
from apps.outbound.submission import Submission, Submitted, submit_message
from apps.tickets.errors import TicketInvalid
from apps.tickets.selectors import ticket_for
from apps.webmail.access import for_people, wants_fragment
from apps.webmail.shell import Place, page_context, team_first
from apps.webmail.views.conversations import conversation_url
from apps.webmail.written import UNDO_SECONDS, WrittenMail, read_written_mail


@require_http_methods(["GET", "POST"])
@for_people
def compose(request: HttpRequest, principal: Principal) -> HttpResponse:
    if request.method == "POST":
        return _send(principal, read_written_mail(request))
    context = {"mailboxes": team_first(visible_mailboxes(principal)), "to": request.GET.get("to", "")}
    if wants_fragment(request):
        return render(request, "webmail/compose.html", context)
    return render(
        request,
        "webmail/page.html",
        page_context(
            principal,
            Place(page="compose"),
            content="webmail/compose.html",
            pane="reading",
            **context,
        ),
    )


@require_POST
@for_people
def answer(
    request: HttpRequest, principal: Principal, mailbox_id: uuid.UUID, message_id: uuid.UUID
) -> HttpResponse:
    """Answer a message that is no ticket, from the mailbox it is read in."""
    mailbox = mailbox_for(principal, mailbox_id)
    answered = message_for(principal, message_id)
    return _send(principal, read_written_mail(request), sender=mailbox.address, answered=answered)


@require_POST
@for_people
def answer_ticket(request: HttpRequest, principal: Principal, ticket_id: uuid.UUID) -> HttpResponse:
    ticket = ticket_for(principal, ticket_id)
    written = read_written_mail(request)
    reply = Reply(
        text=written.text,
        to=written.to,
        cc=written.cc,
        attachments=written.attachments,
        hold_seconds=UNDO_SECONDS,
        state=written.state,
    )
    try:
        _require_text(written)
        submitted = reply_to_ticket(
            principal, ticket, reply, idempotency_key=written.idempotency_key, now=timezone.now()
        )
    except (SubmissionInvalid, TicketInvalid) as error:
        return _invalid(error.field, error.reason)
    except IdempotencyConflict:
        return _sent_already()
    return _accepted(principal, submitted)


@require_POST
@for_people
def cancel(request: HttpRequest, principal: Principal, message_id: uuid.UUID) -> HttpResponse:
    """Take back what has not left yet."""
    return _change_sending(principal, message_id, cancel_message)


@require_POST
@for_people
def retry(request: HttpRequest, principal: Principal, message_id: uuid.UUID) -> HttpResponse:
    """Try what waits right now."""
    return _change_sending(principal, message_id, retry_message)


def _change_sending(principal: Principal, message_id: uuid.UUID, change: Any) -> HttpResponse:
    message = message_for(principal, message_id)
    try:
        change(principal, message, timezone.now())
    except NotPossibleNow as error:
        return JsonResponse({"detail": str(error)}, status=409)
    return JsonResponse({})


def _send(
    principal: Principal, written: WrittenMail, *, sender: str = "", answered: Message | None = None
) -> HttpResponse:
    submission = Submission(
        sender=sender or written.sender,
        to=written.to,
        cc=written.cc,
        bcc=written.bcc,
        subject=_subject(written, answered),
        text=written.text,
        attachments=written.attachments,
        in_reply_to=str(answered.pk) if answered else "",
        hold_seconds=UNDO_SECONDS,
    )
    try:
        if answered is not None:
            _require_text(written)
        submitted = submit_message(
            principal, submission, idempotency_key=written.idempotency_key, now=timezone.now()
        )
    except SubmissionInvalid as error:
        return _invalid(error.field, error.reason)
    except IdempotencyConflict:
        return _sent_already()
    return _accepted(principal, submitted)


def _require_text(written: WrittenMail) -> None:
    """An answer without a word and without a file is a slip of the hand."""
    if not written.text.strip() and not written.attachments:
        raise SubmissionInvalid("text", _("Write something first."))


def _subject(written: WrittenMail, answered: Message | None) -> str:
    if answered is None:
        return written.subject
    subject = answered.subject
    return subject if subject[:3].lower() == "re:" else f"Re: {subject}"


def _invalid(field: str, reason: str) -> JsonResponse:
    """`to[2]` and `to` are the same field on the page; `attachments` are its files."""
    name = field.partition("[")[0].partition(".")[0]
    return JsonResponse({"errors": {{"attachments": "files"}.get(name, name): reason}}, status=422)


def _sent_already() -> JsonResponse:
    problem = _("This mail has been sent already, with another text. Reload the page to write a new one.")
    return JsonResponse({"errors": {"": problem}}, status=409)


def _accepted(principal: Principal, submitted: Submitted) -> JsonResponse:
    message = submitted.message
    failed = [delivery for delivery in submitted.deliveries if delivery.state == DeliveryState.FAILED]
    count = len(submitted.deliveries) - len(failed)
    sentence = ngettext("Sending to %(count)s recipient", "Sending to %(count)s recipients", count) % {
        "count": count
    }
    if failed:
        sentence = _("%(sentence)s, not to %(failed)s") % {
            "sentence": sentence,
            "failed": ", ".join(delivery.recipient for delivery in failed),
        }
    return JsonResponse(
        {
            "sentence": sentence,
            "undo_seconds": UNDO_SECONDS,
            "cancel_url": reverse("webmail:cancel", kwargs={"message_id": message.pk}),
            "compose_url": reverse("webmail:compose"),
            "next_url": _where_it_lies(principal, message),
        },
        status=202,
    )


def _where_it_lies(principal: Principal, message: Message) -> str:
    entries = [entry for entry in visible_entries(principal, message) if entry.side == Side.SENDER]
    if not entries:
        return reverse("webmail:outbox")
    entry: MailboxEntry = entries[0]
    return conversation_url(entry.mailbox, Folder(entry.folder), entry.thread_id)
