"""A person puts mail into the right ticket: one message into another, one into a ticket of its own, or a whole ticket.

    lock      both conversations, then both tickets; mail that is being filed waits, or is waited for
    check     that what is to be moved is still there
    move      messages with their entries (`mailboxes.moving`), notes when all goes; the tickets' states
    record    a `TicketMove`, which both tickets show and which `undo_move` takes back; an event for each ticket

One transaction. Two people who move one message at once: the second is told that it is elsewhere (MoveNotPossible).
Later answers follow: what they quote is looked up where it lies now. A ticket whose last message goes has nothing left
to answer, so that is a merge: it is solved and points to the other, and the other is opened again when somebody waits.

A mail to two shared mailboxes is one conversation and a ticket in each. What is moved in one moves in the other too:
the ticket there goes along when nothing of it is left behind, and otherwise the message gets one of its own.

Limits: both tickets are of one mailbox, and who wishes otherwise is told why (docs/decisions/0026). An undone split
leaves its number behind, merged into where it came from.
"""

import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from apps.accounts.principal import Principal
from apps.events.notices import announce
from apps.events.services import publish
from apps.mailboxes.conversations import REPORTS
from apps.mailboxes.filing import Filed, FiledRule
from apps.mailboxes.models import Mailbox, MailboxKind, Message, Side, Thread
from apps.mailboxes.moving import lock_threads, messages_in, move_messages
from apps.tickets.errors import MoveNotPossible, TicketInvalid
from apps.tickets.laying import open_ticket
from apps.tickets.models import MoveKind, Note, Ticket, TicketMove, TicketState
from apps.tickets.services import name_of


@transaction.atomic
def merge_tickets(principal: Principal, ticket: Ticket, into: Ticket, *, now: datetime) -> TicketMove:
    """Put everything of a ticket into another. Raises TicketInvalid naming `into`, and MoveNotPossible."""
    source, target, threads = _locked(ticket, into)
    message_ids = messages_in(threads[source.thread_id])
    if not message_ids:
        raise MoveNotPossible(_("There is nothing in this ticket any more."))
    return _Moving(principal, source, target, threads, now).carry(message_ids)


@transaction.atomic
def move_message(
    principal: Principal, ticket: Ticket, message_id: uuid.UUID, into: Ticket, *, now: datetime
) -> TicketMove:
    """Put one message into another ticket. Raises TicketInvalid naming `into`, and MoveNotPossible."""
    source, target, threads = _locked(ticket, into)
    _require_in(source, message_id)
    return _Moving(principal, source, target, threads, now).carry([message_id])


@transaction.atomic
def split_message(
    principal: Principal, ticket: Ticket, message_id: uuid.UUID, *, now: datetime
) -> TicketMove:
    """Put one message into a ticket of its own: `target`. Raises MoveNotPossible, also for a ticket's only message."""
    threads = dict(lock_threads([ticket.thread_id]))
    source = _ticket(ticket.pk)
    message = _require_in(source, message_id)
    if not _left_behind(source, [message_id]):
        raise MoveNotPossible(_("It is the ticket’s only message: it has a ticket of its own."))
    thread = Thread.objects.create(organisation_id=source.organisation_id, subject=message.subject)
    threads[thread.pk] = thread
    target = open_ticket(message, source.mailbox, now, thread=thread, split_from=source)
    return _Moving(principal, source, target, threads, now).carry([message_id], kind=MoveKind.SPLIT)


@transaction.atomic
def undo_move(principal: Principal, move: TicketMove, *, now: datetime) -> TicketMove:
    """Put back what a move took; of a split, the whole new ticket. Raises MoveNotPossible when that is elsewhere."""
    threads = lock_threads([move.source.thread_id, move.target.thread_id])
    move = TicketMove.objects.select_for_update().get(pk=move.pk)
    source, target = _ticket(move.source_id), _ticket(move.target_id)
    if move.undone_at is not None:
        raise MoveNotPossible(_("This was taken back already."))
    if source.merged_into is not None and (move.kind != MoveKind.MERGED or source.merged_into != target):
        # What came back to a merged ticket would be shown nowhere.
        raise MoveNotPossible(_("#%(number)s was merged since.") % {"number": source.number})
    _require_locked(threads, source, target)
    going = messages_in(threads[target.thread_id]) if move.kind == MoveKind.SPLIT else move.message_ids
    moved = move_messages(going, threads[target.thread_id], threads[source.thread_id], None)
    if not moved:
        raise MoveNotPossible(_("It was moved on since. Move it from where it is now."))
    Note.objects.filter(pk__in=move.note_ids, ticket=target).update(ticket=source)
    _restore(move, source, target, now)
    _follow_elsewhere(moved, threads[target.thread_id], threads[source.thread_id], source.mailbox, now)
    move.undone_at, move.undone_by_name = now, name_of(principal)
    move.save(update_fields=["undone_at", "undone_by_name"])
    _tell(principal, move, "ticket.move_undone")
    return move


