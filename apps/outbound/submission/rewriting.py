"""A message that was refused for what it says is written anew: it becomes a submission of the error queue again.

    keep      what was asked for those it was refused to, as if their submission had been refused for the same reason
    discard   they leave the error queue, where the submission stands in their place, and the copy leaves the Outbox

From there `refused` has it: the composer opens it with everything, files included, and what is mended and taken back is
there again. A crash between the two leaves both in the queue; the next click finds the same submission and goes on.

Limits: what we keep of HTML for reading is not what was sent, and the composer writes none; of a text beyond a bound
the end is not kept for reading. Such a message is mended where it was written.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from apps.accounts.principal import Principal
from apps.blobs.selectors import read_many
from apps.mailboxes.models import MailboxEntry, Message, Side
from apps.mailboxes.selectors import raw_of, text_of
from apps.mime.address import comparable_address, typed_address
from apps.mime.clean import clean_line
from apps.mime.compose import Unsubscribe
from apps.mime.headers import Headers, read_headers
from apps.mime.own_headers import why_refused
from apps.mime.parse import TEXT_CUT
from apps.mime.words import decode_words
from apps.outbound import transitions
from apps.outbound.causes import Cause
from apps.outbound.errors import NotRetryable, SubmissionInvalid
from apps.outbound.models import IN_ERROR, Delivery, Lane, RecipientField, RefusedSubmission
from apps.outbound.screening import put_away_refused
from apps.outbound.submission.asked import Submission, SubmittedAttachment
from apps.outbound.submission.refused import as_asked, discard_refused, keep_refused
from apps.tickets.models import Ticket
from apps.tickets.selectors import ticket_of

# What a server or a scanner says of the message, whoever it is for: trying again as it is brings the same answer.
OF_THE_MESSAGE = frozenset({Cause.INFECTED, Cause.SPAM, Cause.POLICY_ATTACHMENT, Cause.MESSAGE_REFUSED})

_HEADER_BYTES = 2 * 1024 * 1024
_OF_AN_ANSWER = ("to", "cc", "text", "attachments", "cancel_if_replied")


def can_be_rewritten(message: Message) -> bool:
    """Whether all that was written is kept in a form that the composer can hold."""
    return not (message.html_id or message.short_html or TEXT_CUT in message.defects)


def write_anew(principal: Principal, delivery: Delivery, now: datetime) -> RefusedSubmission:
    """The submission that this failed delivery, and those that failed with it, become: for callers who may know of it.

    Raises NotRetryable, ObjectStoreUnavailable, BlobMissing.
    """
    message = delivery.message
    if delivery.cause not in OF_THE_MESSAGE or not can_be_rewritten(message):
        msg = "It cannot be written anew here: change it where it was written, and send it from there."
        raise NotRetryable(msg)
    together = Delivery.objects.filter(
        message=message, state__in=IN_ERROR, cause=delivery.cause, discarded_at__isnull=True
    )
    failed = list(together.order_by("pk"))
    if delivery not in failed:
        msg = "It is not in the error queue any more."
        raise NotRetryable(msg)
    submission = _submission(message, failed)
    ticket = _ticket_answered(message, submission)
    asked = as_asked(submission)
    if ticket is not None:
        asked = {name: asked[name] for name in _OF_AN_ANSWER if name in asked}
    field = "text" if delivery.cause == Cause.SPAM or not submission.attachments else "attachments"
    error = SubmissionInvalid(field, delivery.reason, delivery.cause)
    refused = keep_refused(principal, asked, error, now=now, ticket=ticket)
    _put_in_place_of(principal, refused, failed, now)
    return refused


def _put_in_place_of(
    principal: Principal, refused: RefusedSubmission, failed: Sequence[Delivery], now: datetime
) -> None:
    with transaction.atomic():
        gone = [transitions.discard(one.pk, actor=principal.actor, now=now) for one in failed]
        if all(gone):
            put_away_refused(failed[0].message_id)
            return
        transaction.set_rollback(True)
    # Somebody was quicker with one of them, and may have sent it again: nobody shall get it twice.
    discard_refused(principal, refused, now)
    msg = "Some of it is not in the error queue any more."
    raise NotRetryable(msg)


def _submission(message: Message, failed: Sequence[Delivery]) -> Submission:
    names = {
        comparable_address(one["address"]): one["name"] for one in [*message.to, *message.cc, *message.bcc]
    }
    written: dict[str, list[str]] = {field: [] for field in RecipientField.values}
    for one in failed:
        name = names.get(comparable_address(one.recipient), "")
        written[one.field].append(typed_address(name, one.recipient))
    headers, _body = read_headers(raw := raw_of(message), 0, min(len(raw), _HEADER_BYTES))
    unsubscribe = _one_click(headers)
    return Submission(
        sender=typed_address(message.sender_name, message.sender_address),
        to=tuple(written[RecipientField.TO]),
        cc=tuple(written[RecipientField.CC]),
        bcc=tuple(written[RecipientField.BCC]),
        reply_to=tuple(typed_address(one["name"], one["address"]) for one in message.reply_to),
        subject=message.subject,
        text=text_of(message),
        headers=tuple(
            (name.title(), clean_line(decode_words(value)))
            for name, value in headers.fields
            if not why_refused(name) and not (unsubscribe and name == "list-unsubscribe")
        ),
        attachments=_files(message),
        in_reply_to=message.in_reply_to[0] if message.in_reply_to else "",
        priority=Lane.BULK.value if failed[0].lane == Lane.BULK else "",
        tags=tuple(message.tags),
        metadata=message.metadata,
        cancel_if_replied=failed[0].cancel_if_replied,
        unsubscribe=unsubscribe,
    )


def _files(message: Message) -> tuple[SubmittedAttachment, ...]:
    parts = list(message.parts.select_related("blob"))
    contents = read_many(part.blob for part in parts)
    return tuple(
        SubmittedAttachment(part.filename, part.content_type, contents[part.blob_id], part.content_id)
        for part in parts
    )


def _one_click(headers: Headers) -> Unsubscribe | None:
    """What `list_unsubscribe` asked for; a caller's own List-Unsubscribe is a header like any other."""
    if not headers.has("list-unsubscribe-post"):
        return None
    uris = [one.strip().strip("<>") for one in headers.get("list-unsubscribe").split(",")]
    ways: dict[str, Any] = {"mailto" if one.startswith("mailto:") else "url": one for one in uris}
    return Unsubscribe(ways.get("url", ""), ways.get("mailto", "").removeprefix("mailto:"))


def _ticket_answered(message: Message, submission: Submission) -> Ticket | None:
    """The ticket it answered, where the form of a ticket's answer holds all of it."""
    copy = MailboxEntry.objects.filter(message=message, side=Side.SENDER).select_related("mailbox").first()
    if copy is None or submission.bcc or submission.headers or submission.unsubscribe or submission.tags:
        return None
    return ticket_of(copy.mailbox, message.thread_id)
