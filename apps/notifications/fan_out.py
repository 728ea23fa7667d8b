"""From the event log to what is pushed: one row for each event and each browser of whom it concerns.

Concerned are: whose own mailbox new mail came to; to whom the ticket is assigned; whom a note calls by name; and, if
they wish it, the members of a shared mailbox while nobody has taken the ticket. Nobody is told of what they did
themselves, nor in their quiet hours: what came then is unread in the morning.

Reads by a cursor of its own; rows and cursor move in one transaction, and doing it again adds nothing.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from apps.accounts.models import User
from apps.events.models import Event
from apps.events.services import Consumer
from apps.mailboxes.models import Folder, MailboxEntry, MailboxKind, Membership, Side
from apps.notifications.models import Because, NotificationWish, Push, PushSubscription
from apps.notifications.queue import PUSH
from apps.tickets.models import Mention, Ticket

CONSUMER = "notifications"
KINDS = ("message.received", "ticket.changed", "ticket.noted")


@dataclass(frozen=True, slots=True)
class Concern:
    """A person whom an event concerns, and where they find it."""

    event: Event
    user: User
    because: Because
    mailbox_id: UUID
    thread_id: UUID
    is_mine: bool


def _queue(events: Sequence[Event]) -> None:
    now = timezone.now()
    found = [one for event in events for one in _concerns(event)]
    # Of several at once in one conversation, one is enough to hear of.
    concerns = {(one.user.pk, one.thread_id, one.because): one for one in found}.values()
    people = {one.user.pk for one in concerns}
    wishes = {one.user_id: one for one in NotificationWish.objects.filter(user__in=people)}
    browsers = list(PushSubscription.objects.filter(user__in=people))
    rows = [
        Push(
            organisation_id=one.event.organisation_id,
            subscription=browser,
            event_id=one.event.pk,
            because=one.because,
            mailbox_id=one.mailbox_id,
            thread_id=one.thread_id,
            due_at=now,
            created_at=now,
        )
        for one in concerns
        if _is_wanted(wishes.get(one.user.pk, NotificationWish()), one, now)
        for browser in browsers
        if browser.user_id == one.user.pk
    ]
    if rows:
        Push.objects.bulk_create(rows, ignore_conflicts=True)
        transaction.on_commit(PUSH.send)


def _is_wanted(wish: NotificationWish, concern: Concern, now: datetime) -> bool:
    return (wish.about_mine if concern.is_mine else wish.about_team) and not wish.is_quiet(now)


def _concerns(event: Event) -> Iterator[Concern]:
    if event.kind == "ticket.changed":
        if "assignee_id" in str(event.data.get("fields", "")):
            yield from _of_assignment(event)
        return
    if event.kind == "ticket.noted":
        yield from _of_mention(event)
        return
    entries = MailboxEntry.objects.filter(
        organisation_id=event.organisation_id,
        message=event.message_id,
        side=Side.RECIPIENT,
        folder=Folder.INBOX,
        is_read=False,
    )
    for entry in entries.select_related("mailbox", "message"):
        yield from _of_mail(event, entry)


def _of_mail(event: Event, entry: MailboxEntry) -> Iterator[Concern]:
    ticket = Ticket.objects.filter(mailbox=entry.mailbox_id, thread=entry.thread_id).first()
    is_personal = entry.mailbox.kind == MailboxKind.PERSONAL
    for user in _members(entry.mailbox_id):
        is_mine = is_personal or (ticket is not None and ticket.assignee_id == user.pk)
        is_free = ticket is None or ticket.assignee_id is None
        if user.pk != entry.message.author_id and (is_mine or is_free):
            yield Concern(event, user, Because.MAIL, entry.mailbox_id, entry.thread_id, is_mine)


def _of_assignment(event: Event) -> Iterator[Concern]:
    tickets = Ticket.objects.filter(organisation_id=event.organisation_id)
    ticket = tickets.filter(pk=event.ticket_id).first() if event.ticket_id else None
    if ticket is None or event.actor == f"user:{ticket.assignee_id}":
        return
    for user in _members(ticket.mailbox_id):
        if user.pk == ticket.assignee_id:
            yield Concern(event, user, Because.ASSIGNED, ticket.mailbox_id, ticket.thread_id, is_mine=True)


def _of_mention(event: Event) -> Iterator[Concern]:
    called = Mention.objects.filter(organisation_id=event.organisation_id, note=event.data.get("note"))
    for one in called.select_related("ticket", "user"):
        if event.actor != f"user:{one.user_id}":
            place = one.ticket.mailbox_id, one.ticket.thread_id
            yield Concern(event, one.user, Because.MENTIONED, *place, is_mine=True)


def _members(mailbox_id: UUID) -> Iterable[User]:
    members = Membership.objects.filter(mailbox=mailbox_id, user__is_active=True).select_related("user")
    return [one.user for one in members]


_LISTENING = PushSubscription.objects.values("organisation")
fan_out = Consumer(CONSUMER, _queue, only=Q(kind__in=KINDS, organisation__in=_LISTENING))
