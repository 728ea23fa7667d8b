"""Addresses we write to no more, and why."""

from datetime import datetime

from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.organisations.models import TenantRow
from apps.outbound.models.queue import Delivery


class SuppressionReason(models.TextChoices):
    HARD_BOUNCE = "hard_bounce", _("Bounced for good")
    COMPLAINT = "complaint", _("Complained of spam")
    UNSUBSCRIBED = "unsubscribed", _("Unsubscribed")
    MANUAL = "manual", _("Entered by hand")


class Suppression(TenantRow):
    """One address an organisation does not write to. Ended ones stay as history: how often it bounced decides for how
    long the next one holds.
    """

    address = models.CharField(max_length=254, help_text=_("Normalised"))
    reason = models.CharField(max_length=16, choices=SuppressionReason.choices)
    evidence = models.TextField(blank=True, help_text=_("What a server or a person said, in a sentence"))
    delivery = models.ForeignKey(
        Delivery,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text=_("Whose failure caused it"),
    )
    created_at = models.DateTimeField()
    created_by = models.CharField(
        max_length=64, blank=True, help_text=_("user:ID, key:ID, or empty for the platform itself")
    )
    expires_at = models.DateTimeField(null=True, blank=True, help_text=_("Null: it holds until removed"))
    removed_at = models.DateTimeField(null=True, blank=True)
    removed_by = models.CharField(max_length=64, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "address"],
                name="suppression_once_active",
                condition=models.Q(removed_at__isnull=True),
            )
        ]
        indexes = [
            models.Index(fields=["organisation", "-created_at", "-id"], name="suppression_newest_first"),
            models.Index(fields=["organisation", "address"], name="suppression_by_address"),
        ]

    def __str__(self) -> str:
        return str(self.pk)

    def holds(self, now: datetime) -> bool:
        """Whether mail to the address is stopped by this."""
        return self.removed_at is None and (self.expires_at is None or self.expires_at > now)
