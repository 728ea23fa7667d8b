"""What people do to many conversations of a mailbox at once, and how all of it is taken back.

    do_to_many   one transaction: the rows are locked in one order, what each had before is kept in a BulkChange, and
                 they are changed by a few statements, however many conversations there are
    undo         one transaction: what is still as the change left it becomes what it was. What somebody has changed
                 since stays as that person wanted it

`BulkChange.before` keeps, by the kind of row, ids under what they had: {"folders": {"inbox": [entry…]},
"read": [entry…], "labelled": [thread…], "tickets": [[ticket, state, solved at, assignee]…]}: what changed.

Bounds: `MAX_CONVERSATIONS` in one go; a change can be taken back for `KEPT_FOR`.

Limits: an undone snooze is not snoozed until an earlier moment again, if it was; it comes back to where it was and to
the time it was given last.
"""

import uuid
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from apps.accounts.principal import Principal
from apps.events.models import Event
from apps.events.notices import announce
from apps.events.services import event
from apps.mailboxes.errors import NotVisible
from apps.mailboxes.labels import label_for, put_label, take_label
from apps.mailboxes.models import Folder, Label, Mailbox, MailboxEntry, Side
from apps.mailboxes.selectors import mailbox_for
from apps.mailboxes.services import FILED_BY_PEOPLE
from apps.mailboxes.snoozing import remember_moments, still_snoozed
from apps.tickets.errors import TicketInvalid
from apps.tickets.models import BulkChange, Deed, Opinion, Ticket, TicketState
from apps.tickets.spam import note_opinion_of_threads

MAX_CONVERSATIONS = 5_000
KEPT_FOR = timedelta(days=1)
LONGEST_SNOOZE = timedelta(days=366 * 2)
_FOLDERS = {
    Deed.ARCHIVE: Folder.ARCHIVE,
    Deed.INBOX: Folder.INBOX,
    Deed.TRASH: Folder.TRASH,
    Deed.SPAM: Folder.SPAM,
    Deed.NOT_SPAM: Folder.INBOX,
    Deed.SNOOZE: Folder.SNOOZED,
}

