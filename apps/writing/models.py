"""What people write before it is sent: drafts with their files, signatures, saved replies, and whom they write to.

A draft is one person's. It is

    open ──▶ sent         `message` is what became of it; Undo makes it open again
      │ ▲
      ▼ │
    discarded             Undo makes it open again

Every transition is in `drafts.py`. What is not open any more is kept for a day (`sweeping.py`), so that there is
something to go back to.
"""

from django.contrib.postgres.indexes import OpClass
from django.db import models
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import User
from apps.blobs.models import Blob
from apps.mailboxes.models import Mailbox, Message, Thread
from apps.organisations.models import TenantRow


class DraftState(models.TextChoices):
    OPEN = "open", _("Being written")
    SENT = "sent", _("Sent")
    DISCARDED = "discarded", _("Discarded")


class Draft(TenantRow):
    """A mail that is being written. Its id is made by the browser, so that a repeated first save is the same draft.

    `version` counts its saves; who saves on top of another version than the newest is told, and both are kept.
    `editor` is the page that saved last and `turn` its own count: a page that repeats itself after a lost answer, or
    whose requests overtake each other, is no conflict with itself.
    """

    author = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, related_name="+")
    thread = models.ForeignKey(
        Thread,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="+",
        help_text=_("The conversation it answers in; null for a new mail"),
    )
    fields = models.JSONField(
        default=dict, help_text=_("{name: text} of the composer's fields: drafts.FIELDS")
    )
    document = models.JSONField(
        null=True, blank=True, help_text=_("The editor's document; null for plain text")
    )
    snippet = models.CharField(max_length=200, blank=True)
    version = models.PositiveIntegerField(default=1)
    editor = models.CharField(max_length=64, blank=True)
    turn = models.PositiveIntegerField(default=0)
    state = models.CharField(max_length=16, choices=DraftState.choices, default=DraftState.OPEN)
    message = models.ForeignKey(Message, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField()
    saved_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True, help_text=_("When it was sent or discarded"))

    class Meta:
        indexes = [
            models.Index(
                fields=["author", "-saved_at"], name="draft_open_newest", condition=models.Q(state="open")
            ),
            models.Index(fields=["ended_at"], name="draft_ended", condition=~models.Q(state="open")),
        ]
        constraints = [
            models.CheckConstraint(
                name="draft_ended_iff_not_open",
                condition=models.Q(state="open", ended_at__isnull=True)
                | (~models.Q(state="open") & models.Q(ended_at__isnull=False)),
            )
        ]

    def __str__(self) -> str:
        return str(self.pk)

    @property
    def subject(self) -> str:
        """Its own, or its conversation's."""
        subject: str = self.fields.get("subject", "")
        return subject or (self.thread.subject if self.thread is not None else "")

    @property
    def recipients(self) -> str:
        to: str = self.fields.get("to", "")
        return to


class DraftFile(TenantRow):
    """A file of a draft, whole or on its way. `blob` is null until all of its bytes are there.

    Its id is made by the browser. A picture in the text has a `content_id`, by which the document shows it.
    """

    draft = models.ForeignKey(Draft, on_delete=models.CASCADE, related_name="files")
    filename = models.CharField(max_length=255)
    content_type = models.CharField(max_length=255)
    size_bytes = models.PositiveBigIntegerField()
    received_bytes = models.PositiveBigIntegerField(default=0)
    content_id = models.CharField(max_length=200, blank=True)
    blob = models.ForeignKey(Blob, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField()

    class Meta:
        # Their ids are the browser's, and tell no order.
        ordering = ["created_at", "id"]

    def __str__(self) -> str:
        return f"{self.pk} of {self.draft_id}"

    @property
    def is_whole(self) -> bool:
        return self.blob_id is not None


class FilePiece(TenantRow):
    """Some bytes of a file that is on its way, from `offset_bytes` on."""

    file = models.ForeignKey(DraftFile, on_delete=models.CASCADE, related_name="pieces")
    offset_bytes = models.PositiveBigIntegerField()
    blob = models.ForeignKey(Blob, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["file", "offset_bytes"], name="piece_once")]

    def __str__(self) -> str:
        return f"{self.offset_bytes} of {self.file_id}"


class Signature(TenantRow):
    """What stands below a mail: a mailbox's own (`person` null), or a person's in that mailbox, which goes first."""

    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, related_name="+")
    person = models.ForeignKey(User, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    document = models.JSONField()
    changed_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["mailbox", "person"], name="signature_once_each", nulls_distinct=False
            )
        ]

    def __str__(self) -> str:
        return f"of {self.mailbox_id}"


class SavedReply(TenantRow):
    """A text that is written often, with variables such as {{customer.name}}. Without a mailbox it serves in all."""

    mailbox = models.ForeignKey(Mailbox, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(max_length=100)
    document = models.JSONField()
    snippet = models.CharField(max_length=200, blank=True)
    changed_at = models.DateTimeField()

    class Meta:
        ordering = ["name", "id"]

    def __str__(self) -> str:
        return self.name


class Correspondent(TenantRow):
    """Somebody a mailbox wrote to or heard from: what the composer completes. Learned from the event log."""

    organisation = models.ForeignKey(
        "organisations.Organisation", on_delete=models.CASCADE, related_name="+", db_index=False
    )
    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, related_name="+", db_index=False)
    address = models.CharField(max_length=320, help_text=_("As it is compared: lower case"))
    name = models.CharField(max_length=200, blank=True)
    wrote_to = models.PositiveIntegerField(default=0, help_text=_("How often the mailbox wrote to them"))
    last_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["mailbox", "address"], name="correspondent_once"),
        ]
        indexes = [
            models.Index(fields=["mailbox", "-last_at"], name="correspondent_newest"),
            models.Index(
                "mailbox", OpClass("address", name="varchar_pattern_ops"), name="correspondent_by_address"
            ),
            models.Index(
                "mailbox", OpClass(Lower("name"), name="text_pattern_ops"), name="correspondent_by_name"
            ),
        ]

    def __str__(self) -> str:
        return str(self.pk)
