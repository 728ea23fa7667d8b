"""Acknowledge new tickets, where a mailbox's rule says so and the mail may be answered at all.

    plan     reads `ticket.opened` by a cursor of its own; a row for each ticket whose mailbox has the rule on,
             in the transaction that moves the cursor
    decide   may the mail be answered (`answerable.py`), is there a bound left for its sender
    submit   through outbound like any other mail, under the idempotency key `automation:EVENT`
    note     sent or withheld, with an event: why none was sent is never a mystery

A crash after `plan` leaves a row that is due; after `submit`, a row that is due and whose second submission is
answered with the first one's message. Rows age: what is not sent within a day is withheld, which also keeps every
try within the day for which the idempotency key is good.

The answer marks itself `Auto-Submitted: auto-replied` (RFC 3834 §5), answers the customer's mail, goes the slow lane
and contains no word of the customer's: a stranger could otherwise have us deliver a text of theirs to anybody. For the
same reason it goes to one address only, one sender gets at most `PER_SENDER_PER_DAY`, and a mailbox sends at most
`PER_MAILBOX_PER_DAY`: whoever writes under ten thousand forged names has ten thousand people answered otherwise.

Limits: workers that decide about one sender's mails at the very same moment may go one over the bound each. Of
a domain that publishes no DMARC policy a forged From gets the acknowledgement; this is why the rule is off by default.
"""

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog
from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import Q
from django.db.models.functions import Now

from apps.accounts.principal import Principal
from apps.automation.answerable import Because, OpeningMail, why_unanswered
from apps.automation.models import Acknowledgement, AcknowledgementRule, AcknowledgementState
from apps.blobs.errors import BlobError
from apps.events.models import Event
from apps.events.notices import announce
from apps.events.services import Consumer, publish
from apps.events.wakeups import WakeUp
from apps.mailboxes.addresses import look_up
from apps.mailboxes.authenticated import is_forged
from apps.mailboxes.models import Direction, Message
from apps.mime.address import InvalidAddress, normalise_address
from apps.outbound.errors import OutboundError, SubmissionInvalid
from apps.outbound.submission.submit import Submission, submit_message
from apps.tickets.models import Ticket

log = structlog.get_logger(__name__)

ACKNOWLEDGE = WakeUp("automation", "acknowledge")
CONSUMER = "automation"
OPENED = "ticket.opened"
LEASE_SECONDS = 60
PER_SENDER_PER_DAY = 3
PER_MAILBOX_PER_DAY = 2000
DAY = timedelta(days=1)

_CLAIM = """
UPDATE automation_acknowledgement SET due_at = now() + make_interval(secs => %(lease)s)
WHERE id IN (
    SELECT id FROM automation_acknowledgement WHERE state = 'due' AND due_at <= now()
    ORDER BY due_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
RETURNING id
"""


# plan


def _plan(events: Sequence[Event]) -> None:
    opened = {
        event.ticket_id: (event, event.message_id)
        for event in events
        # Nobody wrote just now who waits for a sign when a person splits a ticket.
        if event.ticket_id is not None and event.message_id is not None and not event.data.get("split")
    }
    tickets = Ticket.objects.filter(pk__in=opened)
    by_mailbox = {
        rule.mailbox_id: rule
        for rule in AcknowledgementRule.objects.filter(
            mailbox__in={ticket.mailbox_id for ticket in tickets}, is_on=True
        )
    }
    wanted = [
        ticket
        for ticket in tickets
        if (rule := by_mailbox.get(ticket.mailbox_id)) is not None and rule.covers(ticket)
    ]
    rows = [_planned(ticket, *opened[ticket.pk]) for ticket in wanted]
    if rows:
        Acknowledgement.objects.bulk_create(rows, ignore_conflicts=True)
        transaction.on_commit(ACKNOWLEDGE.send)


plan_acknowledgements = Consumer(CONSUMER, _plan, only=Q(kind=OPENED))


def _planned(ticket: Ticket, event: Event, message_id: uuid.UUID) -> Acknowledgement:
    return Acknowledgement(
        organisation_id=ticket.organisation_id,
        ticket=ticket,
        event=event,
        opened_by_id=message_id,
        due_at=event.created_at,
        created_at=event.created_at,
    )


# decide and submit


