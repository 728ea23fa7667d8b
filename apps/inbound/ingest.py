"""File what we took custody of: the road from a claimed row (`claims`) to a ticket, or to `tickets.holding`.

Parsing, asking who sent it (`authenticity`) and S3 happen with no transaction open; then one transaction files the
message and marks the row, provided that the lease is still ours. What several threads have ready then shares it: one
of them files for all, while the others make more ready.

A worker killed before that commit leaves a lease, which lapses, and the row is claimed again. One killed after it has
filed the message exactly once. What fails three times is filed as text with the raw message attached; what fails even
then waits ever longer, and is never given up. S3 or PostgreSQL being away is nobody's fault and no attempt.

All of it is judged before (`admission`): what has a virus, is forged or is spam is held for a person instead of being
filed. A mail that no scanner could look at yet comes again without an attempt being counted. Reports on mail of ours
(bounces, complaints) are acted on by `outbound.bounces`, in the same transaction, whatever is thought of them.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from django.db import InterfaceError, OperationalError, connection, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.blobs.selectors import read
from apps.blobs.services import StagedBytes, staged_before
from apps.inbound.admission import judge
from apps.inbound.authenticity import NOT_EVALUATED, authenticate
from apps.inbound.claims import Claim, Finished, claim_next, finishing, give_back, require_ours
from apps.inbound.errors import LeaseLost, NowhereToFile, VerdictTooEarly
from apps.inbound.leases import leases
from apps.inbound.models import ReceivedMessage
from apps.inbound.outages import is_away, is_outage
from apps.mailauth.results import TEMPERROR, Authentication, unchecked
from apps.mailboxes.addresses import fallback_mailbox, look_up
from apps.mailboxes.models import Mailbox, Message
from apps.mailboxes.projection import PreparedMessage, prepare
from apps.mime.parse import parse_as_text
from apps.organisations.joint_work import JointWork
from apps.outbound.bounces.arrivals import Arrival, OnlyTold, as_kind, recognise, take_in, writers_mailboxes
from apps.outbound.bounces.reading import kind_of
from apps.outbound.bounces.report import Report
from apps.outbound.errors import ReportTooEarly
from apps.tickets.holding import Hold, hold_message
from apps.tickets.intake import Arriving, FilingTogether
from apps.tickets.models import HeldMessage, HoldCause

log = structlog.get_logger(__name__)

ATTEMPTS_BEFORE_TEXT = 3
RETRY_CEILING_SECONDS = 600
SERVER_AWAY_SECONDS = 2
REPORT_TOO_EARLY_SECONDS = 2
FIRST_LOOK_AGAIN_SECONDS = 5
LAST_LOOK_AGAIN_SECONDS = 60
FILED_AT_ONCE = 16


def ingest_due(*, limit: int, seconds: float) -> int:
    """File due messages one after the other, up to `limit` or until `seconds` have passed; how many were taken up.

    One at a time: a mail that takes long to parse must not keep others waiting under its lease.
    """
    deadline = time.monotonic() + seconds
    taken = 0
    try:
        while taken < limit and time.monotonic() < deadline:
            claim = claim_next()
            if claim is None:
                break
            taken += 1
            ingest_claim(claim)
    except (OperationalError, InterfaceError) as error:
        # The next sweep wakes somebody; until then there is no queue to read.
        log.warning("ingest_database_away", error=type(error).__name__)
    finally:
        connection.close()
    return taken


def ingest_claim(claim: Claim) -> None:
    """File one leased message, or give it back with the time of its next try. Raises nothing.

    While another thread files, that one will file this too, and this thread may take up the next.
    """
    leases.keep(claim.token)
    try:
        ready = _made_ready(claim)
    except Exception as error:  # noqa: BLE001 - whatever one mail provokes must not stop the next
        _settle(claim, error)
    else:
        filing.entrust(ready, lambda error: _settle(claim, error))


def _made_ready(claim: Claim) -> "Ready":
    received = claim.received
    raw = read(received.raw)
    prepared = _prepare(claim, staged_before(received.raw, raw))
    report = _report_in(claim, received, prepared, raw)
    if report is not None:
        # Also a report about nothing we know is one, and nobody answers it.
        prepared = as_kind(prepared, kind_of(report))
    authentication = _authenticate(claim, received, prepared, raw)
    hold = _judge(claim, received, prepared, raw, authentication)
    if hold is not None and report is None:
        _require_last_look(hold)
    return Ready(claim, _Mail(received, prepared, authentication), mailboxes_for(received), report, hold)


def _settle(claim: Claim, error: Exception | None) -> None:
    """What became of a mail: filed, or given back. When even that fails, its lease lapses."""
    try:
        if error is not None:
            _give_back(claim, error)
    except (OperationalError, InterfaceError) as trouble:
        log.warning("ingest_not_given_back", received=str(claim.received_id), error=type(trouble).__name__)
    finally:
        leases.let_go(claim.token)


def _give_back(claim: Claim, error: Exception) -> None:
    received_id = str(claim.received_id)
    if isinstance(error, LeaseLost):
        log.warning("ingest_lease_lost", received=received_id)
    elif isinstance(error, VerdictTooEarly):
        log.info("ingest_verdict_too_early", received=received_id)
        delay_seconds = _look_again_seconds(claim.received.received_at)
        give_back(claim, error, delay_seconds=delay_seconds, counts=False)
    elif isinstance(error, ReportTooEarly):
        log.info("ingest_report_too_early", received=received_id)
        give_back(claim, error, delay_seconds=REPORT_TOO_EARLY_SECONDS, counts=False)
    elif is_outage(error):
        log.warning("ingest_server_away", received=received_id, error=type(error).__name__)
        give_back(claim, error, delay_seconds=SERVER_AWAY_SECONDS, counts=False)
    else:
        # Its row tells what happened, and comes again.
        log.error("ingest_failed", received=received_id, attempts=claim.attempts, exc_info=error)
        give_back(claim, error, delay_seconds=_backoff_seconds(claim.attempts), counts=True)


def _prepare(claim: Claim, raw: StagedBytes) -> PreparedMessage:
    if claim.attempts > ATTEMPTS_BEFORE_TEXT:
        # Three workers failed or died on it. Nothing in it is interpreted any more, and all of it stays readable.
        return prepare(raw.content, parsed=parse_as_text(raw.content), staged=raw)
    return prepare(raw.content, staged=raw)


def _report_in(
    claim: Claim, received: ReceivedMessage, prepared: PreparedMessage, raw: bytes
) -> Report | None:
    """The report on mail of ours that this is, if it is one. What workers died on is not interpreted."""
    if claim.attempts > ATTEMPTS_BEFORE_TEXT:
        return None
    return recognise(prepared, raw, envelope_sender=received.envelope_sender)


def _authenticate(
    claim: Claim, received: ReceivedMessage, prepared: PreparedMessage, raw: bytes
) -> Authentication:
    if claim.attempts > ATTEMPTS_BEFORE_TEXT:
        return unchecked(TEMPERROR, NOT_EVALUATED)
    return authenticate(received, raw, prepared.parsed)


def _judge(
    claim: Claim,
    received: ReceivedMessage,
    prepared: PreparedMessage,
    raw: bytes,
    authentication: Authentication,
) -> Hold | None:
    """Why it is held, if it is. A mail that workers die on while they judge it is held too, and not let in unjudged."""
    try:
        return judge(received, prepared, raw, authentication, now=timezone.now())
    except Exception as error:
        if is_outage(error) or claim.attempts <= ATTEMPTS_BEFORE_TEXT:
            raise
        log.exception("ingest_not_judged", received=str(claim.received_id))
        return Hold(HoldCause.UNSCANNABLE, _("It could not be looked through."), (type(error).__name__,))


@dataclass(frozen=True, slots=True)
class _Mail:
    """All that filing or holding a mail takes."""

    received: ReceivedMessage
    prepared: PreparedMessage
    authentication: Authentication

    @property
    def found_out(self) -> dict[str, Any]:
        return self.authentication.as_json()


@dataclass(frozen=True, slots=True)
class Ready:
    """A mail of which all is known that must be known before the transaction."""

    claim: Claim
    mail: _Mail
    mailboxes: list[Mailbox]
    report: Report | None
    hold: Hold | None


def file_all(ready: Sequence[Ready]) -> None:
    """In one transaction, all or none: its statements and its commit cost the same for one as for several. Raises
    LeaseLost, and VerdictTooEarly for one that turns out to be no report on mail of ours.

    In the order they came: an answer is looked at after the mail that it answers.
    """
    with transaction.atomic():
        filed: list[tuple[Ready, Arriving]] = []
        finished: list[Finished] = []
        for one in sorted(ready, key=lambda one: one.mail.received.received_at):
            taken = _take_in(one, one.report) if one.report is not None else None
            if isinstance(taken, Message):
                finished.append(Finished(one.claim, message=taken.pk))
            elif one.hold is None:
                filed.append((one, _arriving(one)))
            elif taken is not None:
                finished.append(Finished(one.claim, held=_hold(one, one.hold, about=taken.about).pk))
            else:
                _require_last_look(one.hold)
                finished.append(Finished(one.claim, held=_hold(one, one.hold).pk))
        together = FilingTogether([arriving for _one, arriving in filed])
        finished += [
            Finished(one.claim, message=message.pk)
            for (one, _arriving), message in zip(filed, together.messages, strict=True)
        ]
        [ours] = together.write(finishing(finished))
        require_ours(finished, ours)


filing = JointWork[Ready](file_all, most=FILED_AT_ONCE, is_away=is_away)


def _require_last_look(hold: Hold) -> None:
    if hold.look_again:
        raise VerdictTooEarly(hold.reason)


def _take_in(ready: Ready, report: Report) -> Message | OnlyTold | None:
    mail, received = ready.mail, ready.mail.received
    arrival = Arrival(
        received.pk,
        received.organisation_id,
        received.recipients,
        mail.prepared,
        received.raw,
        received.received_at,
        mail.found_out,
        is_held=ready.hold is not None and ready.hold.is_harmful,
    )
    return take_in(arrival, report, ready.mailboxes, timezone.now())


def _arriving(ready: Ready) -> Arriving:
    mail, received = ready.mail, ready.mail.received
    return Arriving(
        prepared=mail.prepared,
        organisation_id=received.organisation_id,
        mailboxes=ready.mailboxes,
        received_at=received.received_at,
        raw_blob=received.raw,
        envelope_sender=received.envelope_sender,
        authentication=mail.found_out,
    )


def _hold(ready: Ready, hold: Hold, about: Message | None = None) -> HeldMessage:
    mail, received = ready.mail, ready.mail.received
    return hold_message(
        mail.prepared,
        hold,
        organisation_id=received.organisation_id,
        mailboxes=ready.mailboxes,
        received_at=received.received_at,
        raw_blob=received.raw,
        envelope_sender=received.envelope_sender,
        authentication=mail.found_out,
        now=timezone.now(),
        about=about,
    )


def mailboxes_for(received: ReceivedMessage) -> list[Mailbox]:
    """Where the message belongs now; what came to a return path, with whoever wrote the mail it answers. Addresses may
    have gone since it was accepted: then the organisation's fallback.

    Raises NowhereToFile when there is none; the message then waits until there is.
    """
    ours = look_up(received.organisation_id, received.recipients)
    found = (ours.mailbox_for(recipient) for recipient in received.recipients)
    mailboxes = {mailbox.pk: mailbox for mailbox in found if mailbox is not None}
    mailboxes |= {one.pk: one for one in writers_mailboxes(received.organisation_id, received.recipients)}
    if mailboxes:
        return list(mailboxes.values())
    fallback = fallback_mailbox(received.organisation_id)
    if fallback is None:
        raise NowhereToFile(str(received.pk))
    log.warning("ingest_recipient_gone", received=str(received.pk), mailbox=str(fallback.pk))
    return [fallback]


def _backoff_seconds(attempts: int) -> int:
    return min(RETRY_CEILING_SECONDS, int(4 ** min(attempts - 1, 6)))


def _look_again_seconds(received_at: datetime) -> float:
    """Half as long again as it has waited, between bounds."""
    waited = (timezone.now() - received_at).total_seconds()
    return min(LAST_LOOK_AGAIN_SECONDS, max(FIRST_LOOK_AGAIN_SECONDS, waited / 2))
