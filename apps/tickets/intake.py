"""The one way into a mailbox, for customers' mail from SMTP and for our own mail to ourselves alike.

`file_message` makes a received message's rows: the message and its parts, its conversation, an entry in each mailbox, a
ticket in each shared one, the events. One transaction; after it browsers are told. `deliver_locally` does the same for
a message that `submit_message` has stored already, in the caller's transaction. `file_quietly` is for what no person
wrote and nobody need answer.

The order is chosen for concurrency: the conversation's lock, then blobs by hash, then entries, and last the
organisation's ticket counter, which everybody shares and nobody should hold long.

A crash before the commit leaves nothing; the caller's row is still due and comes again.
"""

import uuid
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any

from django.db import transaction
from django.db.models import Model

from apps.blobs.models import Blob
from apps.classify.priority import MailFacts, classify
from apps.events.models import Event
from apps.events.notices import announce
from apps.events.services import event, publish
from apps.mailboxes.authenticated import is_forged
from apps.mailboxes.loops import turn_after
from apps.mailboxes.models import Direction, Folder, Mailbox, MailboxEntry, Message, MessageKind, Side, Thread
from apps.mailboxes.projection import PreparedMessage, draft, store
from apps.mailboxes.services import add_entry, entry_of
from apps.mailboxes.threads import ThreadChoice, choose_thread
from apps.organisations.inserting import insert
from apps.organisations.prepared import executed, pipelined
from apps.tickets.models import Ticket, TicketState

FILED = "filed"
_NOBODYS_WORDS = frozenset(
    {MessageKind.AUTO_REPLY, MessageKind.RECEIPT, MessageKind.BOUNCE, MessageKind.COMPLAINT}
)

_TAKE_NUMBERS = """
INSERT INTO tickets_ticketcounter AS counter (organisation_id, last_number) VALUES (%(organisation)s, %(count)s)
ON CONFLICT (organisation_id) DO UPDATE SET last_number = counter.last_number + %(count)s
RETURNING last_number
"""
# An answering machine waits for no answer: a ticket that was solved stays so.
_TAKE_UP = """
WITH before AS MATERIALIZED (
    SELECT id, state FROM tickets_ticket WHERE mailbox_id = %(mailbox)s AND thread_id = %(thread)s FOR UPDATE
)
UPDATE tickets_ticket AS ticket SET
    state = CASE WHEN %(opens)s THEN 'open' ELSE ticket.state END,
    solved_at = CASE WHEN %(opens)s THEN NULL ELSE ticket.solved_at END,
    last_activity_at = %(now)s
FROM before WHERE ticket.id = before.id
RETURNING ticket.id, before.state
"""


@dataclass(frozen=True, slots=True)
class QuietPlace:
    """Where a message is laid that asks nobody for anything."""

    mailbox_id: uuid.UUID
    folder: Folder
    sorted_at: datetime


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
    """File a received message into the mailboxes of one organisation. `envelope_sender` is MAIL FROM, "" for `<>`;
    `authentication` what was found out about who sent it.
    """
    message, rows = draft_filing(
        prepared,
        organisation_id=organisation_id,
        mailboxes=mailboxes,
        received_at=received_at,
        raw_blob=raw_blob,
        envelope_sender=envelope_sender,
        authentication=authentication,
    )
    write([rows])
    return message


def draft_filing(
    prepared: PreparedMessage,
    *,
    organisation_id: uuid.UUID,
    mailboxes: Sequence[Mailbox],
    received_at: datetime,
    raw_blob: Blob | None = None,
    envelope_sender: str | None = None,
    authentication: dict[str, Any] | None = None,
) -> tuple[Message, list[Model]]:
    """The same up to the rows, which the caller `write`s in this transaction. Until then no other message finds it."""
    choice = choose_thread(organisation_id, prepared.parsed, is_forged=is_forged(authentication))
    message, rows = draft(
        prepared,
        organisation_id=organisation_id,
        thread=choice.thread,
        direction=Direction.IN,
        state=FILED,
        received_at=received_at,
        raw_blob=raw_blob,
        filed_because=choice.because,
        envelope_sender=envelope_sender,
        machine_turns=turn_after(
            choice.answers, received_at, by_machine=prepared.parsed.kind.value == MessageKind.AUTO_REPLY
        ),
        authentication=authentication,
    )
    rows.append(event(organisation_id, "message.received", message_id=message.pk, message_kind=message.kind))
    return message, [*rows, *laid(message, mailboxes, received_at, begins=choice.begins)]


def write(messages: Sequence[Sequence[Model]]) -> None:
    """Write the rows of one message or of several, in the caller's transaction, and number their new tickets.

    From here to the commit nobody else gets a number, so the numbers come last, and the rows leave without waiting for
    each other's answers.
    """
    tickets: defaultdict[uuid.UUID, list[Ticket]] = defaultdict(list)
    for row in chain.from_iterable(messages):
        if isinstance(row, Ticket):
            tickets[row.organisation_id].append(row)
    for organisation_id in sorted(tickets):
        first = _take_numbers(organisation_id, len(tickets[organisation_id]))
        for number, ticket in enumerate(tickets[organisation_id], first):
            ticket.number = number
    with pipelined():
        for rows in messages:
            insert(*rows)


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