class _Moving:
    """One move from one ticket to another, both locked."""

    def __init__(
        self,
        principal: Principal,
        source: Ticket,
        target: Ticket,
        threads: dict[uuid.UUID, Thread],
        now: datetime,
    ) -> None:
        self.principal, self.source, self.target, self.now = principal, source, target, now
        self.source_thread, self.target_thread = threads[source.thread_id], threads[target.thread_id]

    def carry(self, message_ids: Sequence[uuid.UUID], kind: MoveKind = MoveKind.MOVED) -> TicketMove:
        """Move them. What stays behind when only reports do, goes too: it tells of the mails that went."""
        is_merge = kind != MoveKind.SPLIT and not _left_behind(self.source, message_ids)
        going = messages_in(self.source_thread) if is_merge else message_ids
        by = name_of(self.principal)
        because = Filed(FiledRule.MOVED, {"by": by, "from": self.source.number})
        moved = move_messages(going, self.source_thread, self.target_thread, because)
        move = TicketMove(
            organisation_id=self.source.organisation_id,
            kind=MoveKind.MERGED if is_merge else kind,
            source=self.source,
            target=self.target,
            message_ids=moved,
            note_ids=self._take_notes() if is_merge else [],
            source_state=self.source.state,
            source_solved_at=self.source.solved_at,
            target_solved_at=self._take_up(moved),
            mover=self.principal.user,
            mover_name=by,
            moved_at=self.now,
        )
        move.save()
        if is_merge:
            Ticket.objects.filter(pk=self.source.pk).update(
                merged_into=self.target, state=TicketState.SOLVED, solved_at=self.source.solved_at or self.now
            )
        _follow_elsewhere(moved, self.source_thread, self.target_thread, self.source.mailbox, self.now)
        _tell(self.principal, move, f"ticket.{'split_off' if kind == MoveKind.SPLIT else move.kind}")
        return move

    def _take_notes(self) -> list[uuid.UUID]:
        notes = list(Note.objects.filter(ticket=self.source).values_list("pk", flat=True))
        Note.objects.filter(pk__in=notes).update(ticket=self.target)
        return notes

    def _take_up(self, moved: Collection[uuid.UUID]) -> datetime | None:
        """A solved ticket is open again when somebody's mail comes into it unsolved; since when it was solved, then."""
        changes: dict[str, Any] = {"last_activity_at": self.now}
        waits = (
            self.target.state == TicketState.SOLVED
            and self.source.state != TicketState.SOLVED
            and _came_into(self.target.mailbox, moved).exists()
        )
        if waits:
            changes |= {"state": TicketState.OPEN, "solved_at": None}
        Ticket.objects.filter(pk=self.target.pk).update(**changes)
        return self.target.solved_at if waits else None


def _restore(move: TicketMove, source: Ticket, target: Ticket, now: datetime) -> None:
    """The tickets' states as they were; one that somebody has changed since stays as it is."""
    if move.kind == MoveKind.MERGED:
        Ticket.objects.filter(pk=source.pk, merged_into=target).update(
            merged_into=None,
            state=move.source_state,
            solved_at=move.source_solved_at,
            last_activity_at=now,
        )
    if move.kind == MoveKind.SPLIT:
        Note.objects.filter(ticket=target).update(ticket=source)
        Ticket.objects.filter(pk=target.pk).update(
            merged_into=source, state=TicketState.SOLVED, solved_at=target.solved_at or now
        )
    elif move.target_solved_at is not None:
        Ticket.objects.filter(pk=target.pk, state=TicketState.OPEN).update(
            state=TicketState.SOLVED, solved_at=move.target_solved_at
        )


