"""Addresses we own, and the mail in them.

A `Message` is stored once per organisation. A `MailboxEntry` says that it lies in a mailbox: in which folder, with
which flags. A `Thread` is a conversation. Message text and HTML are blobs; the row holds what lists need.
"""

import hashlib
import uuid

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import User
from apps.blobs.models import Blob
from apps.mailboxes.filing import Filed
from apps.mailboxes.models.handled import ConversationLabel as ConversationLabel
from apps.mailboxes.models.handled import Label as Label
from apps.mailboxes.models.handled import LabelColour as LabelColour
from apps.mailboxes.models.handled import SavedView as SavedView
from apps.mailboxes.models.handled import Snooze as Snooze
from apps.mime.bounded import TIMED_OUT
from apps.organisations.models import Organisation, TenantRow


class Domain(TenantRow):
    """A mail domain of an organisation, in its lower-case ASCII form.

    Until it is verified it is a claim, which proves nothing: nothing is sent from it, and several organisations may
    claim the same name. Verified, it belongs to one.
    """

    name = models.CharField(max_length=255)
    proof = models.CharField(max_length=64, blank=True, help_text=_("The token its TXT record must show"))
    verified_at = models.DateTimeField(null=True, blank=True)
    catch_all = models.ForeignKey(
        "Mailbox",
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text=_(
            "Takes what is sent to addresses of the domain that nobody has; without it they are refused"
        ),
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organisation", "name"], name="domain_claimed_once"),
            models.UniqueConstraint(
                fields=["name"], condition=models.Q(verified_at__isnull=False), name="domain_verified_once"
            ),
        ]
        indexes = [models.Index(fields=["name"], name="domain_by_name")]

    def __str__(self) -> str:
        return self.name

    @property
    def is_verified(self) -> bool:
        return self.verified_at is not None


class MailboxKind(models.TextChoices):
    PERSONAL = "personal", _("Personal")
    SHARED = "shared", _("Shared")


class Mailbox(TenantRow):
    """Where mail lies. A shared mailbox is answered by a team: what arrives in it becomes a ticket."""

    name = models.CharField(max_length=200)
    address = models.CharField(
        max_length=254, unique=True, help_text=_("The address it sends from by default")
    )
    kind = models.CharField(max_length=16, choices=MailboxKind.choices)
    members = models.ManyToManyField(User, related_name="mailboxes", through="Membership")
    reply_tokens = models.BooleanField(
        default=False,
        help_text=_(
            "Its answers ask to be answered at an address that names them: message_ids.reply_address"
        ),
    )
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.address

    @property
    def opens_tickets(self) -> bool:
        return self.kind == MailboxKind.SHARED

    @property
    def aliases(self) -> list["OwnedAddress"]:
        """Its addresses beside its own, by name; asks nothing where `addresses` were prefetched."""
        rows = (row for row in self.addresses.all() if row.address != self.address)
        return sorted(rows, key=lambda row: row.address)


class Membership(models.Model):
    """Who may read a mailbox and send from it."""

    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE)
    user = models.ForeignKey(User, on_delete=models.CASCADE)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["mailbox", "user"], name="membership_once")]

    def __str__(self) -> str:
        return f"{self.user_id} in {self.mailbox_id}"


class OwnedAddress(TenantRow):
    """An address we own, normalised, and the mailbox it leads to. A mailbox has one or more."""

    address = models.CharField(max_length=254, unique=True)
    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, related_name="addresses")

    def __str__(self) -> str:
        return self.address


class AppPassword(TenantRow):
    """What a mail program or a device says to send from one mailbox, and from nothing else.

    A person's ends with their membership; one without a `user` is the mailbox's own. Only a hash is kept: 100 random
    bits need no slow one.
    """

    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, related_name="app_passwords")
    user = models.ForeignKey(
        User, null=True, blank=True, on_delete=models.CASCADE, related_name="app_passwords"
    )
    name = models.CharField(max_length=100, help_text=_("The program or device it is for"))
    digest = models.BinaryField(max_length=32, unique=True)
    created_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True, blank=True)
    last_used_from = models.GenericIPAddressField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.name} ({self.mailbox_id})"


class Thread(TenantRow):
    """A conversation: messages that answer each other."""

    subject = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.subject[:80]

    @property
    def is_new(self) -> bool:
        """Not written yet: it will be with its first message."""
        return self._state.adding


class Direction(models.TextChoices):
    IN = "in", _("received")
    OUT = "out", _("sent")
    LOCAL = "local", _("within the organisation")