Before = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be done. `value`: the label's id, the assignee's (None: nobody), or the moment a snooze ends."""

    deed: Deed
    label_id: str = ""
    assignee_id: uuid.UUID | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Job:
    """A wish, for whom it is done, and on what."""

    principal: Principal
    mailbox: Mailbox
    thread_ids: Collection[uuid.UUID]
    wish: Wish
    now: datetime

    def entries(self) -> Any:
        """Locked in one order, so that two who do something at once wait for each other and never crosswise."""
        rows = MailboxEntry.objects.filter(mailbox=self.mailbox, thread__in=self.thread_ids)
        return rows.select_for_update(no_key=True).order_by("id")


@transaction.atomic
def do_to_many(
    principal: Principal, mailbox: Mailbox, thread_ids: Collection[uuid.UUID], wish: Wish, *, now: datetime
) -> BulkChange:
    """Do something to conversations of a mailbox the caller was given by `mailbox_for`. Threads it has nothing of are
    passed by. Raises TicketInvalid naming what is wrong with the wish, or NotVisible for its label.
    """
    if len(thread_ids) > MAX_CONVERSATIONS:
        raise TicketInvalid("thread", _("That is too much at once: 5,000 conversations at most."))
    there = _still_there(mailbox, thread_ids)
    before = _DEEDS[wish.deed](_Job(principal, mailbox, there, wish, now))
    announce([mailbox.pk])
    return BulkChange.objects.create(
        organisation_id=mailbox.organisation_id,
        mailbox=mailbox,
        user=principal.user,
        deed=wish.deed,
        before=before | {"conversations": len(there), "label": wish.label_id},
        made_at=now,
    )


def _still_there(mailbox: Mailbox, thread_ids: Collection[Any]) -> set[uuid.UUID]:
    """Those of the conversations that the mailbox has anything of."""
    here = MailboxEntry.objects.filter(mailbox=mailbox, thread__in=thread_ids).order_by()
    return set(here.values_list("thread_id", flat=True).distinct())


def _move(job: _Job) -> Before:
    folder = _FOLDERS[job.wish.deed]
    before: defaultdict[str, list[str]] = defaultdict(list)
    threads: set[uuid.UUID] = set()
    rows = job.entries().filter(folder__in=FILED_BY_PEOPLE).exclude(folder=folder)
    for entry_id, was, thread_id in rows.values_list("pk", "folder", "thread_id"):
        before[was].append(str(entry_id))
        threads.add(thread_id)
    MailboxEntry.objects.filter(pk__in=[one for ids in before.values() for one in ids]).update(folder=folder)
    _publish_moves(job, threads, folder)
    return {"folders": dict(before), "to": folder.value}


def _publish_moves(job: _Job, thread_ids: Iterable[uuid.UUID], folder: Folder) -> None:
    Event.objects.bulk_create(
        event(
            job.mailbox.organisation_id,
            "conversation.moved",
            actor=job.principal.actor,
            mailbox=str(job.mailbox.pk),
            thread=str(thread_id),
            folder=folder,
        )
        for thread_id in sorted(thread_ids)
    )


def _snooze(job: _Job) -> Before:
    until = job.wish.until
    if until is None or until <= job.now or until > job.now + LONGEST_SNOOZE:
        raise TicketInvalid("until", _("Choose a time that is still to come, within two years."))
    remember_moments(job.principal, job.mailbox, job.thread_ids, until)
    return _move(job)


def _spam(job: _Job) -> Before:
    opinion = Opinion.SPAM if job.wish.deed == Deed.SPAM else Opinion.HAM
    note_opinion_of_threads(job.principal, job.mailbox, job.thread_ids, opinion, now=job.now)
    return _move(job)


def _out_of_spam(job: _Job) -> Before:
    """A mark as spam is taken back when it is moved out of there, other than to the Trash."""
    in_spam = MailboxEntry.objects.filter(
        mailbox=job.mailbox, thread__in=job.thread_ids, folder=Folder.SPAM
    ).order_by()
    marked = set(in_spam.values_list("thread_id", flat=True).distinct())
    note_opinion_of_threads(job.principal, job.mailbox, marked, Opinion.NONE, now=job.now)
    return _move(job)


def _read(job: _Job) -> Before:
    ids = list(job.entries().filter(is_read=False).values_list("pk", flat=True))
    MailboxEntry.objects.filter(pk__in=ids).update(is_read=True)
    return {"read": [str(one) for one in ids]}


def _unread(job: _Job) -> Before:
    ids = _newest(job.entries().filter(side=Side.RECIPIENT), lambda entry: not entry.is_read)
    MailboxEntry.objects.filter(pk__in=ids).update(is_read=False)
    return {"unread": ids}


def _star(job: _Job) -> Before:
    ids = _newest(job.entries(), lambda entry: entry.is_starred)
    MailboxEntry.objects.filter(pk__in=ids).update(is_starred=True)
    return {"starred": ids}


def _newest(entries: Iterable[MailboxEntry], is_so: Callable[[MailboxEntry], bool]) -> list[str]:
    """The newest entry of each conversation, where it is not so already."""
    newest: dict[uuid.UUID, MailboxEntry] = {}
    for entry in entries:
        known = newest.get(entry.thread_id)
        if known is None or (entry.sorted_at, entry.pk) > (known.sorted_at, known.pk):
            newest[entry.thread_id] = entry
    return [str(entry.pk) for entry in newest.values() if not is_so(entry)]


def _unstar(job: _Job) -> Before:
    ids = list(job.entries().filter(is_starred=True).values_list("pk", flat=True))
    MailboxEntry.objects.filter(pk__in=ids).update(is_starred=False)
    return {"unstarred": [str(one) for one in ids]}


def _label(job: _Job) -> Before:
    label = label_for(job.principal, job.wish.label_id)
    return {"labelled": [str(one) for one in put_label(job.mailbox, job.thread_ids, label)]}


def _unlabel(job: _Job) -> Before:
    label = label_for(job.principal, job.wish.label_id)
    return {"unlabelled": [str(one) for one in take_label(job.mailbox, job.thread_ids, label)]}


def _change_tickets(job: _Job) -> Before:
    tickets = Ticket.objects.select_for_update(no_key=True).filter(
        mailbox=job.mailbox, thread__in=job.thread_ids, merged_into=None
    )
    changes, field = _ticket_changes(job)
    changed = [one for one in tickets.order_by("id") if getattr(one, field) != changes[field]]
    Ticket.objects.filter(pk__in=[one.pk for one in changed]).update(**changes)
    _publish_tickets(job.principal, changed, field.removesuffix("_id"))
    return {
        "field": field,
        "tickets": [
            [
                str(one.pk),
                one.state,
                one.solved_at.isoformat() if one.solved_at else None,
                str(one.assignee_id) if one.assignee_id else None,
            ]
            for one in changed
        ],
        "became": changes["state"] if field == "state" else str(changes[field] or ""),
    }


def _ticket_changes(job: _Job) -> tuple[dict[str, Any], str]:
    """What tickets become, and the field that says whether they are that already."""
    if job.wish.deed == Deed.SOLVE:
        return {"state": TicketState.SOLVED.value, "solved_at": job.now}, "state"
    if job.wish.deed == Deed.REOPEN:
        return {"state": TicketState.OPEN.value, "solved_at": None}, "state"
    assignee = job.wish.assignee_id
    if assignee and not job.mailbox.members.filter(pk=assignee, is_active=True).exists():
        raise TicketInvalid("assignee", _("Nobody with this id sees the ticket's mailbox."))
    return {"assignee_id": assignee}, "assignee_id"


def _publish_tickets(principal: Principal, tickets: Iterable[Ticket], field: str) -> None:
    Event.objects.bulk_create(
        event(
            ticket.organisation_id, "ticket.changed", ticket_id=ticket.pk, actor=principal.actor, fields=field
        )
        for ticket in tickets
    )


_DEEDS: Mapping[str, Callable[[_Job], Before]] = {
    Deed.ARCHIVE: _out_of_spam,
    Deed.INBOX: _out_of_spam,
    Deed.TRASH: _move,
    Deed.SPAM: _spam,
    Deed.NOT_SPAM: _spam,
    Deed.SNOOZE: _snooze,
    Deed.READ: _read,
    Deed.UNREAD: _unread,
    Deed.STAR: _star,
    Deed.UNSTAR: _unstar,
    Deed.LABEL: _label,
    Deed.UNLABEL: _unlabel,
    Deed.SOLVE: _change_tickets,
    Deed.REOPEN: _change_tickets,
    Deed.ASSIGN: _change_tickets,
}


# taking it back


def change_for(principal: Principal, change_id: uuid.UUID | str) -> BulkChange:
    """A change of the caller's own, in a mailbox the caller may still see. Raises NotVisible."""
    try:
        change = BulkChange.objects.select_related("mailbox").get(
            pk=change_id, organisation=principal.organisation_id, user=principal.user
        )
    except (BulkChange.DoesNotExist, ValidationError, ValueError) as error:
        raise NotVisible(str(change_id)) from error
    mailbox_for(principal, change.mailbox_id)
    return change


