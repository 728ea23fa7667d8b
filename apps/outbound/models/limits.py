"""How fast and how much may be sent: by a relay, a sender, an organisation, to a destination."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.organisations.models import Organisation, new_id

EACH = "*"


class LimitScope(models.TextChoices):
    """What a limit is counted by."""

    RELAY = "relay", _("Relay")
    SENDER = "sender", _("Sender's address")
    ORGANISATION = "organisation", _("Organisation")
    DESTINATION = "destination", _("Recipient's domain")


class SendingLimit(models.Model):
    """One set of bounds. Null is no bound.

    `subject` is a relay's id, an address, an organisation's id or a domain; "*" stands for each one that has no row of
    its own. Without an organisation the bounds count everybody's mail together and only the operator changes them; with
    one they count its mail alone. Both hold at the same time.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey(
        Organisation,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="+",
        help_text=_("Whose mail is counted; null: everybody's together"),
    )
    scope = models.CharField(max_length=16, choices=LimitScope.choices)
    subject = models.CharField(max_length=254, default=EACH)
    connections = models.PositiveIntegerField(null=True, blank=True, help_text=_("Open at the same time"))
    per_second = models.PositiveIntegerField(null=True, blank=True, help_text=_("Messages begun"))
    per_minute = models.PositiveIntegerField(null=True, blank=True, help_text=_("Messages"))
    per_hour = models.PositiveIntegerField(null=True, blank=True, help_text=_("Messages"))
    per_day = models.PositiveIntegerField(null=True, blank=True, help_text=_("Messages in any 24 hours"))
    gap_ms = models.PositiveIntegerField(
        null=True, blank=True, help_text=_("At least so long from one message's beginning to the next one's")
    )
    recipients_per_transaction = models.PositiveIntegerField(
        null=True, blank=True, help_text=_("We send one at a time, which keeps every bound from 1 on")
    )
    max_size_bytes = models.PositiveBigIntegerField(null=True, blank=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField(help_text=_("Counts are rebuilt when a row is newer than they are"))

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "scope", "subject"],
                name="sending_limit_once",
                nulls_distinct=False,
            ),
            models.CheckConstraint(
                name="sending_limit_bounds_something",
                condition=models.Q(connections__isnull=False)
                | models.Q(per_second__isnull=False)
                | models.Q(per_minute__isnull=False)
                | models.Q(per_hour__isnull=False)
                | models.Q(per_day__isnull=False)
                | models.Q(gap_ms__isnull=False)
                | models.Q(recipients_per_transaction__isnull=False)
                | models.Q(max_size_bytes__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.scope} {self.subject}"
