"""Everything about a submission that is decided before its transaction opens.

    check     quota, addresses, From, sizes, times: all that is wrong at once
    compose   the bytes, once and for all (`given` has them already)
    prepare   parse and stage; large parts go to S3
    screen    where a colleague is to have it at once; for everybody else a worker does, before it sends
    sign      what leaves the house soon, so that the worker need not

Nothing is written yet. A crash leaves at most objects in S3 that no row names, which are removed after a day.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from apps.accounts.principal import Principal
from apps.mailboxes.loops import turn_after
from apps.mailboxes.message_ids import message_ids, reply_address
from apps.mailboxes.models import Message
from apps.mailboxes.projection import PreparedMessage, prepare
from apps.mailboxes.threads import ThreadChoice
from apps.mime.address import Address, normalise_address
from apps.mime.clean import clean_filename, clean_line, clean_text
from apps.mime.compose import Composition, InvalidHeader, OutgoingAttachment, compose
from apps.outbound.errors import Fault, SubmissionInvalid
from apps.outbound.models import Lane, Route
from apps.outbound.screening import screen_submission
from apps.outbound.signing.sending import Signature, signature_on_submission
from apps.outbound.submission.ancestry import Ancestry, ancestry_named
from apps.outbound.submission.asked import Submission
from apps.outbound.submission.faults import Faults
from apps.outbound.submission.quotas import Quota, check_quota
from apps.outbound.submission.recipients import People
from apps.outbound.submission.validation import MAX_MESSAGE_BYTES, check, too_large
from apps.screening.verdict import Verdict

_FIELDS = {
    "From": "from",
    "To": "to",
    "Cc": "cc",
    "Reply-To": "reply_to",
    "Subject": "subject",
    "In-Reply-To": "in_reply_to",
    "References": "in_reply_to",
    "Content-Disposition": "attachments",
    "Content-ID": "attachments",
    "List-Unsubscribe": "list_unsubscribe",
}


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be committed. `thread` is None where the message's own references decide, `answers` the message it
    answers and `turn` its turn among programs (`mailboxes.loops`); `held_by` names the wish that decides when it is
    due: "hold_seconds", "send_at" or ""."""

    people: People
    prepared: PreparedMessage
    lane: Lane
    due_at: datetime
    quotas: list[Quota]
    verdict: Verdict | None
    signature: Signature | None
    thread: ThreadChoice | None = None
    answers: Message | None = None
    turn: int = 0
    held_by: str = ""
    cancel_if_replied: bool = False
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_held(self) -> bool:
        return self.held_by != ""


def plan_composed(
    principal: Principal, submission: Submission, ancestry: Ancestry | None, now: datetime
) -> Plan:
    """The plan of a message that is made of its caller's fields. Raises SubmissionInvalid and QuotaReached, and
    ObjectStoreUnavailable when a large part has no place to go."""
    quotas = check_quota(principal, submission.recipients_asked, now)
    faults = Faults()
    found = ancestry or faults.of(ancestry_named, principal, submission.in_reply_to)
    checked = check(principal, submission, faults, now)
    ancestry = found or Ancestry()
    raw = _compose(principal.organisation_id, submission, checked.people, ancestry, now)
    return Plan(
        people=checked.people,
        prepared=prepare(raw),
        lane=checked.lane,
        due_at=checked.due_at,
        quotas=quotas,
        verdict=verdict_on(principal, checked.people, raw) if not checked.held_by else None,
        signature=signature_on(checked.people, raw, checked.due_at, now),
        thread=ancestry.thread,
        answers=ancestry.answers,
        turn=turn_after(ancestry.answers, now, by_machine=principal.is_program),
        held_by=checked.held_by,
        cancel_if_replied=submission.cancel_if_replied,
        tags=submission.tags,
        metadata=submission.metadata,
    )


def verdict_on(principal: Principal, people: People, raw: bytes) -> Verdict | None:
    """A verdict where a colleague is to have it at once; for everybody else a worker asks for one."""
    if not any(one.mailbox is not None for one in people.recipients):
        return None
    return screen_submission(
        raw,
        principal.organisation_id,
        sender=people.sender.address,
        recipients=[one.address for one in people.recipients],
    )


def signature_on(people: People, raw: bytes, due_at: datetime, now: datetime) -> Signature | None:
    """What a message that leaves the house is signed with, where that lasts until it is due."""
    if all(one.route == Route.LOCAL for one in people.recipients):
        return None
    return signature_on_submission(people.sender.address, raw, due_at, now)


def new_message_id(organisation_id: uuid.UUID, sender: str) -> str:
    """A Message-ID in the domain of a checked address, without its brackets."""
    return message_ids().make(organisation_id, normalise_address(sender).rpartition("@")[2])


def _compose(
    organisation_id: uuid.UUID, submission: Submission, people: People, ancestry: Ancestry, now: datetime
) -> bytes:
    message_id = new_message_id(organisation_id, people.sender.address)
    composition = Composition(
        sender=people.sender,
        to=people.to,
        cc=people.cc,
        reply_to=people.reply_to or _reply_to(submission, people.sender, message_id),
        subject=clean_line(submission.subject),
        text=clean_text(submission.text),
        # As the integrator wrote it: what we show of it is sanitised like any stranger's.
        html=clean_text(submission.html),
        message_id=message_id,
        date=now,
        in_reply_to=ancestry.in_reply_to,
        references=ancestry.references,
        headers=submission.headers,
        unsubscribe=submission.unsubscribe,
        calendar=submission.calendar,
        attachments=tuple(
            OutgoingAttachment(clean_filename(one.filename), one.content_type, one.content, one.content_id)
            for one in submission.attachments
        ),
        auto_submitted=submission.auto_submitted,
    )
    try:
        raw = compose(composition)
    except InvalidHeader as error:
        # A `From` among the headers of the caller's own is not the message's From.
        own = any(name == error.field for name, _value in submission.headers)
        field_name = f"headers.{error.field}" if own else _FIELDS.get(error.field, f"headers.{error.field}")
        reason = f"{error.reason[:1].upper()}{error.reason[1:]}."
        raise SubmissionInvalid(field_name, reason, Fault.HEADER_INVALID) from error
    if len(raw) > MAX_MESSAGE_BYTES:
        field_name = "attachments" if submission.attachments else "text"
        raise SubmissionInvalid(field_name, too_large(len(raw)), Fault.TOO_LARGE)
    return raw


def _reply_to(submission: Submission, sender: Address, message_id: str) -> tuple[Address, ...]:
    tagged = reply_address(message_id, sender.address) if submission.reply_token else ""
    return (Address(sender.name, tagged),) if tagged else ()
