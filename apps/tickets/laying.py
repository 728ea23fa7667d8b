"""Laying new messages into our own Inboxes, several at a time: entries, tickets, and the events that tell of them.

    Laying(arrived)   the tickets of conversations that go on are locked, in the order of their ids
    rows              in the order of the messages; each ticket is opened by the first, and taken up by those after it
    write             what was taken up, what comes back from the Archive, then numbers, then the rows

The organisation's counter, which everybody shares, comes last: from there to the commit nobody else gets a number.
All of it is in the caller's transaction.
"""

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Model

from apps.classify.priority import MailFacts, classify
from apps.events.models import Event
from apps.events.notices import announce
from apps.events.services import event
from apps.mailboxes.models import Folder, Mailbox, Message, MessageKind, Side, Thread
from apps.mailboxes.services import entry_of
from apps.organisations.inserting import insert
from apps.organisations.prepared import Question, executed, executed_together
from apps.tickets.models import Ticket, TicketState

_NOBODYS_WORDS = frozenset(
    {MessageKind.AUTO_REPLY, MessageKind.RECEIPT, MessageKind.BOUNCE, MessageKind.COMPLAINT}
)

_TAKE_NUMBERS = """
INSERT INTO tickets_ticketcounter AS counter (organisation_id, last_number) VALUES (%(organisation)s, %(count)s)
ON CONFLICT (organisation_id) DO UPDATE SET last_number = counter.last_number + %(count)s
RETURNING last_number
"""
_STANDING = """
SELECT id, mailbox_id, thread_id, state FROM tickets_ticket
WHERE thread_id = ANY(%(threads)s) AND mailbox_id = ANY(%(mailboxes)s) ORDER BY id FOR UPDATE
"""
_TAKE_UP = """
UPDATE tickets_ticket AS ticket SET
    state = CASE WHEN one.opens THEN 'open' ELSE ticket.state END,
    solved_at = CASE WHEN one.opens THEN NULL ELSE ticket.solved_at END,
    last_activity_at = one.at
FROM unnest(%(ids)s::uuid[], %(opens)s::boolean[], %(times)s::timestamptz[]) AS one (id, opens, at)
WHERE ticket.id = one.id AND ticket.id = ANY(%(ids)s)
"""
# What was archived or snoozed returns to the Inbox with its new message; what was thrown away stays there.
_BRING_BACK = """
UPDATE mailboxes_mailboxentry AS entry SET folder = 'inbox'
FROM unnest(%(threads)s::uuid[], %(mailboxes)s::uuid[]) AS one (thread, mailbox)
WHERE entry.thread_id = one.thread AND entry.mailbox_id = one.mailbox AND entry.thread_id = ANY(%(threads)s)
    AND entry.side = 'recipient' AND entry.folder IN ('archive', 'snoozed')
"""


@dataclass(frozen=True, slots=True)
class Arrived:
    """A new message and where it goes. `begins`: its conversation begins with it, and has no past to look for."""

    message: Message
    mailboxes: Sequence[Mailbox]
    at: datetime
    begins: bool


@dataclass(slots=True)
class _Standing:
    """A ticket as it will be. `row`: it is opened here. `opens`: somebody waits for an answer again."""

    id: uuid.UUID
    state: str
    row: Ticket | None = None
    opens: bool = False
    taken_up_at: datetime | None = None


