"""Received mail that waits for a person, whom an organisation trusts, and what it wants held."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import User
from apps.blobs.models import Blob
from apps.mailboxes.models import Mailbox, Message, MessageKind
from apps.organisations.models import Organisation, TenantRow


class HoldCause(models.TextChoices):
    """Why mail is held. An open list, worst first: clients accept codes they do not know.

    What a scanner has not looked at yet may be the worst of all, and is judged again; the others are final.
    """

    INFECTED = "infected", _("Virus")
    SCANNER_UNAVAILABLE = "scanner_unavailable", _("Not looked at")
    FORBIDDEN_FILE = "forbidden_file", _("Dangerous file")
    SPAM = "spam", _("Spam")
    DMARC_REJECT = "dmarc_reject", _("Forged sender")
    DMARC_QUARANTINE = "dmarc_quarantine", _("Doubtful sender")
    UNSCANNABLE = "unscannable", _("Could not be looked through")


class HeldState(models.TextChoices):
    WAITING = "waiting", _("waiting for a person")
    RELEASED = "released", _("released")
    DISCARDED = "discarded", _("discarded")


class HeldMessage(TenantRow):
    """Received mail that no mailbox has yet, with the cause. It leaves by a person's word, and nothing else.

    Everything that filing it takes is kept with it; what a list shows was read once, as plain text.
    """

    raw = models.ForeignKey(Blob, on_delete=models.PROTECT, related_name="+")
    mailboxes = models.ManyToManyField(Mailbox, related_name="held", help_text=_("Where it goes if released"))
    envelope_sender = models.TextField(blank=True, help_text=_("MAIL FROM; empty for <>"))
    received_at = models.DateTimeField(help_text=_("When we took custody"))
    authentication = models.JSONField(null=True, blank=True, help_text=_("As Message.authentication"))

    about = models.ForeignKey(
        Message,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text=_("The mail of ours that it reports on, and lies beneath once released"),
    )
    kind = models.CharField(max_length=16, choices=MessageKind.choices, default=MessageKind.MAIL)
    sender_name = models.TextField(blank=True)
    sender_address = models.TextField(blank=True)
    to = models.JSONField(default=list, help_text=_("[{name, address}], as the mail's head says"))
    subject = models.TextField(blank=True)
    preview = models.TextField(blank=True, help_text=_("The beginning of its text, as plain text"))
    files = models.JSONField(default=list, blank=True, help_text=_("[{filename, content_type, size_bytes}]"))
    size_bytes = models.BigIntegerField(default=0)

    cause = models.CharField(max_length=64)
    reason = models.TextField(help_text=_("One sentence for a person"))
    details = ArrayField(models.TextField(), default=list, blank=True, help_text=_("The evidence"))
    held_at = models.DateTimeField()

    state = models.CharField(max_length=16, choices=HeldState.choices, default=HeldState.WAITING)
    decided_at = models.DateTimeField(null=True, blank=True)
    decided_by = models.ForeignKey(User, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    decided_actor = models.CharField(max_length=64, blank=True, help_text=_("As Event.actor"))
    message = models.ForeignKey(
        Message,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text=_("Once released"),
    )

    class Meta:
        ordering = ["-held_at"]
        constraints = [
            models.CheckConstraint(
                name="held_decided_iff_not_waiting",
                condition=models.Q(state=HeldState.WAITING, decided_at__isnull=True)
                | (~models.Q(state=HeldState.WAITING) & models.Q(decided_at__isnull=False)),
            ),
        ]
        indexes = [
            models.Index(fields=["organisation", "state", "-held_at", "-id"], name="held_newest_first"),
            models.Index(
                fields=["decided_at"], name="held_discarded", condition=models.Q(state=HeldState.DISCARDED)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.cause} {self.pk}"

    @property
    def title(self) -> str:
        """The cause in two words; the code itself for one that is not known here."""
        known = self.cause in HoldCause.values
        return str(HoldCause(self.cause).label) if known else self.cause

    @property
    def only_admins_release(self) -> bool:
        return self.cause == HoldCause.INFECTED


class TrustedSender(TenantRow):
    """An address or a domain whose mail is never held as spam, provided it is proven to be theirs: `trust`."""

    sender = models.CharField(max_length=320, help_text=_("Normalised: an address, or a domain alone"))
    actor = models.CharField(max_length=64, help_text=_("As Event.actor"))
    added_by = models.ForeignKey(User, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organisation", "sender"], name="trusted_sender_once"),
        ]

    def __str__(self) -> str:
        return self.sender


class ForbiddenFiles(models.TextChoices):
    HOLD = "hold", _("Hold mail with them")
    ALLOW = "allow", _("Let it in")


class LockedArchives(models.TextChoices):
    HOLD = "hold", _("Hold mail with them")
    ALLOW = "allow", _("Let it in")


class SpamWish(models.TextChoices):
    HOLD = "hold", _("Hold it")
    ALLOW = "allow", _("Let it in")


class DmarcWish(models.TextChoices):
    OBEY = "obey", _("Hold what its domain asks to reject or to quarantine")
    REJECT_ONLY = "reject_only", _("Hold what its domain asks to reject")
    IGNORE = "ignore", _("Let it in, with a warning")


class ReceivingPolicy(models.Model):
    """One row an organisation, made when something other than the defaults is wanted. Viruses are always held."""

    organisation = models.OneToOneField(
        Organisation, primary_key=True, on_delete=models.CASCADE, related_name="+"
    )
    forbidden_files = models.CharField(
        max_length=8, choices=ForbiddenFiles.choices, default=ForbiddenFiles.HOLD
    )
    locked_archives = models.CharField(
        max_length=8,
        choices=LockedArchives.choices,
        default=LockedArchives.ALLOW,
        help_text=_("What no scanner can look into"),
    )
    spam = models.CharField(max_length=8, choices=SpamWish.choices, default=SpamWish.HOLD)
    dmarc = models.CharField(max_length=16, choices=DmarcWish.choices, default=DmarcWish.OBEY)

    class Meta:
        verbose_name_plural = "receiving policies"

    def __str__(self) -> str:
        return str(self.pk)
