"""File what we took custody of: the road from a claimed row (`claims`) to a ticket, or to `tickets.holding`.

Parsing, asking who sent it (`authenticity`) and S3 happen with no transaction open; then one transaction files the
message and marks the row, provided that the lease is still ours. What several threads have ready then shares it.

A worker killed before that commit leaves a lease, which lapses, and the row is claimed again. One killed after it has
filed the message exactly once. What fails three times is filed as text with the raw message attached; what fails even
then waits ever longer, and is never given up. S3 or PostgreSQL being away is nobody's fault and no attempt.

Reports on mail of ours (bounces, complaints) are taken in by `outbound.bounces`, in the same transaction. Everything
else is judged before it (`admission`): what has a virus, is forged or is spam is held for a person instead of being
filed. A mail that no scanner could look at yet comes again without an attempt being counted.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import Model
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.blobs.selectors import read
from apps.blobs.services import StagedBytes, staged_before
from apps.inbound.admission import judge
from apps.inbound.authenticity import NOT_EVALUATED, authenticate
from apps.inbound.claims import Claim, Finished, claim_due, finish, give_back
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
from apps.outbound.bounces.arrivals import Arrival, as_kind, recognise, take_in, writers_mailboxes
from apps.outbound.bounces.reading import kind_of
from apps.outbound.bounces.report import Report
from apps.outbound.errors import ReportTooEarly
from apps.tickets.holding import Hold, hold_message
from apps.tickets.intake import draft_filing, write
from apps.tickets.models import HeldMessage, HoldCause

log = structlog.get_logger(__name__)

ATTEMPTS_BEFORE_TEXT = 3
RETRY_CEILING_SECONDS = 600
SERVER_AWAY_SECONDS = 2
REPORT_TOO_EARLY_SECONDS = 2
FIRST_LOOK_AGAIN_SECONDS = 5
LAST_LOOK_AGAIN_SECONDS = 60
FILED_AT_ONCE = 8


def ingest_due(*, limit: int, seconds: float) -> int:
    """File due messages one after the other, up to `limit` or until `seconds` have passed; how many were taken up.

    One at a time: a mail that takes long to parse must not keep others waiting under its lease.
    """
    deadline = time.monotonic() + seconds
    taken = 0
    try:
        while taken < limit and time.monotonic() < deadline:
            claims = claim_due()
            if not claims:
                break
            taken += 1
            ingest_claim(claims[0])
    except (OperationalError, InterfaceError) as error:
        # The next sweep wakes somebody; until then there is no queue to read.
        log.warning("ingest_database_away", error=type(error).__name__)
    finally:
        connection.close()
    return taken


def ingest_claim(claim: Claim) -> None:
    """File one leased message, or give it back with the time of its next try. Raises only when PostgreSQL is away."""
    received = claim.received
    with leases.kept(claim.token):
        try:
            raw = read(received.raw)
            prepared = _prepare(claim, staged_before(received.raw, raw))
            report = _report_in(claim, received, prepared, raw)
            if report is not None:
                # Also a report about nothing we know is one, and nobody answers it.
                prepared = as_kind(prepared, kind_of(report))
            authentication = _authenticate(claim, received, prepared, raw)
            hold = _judge(claim, received, prepared, raw, authentication)
            mail = _Mail(received, prepared, authentication)
            filing.ask(Ready(claim, mail, mailboxes_for(received), report, hold))
        except VerdictTooEarly as error:
            log.info("ingest_verdict_too_early", received=str(claim.received_id))
            give_back(claim, error, delay_seconds=_look_again_seconds(received.received_at), counts=False)
        except LeaseLost:
            log.warning("ingest_lease_lost", received=str(claim.received_id))
        except ReportTooEarly as error:
            log.info("ingest_report_too_early", received=str(claim.received_id))
            give_back(claim, error, delay_seconds=REPORT_TOO_EARLY_SECONDS, counts=False)
        except Exception as error:
            # Whatever one mail provokes must not stop the next; its row tells what happened, and comes again.
            if is_outage(error):
                log.warning("ingest_server_away", received=str(claim.received_id), error=type(error).__name__)
                give_back(claim, error, delay_seconds=SERVER_AWAY_SECONDS, counts=False)
            else:
                log.exception("ingest_failed", received=str(claim.received_id), attempts=claim.attempts)
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
    """In one transaction, all or none: its commit costs the same for one as for several."""
    with transaction.atomic():
        filing = _Filing()
        for one in ready:
            filing.add(one)
        filing.end()


filing = JointWork[Ready](file_all, most=FILED_AT_ONCE, is_away=is_away)


class _Filing:
    """One transaction's mails. Their rows are written together, and earlier when one of them answers another."""

    def __init__(self) -> None:
        self._unwritten: list[list[Model]] = []
        self._unwritten_ids: set[str] = set()
        self._finished: list[Finished] = []

    def add(self, ready: Ready) -> None:
        """Raises VerdictTooEarly, and what filing raises."""
        claim, mail, hold = ready.claim, ready.mail, ready.hold
        parsed = mail.prepared.parsed
        if not self._unwritten_ids.isdisjoint((*parsed.in_reply_to, *parsed.references)):
            self._write()
        report = _take_in(mail, ready.report, ready.mailboxes) if ready.report is not None else None
        if report is not None:
            self._finished.append(Finished(claim, message=report.pk))
        elif hold is None:
            message, rows = _draft(mail, ready.mailboxes)
            self._unwritten.append(rows)
            self._unwritten_ids.add(message.rfc_message_id)
            self._finished.append(Finished(claim, message=message.pk))
        elif hold.look_again:
            raise VerdictTooEarly(hold.reason)
        else:
            self._finished.append(Finished(claim, held=_hold(mail, hold, ready.mailboxes).pk))

    def end(self) -> None:
        """Write what is left, and mark the received rows."""
        self._write()
        finish(self._finished)

    def _write(self) -> None:
        write(self._unwritten)
        self._unwritten, self._unwritten_ids = [], set()


def _take_in(mail: _Mail, report: Report, mailboxes: list[Mailbox]) -> Message | None:
    received = mail.received
    arrival = Arrival(
        received.organisation_id,
        received.recipients,
        mail.prepared,
        received.raw,
        received.received_at,
        mail.found_out,
    )
    return take_in(arrival, report, mailboxes, timezone.now())


def _draft(mail: _Mail, mailboxes: list[Mailbox]) -> tuple[Message, list[Model]]:
    received = mail.received
    return draft_filing(
        mail.prepared,
        organisation_id=received.organisation_id,
        mailboxes=mailboxes,
        received_at=received.received_at,
        raw_blob=received.raw,
        envelope_sender=received.envelope_sender,
        authentication=mail.found_out,
    )


def _hold(mail: _Mail, hold: Hold, mailboxes: list[Mailbox]) -> HeldMessage:
    received = mail.received
    return hold_message(
        mail.prepared,
        hold,
        organisation_id=received.organisation_id,
        mailboxes=mailboxes,
        received_at=received.received_at,
        raw_blob=received.raw,
        envelope_sender=received.envelope_sender,
        authentication=mail.found_out,
        now=timezone.now(),
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
