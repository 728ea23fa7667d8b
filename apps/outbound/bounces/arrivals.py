"""What comes back about mail we sent: reports are filed with the mail they are about, and act on its delivery.

    recognise   is it a report, and what does it say?            outside any transaction, pure
    take_in     which deliveries, file it, act                   in the caller's transaction, which marks the row filed

Anybody to whom we ever wrote can make up a report, and a true one may carry what it returns. So one in which a scanner
found something, or at which none could look, is acted on and not filed: it is held like other mail (`OnlyTold`), and
lies beneath the mail it is about once it is let in.

A report is kept whole, as a message of its conversation that is read already: no ticket opens or reopens for it. It
lies beneath the mail it is about, in the mailbox that sent it, and the conversation shows what it says beside the
recipient. What it changes is `effects`.

What is no report goes the ordinary way, also when it came to a return path: holiday answers do (RFC 3834 §4), and are
mail for whoever wrote (`writers_mailboxes`). So does a report about nothing we know: perhaps somebody writes in a
mailbox's name from elsewhere, and a person should see what came of it. Only a bounce of a bounce goes nowhere (RFC 5321
§4.5.5): it is filed in the Archive, read, and an event counts it.

A crash before the caller's commit leaves nothing; the same mail comes again, and is the same report. So is one that
was held until a scanner answered: it is acted on once.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from apps.blobs.models import Blob
from apps.events.services import publish
from apps.mailboxes.filing import Filed, FiledRule
from apps.mailboxes.models import Folder, Mailbox, Message, Side, Thread
from apps.mailboxes.projection import PreparedMessage
from apps.mailboxes.threads import ThreadChoice
from apps.mime.message import MessageKind
from apps.outbound.bounces import effects
from apps.outbound.bounces.matching import match, signed_deliveries
from apps.outbound.bounces.reading import kind_of, read_report
from apps.outbound.bounces.report import Report
from apps.outbound.bounces.return_path import ReturnPaths, return_paths
from apps.outbound.errors import ReportTooEarly
from apps.outbound.models import Delivery, DeliveryState
from apps.tickets.intake import QuietPlace, file_beneath, file_quietly


@dataclass(frozen=True, slots=True)
class Arrival:
    """A received mail that may be a report, for one organisation. `received_id` is the same whenever it comes again;
    `is_held`: nobody is to have it before a person has looked."""

    received_id: uuid.UUID
    organisation_id: uuid.UUID
    recipients: Sequence[str]
    prepared: PreparedMessage
    raw_blob: Blob
    received_at: datetime
    authentication: dict[str, Any] | None = None
    is_held: bool = False


@dataclass(frozen=True, slots=True)
class OnlyTold:
    """What a report tells has been acted on, and its mail lies nowhere: the caller holds it."""

    about: Message


def recognise(prepared: PreparedMessage, raw: bytes, *, envelope_sender: str) -> Report | None:
    """The report that a received mail is, or None. Never raises."""
    return read_report(prepared.parsed, raw, envelope_sender=envelope_sender)


def take_in(
    arrival: Arrival, report: Report, mailboxes: Sequence[Mailbox], now: datetime
) -> Message | OnlyTold | None:
    """File a report and do what follows from it, in the caller's transaction; one to be held is not filed. None: it is
    about nothing we know, and is mail like any other for `mailboxes`.

    Raises ReportTooEarly while a delivery it is about is still being sent: its own result must be written first.
    """
    matches = match(arrival.organisation_id, report, arrival.recipients, return_paths())
    if any(one.delivery.state == DeliveryState.SENDING for one in matches):
        raise ReportTooEarly(str(matches[0].delivery.pk))
    if matches:
        about = matches[0].delivery.message
        message = None if arrival.is_held else _file(arrival, report, about)
        for one in matches:
            effects.apply(one, message, now, received_id=arrival.received_id)
        return message or OnlyTold(about)
    if report.returned.is_automatic and not arrival.is_held:
        return _file_bounce_of_a_bounce(arrival, mailboxes)
    publish(arrival.organisation_id, "report.unmatched", dialect=report.dialect)
    return None


def _file(arrival: Arrival, report: Report, about: Message) -> Message:
    return file_beneath(
        about,
        as_kind(arrival.prepared, kind_of(report)),
        received_at=arrival.received_at,
        raw_blob=arrival.raw_blob,
        authentication=arrival.authentication,
    )


def _file_bounce_of_a_bounce(arrival: Arrival, mailboxes: Sequence[Mailbox]) -> Message:
    parsed = arrival.prepared.parsed
    thread = Thread.objects.create(organisation_id=arrival.organisation_id, subject=parsed.subject)
    message = file_quietly(
        as_kind(arrival.prepared, MessageKind.BOUNCE),
        choice=ThreadChoice(thread, Filed(FiledRule.AUTOMATIC_BOUNCED), begins=True),
        places=[QuietPlace(one.pk, Folder.ARCHIVE, arrival.received_at) for one in mailboxes],
        received_at=arrival.received_at,
        raw_blob=arrival.raw_blob,
        authentication=arrival.authentication,
    )
    publish(arrival.organisation_id, "report.ignored", message_id=message.pk, why="bounce_of_a_bounce")
    return message


def as_kind(prepared: PreparedMessage, kind: MessageKind) -> PreparedMessage:
    """The same message, known to be of this kind by more than its own headers."""
    return replace(prepared, parsed=replace(prepared.parsed, kind=kind))


# return paths as addresses


def organisation_of(address: str, now: datetime, paths: ReturnPaths | None = None) -> uuid.UUID | None:
    """Whose return path this is, as RCPT asks: one we signed, of a delivery we have, not too old; or None."""
    paths = paths or return_paths()
    delivery_id = paths.delivery_of(address)
    if delivery_id is None:
        return None
    known = Delivery.objects.filter(pk=delivery_id, expires_at__gt=now - paths.good_for)
    return known.values_list("organisation_id", flat=True).first()


def writers_mailboxes(organisation_id: uuid.UUID, recipients: Sequence[str]) -> list[Mailbox]:
    """The mailboxes that the mails went out from whose return paths are among `recipients`."""
    delivery_ids = signed_deliveries(recipients, return_paths())
    if not delivery_ids:
        return []
    sent = Delivery.objects.filter(organisation_id=organisation_id, pk__in=delivery_ids)
    return list(
        Mailbox.objects.filter(
            entries__message__in=sent.values("message"), entries__side=Side.SENDER
        ).distinct()
    )
