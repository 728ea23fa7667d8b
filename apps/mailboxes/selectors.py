"""Who may see which mailbox, message and byte. Every read of every edge goes through here.

A message is visible to whoever may see a mailbox it lies in. What only the sender's side may know (Bcc, deliveries) is
asked with `is_on_senders_side`.
"""

import uuid
from collections.abc import Iterable

from django.core.exceptions import ValidationError
from django.db.models import Exists, OuterRef, QuerySet

from apps.accounts.principal import Principal
from apps.blobs import selectors as blobs
from apps.mailboxes.errors import NotVisible
from apps.mailboxes.models import Mailbox, MailboxEntry, Membership, Message, Side


def visible_mailboxes(principal: Principal) -> QuerySet[Mailbox]:
    """A person's own and shared mailboxes; every one of the organisation for its admin key; one for an app password."""
    mailboxes = Mailbox.objects.filter(organisation_id=principal.organisation_id)
    if principal.only_mailbox_id is not None:
        mailboxes = mailboxes.filter(pk=principal.only_mailbox_id)
    if principal.sees_everything or principal.is_of_a_mailbox:
        return mailboxes.order_by("kind", "address")
    membership = Membership.objects.filter(mailbox=OuterRef("pk"), user=principal.user)
    return mailboxes.filter(Exists(membership)).order_by("kind", "address")


def may_see(principal: Principal, mailbox: Mailbox) -> bool:
    """Whether a mailbox is one of `visible_mailboxes`."""
    if principal.sees_everything:
        return mailbox.organisation_id == principal.organisation_id
    return visible_mailboxes(principal).filter(pk=mailbox.pk).exists()


def mailbox_for(principal: Principal, mailbox_id: uuid.UUID | str) -> Mailbox:
    """One mailbox the caller may see. Raises NotVisible."""
    try:
        return visible_mailboxes(principal).get(pk=mailbox_id)
    except (Mailbox.DoesNotExist, ValidationError, ValueError) as error:
        raise NotVisible(str(mailbox_id)) from error


def entries_for(principal: Principal) -> QuerySet[MailboxEntry]:
    """Every entry in the caller's mailboxes."""
    return MailboxEntry.objects.filter(
        organisation_id=principal.organisation_id, mailbox__in=visible_mailboxes(principal).order_by()
    )


def messages_for(principal: Principal) -> QuerySet[Message]:
    """Every message the caller may see, each once, with its blobs and parts at hand."""
    messages = (
        Message.objects.filter(organisation_id=principal.organisation_id)
        .select_related("raw", "text", "html", "author")
        .prefetch_related("parts__blob__thumbnail")
    )
    if principal.sees_everything:
        # Asking every message for a mailbox that sees it would cost more with each message there is.
        return messages
    # Ids rather than a subquery: PostgreSQL then knows how many entries to expect, and walks the better index.
    visible = list(visible_mailboxes(principal).values_list("pk", flat=True))
    return messages.filter(Exists(MailboxEntry.objects.filter(message=OuterRef("pk"), mailbox__in=visible)))


def message_for(principal: Principal, message_id: uuid.UUID | str) -> Message:
    """One message the caller may see. Raises NotVisible."""
    try:
        return messages_for(principal).get(pk=message_id)
    except (Message.DoesNotExist, ValidationError, ValueError) as error:
        raise NotVisible(str(message_id)) from error


def visible_entries(principal: Principal, message: Message) -> list[MailboxEntry]:
    """Where the caller may see this message lie, with each entry's mailbox."""
    return list(entries_for(principal).filter(message=message).select_related("mailbox").order_by("id"))


def entries_by_message(
    principal: Principal, message_ids: list[uuid.UUID]
) -> dict[uuid.UUID, list[MailboxEntry]]:
    """`visible_entries` for a page of messages, in one query."""
    found: dict[uuid.UUID, list[MailboxEntry]] = {message_id: [] for message_id in message_ids}
    for entry in (
        entries_for(principal).filter(message__in=message_ids).select_related("mailbox").order_by("id")
    ):
        found[entry.message_id].append(entry)
    return found


def is_on_senders_side(principal: Principal, message: Message) -> bool:
    """Whether the caller may know of Bcc recipients and deliveries: only who sees the sender's copy may."""
    return entries_for(principal).filter(message=message, side=Side.SENDER).exists()


def text_of(message: Message) -> str:
    """The readable text, quotes and all. Raises ObjectStoreUnavailable or BlobMissing."""
    return blobs.read(message.text).decode() if message.text else message.short_text


def html_of(message: Message) -> str:
    """The sanitised HTML, or "". Raises ObjectStoreUnavailable or BlobMissing."""
    return blobs.read(message.html).decode() if message.html else message.short_html


def bodies_of(messages: Iterable[Message]) -> dict[uuid.UUID, tuple[str, str]]:
    """Text and sanitised HTML of a page of messages, by id. Raises ObjectStoreUnavailable or BlobMissing."""
    messages = list(messages)
    contents = blobs.read_many(
        blob for message in messages for blob in (message.text, message.html) if blob is not None
    )
    return {
        message.pk: (
            contents[message.text_id].decode() if message.text_id else message.short_text,
            contents[message.html_id].decode() if message.html_id else message.short_html,
        )
        for message in messages
    }


def raw_of(message: Message) -> bytes:
    """The very bytes that were received or sent. Raises ObjectStoreUnavailable or BlobMissing."""
    return blobs.read(message.raw)
