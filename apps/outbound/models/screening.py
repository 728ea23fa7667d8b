"""What screening said about a message on its way out."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.mailboxes.models import Message
from apps.organisations.models import Organisation


class ScreeningOutcome(models.TextChoices):
    """`apps.screening`'s outcomes, as they are kept."""

    CLEAN = "clean", _("Clean")
    INFECTED = "infected", _("Virus")
    SPAM = "spam", _("Spam")
    FORBIDDEN = "forbidden", _("Forbidden file")
    UNSCANNABLE = "unscannable", _("Not screened yet")


class OutgoingScreening(models.Model):
    """The latest verdict on a message: all of its recipients share it, so a thousand of them are one scan."""

    message = models.OneToOneField(
        Message, primary_key=True, on_delete=models.CASCADE, related_name="screening"
    )
    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="+")
    outcome = models.CharField(max_length=16, choices=ScreeningOutcome.choices)
    scanner = models.CharField(max_length=32, blank=True, help_text=_("The one that decided"))
    code = models.CharField(max_length=64, blank=True)
    reason = models.TextField(blank=True, help_text=_("The verdict in a sentence for the sender"))
    details = ArrayField(models.TextField(), default=list, blank=True)
    version = models.TextField(
        blank=True, help_text=_("Scanners, rules and policy it rests on; with others, it is screened again")
    )
    screened_at = models.DateTimeField()
    tries = models.PositiveIntegerField(
        default=0, help_text=_("Times in a row that no verdict was reached: the wait grows with them")
    )
    try_again_at = models.DateTimeField(
        null=True, blank=True, help_text=_("Until then nobody asks again, whichever recipient comes up")
    )

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="screening_again_iff_unscannable",
                condition=models.Q(outcome="unscannable", try_again_at__isnull=False)
                | (~models.Q(outcome="unscannable") & models.Q(try_again_at__isnull=True)),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.outcome}: {self.message_id}"
