"""What an organisation decided about its outgoing mail."""

from datetime import timedelta

from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.organisations.models import Organisation


class EncryptedArchives(models.TextChoices):
    """What becomes of an archive that no scanner can open."""

    ALLOW = "allow", _("Send it")
    REJECT = "reject", _("Reject it")


class SendingPolicy(models.Model):
    """One row an organisation, made when something other than the defaults is wanted. Null means no bound."""

    organisation = models.OneToOneField(
        Organisation, primary_key=True, on_delete=models.CASCADE, related_name="+"
    )
    uncertain_retry_after = models.DurationField(
        null=True, blank=True, help_text=_("Try once more after this long; null: wait for a person")
    )
    delay_told_after = models.DurationField(
        default=timedelta(hours=4), help_text=_("Tell the sender that a recipient waits this long")
    )
    encrypted_archives = models.CharField(
        max_length=8, choices=EncryptedArchives.choices, default=EncryptedArchives.ALLOW
    )
    recipients_per_day = models.PositiveIntegerField(null=True, blank=True)
    recipients_per_day_of_user = models.PositiveIntegerField(null=True, blank=True)
    recipients_per_day_of_key = models.PositiveIntegerField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "sending policies"

    def __str__(self) -> str:
        return str(self.pk)
