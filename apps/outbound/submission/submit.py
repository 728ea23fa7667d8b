"""A message enters the road out: planned, and committed together with one delivery for each recipient.

    plan      `planning`: check, compose, prepare, screen, sign; nothing is written yet. What fails is kept in the error
              queue. A mail program's message is not composed but given (`given`), and all else is the same
    commit    message, sender's copy, deliveries, local Inboxes and tickets, events, idempotency key: one transaction
    wake      after the commit, ids only; a lost wake-up is found by the sweeper

A crash before the commit leaves nothing (at most objects in S3 that no row names, which are removed after a day),
and the caller gets no answer. After it everything is there, whoever dies.

Recipients at addresses we own get the message in this very transaction when it is due at once: no socket is opened.
With an undo window, with a schedule, or while a scanner does not answer they wait like all others, and a worker lays it
into their Inboxes. What screening refuses goes to nobody: it is `rejected` and stays in the Outbox.

What a mail program is refused it keeps itself, on the screen of whoever wrote it: no row is made of that.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import Model

from apps.accounts.principal import Principal
from apps.events.notices import announce
from apps.events.services import NewEvent, publish_all
from apps.mailboxes.loops import goes_in_circles, told_of_a_loop
from apps.mailboxes.models import Direction, Folder, Message, Side, Thread
from apps.mailboxes.projection import draft
from apps.mailboxes.quoted import locked_thread_of
from apps.mailboxes.services import entry_of
from apps.mailboxes.threads import ThreadChoice, choose_thread
from apps.mime.address import normalise_address
from apps.organisations.inserting import insert
from apps.outbound.bounces.suppressions import suppressed_among
from apps.outbound.causes import Cause
from apps.outbound.delivery import no_such_address
from apps.outbound.errors import SubmissionInvalid
from apps.outbound.models import UNFINISHED, Delivery, DeliveryState, RefusedSubmission, Route
from apps.outbound.retry import DEFAULT_RETRY_POLICY
from apps.outbound.screening import Screened, first_change, keep_verdicts
from apps.outbound.signing.sending import signature_row
from apps.outbound.submission.ancestry import Ancestry
from apps.outbound.submission.asked import Submission, SubmittedAttachment
from apps.outbound.submission.given import GivenEnvelope, plan_given
from apps.outbound.submission.idempotency import (
    Request,
    claim_key,
    earlier_answer,
    note_answer,
    request_of,
    request_of_mail,
)
from apps.outbound.submission.planning import Plan, plan_composed
from apps.outbound.submission.quotas import charge_quota
from apps.outbound.submission.recipients import Recipient
from apps.outbound.submission.refused import as_asked, keep_refused, mark_mended
from apps.outbound.submission.validation import check_idempotency_key
from apps.outbound.transitions import Change, least_finished
from apps.outbound.transitions.settling import delivery_event
from apps.outbound.wakeups import wake_on_commit
from apps.tickets.intake import deliver_locally
from apps.tickets.services import record_answer

__all__ = [
    "GivenEnvelope",
    "Submission",
    "Submitted",
    "SubmittedAttachment",
    "submit",
    "submit_message",
    "submit_raw",
]


@dataclass(frozen=True, slots=True)
class Submitted:
    """What became of a submission. `replayed`: an earlier request with the same idempotency key made it."""

    message: Message
    deliveries: list[Delivery]
    replayed: bool


def submit_message(
    principal: Principal,
    submission: Submission,
    *,
    idempotency_key: str | None,
    now: datetime,
    also: Callable[[Message], None] | None = None,
    mends: RefusedSubmission | None = None,
) -> Submitted:
    """Take a message for sending; when this returns it is committed, with whatever `also` writes.

    Raises SubmissionInvalid naming every wrong field, by then kept in the error queue; QuotaReached;
    IdempotencyConflict; and ObjectStoreUnavailable when a large part has no place to go. A recipient in our own domain
    that nobody owns is no error of the submission: its delivery fails at once. `mends`: what was kept of an earlier
    attempt, which leaves the error queue with this one; NotRetryable when it has left it already.
    """
    try:
        check_idempotency_key(idempotency_key)
        request = request_of(principal, idempotency_key, submission) if idempotency_key else None
        return submit(principal, submission, request=request, now=now, also=also, mends=mends)
    except SubmissionInvalid as error:
        keep_refused(principal, as_asked(submission), error, now=now, key=idempotency_key, mends=mends)
        raise


def submit(
    principal: Principal,
    submission: Submission,
    *,
    request: Request | None,
    now: datetime,
    ancestry: Ancestry | None = None,
    also: Callable[[Message], None] | None = None,
    mends: RefusedSubmission | None = None,
) -> Submitted:
    """`submit_message` for callers in this room: with a known conversation, and with `also` done in the transaction.

    What it refuses it does not keep: the caller knows in which shape it was asked.
    """

    def plan() -> Plan:
        return plan_composed(principal, submission, ancestry, now)

    return _take(principal, plan, request=request, now=now, also=also, mends=mends)


def submit_raw(
    principal: Principal, envelope: GivenEnvelope, raw: bytes, *, now: datetime, nth: int = 0
) -> Submitted:
    """Take a message that a mail program wrote, for everybody its envelope names; when this returns it is committed.

    In a ticket's conversation it is the ticket's answer. What bears a Message-ID or a Date and comes again within an
    hour is answered again and sends nothing again, but for the `nth` equal one on a connection whose client has read
    our answers to those before.

    Raises what `submit_message` raises, with the fields of `plan_given`, and keeps nothing in the error queue.
    """
    request = request_of_mail(principal, envelope.sender, envelope.recipients, raw, nth)

    def answer_ticket(message: Message) -> None:
        record_answer(principal, message, now)

    def plan() -> Plan:
        return plan_given(principal, envelope, raw, now)

    return _take(principal, plan, request=request, now=now, also=answer_ticket)


def _take(
    principal: Principal,
    make_plan: Callable[[], Plan],
    *,
    request: Request | None,
    now: datetime,
    also: Callable[[Message], None] | None = None,
    mends: RefusedSubmission | None = None,
) -> Submitted:
    if request is not None and (earlier := earlier_answer(request, now)) is not None:
        return _replay(earlier)
    plan = make_plan()
    with transaction.atomic():
        key = claim_key(request, now) if request is not None else None
        if request is None or key is not None:
            charge_quota(principal, plan.quotas, len(plan.people.recipients), now)
            submitted = _commit(principal, plan, now)
            if also is not None:
                also(submitted.message)
            if key is not None:
                note_answer(key, submitted.message)
            if request is not None or mends is not None:
                asked_as = request.key if request is not None else None
                mark_mended(principal, submitted.message, key=asked_as, mends=mends, now=now)
            return submitted
    # Another request with the same key was quicker, and its commit is what made ours give way.
    earlier = earlier_answer(request, now)
    if earlier is None:
        msg = "an idempotency key is held by a request that made nothing"
        raise AssertionError(msg)
    return _replay(earlier)


def _replay(message: Message) -> Submitted:
    return Submitted(message, list(Delivery.objects.filter(message=message)), replayed=True)


# inside it


def _commit(principal: Principal, plan: Plan, now: datetime) -> Submitted:
    withheld = suppressed_among(
        principal.organisation_id,
        [one.address for one in plan.people.recipients if one.route == Route.RELAY],
        now,
    )
    fates = [
        (recipient, withheld.get(recipient.address) or _first_state(recipient, plan, now))
        for recipient in plan.people.recipients
    ]
    states = {change.state for _recipient, change in fates}
    message, rows = _draft(principal, plan, least_finished(states), now)
    deliveries = [_delivery(message, plan, recipient, change, now) for recipient, change in fates]
    begins = message.thread.is_new
    insert(*rows, *deliveries)
    announce([plan.people.sender_row.mailbox_id])
    here = [
        recipient.mailbox
        for recipient, change in fates
        if change.state == DeliveryState.DELIVERED and recipient.mailbox is not None
    ]
    if plan.verdict is not None and plan.verdict.is_known:
        keep_verdicts([Screened.of(message.pk, message.organisation_id, plan.verdict, now)])
    deliver_locally(message, here, now, begins=begins)
    _publish(principal, message, deliveries)
    if DeliveryState.QUEUED in states:
        wake_on_commit(plan.lane)
    return Submitted(message, deliveries, replayed=False)


def _draft(
    principal: Principal, plan: Plan, state: DeliveryState, now: datetime
) -> tuple[Message, list[Model]]:
    """The message and all rows of it but its deliveries, none of them written yet."""
    choice = _thread(principal, plan)
    only_here = all(recipient.route == Route.LOCAL for recipient in plan.people.recipients)
    message, rows = draft(
        plan.prepared,
        organisation_id=principal.organisation_id,
        thread=choice.thread,
        direction=Direction.LOCAL if only_here else Direction.OUT,
        state=state,
        received_at=now,
        bcc=plan.people.bcc,
        author=principal.user,
        machine_turns=plan.turn,
        filed_because=choice.because,
        tags=plan.tags,
        metadata=dict(plan.metadata),
    )
    senders_copy = entry_of(
        message,
        plan.people.sender_row.mailbox_id,
        side=Side.SENDER,
        folder=Folder.OUTBOX if state in {*UNFINISHED, DeliveryState.REJECTED} else Folder.SENT,
        is_read=True,
        sorted_at=now,
    )
    signature = [signature_row(message, plan.signature)] if plan.signature is not None else []
    return message, [*rows, senders_copy, *signature]


def _thread(principal: Principal, plan: Plan) -> ThreadChoice:
    known = plan.thread
    if known is None:
        return choose_thread(principal.organisation_id, plan.prepared.parsed)
    # Locked like `choose_thread` does: two answers at the same time share one ticket, and a move is waited for.
    answered = plan.answers
    thread = (
        locked_thread_of(answered)
        if answered is not None
        else Thread.objects.select_for_update().get(pk=known.thread.pk)
    )
    return ThreadChoice(thread, known.because)


def _first_state(recipient: Recipient, plan: Plan, now: datetime) -> Change:
    if goes_in_circles(plan.turn):
        return Change(DeliveryState.FAILED, Cause.LOOP, told_of_a_loop())
    if recipient.exists_nowhere:
        return no_such_address(recipient.address)
    screened = first_change(plan.verdict, now) if plan.verdict is not None else None
    if screened is not None:
        return screened
    if plan.is_held:
        cause = Cause.SCHEDULE if plan.held_by == "send_at" else Cause.UNDO_WINDOW
        return Change(DeliveryState.SCHEDULED, cause, due_at=plan.due_at)
    if recipient.route == Route.LOCAL:
        return Change(DeliveryState.DELIVERED)
    return Change(DeliveryState.QUEUED, Cause.WAITING_FOR_WORKER, due_at=plan.due_at)


def _delivery(message: Message, plan: Plan, recipient: Recipient, change: Change, now: datetime) -> Delivery:
    return Delivery(
        organisation_id=message.organisation_id,
        message=message,
        recipient=recipient.address,
        destination=normalise_address(recipient.address).rpartition("@")[2],
        field=recipient.field,
        route=recipient.route,
        local_mailbox=recipient.mailbox,
        lane=plan.lane,
        cancel_if_replied=plan.cancel_if_replied,
        expires_at=(change.due_at or now) + DEFAULT_RETRY_POLICY.lifetime,
        **change.columns(now),
    )


def _publish(principal: Principal, message: Message, deliveries: Sequence[Delivery]) -> None:
    submitted = NewEvent(
        message.organisation_id,
        "message.submitted",
        message.pk,
        actor=principal.actor,
        data={"recipients": len(deliveries)},
    )
    states = [
        delivery_event(one.organisation_id, message.pk, one.pk, one.state, one.cause, actor=principal.actor)
        for one in deliveries
    ]
    # In one statement: a message may have a thousand recipients.
    publish_all([submitted, *states])