def _follow_elsewhere(
    moved: Collection[uuid.UUID], source: Thread, target: Thread, mailbox: Mailbox, now: datetime
) -> None:
    """No mail in another shared mailbox is left without a ticket by what was done in this one."""
    # A report lies in the mailbox that the mail it is about was sent from, and asks nobody for anything.
    said = Message.objects.filter(pk__in=moved).exclude(kind__in=REPORTS)
    others = Mailbox.objects.filter(
        kind=MailboxKind.SHARED, entries__message__in=said, entries__side=Side.RECIPIENT
    )
    for other in others.exclude(pk=mailbox.pk).order_by("pk").distinct():
        left = Ticket.objects.filter(mailbox=other, thread=source).first()
        there = Ticket.objects.filter(mailbox=other, thread=target).first()
        still_there = Message.objects.filter(thread=source, entries__mailbox=other).exclude(kind__in=REPORTS)
        is_empty = left is not None and not still_there.exists()
        if there is None and left is not None and is_empty:
            Ticket.objects.filter(pk=left.pk).update(thread=target)
        elif there is None:
            first = _came_into(other, moved).order_by("received_at", "id")[0]
            open_ticket(first, other, now, thread=target)
        else:
            Ticket.objects.filter(pk=there.pk, merged_into__isnull=False).update(
                merged_into=None, state=TicketState.OPEN, solved_at=None
            )
            if is_empty:
                Ticket.objects.filter(mailbox=other, thread=source).update(
                    merged_into=there, state=TicketState.SOLVED, solved_at=now
                )


def _locked(ticket: Ticket, into: Ticket) -> tuple[Ticket, Ticket, dict[uuid.UUID, Thread]]:
    """Both tickets as they are under the lock. Raises TicketInvalid where one cannot go into the other."""
    threads = dict(lock_threads([ticket.thread_id, into.thread_id]))
    source, target = sorted(
        (_ticket(pk) for pk in sorted((ticket.pk, into.pk))), key=lambda one: one.pk != ticket.pk
    )
    _require_locked(threads, source, target)
    if source.pk == target.pk or source.thread_id == target.thread_id:
        raise TicketInvalid("into", _("It is in this ticket already."))
    if source.mailbox_id != target.mailbox_id:
        told = _(
            "#%(number)s is a ticket of another mailbox, %(mailbox)s. Mail stays in the mailbox that it was written to:"
            " its sender will write there again. To hand it over, forward it to the other mailbox."
        )
        raise TicketInvalid("into", told % {"number": target.number, "mailbox": target.mailbox.name})
    if target.merged_into is not None:
        raise TicketInvalid(
            "into", _("It was merged into #%(number)s itself.") % {"number": target.merged_into.number}
        )
    return source, target, threads


def _require_locked(threads: Mapping[uuid.UUID, Thread], *tickets: Ticket) -> None:
    if any(ticket.thread_id not in threads for ticket in tickets):
        # Between the caller's look at them and the lock, a move in another mailbox took one of them along.
        raise MoveNotPossible(_("Somebody else moved it at the same time. Please try again."))


def _ticket(ticket_id: uuid.UUID) -> Ticket:
    tickets = Ticket.objects.select_related("mailbox", "thread", "merged_into")
    return tickets.select_for_update(of=("self",)).get(pk=ticket_id)


def _require_in(ticket: Ticket, message_id: uuid.UUID) -> Message:
    lies_there = Message.objects.filter(
        pk=message_id, thread=ticket.thread_id, entries__mailbox=ticket.mailbox_id
    )
    message = lies_there.first()
    if message is None:
        raise MoveNotPossible(_("The message is not in this ticket any more."))
    return message


def _came_into(mailbox: Mailbox, message_ids: Collection[uuid.UUID]) -> QuerySet[Message]:
    """Those that somebody wrote to the mailbox. Who of the organisation wrote waits for an answer like any other."""
    said = Message.objects.filter(pk__in=message_ids).exclude(kind__in=REPORTS)
    return said.filter(entries__mailbox=mailbox, entries__side=Side.RECIPIENT)


def _left_behind(ticket: Ticket, going: Collection[uuid.UUID]) -> bool:
    """Whether anything that somebody wrote stays in the ticket. What lies in other mailboxes only is none of it."""
    of_ticket = Message.objects.filter(thread=ticket.thread_id, entries__mailbox=ticket.mailbox_id)
    return of_ticket.exclude(pk__in=going).exclude(kind__in=REPORTS).exists()


def _tell(principal: Principal, move: TicketMove, kind: str) -> None:
    for ticket_id in (move.target_id, move.source_id):
        publish(
            move.organisation_id,
            kind,
            ticket_id=ticket_id,
            message_id=move.message_ids[0] if len(move.message_ids) == 1 else None,
            actor=principal.actor,
            move=str(move.pk),
            source=str(move.source_id),
            target=str(move.target_id),
            messages=len(move.message_ids),
        )
    announce([move.source.mailbox_id], "tickets")
    announce([move.source.mailbox_id])
