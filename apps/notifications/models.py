"""Whom a browser tells of new mail, what they want to be told, and what is still to be pushed.

A `Push` is one event for one browser. It is deleted when it was taken, when nobody can be told any more, or when it is
an hour old: a notification that comes late is noise.
"""

import zoneinfo
from datetime import datetime

from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import User
from apps.organisations.models import TenantRow


class PushKey(models.Model):
    """The key pair by which push services know this installation (VAPID, RFC 8292). Made once, when first needed."""

    name = models.CharField(primary_key=True, max_length=16)
    public_key = models.CharField(max_length=100, help_text=_("Uncompressed point, base64url"))
    sealed_private_key = models.TextField(help_text=_("organisations.sealing, purpose vapid"))

    def __str__(self) -> str:
        return self.name

    @property
    def seal_purpose(self) -> str:
        return "vapid"


class PushSubscription(TenantRow):
    """A browser that asked to be told. It is told for as long as the session lasts in which it asked."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="push_subscriptions")
    session_key = models.CharField(max_length=40)
    endpoint = models.CharField(max_length=1000, unique=True, help_text=_("The push service's URL for it"))
    p256dh = models.CharField(max_length=100, help_text=_("Its public key (RFC 8291)"))
    auth = models.CharField(max_length=32, help_text=_("Its shared secret (RFC 8291)"))
    created_at = models.DateTimeField()

    def __str__(self) -> str:
        return str(self.pk)


class NotificationWish(TenantRow):
    """What a person wants to be told. Who has chosen nothing has no row."""

    user = models.OneToOneField(User, on_delete=models.CASCADE, related_name="notification_wish")
    about_mine = models.BooleanField(
        default=True, help_text=_("My own mail, tickets assigned to me, and notes that call me")
    )
    about_team = models.BooleanField(default=False, help_text=_("New mail in tickets that nobody has taken"))
    shows_mail = models.BooleanField(default=True, help_text=_("Whether sender and subject are told"))
    quiet_from = models.TimeField(null=True, blank=True)
    quiet_until = models.TimeField(null=True, blank=True)
    timezone = models.CharField(max_length=64, default="UTC")

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="quiet_hours_have_both_ends",
                condition=models.Q(quiet_from__isnull=True, quiet_until__isnull=True)
                | models.Q(quiet_from__isnull=False, quiet_until__isnull=False),
            )
        ]

    def __str__(self) -> str:
        return f"wishes of {self.user_id}"

    def is_quiet(self, now: datetime) -> bool:
        """Whether this is a moment of the person's quiet hours, which may go over midnight."""
        if self.quiet_from is None or self.quiet_until is None:
            return False
        clock = now.astimezone(zoneinfo.ZoneInfo(self.timezone)).time()
        if self.quiet_from <= self.quiet_until:
            return self.quiet_from <= clock < self.quiet_until
        return clock >= self.quiet_from or clock < self.quiet_until


class Because(models.TextChoices):
    """Why somebody is told."""

    MAIL = "mail", _("New mail")
    ASSIGNED = "assigned", _("Assigned to you")
    MENTIONED = "mentioned", _("You are mentioned in a note")


class Push(TenantRow):
    """One event for one browser, waiting to be told."""

    subscription = models.ForeignKey(PushSubscription, on_delete=models.CASCADE, related_name="pushes")
    event_id = models.BigIntegerField()
    because = models.CharField(max_length=16, choices=Because.choices)
    mailbox_id = models.UUIDField()
    thread_id = models.UUIDField()
    attempts = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField(
        help_text=_("The next try; while somebody is at it, when their lease lapses")
    )
    created_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "pushes"
        constraints = [
            models.UniqueConstraint(fields=["subscription", "event_id"], name="browser_told_once_of_an_event")
        ]
        indexes = [models.Index(fields=["due_at"], name="push_due")]

    def __str__(self) -> str:
        return f"event {self.event_id} for {self.subscription_id}"
