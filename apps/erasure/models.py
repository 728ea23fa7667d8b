"""Which customers were erased: who asked, when, and how much went. Never who they were.

    running ──▶ done      the line is final: the address is gone from it, and PostgreSQL refuses to change it
       └──────▶ failed    the address could not be unsealed (SECRET_KEY was changed); asking again begins anew

Both transitions are in `walk.py`.
"""

from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.organisations.models import TenantRow


class ErasureState(models.TextChoices):
    RUNNING = "running", _("Under way")
    DONE = "done", _("Erased")
    FAILED = "failed", _("Could not be finished")


class Erasure(TenantRow):
    """One line of the audit, and while it runs the place it has come to."""

    address_digest = models.BinaryField(max_length=32, help_text=_("Keyed: organisations.erasing.digest_of"))
    sealed_address = models.TextField(blank=True, help_text=_("organisations.sealing; only while it runs"))
    requested_by = models.CharField(max_length=64, help_text=_("user:ID, key:ID or operator"))
    requested_by_name = models.CharField(max_length=200, help_text=_("As they were called then"))
    requested_at = models.DateTimeField()
    state = models.CharField(max_length=16, choices=ErasureState.choices, default=ErasureState.RUNNING)
    step = models.CharField(
        max_length=100, blank=True, help_text=_("Where it is: the step, and in it the row")
    )
    after = models.CharField(max_length=64, blank=True)
    counts = models.JSONField(default=dict, help_text=_("{kind: how many} that were removed or rewritten"))
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "address_digest"],
                condition=models.Q(state="running"),
                name="erasure_once_at_a_time",
            ),
            models.CheckConstraint(
                name="erasure_sealed_iff_running",
                condition=(models.Q(state="running", finished_at__isnull=True) & ~models.Q(sealed_address=""))
                | (~models.Q(state="running") & models.Q(sealed_address="", finished_at__isnull=False)),
            ),
        ]
        indexes = [models.Index(fields=["organisation", "-requested_at", "-id"], name="erasure_newest_first")]

    def __str__(self) -> str:
        return str(self.pk)

    @property
    def seal_purpose(self) -> str:
        return f"erasure:{self.pk}"

    @property
    def fingerprint(self) -> str:
        """By which a line can be told from others, and which says nothing of the address."""
        return bytes(self.address_digest).hex()[:12]
