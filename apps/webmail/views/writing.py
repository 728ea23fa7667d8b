"""Writing: a new mail, an answer, and taking back what was just sent."""

import uuid
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST

from apps.accounts.principal import Principal
from apps.mailboxes.errors import NotVisible
from apps.mailboxes.models import Folder, Mailbox, MailboxEntry, Message, Side
from apps.mailboxes.selectors import mailbox_for, message_for, visible_entries, visible_mailboxes
from apps.outbound.causes import Cause
from apps.outbound.errors import IdempotencyConflict, NotPossibleNow, QuotaReached, SubmissionInvalid
from apps.outbound.models import DeliveryState, RefusedSubmission
from apps.outbound.selectors import refused_by_id
from apps.outbound.services import cancel_message, reschedule_message
from apps.outbound.submission.replies import Reply, reply_to_ticket
from apps.outbound.submission.submit import Submission, Submitted, submit_message
from apps.tickets.errors import TicketInvalid
from apps.tickets.selectors import ticket_for
from apps.webmail.access import for_people, wants_fragment
from apps.webmail.drafts import draft_told, open_draft_for, with_signatures
from apps.webmail.mending import files_left, html_left, mended, open_for_mending
from apps.webmail.rendering import Rendered, render_written
from apps.webmail.send_later import choices, read_moment, told
from apps.webmail.shell import show_page, team_first
from apps.webmail.views.conversations import conversation_url
from apps.webmail.written import UNDO_SECONDS, WrittenMail, read_written_mail
from apps.writing.drafts import draft_of_message, end_with, reopen_draft
from apps.writing.reminders import AboutToBeSent, Reminder, reminders_for

REFUSALS = (SubmissionInvalid, QuotaReached, NotPossibleNow, IdempotencyConflict)


@require_http_methods(["GET", "POST"])
@for_people
def compose(request: HttpRequest, principal: Principal) -> HttpResponse:
    """A new mail; with `?draft=` one that was begun before, with `?mend=` a refused one, with all that was typed."""
    if request.method == "POST":
        return _send(principal, read_written_mail(request))
    mend, begun = request.GET.get("mend", ""), request.GET.get("draft", "")
    mending = open_for_mending(refused_by_id(principal, mend)) if mend else None
    if mending is not None and not mending.refused.is_open:
        raise NotVisible(mend)
    mailboxes = team_first(visible_mailboxes(principal))
    context: dict[str, Any] = {
        "mailboxes": with_signatures(principal, mailboxes),
        "to": request.GET.get("to", ""),
        "mending": mending,
        "draft": draft_told(open_draft_for(principal, begun)) if begun else None,
        "moments": choices(timezone.now()),
        "prefix": "dock" if request.GET.get("in") == "dock" else "field",
    }
    if wants_fragment(request):
        template = "webmail/dock.html" if context["prefix"] == "dock" else "webmail/compose.html"
        return render(request, template, context)
    return show_page(request, principal, "compose", **context)


@require_POST
@for_people
def answer(
    request: HttpRequest, principal: Principal, mailbox_id: uuid.UUID, message_id: uuid.UUID
) -> HttpResponse:
    """Answer a message that is no ticket, from the mailbox it is read in."""
    mailbox = mailbox_for(principal, mailbox_id)
    answered = message_for(principal, message_id)
    return _send(principal, read_written_mail(request), mailbox=mailbox, answered=answered)


@require_POST
@for_people
def answer_ticket(request: HttpRequest, principal: Principal, ticket_id: uuid.UUID) -> HttpResponse:
    ticket = ticket_for(principal, ticket_id)
    written = read_written_mail(request)
    refused = _mended_by(principal, written)
    try:
        rendered = render_written(principal, written)
        _require_text(rendered)
        if reminders := _reminders(written, rendered, mailbox=ticket.mailbox, thread_id=ticket.thread_id):
            return _remind(reminders)
        reply = Reply(
            text=rendered.text,
            html=rendered.html or (html_left(written, refused) if refused else ""),
            to=written.to,
            cc=written.cc,
            attachments=(*(files_left(written, refused) if refused else ()), *rendered.attachments),
            hold_seconds=UNDO_SECONDS,
            state=written.state,
            send_at=_send_at(written),
            cancel_if_replied=written.cancel_if_replied,
        )
        submitted = reply_to_ticket(
            principal,
            ticket,
            reply,
            idempotency_key=written.idempotency_key,
            now=timezone.now(),
            also=_end_draft(principal, written),
            mends=refused,
        )
    except TicketInvalid as error:
        return _invalid([(error.field, error.reason)])
    except REFUSALS as error:
        return _refused(error)
    return _accepted(principal, submitted, refused)


@require_POST
@for_people
def cancel(request: HttpRequest, principal: Principal, message_id: uuid.UUID) -> HttpResponse:
    """Take back what has not left yet; what it was written as is a draft again."""
    message, now = message_for(principal, message_id), timezone.now()
    with transaction.atomic():
        cancel_message(principal, message, now)
        draft = draft_of_message(principal, message)
        if draft is not None:
            reopen_draft(principal, draft, now)
    return JsonResponse({"draft": str(draft.pk)} if draft is not None else {})


@require_POST
@for_people
def reschedule(request: HttpRequest, principal: Principal, message_id: uuid.UUID) -> HttpResponse:
    """Another time for what waits for its time; now, when none is given."""
    typed = request.POST.get("send_at", "")
    send_at = read_moment(typed) if typed else None
    if typed and send_at is None:
        message_for(principal, message_id)
        return JsonResponse({"detail": _("This is no time.")}, status=422)

    def change(principal: Principal, message: Message, now: datetime) -> int:
        return reschedule_message(principal, message, send_at, now)

    done = _("Will be sent %(at)s") % {"at": told(send_at)} if send_at else _("Sending now")
    return _change_sending(principal, message_id, change, done)


