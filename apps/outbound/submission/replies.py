"""Answering a ticket: a submission from its mailbox, in its conversation, that also changes the ticket.

The message and the ticket's new state are one commit. The answer goes to whoever wrote last from outside, at the
address they asked answers to go to (RFC 5322 §3.6.2), unless the agent names somebody else.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Exists, OuterRef

from apps.accounts.principal import Principal
from apps.mailboxes.conversations import REPORTS
from apps.mailboxes.filing import Filed, FiledRule
from apps.mailboxes.models import MailboxEntry, Message, Side
from apps.mailboxes.threads import ThreadChoice
from apps.outbound.errors import Fault, NotPossibleNow, SubmissionInvalid
from apps.outbound.models import RefusedSubmission
from apps.outbound.submission.ancestry import Ancestry, ancestry_of
from apps.outbound.submission.asked import Submission, SubmittedAttachment
from apps.outbound.submission.idempotency import request_of
from apps.outbound.submission.refused import as_asked, keep_refused
from apps.outbound.submission.submit import Submitted, submit
from apps.outbound.submission.validation import check_idempotency_key
from apps.tickets.errors import TicketInvalid
from apps.tickets.models import Ticket, TicketState
from apps.tickets.services import record_reply


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as the agent wrote it. Empty `to` means the customer; `state` None means pending."""

    text: str
    html: str = ""
    to: tuple[str, ...] = ()
    cc: tuple[str, ...] = ()
    attachments: tuple[SubmittedAttachment, ...] = ()
    hold_seconds: int = 0
    state: str | None = None
    sender: str | None = None
    send_at: datetime | None = None
    cancel_if_replied: bool = False


def reply_to_ticket(
    principal: Principal,
    ticket: Ticket,
    reply: Reply,
    *,
    idempotency_key: str | None,
    now: datetime,
    also: Callable[[Message], None] | None = None,
    mends: RefusedSubmission | None = None,
) -> Submitted:
    """Send an answer in a ticket the caller may see, together with whatever `also` writes. Raises what
    `submit_message` raises."""
    try:
        return _reply(principal, ticket, reply, key=idempotency_key, also=also, mends=mends, now=now)
    except SubmissionInvalid as error:
        asked = _as_asked(reply)
        keep_refused(principal, asked, error, now=now, key=idempotency_key, mends=mends, ticket=ticket)
        raise


def _reply(
    principal: Principal,
    ticket: Ticket,
    reply: Reply,
    *,
    key: str | None,
    also: Callable[[Message], None] | None,
    mends: RefusedSubmission | None,
    now: datetime,
) -> Submitted:
    if ticket.merged_into is not None:
        msg = f"It was merged into #{ticket.merged_into.number}: answer there."
        raise NotPossibleNow(msg)
    if not (reply.text.strip() or reply.html.strip() or reply.attachments):
        raise SubmissionInvalid("text", "An answer needs some text or a file.", Fault.NOTHING_WRITTEN)
    if reply.state is not None and reply.state not in TicketState.values:
        raise SubmissionInvalid("state", f"Must be one of {', '.join(TicketState.values)}.")
    check_idempotency_key(key)
    request = request_of(principal, key, ticket.pk, reply) if key else None

    def change_ticket(message: Message) -> None:
        record_reply(principal, ticket, message, state=reply.state, now=now)
        if also is not None:
            also(message)

    submission = _submission(ticket, reply)
    ancestry = _ancestry_in(ticket)
    try:
        return submit(
            principal,
            submission,
            request=request,
            now=now,
            ancestry=ancestry,
            also=change_ticket,
            mends=mends,
        )
    except TicketInvalid as error:
        raise SubmissionInvalid(error.field, error.reason) from error


def _submission(ticket: Ticket, reply: Reply) -> Submission:
    return Submission(
        sender=reply.sender or ticket.mailbox.address,
        to=reply.to or _customer_of(ticket),
        cc=reply.cc,
        subject=_answer_subject(ticket.subject),
        text=reply.text,
        html=reply.html,
        attachments=reply.attachments,
        hold_seconds=reply.hold_seconds,
        send_at=reply.send_at,
        cancel_if_replied=reply.cancel_if_replied,
        reply_token=ticket.mailbox.reply_tokens,
    )


def _as_asked(reply: Reply) -> dict[str, Any]:
    """In the shape of the REST API's answer to a ticket."""
    plain = Submission(
        sender="",
        to=reply.to,
        cc=reply.cc,
        text=reply.text,
        html=reply.html,
        attachments=reply.attachments,
        hold_seconds=reply.hold_seconds,
        send_at=reply.send_at,
        cancel_if_replied=reply.cancel_if_replied,
    )
    asked = {name: value for name, value in as_asked(plain).items() if name != "from"}
    return asked | ({"state": reply.state} if reply.state else {})


def _received(ticket: Ticket) -> Message | None:
    """The newest message of the conversation that came into the ticket's mailbox from somebody who was part of it."""
    entry = MailboxEntry.objects.filter(
        message=OuterRef("pk"), mailbox=ticket.mailbox_id, side=Side.RECIPIENT
    )
    return (
        Message.objects.filter(Exists(entry), thread=ticket.thread_id, new_participant=False)
        .exclude(kind__in=REPORTS)
        .order_by("-received_at", "-id")
        .first()
    )


def _customer_of(ticket: Ticket) -> tuple[str, ...]:
    """Who wrote last of those who were in it: a newcomer is answered only when somebody names them."""
    message = _received(ticket)
    wanted = [one["address"] for one in message.reply_to] if message is not None else []
    if not wanted and message is not None and message.sender_address:
        wanted = [message.sender_address]
    if not wanted and ticket.requester_address:
        wanted = [ticket.requester_address]
    if not wanted:
        raise SubmissionInvalid(
            "to", "Nobody to answer: the customer's mail names no address.", Fault.NO_RECIPIENTS
        )
    return tuple(wanted)


def _ancestry_in(ticket: Ticket) -> Ancestry:
    because = Filed(FiledRule.ANSWERS_TICKET, {"ticket": ticket.number})
    said = Message.objects.filter(thread=ticket.thread_id).exclude(kind__in=REPORTS)
    parent = said.order_by("-received_at", "-id").first()
    if parent is None:
        return Ancestry(thread=ThreadChoice(ticket.thread, because))
    known = ancestry_of(parent)
    return Ancestry(known.in_reply_to, known.references, ThreadChoice(ticket.thread, because), parent)


def _answer_subject(subject: str) -> str:
    return subject if subject.lower().startswith("re:") else f"Re: {subject}".strip()