class MessageKind(models.TextChoices):
    MAIL = "mail", _("Mail")
    BOUNCE = "bounce", _("Bounce")
    COMPLAINT = "complaint", _("Complaint")
    AUTO_REPLY = "auto_reply", _("Automatic answer")
    RECEIPT = "receipt", _("Read receipt")
    LIST = "list", _("Mailing list")
    CALENDAR = "calendar", _("Calendar")


class Message(TenantRow):
    """One mail, as received or as sent: raw bytes that never change, and a projection that can be made again."""

    # No index of their own where another begins with it: a mail that is sent writes this row three times.
    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="+", db_index=False)
    thread = models.ForeignKey(Thread, on_delete=models.PROTECT, related_name="messages", db_index=False)
    direction = models.CharField(max_length=8, choices=Direction.choices)
    kind = models.CharField(max_length=16, choices=MessageKind.choices, default=MessageKind.MAIL)
    state = models.CharField(
        max_length=16,
        help_text=_("`filed` for received mail; for sent mail the state of its least finished delivery"),
    )
    raw = models.ForeignKey(Blob, on_delete=models.PROTECT, related_name="+")
    text = models.ForeignKey(Blob, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    html = models.ForeignKey(Blob, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    short_text = models.TextField(blank=True, default="", help_text=_("Instead of `text`, where it is short"))
    short_html = models.TextField(blank=True, default="", help_text=_("Instead of `html`, where it is short"))
    projection_version = models.PositiveSmallIntegerField(default=1)

    rfc_message_id = models.TextField(blank=True, help_text=_("Without angle brackets"))
    rfc_message_id_digest = models.UUIDField(
        help_text=_("See digest_of_message_id: what references are looked up by")
    )
    in_reply_to = ArrayField(models.TextField(), default=list, blank=True)
    references = ArrayField(models.TextField(), default=list, blank=True)
    sender_name = models.TextField(blank=True)
    sender_address = models.TextField(blank=True)
    to = models.JSONField(default=list, help_text=_("[{name, address}]"))
    cc = models.JSONField(default=list)
    bcc = models.JSONField(default=list, help_text=_("Known to the sender's side only"))
    reply_to = models.JSONField(default=list)
    subject = models.TextField(blank=True)
    date = models.DateTimeField(null=True, blank=True, help_text=_("As its Date field claims"))
    received_at = models.DateTimeField(help_text=_("When we took custody: accepted or submitted"))
    size_bytes = models.BigIntegerField(help_text=_("Of the raw message"))
    snippet = models.CharField(max_length=200, blank=True)
    defects = ArrayField(models.TextField(), default=list, blank=True)
    has_remote_images = models.BooleanField(default=False)
    handling = models.JSONField(
        default=dict,
        blank=True,
        help_text=_("{name: value} of the header fields that say how it wants to be treated: mime.handling"),
    )
    contents = models.JSONField(
        default=dict,
        blank=True,
        help_text=_("What stands within it besides text and files, where there is any: mailboxes.contents"),
    )
    envelope_sender = models.TextField(  # noqa: DJ001  "" and null differ: `<>`, and no envelope at all
        null=True,
        blank=True,
        help_text=_("MAIL FROM; empty for <>, null for a message that came without an envelope"),
    )
    filed = models.JSONField(
        default=dict,
        blank=True,
        help_text=_("The rule that chose its conversation, and what that went by: filing.Filed"),
    )
    authentication = models.JSONField(
        null=True,
        blank=True,
        help_text=_("Who sent it, as far as that is proven: mailauth.results; null where nobody asked"),
    )
    filed_because = models.TextField(
        blank=True, help_text=_("The same in a sentence, for messages from before the rule was kept")
    )
    new_participant = models.BooleanField(
        default=False, help_text=_("Its sender had no part in the conversation before it")
    )
    machine_turns = models.PositiveSmallIntegerField(
        default=0, help_text=_("Mails in a row up to this one that programs wrote to each other: loops")
    )
    author = models.ForeignKey(User, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    tags = ArrayField(models.CharField(max_length=100), default=list, blank=True)
    metadata = models.JSONField(default=dict, blank=True)
    search = SearchVectorField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["organisation", "rfc_message_id_digest"], name="message_by_message_id"),
            models.Index(fields=["organisation", "-received_at", "-id"], name="message_newest_first"),
            models.Index(fields=["thread", "received_at"], name="message_in_thread"),
            GinIndex(fields=["search"], name="message_search"),
            # Few or none: `inbound.second_reading` looks for them every minute.
            models.Index(
                fields=["received_at"],
                name="message_read_in_haste",
                condition=models.Q(defects__contains=[TIMED_OUT]),
            ),
        ]

    def __str__(self) -> str:
        return str(self.pk)

    @property
    def has_attachments(self) -> bool:
        return any(not part.inline for part in self.parts.all())

    @property
    def filed_as(self) -> Filed | None:
        """The rule that chose its conversation, where it was kept."""
        return Filed.of(self.filed, new_participant=self.new_participant)

    @property
    def filed_rule(self) -> str:
        """The rule's code, such as `answers_ours`."""
        filed = self.filed_as
        return filed.rule.value if filed is not None else ""

    @property
    def filed_sentence(self) -> str:
        """Why it lies where it lies, in one sentence."""
        filed = self.filed_as
        return filed.sentence if filed is not None else self.filed_because


def digest_of_message_id(message_id: str) -> uuid.UUID:
    """128 bits of SHA-256 of a Message-ID: real ones outgrow what a B-tree page can index."""
    return uuid.UUID(bytes=hashlib.sha256(message_id.encode("utf-8", "surrogatepass")).digest()[:16])


class Part(models.Model):
    """An attachment or inline part of a message, numbered from 1 in the order of the mail."""

    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="parts")
    n = models.PositiveIntegerField()
    filename = models.CharField(max_length=255)
    content_type = models.CharField(max_length=255, help_text=_("As the mail says"))
    detected_type = models.CharField(  # noqa: DJ001  "" and null differ: nothing recognised, and not looked at
        max_length=255,
        null=True,
        blank=True,
        help_text=_("As its own bytes say, empty where they do not; null: not looked at yet"),
    )
    content_id = models.TextField(blank=True)
    inline = models.BooleanField(default=False)
    within = models.PositiveIntegerField(
        default=0, help_text=_("The part it was found in, such as a winmail.dat or a forwarded message")
    )
    blob = models.ForeignKey(Blob, on_delete=models.PROTECT, related_name="+")

    class Meta:
        ordering = ["n"]
        constraints = [models.UniqueConstraint(fields=["message", "n"], name="part_number_once")]

    def __str__(self) -> str:
        return f"{self.n} of {self.message_id}"