class Laying:
    """The messages of one transaction on their way into Inboxes. `rows` of each, in the order they came."""

    def __init__(self, arrived: Sequence[Arrived]) -> None:
        begun = {one.message.thread_id for one in arrived if one.begins}
        self._going_on = {
            (mailbox.pk, one.message.thread_id): mailbox
            for one in arrived
            for mailbox in one.mailboxes
            if one.message.thread_id not in begun
        }
        self._tickets = self._standing()
        self._changed: set[uuid.UUID] = set()
        self._with_tickets: set[uuid.UUID] = set()
        self.rows = [self._rows_of(one) for one in arrived]

    def write(self, rows: Collection[Model], *also: Question) -> list[list[tuple[Any, ...]]]:
        """Write them, with their tickets numbered, and what was taken up. Tells the mailboxes after the commit. What is
        `also` asked goes along; its answers."""
        answers = write_numbered(rows, *also, *self._taken_up())
        announce(self._changed)
        announce(self._with_tickets, "tickets")
        return answers[: len(also)]

    def _standing(self) -> dict[tuple[uuid.UUID, uuid.UUID], _Standing]:
        asked = [key for key, mailbox in self._going_on.items() if mailbox.opens_tickets]
        if not asked:
            return {}
        mailboxes, threads = (list(set(one)) for one in zip(*asked, strict=True))
        with executed(_STANDING, {"mailboxes": mailboxes, "threads": threads}) as cursor:
            return {
                (mailbox_id, thread_id): _Standing(ticket_id, state)
                for ticket_id, mailbox_id, thread_id, state in cursor
            }

    def _rows_of(self, arrived: Arrived) -> list[Model]:
        rows: list[Model] = []
        mailboxes = [mailbox for _id, mailbox in sorted({one.pk: one for one in arrived.mailboxes}.items())]
        for mailbox in mailboxes:
            rows.append(
                entry_of(
                    arrived.message,
                    mailbox.pk,
                    side=Side.RECIPIENT,
                    folder=Folder.INBOX,
                    is_read=False,
                    sorted_at=arrived.at,
                )
            )
            self._changed.add(mailbox.pk)
        for mailbox in mailboxes:
            if mailbox.opens_tickets:
                self._with_tickets.add(mailbox.pk)
                rows += self._ticket_rows(arrived.message, mailbox, arrived.at)
        return rows

    def _ticket_rows(self, message: Message, mailbox: Mailbox, at: datetime) -> Sequence[Model]:
        standing = self._tickets.get((mailbox.pk, message.thread_id))
        if standing is not None:
            return _take_up(standing, message, at)
        ticket, opened = opened_by(message, mailbox, at)
        self._tickets[mailbox.pk, message.thread_id] = _Standing(ticket.pk, ticket.state, row=ticket)
        return [ticket, opened]

    def _taken_up(self) -> Iterator[Question]:
        if not self._going_on:
            return
        mailboxes, threads = (list(one) for one in zip(*self._going_on, strict=True))
        yield _BRING_BACK, {"mailboxes": mailboxes, "threads": threads}
        up = [one for one in self._tickets.values() if one.row is None and one.taken_up_at is not None]
        if up:
            columns = {
                "ids": [one.id for one in up],
                "opens": [one.opens for one in up],
                "times": [one.taken_up_at for one in up],
            }
            yield _TAKE_UP, columns


def _take_up(standing: _Standing, message: Message, at: datetime) -> list[Model]:
    """The event that tells of it. An answering machine waits for no answer: a ticket that was solved stays so."""
    standing.taken_up_at = at
    if standing.row is not None:
        standing.row.last_activity_at = at
    if message.kind in _NOBODYS_WORDS:
        return []
    reopened = standing.state != TicketState.OPEN
    standing.state, standing.opens = TicketState.OPEN, True
    told = event(
        message.organisation_id,
        "ticket.answered_by_customer",
        ticket_id=standing.id,
        message_id=message.pk,
        reopened=reopened,
    )
    return [told]


def write_numbered(rows: Collection[Model], *before: Question) -> list[list[tuple[Any, ...]]]:
    """Write new rows in the caller's transaction, and number the tickets among them. What is asked `before` goes with
    the question for numbers, and ahead of it; its answers."""
    tickets: defaultdict[uuid.UUID, list[Ticket]] = defaultdict(list)
    for row in rows:
        if isinstance(row, Ticket):
            tickets[row.organisation_id].append(row)
    owners = sorted(tickets)
    numbers: list[Question] = [
        (_TAKE_NUMBERS, {"organisation": owner, "count": len(tickets[owner])}) for owner in owners
    ]
    answers = executed_together(*before, *numbers) if before or numbers else []
    for owner, [(last,)] in zip(owners, answers[len(before) :], strict=True):
        for number, ticket in enumerate(tickets[owner], last - len(tickets[owner]) + 1):
            ticket.number = number
    insert(*rows)
    return answers[: len(before)]


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
    ticket, opened = opened_by(message, mailbox, now, thread=thread, split_from=split_from)
    announce([mailbox.pk], "tickets")
    write_numbered([ticket, opened])
    return ticket


def opened_by(
    message: Message,
    mailbox: Mailbox,
    now: datetime,
    *,
    thread: Thread | None = None,
    split_from: Ticket | None = None,
) -> tuple[Ticket, Event]:
    """A new ticket and the event that tells of it, for `write_numbered`."""
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
