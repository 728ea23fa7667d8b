"""The one way into a mailbox, for customers' mail from SMTP and for our own mail to ourselves alike.

`FilingTogether` makes received messages' rows: each message and its parts, its conversation, an entry in each mailbox,
a ticket in each shared one, the events. One transaction; after it browsers are told. `file_message` does it for one.
`deliver_locally` does the same for a message that `submit_message` has stored already, in the caller's transaction.
`file_quietly` is for what no person wrote and nobody need answer, `file_beneath` for such mail about a mail of ours.

The order is chosen for concurrency: the conversations' locks, then blobs by hash, then tickets and entries, and last
the organisation's ticket counter, which everybody shares and nobody should hold long (`laying`). Each of these is one
statement for all the messages that are filed together, so no two transactions wait for each other in turn.

A crash before the commit leaves nothing; the caller's row is still due and comes again.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Model

from apps.blobs.models import Blob
from apps.events.models import Event
from apps.events.services import event, publish
from apps.mailboxes.authenticated import is_forged
from apps.mailboxes.filing import Filed, FiledRule
from apps.mailboxes.loops import turn_after
from apps.mailboxes.models import Direction, Folder, Mailbox, MailboxEntry, Message, MessageKind, Side
from apps.mailboxes.projection import Blobs, PreparedMessage, draft, put_for, store
from apps.mailboxes.quoted import locked_thread_of
from apps.mailboxes.services import add_entry
from apps.mailboxes.threads import Answering, Choosing, ThreadChoice
from apps.organisations.prepared import Question
from apps.tickets.laying import Arrived, Laying

FILED = "filed"
_BENEATH = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class QuietPlace:
    """Where a message is laid that asks nobody for anything."""

    mailbox_id: uuid.UUID
    folder: Folder
    sorted_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Arriving:
    """A received message for the mailboxes of one organisation. `envelope_sender` is MAIL FROM, "" for `<>`;
    `authentication` what was found out about who sent it.
    """

    prepared: PreparedMessage
    organisation_id: uuid.UUID
    mailboxes: Sequence[Mailbox]
    received_at: datetime
    raw_blob: Blob | None = None
    envelope_sender: str | None = None
    authentication: dict[str, Any] | None = None


@transaction.atomic(savepoint=False)
def file_message(
    prepared: PreparedMessage,
    *,
    organisation_id: uuid.UUID,
    mailboxes: Sequence[Mailbox],
    received_at: datetime,
    raw_blob: Blob | None = None,
    envelope_sender: str | None = None,
    authentication: dict[str, Any] | None = None,
) -> Message:
    """File one received message: `Arriving` says what is what."""
    arriving = Arriving(
        prepared=prepared,
        organisation_id=organisation_id,
        mailboxes=mailboxes,
        received_at=received_at,
        raw_blob=raw_blob,
        envelope_sender=envelope_sender,
        authentication=authentication,
    )
    filing = FilingTogether([arriving])
    filing.write()
    return filing.messages[0]


class FilingTogether:
    """Files several received messages in the caller's transaction, in their order: as if one after the other, with as
    many statements as for one. What is made for them is known before it is written."""

    def __init__(self, arriving: Sequence[Arriving]) -> None:
        drafts = _drafted(arriving)
        self.messages = [one.message for one in drafts]
        self._laying = Laying(
            [
                Arrived(one.message, mail.mailboxes, mail.received_at, begins=one.begins)
                for mail, one in zip(arriving, drafts, strict=True)
            ]
        )
        self._rows: list[Model] = []
        for one, laid in zip(drafts, self._laying.rows, strict=True):
            self._rows += [*one.rows, _received(one.message), *laid]

    def write(self, *also: Question) -> list[list[tuple[Any, ...]]]:
        """Write all of it. What is `also` asked goes along without a trip of its own; its answers."""
        return self._laying.write(self._rows, *also)


def _received(message: Message) -> Event:
    return event(
        message.organisation_id, "message.received", message_id=message.pk, message_kind=message.kind
    )


@dataclass(frozen=True, slots=True)
class _Draft:
    """A message and its own rows, none of them written yet. `begins`: its conversation is among them."""

    message: Message
    rows: Sequence[Model]
    begins: bool


def _drafted(arriving: Sequence[Arriving]) -> list[_Draft]:
    """Those that answer each other find each other, though none of them is written."""
    asking = [
        Answering(mail.organisation_id, mail.prepared.parsed, is_forged(mail.authentication))
        for mail in arriving
    ]
    choosing = Choosing(asking)
    blobs = _put(arriving)
    drafts = []
    for mail, asked in zip(arriving, asking, strict=True):
        choice = choosing.choose(asked)
        message, rows = _draft(mail, choice, blobs[mail.organisation_id])
        choosing.remember(message)
        own = [row for row in rows if choice.begins or row is not choice.thread]
        drafts.append(_Draft(message, own, choice.begins))
    return drafts


def _put(arriving: Sequence[Arriving]) -> dict[uuid.UUID, Blobs]:
    return {
        organisation_id: put_for(
            organisation_id,
            [(mail.prepared, mail.raw_blob) for mail in arriving if mail.organisation_id == organisation_id],
        )
        for organisation_id in sorted({mail.organisation_id for mail in arriving})
    }


def _draft(mail: Arriving, choice: ThreadChoice, blobs: Blobs) -> tuple[Message, list[Model]]:
    is_automatic = mail.prepared.parsed.kind.value == MessageKind.AUTO_REPLY
    return draft(
        mail.prepared,
        organisation_id=mail.organisation_id,
        thread=choice.thread,
        direction=Direction.IN,
        state=FILED,
        received_at=mail.received_at,
        raw_blob=mail.raw_blob,
        filed_because=choice.because,
        envelope_sender=mail.envelope_sender,
        machine_turns=turn_after(choice.answers, mail.received_at, by_machine=is_automatic),
        authentication=mail.authentication,
        blobs=blobs,
    )


@transaction.atomic(savepoint=False)
def file_quietly(
    prepared: PreparedMessage,
    *,
    choice: ThreadChoice,
    places: Sequence[QuietPlace],
    received_at: datetime,
    raw_blob: Blob | None = None,
    authentication: dict[str, Any] | None = None,
) -> Message:
    """File a received message that asks nobody for anything, such as a report on a mail of ours: it is there and can be
    read, it counts as read, and no ticket is opened or taken up by it.
    """
    organisation_id = choice.thread.organisation_id
    message = store(
        prepared,
        organisation_id=organisation_id,
        thread=choice.thread,
        direction=Direction.IN,
        state=FILED,
        received_at=received_at,
        raw_blob=raw_blob,
        filed_because=choice.because,
        authentication=authentication,
    )
    publish(organisation_id, "message.received", message_id=message.pk, message_kind=message.kind)
    for place in sorted(places, key=lambda one: one.mailbox_id):
        add_entry(
            message,
            place.mailbox_id,
            side=Side.RECIPIENT,
            folder=place.folder,
            is_read=True,
            sorted_at=place.sorted_at,
        )
    return message


def file_beneath(
    about: Message,
    prepared: PreparedMessage,
    *,
    received_at: datetime,
    raw_blob: Blob,
    authentication: dict[str, Any] | None = None,
) -> Message:
    """File a report with the mail of ours that it is about, in the mailbox that sent it."""
    because = (
        Filed(FiledRule.REPORTS_ON, {"subject": about.subject})
        if about.subject
        else Filed(FiledRule.REPORTS_ON_UNNAMED)
    )
    senders_copies = MailboxEntry.objects.filter(message=about, side=Side.SENDER)
    return file_quietly(
        prepared,
        # Locked: whoever moves that mail to another ticket takes its reports along.
        choice=ThreadChoice(locked_thread_of(about), because),
        # Just beneath the mail it is about, so that lists go on showing that one.
        places=[
            QuietPlace(entry.mailbox_id, Folder(entry.folder), entry.sorted_at - _BENEATH)
            for entry in senders_copies
        ],
        received_at=received_at,
        raw_blob=raw_blob,
        authentication=authentication,
    )


def deliver_locally(
    message: Message, mailboxes: Sequence[Mailbox], now: datetime, *, begins: bool = False
) -> None:
    """Lay a stored message into our own Inboxes, in the caller's transaction. Doing it again adds nothing.

    `begins`: the caller has made the conversation for this message in this transaction, so it has no past to look for.
    """
    laying = Laying([Arrived(message, mailboxes, now, begins)])
    [rows] = laying.rows
    entries = [row for row in rows if isinstance(row, MailboxEntry)]
    MailboxEntry.objects.bulk_create(entries, ignore_conflicts=True)
    laying.write([row for row in rows if not isinstance(row, MailboxEntry)])
