"""The outgoing queue. PostgreSQL is the queue and the truth: one `Delivery` per recipient of a message."""

from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.mailboxes.models import Mailbox, Message
from apps.organisations.models import Organisation, TenantRow, new_id
from apps.outbound.models.relays import Relay


class Lane(models.TextChoices):
    """A bulk send never delays an answer to a customer: each lane has its own claims."""

    INTERACTIVE = "interactive", _("Written by a person")
    BULK = "bulk", _("Bulk")


class Route(models.TextChoices):
    LOCAL = "local", _("to an address we own")
    RELAY = "relay", _("over a relay")


class RecipientField(models.TextChoices):
    TO = "to", "To"
    CC = "cc", "Cc"
    BCC = "bcc", "Bcc"


class DeliveryState(models.TextChoices):
    SCHEDULED = "scheduled", _("Scheduled")
    QUEUED = "queued", _("Waiting")
    SENDING = "sending", _("Sending")
    DEFERRED = "deferred", _("Deferred")
    SENT = "sent", _("Accepted")
    DELIVERED = "delivered", _("Delivered")
    UNCERTAIN = "uncertain", _("Uncertain")
    FAILED = "failed", _("Failed")
    EXPIRED = "expired", _("Expired")
    BOUNCED = "bounced", _("Bounced")
    SUPPRESSED = "suppressed", _("Suppressed")
    REJECTED = "rejected", _("Rejected")
    CANCELLED = "cancelled", _("Cancelled")


WAITING = (DeliveryState.SCHEDULED, DeliveryState.QUEUED, DeliveryState.DEFERRED)
UNFINISHED = (*WAITING, DeliveryState.SENDING, DeliveryState.UNCERTAIN)
IN_ERROR = (
    DeliveryState.FAILED,
    DeliveryState.EXPIRED,
    DeliveryState.REJECTED,
    DeliveryState.BOUNCED,
    DeliveryState.SUPPRESSED,
)

# What a message with many recipients is called: the first of these that any of its deliveries is in. Unfinished ones
# come first, then those a person should look at; it is `cancelled` only when all of it was.
LEAST_FINISHED_FIRST = (
    *UNFINISHED,
    *IN_ERROR,
    DeliveryState.SENT,
    DeliveryState.DELIVERED,
    DeliveryState.CANCELLED,
)


class Phase(models.TextChoices):
    """How far the current attempt has come; `committing` is the fence before the final dot."""

    NONE = "", _("none")
    COMMITTING = "committing", _("committing")


