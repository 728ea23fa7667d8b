"""What could not be sent as it was written, kept whole until somebody mends it or throws it away."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import ApiKey, User
from apps.blobs.models import Blob
from apps.mailboxes.models import Mailbox, Message
from apps.organisations.models import TenantRow
from apps.tickets.models import Ticket


class RefusedSubmission(TenantRow):
    """One refused request. Its content is a blob of JSON in the REST API's shape, its files are blobs of their own.

    `identity` tells a repeat of it: the same idempotency key, or without one the same content, of the same actor.
    """

    actor = models.CharField(max_length=64)
    user = models.ForeignKey(User, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    api_key = models.ForeignKey(ApiKey, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    mailbox = models.ForeignKey(
        Mailbox,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text=_("It was to be sent from; null when the caller named none they may use"),
    )
    ticket = models.ForeignKey(
        Ticket, null=True, blank=True, on_delete=models.SET_NULL, related_name="+", help_text=_("It answers")
    )
    content = models.ForeignKey(Blob, on_delete=models.PROTECT, related_name="+")
    identity = models.BinaryField(max_length=32)
    subject = models.CharField(max_length=200, blank=True)
    recipient = models.CharField(max_length=254, blank=True, help_text=_("The first one, as it was written"))
    recipients = models.PositiveIntegerField(default=0)
    cause = models.CharField(max_length=64)
    field = models.CharField(max_length=200)
    reason = models.TextField()
    faults = models.JSONField(default=list, help_text=_("[{field, code, detail}], all of them"))
    times = models.PositiveIntegerField(default=1, help_text=_("How often it was tried"))
    created_at = models.DateTimeField()
    refused_at = models.DateTimeField(help_text=_("Last"))
    discarded_at = models.DateTimeField(null=True, blank=True)
    mended_at = models.DateTimeField(null=True, blank=True)
    message = models.ForeignKey(
        Message,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text=_("What it became"),
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "actor", "identity"],
                name="refused_once",
                condition=models.Q(discarded_at__isnull=True, mended_at__isnull=True),
            )
        ]
        indexes = [
            models.Index(
                fields=["organisation", "-created_at", "-id"],
                name="refused_open",
                condition=models.Q(discarded_at__isnull=True, mended_at__isnull=True),
            ),
            models.Index(fields=["refused_at"], name="refused_age"),
        ]

    def __str__(self) -> str:
        return str(self.pk)

    @property
    def other_recipients(self) -> int:
        return max(0, self.recipients - 1)

    @property
    def is_open(self) -> bool:
        return self.discarded_at is None and self.mended_at is None


class RefusedFile(models.Model):
    """A file of a refused submission; `n` counts from 0, like `attachments[0]`."""

    refused = models.ForeignKey(RefusedSubmission, on_delete=models.CASCADE, related_name="files")
    n = models.PositiveIntegerField()
    filename = models.CharField(max_length=255, blank=True)
    blob = models.ForeignKey(Blob, on_delete=models.PROTECT, related_name="+")

    class Meta:
        ordering = ["n"]
        constraints = [models.UniqueConstraint(fields=["refused", "n"], name="refused_file_once")]

    def __str__(self) -> str:
        return f"{self.n} of {self.refused_id}"
