"""Changes to mailboxes and to where messages lie in them."""

import uuid
from collections.abc import Collection, Iterable
from datetime import datetime

from django.db import IntegrityError, connection, transaction
from django.utils.translation import gettext as _

from apps.accounts.errors import AdminsOnly
from apps.accounts.models import User
from apps.accounts.principal import Principal
from apps.events.notices import announce
from apps.events.services import publish
from apps.mailboxes.errors import AddressTaken
from apps.mailboxes.models import (
    Folder,
    Mailbox,
    MailboxEntry,
    MailboxKind,
    Membership,
    Message,
    OwnedAddress,
    Side,
)
from apps.mime.address import normalise_address
from apps.organisations.models import Organisation

# Locked first and in one order: two workers that send messages of the same two senders must not wait for each other.
_OUT_OF_OUTBOX = """
WITH waiting AS MATERIALIZED (
    SELECT id FROM mailboxes_mailboxentry
    WHERE message_id = ANY(%(ids)s::uuid[]) AND side = 'sender' AND folder = 'outbox'
    ORDER BY id FOR NO KEY UPDATE
)
UPDATE mailboxes_mailboxentry AS entry SET folder = 'sent' FROM waiting WHERE entry.id = waiting.id
RETURNING entry.mailbox_id
"""


def create_mailbox(
    organisation: Organisation, *, address: str, name: str, kind: MailboxKind, members: Iterable[User]
) -> Mailbox:
    """A mailbox, its address and who may see it. Raises AddressTaken, or InvalidAddress."""
    normal = normalise_address(address)
    try:
        with transaction.atomic():
            mailbox = Mailbox.objects.create(organisation=organisation, address=normal, name=name, kind=kind)
            OwnedAddress.objects.create(organisation=organisation, address=normal, mailbox=mailbox)
            Membership.objects.bulk_create([Membership(mailbox=mailbox, user=user) for user in members])
    except IntegrityError as error:
        raise AddressTaken(normal) from error
    return mailbox


@transaction.atomic
def change_mailbox(principal: Principal, mailbox: Mailbox, *, reply_tokens: bool | None = None) -> Mailbox:
    """Change how a mailbox the caller may see writes. Raises AdminsOnly."""
    if not principal.is_admin:
        raise AdminsOnly(_("Only an admin can change this."))
    if reply_tokens is not None and reply_tokens != mailbox.reply_tokens:
        mailbox.reply_tokens = reply_tokens
        mailbox.save(update_fields=["reply_tokens"])
        publish(
            mailbox.organisation_id,
            "mailbox.changed",
            actor=principal.actor,
            mailbox=str(mailbox.pk),
            reply_tokens=reply_tokens,
        )
    return mailbox


def add_entry(
    message: Message,
    mailbox_id: uuid.UUID,
    *,
    side: Side,
    folder: Folder,
    is_read: bool,
    sorted_at: datetime,
) -> None:
    """Lay a message into a mailbox, in the caller's transaction. Doing it again changes nothing."""
    entry = entry_of(message, mailbox_id, side=side, folder=folder, is_read=is_read, sorted_at=sorted_at)
    MailboxEntry.objects.bulk_create([entry], ignore_conflicts=True)
    announce([mailbox_id])


def entry_of(
    message: Message,
    mailbox_id: uuid.UUID,
    *,
    side: Side,
    folder: Folder,
    is_read: bool,
    sorted_at: datetime,
) -> MailboxEntry:
    """The row that lays a message into a mailbox. Who writes it announces it."""
    return MailboxEntry(
        organisation_id=message.organisation_id,
        mailbox_id=mailbox_id,
        message=message,
        thread_id=message.thread_id,
        side=side,
        folder=folder,
        is_read=is_read,
        sorted_at=sorted_at,
    )


def move_sender_copy(message: Message, folder: Folder) -> None:
    """Move the sender's copy, as from Outbox to Sent when a worker takes the message up."""
    entries = MailboxEntry.objects.filter(message=message, side=Side.SENDER).exclude(folder=folder)
    mailbox_ids = list(entries.values_list("mailbox_id", flat=True))
    if entries.update(folder=folder):
        announce(mailbox_ids)


def take_out_of_outbox(message_ids: Collection[uuid.UUID]) -> None:
    """Outbox → Sent for the senders' copies of messages that go out now; those that are elsewhere stay there."""
    if not message_ids:
        return
    with connection.cursor() as cursor:
        cursor.execute(_OUT_OF_OUTBOX, {"ids": list(message_ids)})
        announce({row[0] for row in cursor.fetchall()})


@transaction.atomic
def mark_conversation_read(
    principal: Principal, mailbox: Mailbox, thread_id: uuid.UUID, *, is_read: bool
) -> int:
    """Mark a conversation's messages in one mailbox; how many changed. Unread marks the newest only."""
    entries = MailboxEntry.objects.filter(mailbox=mailbox, thread_id=thread_id)
    if not is_read:
        newest = entries.filter(side=Side.RECIPIENT).order_by("-sorted_at", "-id").first()
        entries = entries.filter(pk=newest.pk) if newest else entries.none()
    changed = entries.exclude(is_read=is_read).update(is_read=is_read)
    if changed:
        announce([mailbox.pk])
    return changed


@transaction.atomic
def star_conversation(principal: Principal, mailbox: Mailbox, thread_id: uuid.UUID, *, starred: bool) -> int:
    """Star a conversation's newest message, or take every star of it away; how many changed."""
    entries = MailboxEntry.objects.filter(mailbox=mailbox, thread_id=thread_id)
    if starred:
        newest = entries.order_by("-sorted_at", "-id").first()
        entries = entries.filter(pk=newest.pk) if newest else entries.none()
    changed = entries.exclude(is_starred=starred).update(is_starred=starred)
    if changed:
        announce([mailbox.pk])
    return changed


# What waits in the Outbox or was sent is moved by its deliveries, not by a person's filing.
MOVABLE = (Folder.INBOX, Folder.ARCHIVE, Folder.SPAM, Folder.TRASH)
# Where nobody looks until there is news.
OUT_OF_SIGHT = (Folder.ARCHIVE, Folder.SNOOZED)
FILED_BY_PEOPLE = (*MOVABLE, Folder.SNOOZED)


@transaction.atomic
def move_conversation(principal: Principal, mailbox: Mailbox, thread_id: uuid.UUID, folder: Folder) -> int:
    """Move what was received of a conversation to Inbox, Archive, Spam or Trash; how many messages moved."""
    if folder not in MOVABLE:
        msg = f"conversations cannot be moved to {folder}"
        raise ValueError(msg)
    moved = (
        MailboxEntry.objects.filter(mailbox=mailbox, thread_id=thread_id, folder__in=FILED_BY_PEOPLE)
        .exclude(folder=folder)
        .update(folder=folder)
    )
    if moved:
        publish(
            mailbox.organisation_id,
            "conversation.moved",
            actor=principal.actor,
            mailbox=str(mailbox.pk),
            thread=str(thread_id),
            folder=folder,
        )
        announce([mailbox.pk])
    return moved