def _change_sending(
    principal: Principal, message_id: uuid.UUID, change: Callable[..., int], done: str = ""
) -> HttpResponse:
    message = message_for(principal, message_id)
    change(principal, message, timezone.now())
    return JsonResponse({"sentence": done} if done else {})


def _send(
    principal: Principal,
    written: WrittenMail,
    *,
    mailbox: Mailbox | None = None,
    answered: Message | None = None,
) -> HttpResponse:
    refused = _mended_by(principal, written)
    try:
        rendered = render_written(principal, written)
        if answered is not None:
            _require_text(rendered)
        thread_id = answered.thread_id if answered else None
        if reminders := _reminders(written, rendered, mailbox=mailbox, thread_id=thread_id):
            return _remind(reminders)
        submission = Submission(
            sender=mailbox.address if mailbox else written.sender,
            to=written.to,
            cc=written.cc,
            bcc=written.bcc,
            subject=_subject(written, answered),
            text=rendered.text,
            html=rendered.html,
            attachments=rendered.attachments,
            in_reply_to=str(answered.pk) if answered else "",
            hold_seconds=UNDO_SECONDS,
            send_at=_send_at(written),
            cancel_if_replied=written.cancel_if_replied,
        )
        submitted = submit_message(
            principal,
            mended(written, refused, submission) if refused else submission,
            idempotency_key=written.idempotency_key,
            now=timezone.now(),
            also=_end_draft(principal, written),
            mends=refused,
        )
    except REFUSALS as error:
        return _refused(error)
    return _accepted(principal, submitted, refused)


def _end_draft(principal: Principal, written: WrittenMail) -> Callable[[Message], None] | None:
    if not written.draft:
        return None
    return lambda message: end_with(principal, written.draft, message, timezone.now())


def _reminders(
    written: WrittenMail, rendered: Rendered, *, mailbox: Mailbox | None, thread_id: uuid.UUID | None
) -> list[Reminder]:
    """What a page that can ask asks about; none for one that cannot."""
    if written.despite is None:
        return []
    mail = AboutToBeSent(
        text=f"{written.subject}\n{rendered.typed}",
        recipients=[*written.to, *written.cc, *written.bcc],
        has_files=any(not one.content_id for one in rendered.attachments) or bool(written.kept_files),
        mailbox=mailbox,
        thread_id=thread_id,
        seen=written.seen,
    )
    return reminders_for(mail, written.despite)


def _remind(reminders: list[Reminder]) -> JsonResponse:
    told = [{"code": one.code, "sentence": one.sentence} for one in reminders]
    return JsonResponse({"reminders": told}, status=422)


def _mended_by(principal: Principal, written: WrittenMail) -> RefusedSubmission | None:
    return refused_by_id(principal, written.mends) if written.mends else None


def _send_at(written: WrittenMail) -> datetime | None:
    if not written.send_at:
        return None
    moment = read_moment(written.send_at)
    if moment is None:
        raise SubmissionInvalid("send_at", _("Choose a day and a time."))
    return moment


def _require_text(rendered: Rendered) -> None:
    """An answer without a word and without a file is a slip of the hand."""
    if not rendered.typed.strip() and not rendered.attachments:
        raise SubmissionInvalid("text", _("Write something first."))


def _subject(written: WrittenMail, answered: Message | None) -> str:
    if answered is None:
        return written.subject
    subject = answered.subject
    return subject if subject[:3].lower() == "re:" else f"Re: {subject}"


def _refused(error: Exception) -> JsonResponse:
    """What stands in the way, said where it can be changed; what was typed stays in the composer."""
    match error:
        case SubmissionInvalid():
            return _invalid([(one.field, one.reason) for one in error.faults])
        case QuotaReached():
            words = _("You have reached the limit of %(limit)s recipients a day. There is room again %(at)s.")
            problem = words % {"limit": error.limit, "at": told(error.frees_at)}
            return JsonResponse({"errors": {"": problem}}, status=429)
        case NotPossibleNow():
            return JsonResponse({"errors": {"": str(error)}}, status=409)
        case _:
            problem = _(
                "This mail has been sent already, with another text. Reload the page to write a new one."
            )
            return JsonResponse({"errors": {"": problem}}, status=409)


def _invalid(faults: Iterable[tuple[str, str]]) -> JsonResponse:
    """`to[2]` and `to` are the same field on the page; `attachments` are its files. A field's first fault is told."""
    errors: dict[str, str] = {}
    for field, reason in faults:
        name = field.partition("[")[0].partition(".")[0]
        errors.setdefault({"attachments": "files"}.get(name, name), reason)
    return JsonResponse({"errors": errors}, status=422)


def _accepted(principal: Principal, submitted: Submitted, mends: RefusedSubmission | None) -> JsonResponse:
    message = submitted.message
    failed = [delivery for delivery in submitted.deliveries if delivery.state == DeliveryState.FAILED]
    count = len(submitted.deliveries) - len(failed)
    sentence = ngettext("Sending to %(count)s recipient", "Sending to %(count)s recipients", count) % {
        "count": count
    }
    later = next((one.due_at for one in submitted.deliveries if one.cause == Cause.SCHEDULE), None)
    if later is not None:
        sentence = _("Will be sent %(at)s") % {"at": told(later)}
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
            "compose_url": reverse("webmail:compose") + (f"?mend={mends.pk}" if mends else ""),
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
