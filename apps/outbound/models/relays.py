"""The servers that take our mail on, and which mail each of them is for."""

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.organisations.models import Organisation, new_id

MAX_WEIGHT = 1000
MAX_PRIORITY = 1000


class RelayKind(models.TextChoices):
    SMARTHOST = "smarthost", _("Smarthost")
    DIRECT = "direct", _("Direct to the recipients' servers")


class RelaySecurity(models.TextChoices):
    """How the line to a relay is protected. Only the last two check who is at the other end."""

    NONE = "none", _("None")
    OPPORTUNISTIC = "opportunistic", _("STARTTLS when offered")
    STARTTLS = "starttls", _("STARTTLS, required")
    TLS = "tls", _("Implicit TLS")


class CertificatePolicy(models.TextChoices):
    """What a server's certificate must be. MTA-STS (RFC 8461) of a recipient's domain demands `required` anyhow."""

    BY_SECURITY = "by_security", _("Checked where TLS is required")
    REQUIRED = "required", _("Always checked")
    IGNORED = "ignored", _("Never checked")


class Relay(models.Model):
    """A server that takes our mail on, or the way to the recipients' own servers.

    Without an organisation it comes from RELAY_URL: shared by all, read-only, its password never in the database. A
    removed one stays as evidence of what went over it, without its secret; a delivery that is pinned to it waits for a
    person rather than go another way.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey(
        Organisation,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="+",
        help_text=_("Whose mail it takes; null: everybody's, as RELAY_URL says"),
    )
    name = models.CharField(max_length=255)
    kind = models.CharField(max_length=16, choices=RelayKind.choices, default=RelayKind.SMARTHOST)
    host = models.CharField(max_length=255, blank=True, help_text=_("Empty for a direct one"))
    port = models.PositiveIntegerField(default=25)
    security = models.CharField(
        max_length=16, choices=RelaySecurity.choices, default=RelaySecurity.OPPORTUNISTIC
    )
    certificates = models.CharField(
        max_length=16, choices=CertificatePolicy.choices, default=CertificatePolicy.BY_SECURITY
    )
    username = models.CharField(max_length=255, blank=True)
    sealed_secret = models.TextField(
        blank=True, help_text=_("The password, sealed by organisations.sealing; never shown again")
    )
    hello_name = models.CharField(
        max_length=255, blank=True, help_text=_("What we call ourselves in EHLO; empty: our address")
    )
    priority = models.PositiveSmallIntegerField(
        default=10, validators=[MaxValueValidator(MAX_PRIORITY)], help_text=_("Lower is asked first")
    )
    weight = models.PositiveSmallIntegerField(
        default=1,
        validators=[MinValueValidator(1), MaxValueValidator(MAX_WEIGHT)],
        help_text=_("Its share among those of equal priority"),
    )
    sender_domains = ArrayField(
        models.CharField(max_length=254),
        default=list,
        blank=True,
        help_text=_("Only mail from these domains; empty: all. `*.example.org` means all below it"),
    )
    recipient_domains = ArrayField(
        models.CharField(max_length=254), default=list, blank=True, help_text=_("Only mail to these domains")
    )
    lanes = ArrayField(
        models.CharField(max_length=16), default=list, blank=True, help_text=_("Only mail of these lanes")
    )
    allow_private_networks = models.BooleanField(
        default=False,
        help_text=_("Whether a direct one may connect to loopback, private and link-local addresses"),
    )
    is_active = models.BooleanField(default=True, help_text=_("False: a person paused it"))
    from_environment = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(default=timezone.now, help_text=_("Workers take up what is newer"))
    removed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "name"],
                name="relay_name_once",
                condition=models.Q(removed_at__isnull=True),
            ),
            models.UniqueConstraint(
                fields=["name"],
                name="relay_of_environment_once",
                condition=models.Q(organisation__isnull=True),
            ),
            models.CheckConstraint(
                name="relay_shared_iff_of_environment",
                condition=models.Q(organisation__isnull=True, from_environment=True, sealed_secret="")
                | models.Q(organisation__isnull=False, from_environment=False),
            ),
            models.CheckConstraint(
                name="relay_host_iff_smarthost",
                condition=models.Q(kind="direct", host="", username="", sealed_secret="")
                | (models.Q(kind="smarthost") & ~models.Q(host="")),
            ),
            models.CheckConstraint(name="relay_weight_positive", condition=models.Q(weight__gte=1)),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_direct(self) -> bool:
        return self.kind == RelayKind.DIRECT

    @property
    def has_secret(self) -> bool:
        """Whether a password of ours is kept for it. One of RELAY_URL's is known to the processes alone."""
        return bool(self.sealed_secret)

    @property
    def seal_purpose(self) -> str:
        """What its password is sealed for (`organisations.sealing`): a copy in another row opens nothing."""
        return f"relay:{self.pk}"

    def serves(self, *, sender_domain: str, recipient_domain: str, lane: str) -> bool:
        """Whether mail of this kind is for it. Domains are in ASCII and lower case."""
        return (
            self.serves_sender(sender_domain)
            and _covers(self.recipient_domains, recipient_domain)
            and (not self.lanes or lane in self.lanes)
        )

    def serves_sender(self, domain: str) -> bool:
        """Whether any mail from this domain is for it."""
        return _covers(self.sender_domains, domain)


def _covers(patterns: list[str], domain: str) -> bool:
    """`*.example.org` covers what is below example.org and not itself; no pattern at all covers everything."""
    if not patterns:
        return True
    above = {f"*.{part}" for part in _parents(domain)}
    return any(pattern == domain or pattern in above for pattern in patterns)


def _parents(domain: str) -> list[str]:
    labels = domain.split(".")
    return [".".join(labels[start:]) for start in range(1, len(labels))]