def deliver_locally(
    message: Message, mailboxes: Sequence[Mailbox], now: datetime, *, begins: bool = False
) -> None:
    """Lay a stored message into our own Inboxes, in the caller's transaction. Doing it again adds nothing.

    `begins`: the caller has made the conversation for this message in this transaction, so it has no past to look for.
    """
    rows = laid(message, mailboxes, now, begins=begins)
    entries = [row for row in rows if isinstance(row, MailboxEntry)]
    MailboxEntry.objects.bulk_create(entries, ignore_conflicts=True)
    write([[row for row in rows if not isinstance(row, MailboxEntry)]])


def laid(message: Message, mailboxes: Sequence[Mailbox], now: datetime, *, begins: bool) -> list[Model]:
    """The rows that lay a new message into our own Inboxes, to be written by the caller in this transaction: entries,
    and tickets for conversations that have none, with their events. The other tickets are taken up again.
    """
    rows: list[Model] = []
    unique = sorted({mailbox.pk: mailbox for mailbox in mailboxes}.items())
    for mailbox_id, mailbox in unique:
        rows.append(
            entry_of(
                message, mailbox_id, side=Side.RECIPIENT, folder=Folder.INBOX, is_read=False, sorted_at=now
            )
        )
        if not begins:
            _bring_back(message, mailbox)
    announce(mailbox_id for mailbox_id, _mailbox in unique)
    for _mailbox_id, mailbox in unique:
        if mailbox.opens_tickets:
            continued = None if begins else _continued(message, mailbox, now)
            rows += _opened(message, mailbox, now) if continued is None else continued
    return rows


def _bring_back(message: Message, mailbox: Mailbox) -> None:
    """A conversation that was archived returns to the Inbox with its new message; what was thrown away stays there."""
    message.thread.entries.filter(mailbox=mailbox, side=Side.RECIPIENT, folder=Folder.ARCHIVE).update(
        folder=Folder.INBOX
    )


def _continued(message: Message, mailbox: Mailbox, now: datetime) -> list[Model] | None:
    """Take the conversation's ticket up again; the event that tells of it. None: it has no ticket."""
    is_answer = message.kind not in _NOBODYS_WORDS
    asked = {"mailbox": mailbox.pk, "thread": message.thread_id, "now": now, "opens": is_answer}
    with executed(_TAKE_UP, asked) as cursor:
        row = cursor.fetchone()
    if row is None:
        return None
    announce([mailbox.pk], "tickets")
    if not is_answer:
        return []
    ticket_id, state_before = row
    reopened = state_before != TicketState.OPEN
    return [
        event(
            message.organisation_id,
            "ticket.answered_by_customer",
            ticket_id=ticket_id,
            message_id=message.pk,
            reopened=reopened,
        )
    ]


def open_ticket(
    message: Message,
    mailbox: Mailbox,
    now: datetime,
    *,
    thread: Thread | None = None,
    split_from: Ticket | None = None,
) -> Ticket:
    """A ticket in a shared mailbox, in the caller's transaction. `thread`: where the message is going to be moved, out
    of a ticket it was part of; then nobody wrote just now, and the event says so (`split`).
    """
    ticket, opened = _opened(message, mailbox, now, thread=thread, split_from=split_from)
    write([[ticket, opened]])
    return ticket


def _opened(
    message: Message,
    mailbox: Mailbox,
    now: datetime,
    *,
    thread: Thread | None = None,
    split_from: Ticket | None = None,
) -> tuple[Ticket, Event]:
    """A new ticket and the event that tells of it, for the caller to `write`, which numbers it."""
    priority = classify(MailFacts(message.kind, message.subject, message.handling))
    requester = _requester(message, split_from)
    ticket = Ticket(
        organisation_id=message.organisation_id,
        mailbox=mailbox,
        thread_id=thread.pk if thread is not None else message.thread_id,
        subject=message.subject,
        priority=priority.level.value,
        priority_because=priority.because.value,
        requester_name=requester["name"],
        requester_address=requester["address"],
        opened_at=now,
        last_activity_at=now,
    )
    announce([mailbox.pk], "tickets")
    split: dict[str, Any] = {"split": True} if thread is not None else {}
    opened = event(
        ticket.organisation_id, "ticket.opened", ticket_id=ticket.pk, message_id=message.pk, **split
    )
    return ticket, opened


def _requester(message: Message, split_from: Ticket | None) -> dict[str, str]:
    """Who asks: the writer; of what the mailbox wrote itself, whom the ticket was with that it was split off."""
    if split_from is not None:
        came_in = message.entries.filter(mailbox=split_from.mailbox_id, side=Side.RECIPIENT)
        if not came_in.exists():
            return {"name": split_from.requester_name, "address": split_from.requester_address}
    return {"name": message.sender_name, "address": message.sender_address}


def _take_numbers(organisation_id: uuid.UUID, count: int) -> int:
    """The first of the organisation's next numbers, in one statement: everybody who files a mail takes some."""
    with executed(_TAKE_NUMBERS, {"organisation": organisation_id, "count": count}) as cursor:
        [(last,)] = cursor
    return int(last) - count + 1
