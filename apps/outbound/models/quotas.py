"""How many recipients were taken on, by the minute: what quotas of a rolling day are counted from."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.organisations.models import Organisation


class QuotaUse(models.Model):
    """Recipients of one minute, of an organisation (`who` is empty), a person (`user:ID`) or a key (`key:ID`)."""

    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="+")
    who = models.CharField(max_length=64, blank=True, help_text=_("Like an event's actor; empty for all"))
    minute = models.DateTimeField(help_text=_("Its beginning"))
    recipients = models.PositiveIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organisation", "who", "minute"], name="quota_use_once")
        ]
        indexes = [models.Index(fields=["minute"], name="quota_use_age")]

    def __str__(self) -> str:
        return f"{self.recipients} at {self.minute:%Y-%m-%d %H:%M}"