class Delivery(TenantRow):
    """One recipient of one outgoing message, and the truth about it.

    It is rewritten three times while it is sent: taken up, past the fence, ended. An index costs each of these writes
    an entry, so foreign keys that nobody looks up have none, those that lead another index neither, and what the fence
    changes (`phase`, `relay`) is in no index at all: PostgreSQL rewrites it within its page.
    """

    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="+", db_index=False)
    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="deliveries", db_index=False)
    recipient = models.CharField(max_length=254)
    destination = models.CharField(
        max_length=254,
        default="",
        help_text=_("The recipient's domain, lower case, in ASCII: what limits and routes go by"),
    )
    field = models.CharField(max_length=4, choices=RecipientField.choices)
    route = models.CharField(max_length=8, choices=Route.choices)
    local_mailbox = models.ForeignKey(
        Mailbox, null=True, blank=True, on_delete=models.SET_NULL, related_name="+", db_index=False
    )
    lane = models.CharField(max_length=16, choices=Lane.choices, default=Lane.INTERACTIVE)
    state = models.CharField(max_length=16, choices=DeliveryState.choices)
    phase = models.CharField(max_length=16, choices=Phase.choices, default=Phase.NONE, blank=True)
    cause = models.CharField(max_length=64, blank=True, help_text=_("Why it waits or failed, as a code"))
    reason = models.TextField(blank=True, help_text=_("The same in one sentence, with evidence"))
    due_at = models.DateTimeField(null=True, blank=True, help_text=_("Next try; null when there is none"))
    expires_at = models.DateTimeField()
    attempts_made = models.PositiveIntegerField(
        default=0, help_text=_("Times a worker took it up; numbers the attempts")
    )
    setbacks = models.PositiveSmallIntegerField(
        default=0,
        help_text=_("Attempts that failed for the other side's reasons: what the backoff grows with"),
    )
    lease_token = models.UUIDField(null=True, blank=True)
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    relay = models.ForeignKey(
        Relay,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        db_index=False,
        help_text=_("Asked last"),
    )
    pinned_relay = models.ForeignKey(
        Relay,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        db_index=False,
        help_text=_(
            "The only one that may be asked: a person chose it, or an uncertain attempt went over it"
        ),
    )
    cancel_if_replied = models.BooleanField(
        default=False, help_text=_("Cancelled when the conversation gets an answer while it still waits")
    )
    delay_told_at = models.DateTimeField(
        null=True, blank=True, help_text=_("When the sender was told that it is late")
    )
    failure_told_at = models.DateTimeField(
        null=True, blank=True, help_text=_("When the sender was told that it will not arrive")
    )
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    discarded_at = models.DateTimeField(
        null=True, blank=True, help_text=_("Taken out of the error queue by a person")
    )

    class Meta:
        ordering = ["created_at", "id"]
        verbose_name_plural = "deliveries"
        constraints = [
            models.UniqueConstraint(fields=["message", "recipient"], name="delivery_once_per_recipient"),
            models.CheckConstraint(
                name="delivery_lease_iff_sending",
                condition=models.Q(state="sending", lease_token__isnull=False, lease_expires_at__isnull=False)
                | (~models.Q(state="sending") & models.Q(lease_token__isnull=True, phase="")),
            ),
            models.CheckConstraint(
                name="delivery_due_iff_waiting",
                condition=models.Q(state__in=["scheduled", "queued", "deferred"], due_at__isnull=False)
                | (~models.Q(state__in=["scheduled", "queued", "deferred"]) & models.Q(due_at__isnull=True)),
            ),
            # Whatever waits, failed or was called off has a reason that can be told.
            models.CheckConstraint(
                name="delivery_has_cause",
                condition=models.Q(state__in=["sending", "sent", "delivered"]) | ~models.Q(cause=""),
            ),
        ]
        indexes = [
            models.Index(
                fields=["lane", "due_at"],
                name="delivery_due",
                condition=models.Q(state__in=["scheduled", "queued", "deferred"]),
            ),
            models.Index(
                fields=["lane", "destination", "due_at"],
                name="delivery_by_destination",
                condition=models.Q(state__in=["scheduled", "queued", "deferred"]),
            ),
            models.Index(
                fields=["organisation", "recipient"],
                name="delivery_waiting_for",
                condition=models.Q(state__in=["scheduled", "queued", "deferred"]),
            ),
            models.Index(
                fields=["lease_expires_at"], name="delivery_lease", condition=models.Q(state="sending")
            ),
            models.Index(
                fields=["expires_at"],
                name="delivery_expiry",
                condition=models.Q(state__in=["scheduled", "queued", "deferred"]),
            ),
            models.Index(fields=["organisation", "state", "-created_at"], name="delivery_by_state"),
            # The Outbox, longest first: a page of it ends the scan, however many wait.
            models.Index(
                fields=["organisation", "created_at", "id"],
                name="delivery_outbox",
                condition=models.Q(state__in=["scheduled", "queued", "deferred", "sending", "uncertain"]),
            ),
            models.Index(
                fields=["organisation", "finished_at"],
                name="delivery_finished",
                condition=models.Q(finished_at__isnull=False),
            ),
            models.Index(
                fields=["finished_at"],
                name="delivery_failure_untold",
                condition=models.Q(
                    state__in=["failed", "expired", "rejected", "bounced", "suppressed"],
                    failure_told_at__isnull=True,
                ),
            ),
        ]

    def __str__(self) -> str:
        return str(self.pk)

    @property
    def is_waiting(self) -> bool:
        return self.state in WAITING

    @property
    def is_finished(self) -> bool:
        return self.state not in UNFINISHED


class DeliveryAttempt(models.Model):
    """One conversation with one server about one recipient, kept as evidence.

    What its result changes is in no index, so that it is written in place: see `Delivery`.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="attempts", db_index=False)
    number = models.PositiveIntegerField()
    relay = models.ForeignKey(
        Relay, null=True, blank=True, on_delete=models.SET_NULL, related_name="+", db_index=False
    )
    token = models.UUIDField()
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=16, choices=DeliveryState.choices, blank=True)
    code = models.PositiveSmallIntegerField(null=True, blank=True)
    enhanced = models.CharField(max_length=16, blank=True)
    text = models.TextField(
        blank=True, help_text=_("The server's answer, or our own account of what went wrong")
    )
    server = models.CharField(max_length=255, blank=True)
    tls = models.CharField(max_length=64, blank=True)
    phases_ms = models.JSONField(
        default=dict, help_text=_("Milliseconds spent in each phase of the conversation")
    )

    class Meta:
        ordering = ["number"]
        constraints = [models.UniqueConstraint(fields=["delivery", "number"], name="attempt_number_once")]
        # What limits are rebuilt from: the last minute, hour or day of rows that lie in order of time. It costs next to
        # nothing to keep, and results are still written in place.
        indexes = [
            BrinIndex(fields=["started_at"], name="attempt_started", pages_per_range=32, autosummarize=True)
        ]

    def __str__(self) -> str:
        return f"attempt {self.number} of {self.delivery_id}"
