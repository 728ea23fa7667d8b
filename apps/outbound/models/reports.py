"""What the world told us about mail it had accepted, and what we told the sender about it."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.mailboxes.models import Message
from apps.organisations.models import TenantRow
from apps.outbound.models.queue import Delivery


class ReportAction(models.TextChoices):
    """RFC 3464 §2.3.3's actions, a complaint (RFC 5965), and what changes nothing."""

    FAILED = "failed", _("could not be delivered")
    DELAYED = "delayed", _("is late")
    DELIVERED = "delivered", _("was delivered")
    RELAYED = "relayed", _("was passed on")
    EXPANDED = "expanded", _("was passed on to several")
    COMPLAINED = "complained", _("was reported as spam")
    UNSUBSCRIBED = "unsubscribed", _("was answered with a wish to get no more")
    NOTED = "noted", _("was remarked on")


class ReportProof(models.TextChoices):
    """How we know which delivery a report is about."""

    SIGNATURE = "signature", _("It bears the delivery's signed return path")
    MESSAGE_ID = "message_id", _("It quotes our Message-ID and the recipient")


class DeliveryReport(TenantRow):
    """One report about one delivery. Its mail is kept whole: `message`."""

    message = models.ForeignKey(
        Message,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="+",
        help_text=_("Null where its mail was held for what it carries"),
    )
    received_id = models.UUIDField(
        null=True, blank=True, help_text=_("As which it came; null for older ones")
    )
    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="reports")
    action = models.CharField(max_length=16, choices=ReportAction.choices)
    proof = models.CharField(max_length=16, choices=ReportProof.choices)
    nature = models.CharField(max_length=32, blank=True, help_text=_("What kind of failure, as a code"))
    recipient = models.TextField(blank=True, help_text=_("Whom the report names: it may have been forwarded"))
    status = models.CharField(max_length=16, blank=True, help_text=_("RFC 3463"))
    diagnostic = models.TextField(blank=True, help_text=_("The server's own words"))
    server = models.TextField(blank=True, help_text=_("Which server said so"))
    reported_at = models.DateTimeField()

    class Meta:
        ordering = ["reported_at", "id"]
        constraints = [
            models.UniqueConstraint(fields=["message", "delivery"], name="report_once_per_delivery")
        ]
        indexes = [models.Index(fields=["organisation", "nature", "reported_at"], name="report_by_nature")]

    def __str__(self) -> str:
        return f"{self.action} {self.delivery_id}"


class NoticeKind(models.TextChoices):
    DELAYED = "delayed", _("Still waiting")
    FAILED = "failed", _("Not delivered")
    COMPLAINED = "complained", _("Reported as spam")


class DeliveryNotice(TenantRow):
    """What the sender was told about a message of theirs: a line in its conversation, one of each kind."""

    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="notices")
    kind = models.CharField(max_length=16, choices=NoticeKind.choices)
    recipients = models.PositiveIntegerField(help_text=_("How many it speaks of"))
    recipient = models.CharField(max_length=254, help_text=_("The first of them"))
    reason = models.TextField(blank=True, help_text=_("Of the first, with its evidence"))
    since = models.DateTimeField(null=True, blank=True, help_text=_("Since when it waits"))
    next_try_at = models.DateTimeField(null=True, blank=True)
    told_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["message", "kind"], name="notice_once_per_kind")]

    def __str__(self) -> str:
        return f"{self.kind} {self.message_id}"
