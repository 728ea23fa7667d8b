"""Answering an invitation: a mail to its organiser that their calendar understands (RFC 5546, RFC 6047).

    answer    the invitation's own calendar is read again from its part, and answered
    submit    like any other mail: the same limits, queue and states, with an undo window
    keep      what was answered, for whoever sees the mailbox

The mail is committed before the answer is kept. A crash between the two leaves an answer that was sent and is not shown
beside the invitation; it lies in Sent.

Limits: the first event of the first calendar; of a series, the whole series.
"""

from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _

from apps.accounts.principal import Principal
from apps.blobs.selectors import read
from apps.events.services import publish
from apps.mailboxes.models import Mailbox, Message, Part
from apps.mime.address import Address, comparable_address, typed_address
from apps.mime.charset import decode_text
from apps.mime.compose import CalendarPart
from apps.mime.invitation import is_calendar
from apps.mime.invitation_answer import Answer, answer_calendar
from apps.outbound.submission.submit import Submission, submit_message
from apps.reading.errors import NothingToAnswer
from apps.reading.models import Attendance, InvitationAnswer

UNDO_SECONDS = 10
_SUBJECTS = {
    Attendance.ACCEPTED: "Accepted: %(summary)s",
    Attendance.TENTATIVE: "Perhaps: %(summary)s",
    Attendance.DECLINED: "Declined: %(summary)s",
}
_TEXTS = {
    Attendance.ACCEPTED: "%(who)s accepts the invitation.",
    Attendance.TENTATIVE: "%(who)s may come.",
    Attendance.DECLINED: "%(who)s declines the invitation.",
}


def can_be_answered(message: Message) -> bool:
    """Whether it invites, and says whom to tell."""
    invitation = message.contents.get("invitation") or {}
    organiser = invitation.get("organiser") or {}
    return invitation.get("method") == "REQUEST" and bool(invitation.get("uid") and organiser.get("address"))


def answer_invitation(
    principal: Principal, mailbox: Mailbox, message: Message, answer: Attendance, *, now: datetime
) -> InvitationAnswer:
    """Tell the organiser. Raises NothingToAnswer, BlobError, and what `submit_message` raises."""
    if not can_be_answered(message):
        raise NothingToAnswer(_("This is no invitation that can be answered."))
    invitation = message.contents["invitation"]
    who = _invited(mailbox, invitation["people"])
    calendar = _answered(message, Answer(who, answer.value, now))
    words = {"summary": invitation["summary"] or message.subject, "who": who.name or who.address}
    submission = Submission(
        sender=typed_address(mailbox.name, mailbox.address),
        to=(typed_address(invitation["organiser"]["name"], invitation["organiser"]["address"]),),
        subject=_SUBJECTS[answer] % words,
        text=_TEXTS[answer] % words,
        calendar=CalendarPart("REPLY", calendar),
        in_reply_to=str(message.pk),
        hold_seconds=UNDO_SECONDS,
    )
    submitted = submit_message(principal, submission, idempotency_key=None, now=now)
    row = InvitationAnswer(
        organisation_id=mailbox.organisation_id,
        mailbox=mailbox,
        message=message,
        answer=answer,
        reply=submitted.message,
        user=principal.user,
        answered_at=now,
    )
    _keep(principal, row)
    return row


@transaction.atomic
def _keep(principal: Principal, row: InvitationAnswer) -> None:
    """In place of an answer from before."""
    InvitationAnswer.objects.filter(mailbox=row.mailbox, message=row.message).delete()
    row.save(force_insert=True)
    publish(
        row.organisation_id,
        "invitation.answered",
        message_id=row.message_id,
        actor=principal.actor,
        answer=row.answer,
        reply=str(row.reply_id),
    )


def _invited(mailbox: Mailbox, people: list[dict[str, str]]) -> Address:
    """As whom the mailbox was invited: by one of its addresses, or by somebody who passed the invitation on."""
    own = {comparable_address(one.address) for one in mailbox.addresses.all()}
    for person in people:
        if comparable_address(person["address"]) in own:
            return Address(person["name"] or mailbox.name, person["address"])
    return Address(mailbox.name, mailbox.address)


def _answered(message: Message, answer: Answer) -> str:
    for part in message.parts.all():
        if _is_own_calendar(part):
            calendar = answer_calendar(decode_text(read(part.blob))[0], answer)
            if calendar is not None:
                return calendar
    raise NothingToAnswer(_("The invitation cannot be read any more."))


def _is_own_calendar(part: Part) -> bool:
    return not part.within and is_calendar(part.content_type, part.filename)
