"""Mail we took custody of, until it is filed."""

import re
from email.utils import format_datetime

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.blobs.models import Blob
from apps.mailboxes.models import Message
from apps.organisations.models import TenantRow
from apps.tickets.models import HeldMessage


class ReceivedState(models.TextChoices):
    ACCEPTED = "accepted", _("accepted, waiting to be filed")
    INGESTING = "ingesting", _("being filed")
    FILED = "filed", _("filed")
    HELD = "held", _("held for a person")


class ReceivedMessage(TenantRow):
    """One SMTP transaction's message for one organisation: envelope, raw bytes, and how far filing it has come."""

    raw = models.ForeignKey(Blob, on_delete=models.PROTECT, related_name="+")
    envelope_sender = models.TextField(blank=True, help_text=_("MAIL FROM; empty for bounces"))
    recipients = ArrayField(
        models.TextField(), help_text=_("RCPT TO, normalised, all owned by this organisation")
    )
    envelope_digest = models.UUIDField(help_text=_("Of sender and content: recognises a resend"))
    peer = models.GenericIPAddressField(null=True, blank=True)
    helo = models.TextField(blank=True)
    protocol = models.CharField(
        max_length=16, blank=True, default="", help_text=_("As RFC 3848 names it: ESMTPS")
    )
    tls = models.CharField(
        max_length=100, blank=True, default="", help_text=_("Protocol and cipher; empty in the clear")
    )
    host = models.CharField(max_length=255, blank=True, default="", help_text=_("Who of us took it"))
    received_at = models.DateTimeField()
    state = models.CharField(max_length=16, choices=ReceivedState.choices, default=ReceivedState.ACCEPTED)
    attempts = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField(
        help_text=_("Not claimed before; while it is being filed, when the lease lapses")
    )
    lease_token = models.UUIDField(null=True, blank=True)
    last_error = models.CharField(
        max_length=500, blank=True, help_text=_("A class of failure, never mail content")
    )
    message = models.ForeignKey(Message, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    held = models.ForeignKey(HeldMessage, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="received_lease_iff_ingesting",
                condition=models.Q(state=ReceivedState.INGESTING, lease_token__isnull=False)
                | (~models.Q(state=ReceivedState.INGESTING) & models.Q(lease_token__isnull=True)),
            ),
        ]
        indexes = [
            models.Index(
                fields=["due_at"],
                name="received_due",
                condition=models.Q(state__in=["accepted", "ingesting"]),
            ),
            models.Index(
                fields=["organisation", "envelope_digest", "received_at"], name="received_by_envelope"
            ),
        ]

    def __str__(self) -> str:
        return str(self.pk)

    @property
    def trace(self) -> str:
        """The value of the Received: line that RFC 5321 §4.4 asks for. The raw bytes stay those that came, so it stands
        here; and it names no recipient (§7.6)."""
        date = format_datetime(self.received_at)
        # What a client calls itself may be anything, and must neither end the line nor open a comment.
        helo = re.sub(r"[^\w.:\[\]-]", "?", self.helo, flags=re.ASCII)
        tls = f" ({self.tls})" if self.tls else ""
        peer = f"from {helo} ([{self.peer or 'unknown'}])"
        return f"{peer} by {self.host} with {self.protocol} id {self.pk.hex}{tls}; {date}"
