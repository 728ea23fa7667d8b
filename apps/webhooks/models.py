"""Who is told of what happens, and how far the telling of each event has come.

A `WebhookDelivery` is one event for one webhook:

    waiting ──claim──▶ sending ──▶ delivered
       ▲                  │
       └──────────────────┤  refused, unreachable, or a lease that lapsed: due again later
                          └──▶ given_up   three days after it happened

All transitions are in `queue.py`.
"""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.events.models import Event
from apps.organisations.models import TenantRow
from apps.webhooks.kinds import is_wanted


class DisabledBecause(models.TextChoices):
    """Why nothing is pushed any more. Empty while the webhook is active."""

    NOT = "", _("It is active")
    BY_PERSON = "by_person", _("Somebody switched it off.")
    FAILING = "failing", _("Nothing could be delivered for five days.")
    GONE = "gone", _("The receiver answered 410 Gone, which asks for no more events.")


class Webhook(TenantRow):
    """A URL of an integrator's that is told of events. The secret is sealed; only its making shows it."""

    url = models.TextField()
    description = models.CharField(max_length=200, blank=True)
    event_kinds = ArrayField(
        models.CharField(max_length=64), help_text=_("`ticket.opened`, `ticket.*` or `*`; see kinds.py")
    )
    sealed_secret = models.TextField(help_text=_("organisations.sealing, purpose webhook:ID"))
    is_active = models.BooleanField(default=True)
    disabled_because = models.CharField(
        max_length=16, choices=DisabledBecause.choices, default=DisabledBecause.NOT, blank=True
    )
    disabled_at = models.DateTimeField(null=True, blank=True)
    failing_since = models.DateTimeField(
        null=True, blank=True, help_text=_("The first of the failures since the last success")
    )
    paused_until = models.DateTimeField(
        null=True,
        blank=True,
        help_text=_("While it fails it is tried with one event at a time, not before this"),
    )
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(
                name="webhook_disabled_iff_inactive",
                condition=models.Q(is_active=True, disabled_because="", disabled_at__isnull=True)
                | (models.Q(is_active=False, disabled_at__isnull=False) & ~models.Q(disabled_because="")),
            ),
        ]
        indexes = [models.Index(fields=["organisation", "-created_at", "-id"], name="webhook_newest_first")]

    def __str__(self) -> str:
        return str(self.pk)

    @property
    def seal_purpose(self) -> str:
        return f"webhook:{self.pk}"

    def wants(self, event: Event) -> bool:
        """Whether this event is to be pushed here: of a kind it asked for, and not from before it was made."""
        return event.created_at >= self.created_at and is_wanted(event.kind, self.event_kinds)


class DeliveryState(models.TextChoices):
    WAITING = "waiting", _("Waiting")
    SENDING = "sending", _("Being sent")
    DELIVERED = "delivered", _("Delivered")
    GIVEN_UP = "given_up", _("Given up")


class WebhookDelivery(TenantRow):
    """One event for one webhook, and what the other side said last."""

    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, related_name="deliveries")
    event = models.ForeignKey(Event, on_delete=models.CASCADE, related_name="+")
    state = models.CharField(max_length=16, choices=DeliveryState.choices, default=DeliveryState.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField(null=True, blank=True, help_text=_("Next try; null when there is none"))
    lease_token = models.UUIDField(null=True, blank=True)
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    last_status = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text=_("HTTP status of the last answer; null when there was none")
    )
    last_error = models.CharField(max_length=32, blank=True, help_text=_("What went wrong last, as a code"))
    last_reason = models.TextField(blank=True, help_text=_("The same in one sentence"))
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        verbose_name_plural = "webhook deliveries"
        constraints = [
            models.UniqueConstraint(fields=["webhook", "event"], name="webhook_told_once_of_an_event"),
            models.CheckConstraint(
                name="webhook_delivery_lease_iff_sending",
                condition=models.Q(state="sending", lease_token__isnull=False, lease_expires_at__isnull=False)
                | (
                    ~models.Q(state="sending")
                    & models.Q(lease_token__isnull=True, lease_expires_at__isnull=True)
                ),
            ),
            models.CheckConstraint(
                name="webhook_delivery_due_iff_waiting",
                condition=models.Q(state="waiting", due_at__isnull=False)
                | (~models.Q(state="waiting") & models.Q(due_at__isnull=True)),
            ),
        ]
        indexes = [
            models.Index(
                fields=["webhook", "due_at"], name="webhook_delivery_due", condition=models.Q(state="waiting")
            ),
            models.Index(
                fields=["lease_expires_at"],
                name="webhook_delivery_lease",
                condition=models.Q(state="sending"),
            ),
            models.Index(
                fields=["created_at"], name="webhook_delivery_age", condition=models.Q(state="waiting")
            ),
            models.Index(fields=["webhook", "-created_at", "-id"], name="webhook_delivery_newest"),
            models.Index(fields=["finished_at"], name="webhook_delivery_finished"),
        ]

    def __str__(self) -> str:
        return f"event {self.event_id} for {self.webhook_id}"
