"""Domains' DKIM keys, and the signatures that were made with them."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.mailboxes.models import Domain, Message
from apps.organisations.models import TenantRow


class KeyAlgorithm(models.TextChoices):
    """As `k=` and the first half of `a=` name them."""

    RSA = "rsa", _("RSA")
    ED25519 = "ed25519", _("Ed25519")


class KeyState(models.TextChoices):
    """See signing/rotation.py, where every change of it is drawn."""

    PENDING = "pending", _("Waiting for its DNS record")
    ACTIVE = "active", _("Signing")
    RETIRING = "retiring", _("Published for mail still on its way")
    RETIRED = "retired", _("Retired")


class SigningKey(TenantRow):
    """One key of one domain under one selector. The private half is sealed, and gone once the key is retired."""

    domain = models.ForeignKey(Domain, on_delete=models.CASCADE, related_name="signing_keys")
    selector = models.CharField(max_length=63)
    algorithm = models.CharField(max_length=8, choices=KeyAlgorithm.choices)
    state = models.CharField(max_length=8, choices=KeyState.choices, default=KeyState.PENDING)
    sealed_private_key = models.TextField(blank=True)
    public_key = models.TextField(help_text=_("What p= says in its DNS record"))
    created_at = models.DateTimeField()
    seen_at = models.DateTimeField(
        null=True, blank=True, help_text=_("When its DNS record was last seen to be right")
    )
    activated_at = models.DateTimeField(null=True, blank=True)
    retiring_at = models.DateTimeField(null=True, blank=True)
    retired_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["created_at", "id"]
        constraints = [
            models.UniqueConstraint(fields=["domain", "selector"], name="signing_key_selector_once"),
            models.UniqueConstraint(
                fields=["domain", "algorithm"],
                condition=models.Q(state="active"),
                name="signing_key_one_active",
            ),
            models.UniqueConstraint(
                fields=["domain", "algorithm"],
                condition=models.Q(state="pending"),
                name="signing_key_one_pending",
            ),
            models.CheckConstraint(
                name="signing_key_shape",
                condition=models.Q(state="pending", activated_at__isnull=True)
                | models.Q(state="active", activated_at__isnull=False, retiring_at__isnull=True)
                | models.Q(state="retiring", retiring_at__isnull=False, retired_at__isnull=True)
                | models.Q(state="retired", retired_at__isnull=False, sealed_private_key=""),
            ),
        ]
        indexes = [
            models.Index(
                fields=["state"],
                name="signing_key_to_tend",
                condition=models.Q(state__in=["pending", "retiring"]),
            )
        ]

    def __str__(self) -> str:
        return f"{self.selector} of {self.domain_id}"

    @property
    def seal_purpose(self) -> str:
        """What the private half is sealed as: it opens in this row only."""
        return f"dkim:{self.pk}"


class MessageSignature(models.Model):
    """The DKIM-Signature fields that stood before a message when it was last sent: its raw bytes are these and its
    own. Kept apart from the message, whose bytes are what was submitted and never change."""

    message = models.OneToOneField(Message, primary_key=True, on_delete=models.CASCADE, related_name="+")
    fields = models.BinaryField()
    selectors = models.CharField(
        max_length=255, help_text=_("Separated by spaces, in the order of the fields")
    )
    made_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"signature of {self.message_id}"