def acknowledge_due(now: datetime, *, limit: int = 50) -> int:
    """Send or withhold up to `limit` acknowledgements that are due; how many were taken up."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_CLAIM, {"lease": LEASE_SECONDS, "limit": limit})
        ids: list[uuid.UUID] = [row[0] for row in cursor.fetchall()]
    rows = Acknowledgement.objects.select_related("ticket__mailbox", "opened_by", "event")
    # In the order of the mails: of one sender's many the first are acknowledged.
    for row in rows.filter(pk__in=ids).order_by("created_at", "ticket__number"):
        try:
            _acknowledge(row, now)
        except (BlobError, OutboundError) as error:
            # Due again when its lease lapses, and too late after a day.
            log.warning("acknowledgement_waits", row=str(row.pk), error=type(error).__name__)
        except (OperationalError, InterfaceError):
            raise
        except Exception:
            # Whatever one mail provokes must not keep those behind it waiting for a day.
            log.exception("acknowledgement_failed", row=str(row.pk))
    return len(ids)


def is_anything_due() -> bool:
    return Acknowledgement.objects.filter(state=AcknowledgementState.DUE, due_at__lte=Now()).exists()


def _acknowledge(row: Acknowledgement, now: datetime) -> None:
    rule = AcknowledgementRule.objects.filter(mailbox=row.ticket.mailbox_id, is_on=True).first()
    recipient = _answer_to(row.opened_by)
    because = Because.SWITCHED_OFF if rule is None else _why_withheld(row, recipient, now)
    if because is not None or rule is None:
        _withhold(row, because or Because.SWITCHED_OFF, now)
        return
    submission = Submission(
        sender=row.ticket.mailbox.address,
        to=(recipient,),
        subject=f"We have your mail (#{row.ticket.number})",
        text=rule.text_for(row.ticket),
        in_reply_to=str(row.opened_by_id),
        headers=(("X-Auto-Response-Suppress", "All"),),
        auto_submitted="auto-replied",
        priority="low",
    )
    principal = Principal.of_room(row.organisation_id, CONSUMER)
    try:
        submitted = submit_message(
            principal, submission, idempotency_key=f"{CONSUMER}:{row.event_id}", now=now
        )
    except SubmissionInvalid as error:
        log.warning("acknowledgement_not_sendable", row=str(row.pk), field=error.field)
        _withhold(row, Because.NO_ADDRESS, now)
    else:
        _note_sent(row, submitted.message, recipient, now)


def _why_withheld(row: Acknowledgement, recipient: str, now: datetime) -> Because | None:
    if now - row.created_at > DAY:
        return Because.TOO_LATE
    message = row.opened_by
    mail = OpeningMail(
        kind=message.kind,
        headers=message.handling,
        envelope_sender=message.envelope_sender,
        answer_to=recipient,
        is_ours=message.direction != Direction.IN or _is_ours(row.organisation_id, recipient),
    )
    because = why_unanswered(mail)
    if because is not None:
        return because
    if is_forged(message.authentication):
        return Because.FORGED
    within_a_day = Acknowledgement.objects.filter(
        organisation_id=row.organisation_id, state=AcknowledgementState.SENT, finished_at__gt=now - DAY
    )
    if within_a_day.filter(recipient=recipient).count() >= PER_SENDER_PER_DAY:
        return Because.TOO_MANY
    if within_a_day.filter(ticket__mailbox=row.ticket.mailbox_id).count() >= PER_MAILBOX_PER_DAY:
        return Because.TOO_MANY_TODAY
    return None


def _answer_to(message: Message) -> str:
    """The one address an answer goes to, normalised: Reply-To when it names exactly one, else From; "" for none."""
    wanted = message.reply_to[0]["address"] if len(message.reply_to) == 1 else message.sender_address
    try:
        return normalise_address(wanted)
    except InvalidAddress:
        return ""


def _is_ours(organisation_id: uuid.UUID, address: str) -> bool:
    """An address of this organisation, or of a domain it keeps: its programs answer themselves no more than people."""
    ours = look_up(organisation_id, [address])
    return ours.owner_of(address) is not None or ours.has_domain_of(address)


# note


@transaction.atomic
def _withhold(row: Acknowledgement, because: Because, now: datetime) -> None:
    if _finish(row, now, state=AcknowledgementState.WITHHELD, because=because):
        publish(
            row.organisation_id,
            "automation.withheld",
            ticket_id=row.ticket_id,
            actor=CONSUMER,
            because=because.value,
        )


@transaction.atomic
def _note_sent(row: Acknowledgement, answer: Message, recipient: str, now: datetime) -> None:
    if _finish(row, now, state=AcknowledgementState.SENT, answer=answer, recipient=recipient):
        publish(
            row.organisation_id,
            "automation.acknowledged",
            ticket_id=row.ticket_id,
            message_id=answer.pk,
            actor=CONSUMER,
        )


def _finish(row: Acknowledgement, now: datetime, **changes: object) -> bool:
    """Whether it was still due: another worker may have had the row when our lease had lapsed."""
    due = Acknowledgement.objects.filter(pk=row.pk, state=AcknowledgementState.DUE)
    changed = due.update(due_at=None, finished_at=now, **changes)
    announce([row.ticket.mailbox_id], "tickets")
    return bool(changed)