@transaction.atomic
def undo(principal: Principal, change: BulkChange, *, now: datetime) -> bool:
    """Take a change back; False where that was done already."""
    if not BulkChange.objects.filter(pk=change.pk, undone_at=None).update(undone_at=now):
        return False
    before = change.before
    # Before the entries, as the clock locks them. Whose time came meanwhile stays where it is: nobody would wake it.
    snoozed = still_snoozed(change.mailbox, before.get("folders", {}).get(Folder.SNOOZED, ()))
    # In the order of their ids, as they were locked when it was done.
    locked = MailboxEntry.objects.select_for_update(no_key=True).filter(mailbox=change.mailbox).order_by("id")
    for folder, ids in before.get("folders", {}).items():
        moved = locked.filter(pk__in=ids, folder=before["to"])
        if folder == Folder.SNOOZED:
            moved = moved.filter(thread__in=snoozed)
        MailboxEntry.objects.filter(pk__in=list(moved.values_list("pk", flat=True))).update(folder=folder)
    for kept, becomes in _FLAGS.items():
        MailboxEntry.objects.filter(mailbox=change.mailbox, pk__in=before.get(kept, ())).update(**becomes)
    _restore_tickets(principal, before)
    _restore_labels(change)
    if change.deed in {Deed.SPAM, Deed.NOT_SPAM}:
        ids = [one for some in before["folders"].values() for one in some]
        threads = MailboxEntry.objects.filter(pk__in=ids).order_by().values_list("thread_id", flat=True)
        note_opinion_of_threads(principal, change.mailbox, set(threads), Opinion.NONE, now=now)
    announce([change.mailbox_id])
    return True


_FLAGS: Mapping[str, Mapping[str, bool]] = {
    "read": {"is_read": False},
    "unread": {"is_read": True},
    "starred": {"is_starred": False},
    "unstarred": {"is_starred": True},
}


def _restore_labels(change: BulkChange) -> None:
    """A label or a conversation that is gone by now is not brought back by this."""
    named = change.before["label"]
    label = Label.objects.filter(pk=named).first() if named else None
    if label is None:
        return
    if labelled := change.before.get("labelled"):
        take_label(change.mailbox, [uuid.UUID(one) for one in labelled], label)
    if unlabelled := change.before.get("unlabelled"):
        put_label(change.mailbox, _still_there(change.mailbox, unlabelled), label)


def _restore_tickets(principal: Principal, before: Before) -> None:
    """One by one: each had a state and a time of its own. Those that somebody has changed since stay."""
    if not before.get("tickets"):
        return
    was = {uuid.UUID(pk): rest for pk, *rest in before["tickets"]}
    restored = []
    for ticket in Ticket.objects.select_for_update(no_key=True).filter(pk__in=was).order_by("id"):
        if str(getattr(ticket, before["field"]) or "") != before["became"]:
            continue
        state, solved_at, assignee = was[ticket.pk]
        if before["field"] == "state":
            ticket.state = state
            ticket.solved_at = datetime.fromisoformat(solved_at) if solved_at else None
        else:
            ticket.assignee_id = uuid.UUID(assignee) if assignee else None
        restored.append(ticket)
    Ticket.objects.bulk_update(restored, ["state", "solved_at", "assignee"], batch_size=500)
    _publish_tickets(principal, restored, before["field"].removesuffix("_id"))


def forget_old_changes(now: datetime) -> int:
    """Housekeeping: what can no longer be taken back; how many rows."""
    return BulkChange.objects.filter(made_at__lt=now - KEPT_FOR).delete()[0]
