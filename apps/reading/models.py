"""What people chose and did while they read."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import User
from apps.mailboxes.models import Mailbox, Message
from apps.organisations.models import TenantRow


class View(TenantRow):
    """How one person looks at one message."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="+")
    shows_pictures = models.BooleanField(default=False, help_text=_("Those from other servers"))
    adapts_colours = models.BooleanField(default=False, help_text=_("To the dark scheme"))

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "message"], name="view_once")]

    def __str__(self) -> str:
        return f"{self.message_id} by {self.user_id}"


class PictureTrust(TenantRow):
    """A sender whose pictures one person always wants to see."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    sender = models.CharField(max_length=320, help_text=_("An address, normalised"))
    only_proven = models.BooleanField(
        default=False,
        help_text=_("Their mail was proven to be theirs when they were trusted, so later mail must be too"),
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "sender"], name="picture_trust_once")]

    def __str__(self) -> str:
        return f"{self.pk} of {self.user_id}"


class Attendance(models.TextChoices):
    """What an invitation is answered with: RFC 5545 §3.2.12, in lower case."""

    ACCEPTED = "accepted", _("Accepted")
    TENTATIVE = "tentative", _("Perhaps")
    DECLINED = "declined", _("Declined")


class InvitationAnswer(TenantRow):
    """What a mailbox last answered an invitation with."""

    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, related_name="+")
    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="+")
    answer = models.CharField(max_length=16, choices=Attendance.choices)
    reply = models.ForeignKey(Message, null=True, on_delete=models.SET_NULL, related_name="+")
    user = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    answered_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["mailbox", "message"], name="invitation_answer_once")]

    def __str__(self) -> str:
        return f"{self.answer} to {self.message_id}"


class Unsubscription(TenantRow):
    """A list that was asked, for a mailbox, to send no more; with what it said."""

    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, related_name="+")
    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="+")
    way = models.CharField(max_length=16, help_text=_("`post` or `mail`"))
    failed_because = models.CharField(
        max_length=32, blank=True, help_text=_("A code; empty when it was taken")
    )
    user = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    asked_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["mailbox", "message"], name="unsubscription_once")]

    def __str__(self) -> str:
        return f"{self.way} for {self.message_id}"