class Folder(models.TextChoices):
    INBOX = "inbox", _("Inbox")
    SNOOZED = "snoozed", _("Snoozed")
    SENT = "sent", _("Sent")
    OUTBOX = "outbox", _("Outbox")
    ARCHIVE = "archive", _("Archive")
    SPAM = "spam", _("Spam")
    TRASH = "trash", _("Trash")


class Side(models.TextChoices):
    RECIPIENT = "recipient", _("received here")
    SENDER = "sender", _("sent from here")


class MailboxEntry(TenantRow):
    """A message in a mailbox. Mail to oneself has two: the copy that was sent and the one that came."""

    # No index of their own where another begins with it, or nobody asks: each mail writes rows of this table.
    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="+", db_index=False)
    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, related_name="entries", db_index=False)
    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="entries")
    thread = models.ForeignKey(Thread, on_delete=models.CASCADE, related_name="entries", db_index=False)
    side = models.CharField(max_length=16, choices=Side.choices)
    folder = models.CharField(max_length=16, choices=Folder.choices)
    is_read = models.BooleanField(default=False)
    is_starred = models.BooleanField(default=False)
    sorted_at = models.DateTimeField(help_text=_("What lists go by: when it came or was sent"))

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["mailbox", "message", "side"], name="entry_once_per_side"),
        ]
        indexes = [
            models.Index(fields=["mailbox", "folder", "-sorted_at", "-id"], name="entry_newest_first"),
            models.Index(fields=["mailbox", "thread", "folder", "sorted_at", "id"], name="entry_in_thread"),
            models.Index(fields=["thread"], name="entry_by_thread"),
            # A search looks through folders: newest first it walks all of a mailbox, or the few that are starred.
            models.Index(fields=["mailbox", "-sorted_at", "-id"], name="entry_in_mailbox"),
            models.Index(
                fields=["mailbox", "-sorted_at"], name="entry_starred", condition=models.Q(is_starred=True)
            ),
            # With the thread: the rail counts conversations, and reads nothing but this for it.
            models.Index(
                fields=["mailbox", "folder", "thread"], name="entry_unread", condition=models.Q(is_read=False)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.message_id} in {self.mailbox_id}/{self.folder}"

    @property
    def flags(self) -> list[str]:
        """As the REST API names them."""
        return [name for name, on in (("read", self.is_read), ("starred", self.is_starred)) if on]
