"""Conversations that are out of sight until their time comes.

Snoozing moves what was received of a conversation to the Snoozed folder, and a `Snooze` row keeps until when. It comes
back in one of two ways:

    its time     `wake_due`, asked by a clock: to the top of the Inbox, its newest message unread
    an answer    `tickets.intake` brings it back with the new message; so does whoever moves it out of the folder

The folder decides and the row only tells the time: a row whose conversation lies elsewhere by then wakes nothing. So
whatever moves mail about need not know of snoozing. A crash between two conversations leaves the rest due.

Limits: what was only sent from a mailbox cannot be snoozed there, because nothing of it was received.
"""

import uuid
from collections.abc import Collection
from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet

from apps.accounts.principal import Principal
from apps.events.notices import announce
from apps.events.services import publish
from apps.mailboxes.models import Folder, Mailbox, MailboxEntry, Side, Snooze, Thread

WOKEN_AT_ONCE = 100


def remember_moments(
    principal: Principal, mailbox: Mailbox, thread_ids: Collection[uuid.UUID], until: datetime
) -> None:
    """When conversations come back that the caller moves to the Snoozed folder in this transaction."""
    Snooze.objects.bulk_create(
        [
            Snooze(
                organisation_id=mailbox.organisation_id,
                mailbox=mailbox,
                thread_id=thread_id,
                until=until,
                set_by=principal.user,
            )
            for thread_id in sorted(thread_ids)
        ],
        update_conflicts=True,
        unique_fields=["mailbox", "thread"],
        update_fields=["until", "set_by"],
    )


def moments_of(mailbox: Mailbox, thread_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, datetime]:
    """Until when conversations are snoozed, of those that are."""
    rows = Snooze.objects.filter(mailbox=mailbox, thread__in=thread_ids)
    return dict(rows.values_list("thread_id", "until"))


def snoozed_until(mailbox: Mailbox, thread_id: uuid.UUID) -> datetime | None:
    """The same of one."""
    return moments_of(mailbox, [thread_id]).get(thread_id)


def still_snoozed(mailbox: Mailbox, entry_ids: Collection[str]) -> list[uuid.UUID]:
    """Of the conversations of some entries those that have a moment to come back at; it stays until the caller's
    transaction ends, however due it is."""
    threads = MailboxEntry.objects.filter(pk__in=entry_ids).order_by().values("thread")
    held = Snooze.objects.select_for_update(of=("self",)).filter(mailbox=mailbox, thread__in=threads)
    return list(held.order_by("until", "id").values_list("thread_id", flat=True))


def carry_moments(entries: QuerySet[MailboxEntry], source: Thread, target: Thread) -> None:
    """Messages go from one conversation into another, and some of them are snoozed: what they become part of comes back
    when they would have. One that has a moment of its own keeps that."""
    mailboxes = set(entries.filter(folder=Folder.SNOOZED).values_list("mailbox_id", flat=True))
    if not mailboxes:
        return
    Snooze.objects.bulk_create(
        [
            Snooze(
                organisation_id=one.organisation_id,
                mailbox_id=one.mailbox_id,
                thread=target,
                until=one.until,
                set_by_id=one.set_by_id,
            )
            for one in Snooze.objects.filter(thread=source, mailbox__in=mailboxes).order_by("mailbox")
        ],
        ignore_conflicts=True,
    )


def wake_due(now: datetime, *, limit: int = WOKEN_AT_ONCE) -> int:
    """Bring back what is due, the longest due first; how many conversations."""
    woken = 0
    for _n in range(limit):
        with transaction.atomic():
            due = Snooze.objects.select_for_update(skip_locked=True, of=("self",)).filter(until__lte=now)
            snooze = due.order_by("until", "id").first()
            if snooze is None:
                return woken
            _wake(snooze, now)
            woken += 1
    return woken


def _wake(snooze: Snooze, now: datetime) -> None:
    entries = MailboxEntry.objects.filter(
        mailbox=snooze.mailbox_id, thread=snooze.thread_id, folder=Folder.SNOOZED
    )
    newest = entries.filter(side=Side.RECIPIENT).order_by("-sorted_at", "-id").first()
    if newest is not None:
        entries.update(folder=Folder.INBOX)
        MailboxEntry.objects.filter(pk=newest.pk).update(is_read=False, sorted_at=now)
        publish(
            snooze.organisation_id,
            "conversation.woke",
            mailbox=str(snooze.mailbox_id),
            thread=str(snooze.thread_id),
        )
        announce([snooze.mailbox_id])
    snooze.delete()
