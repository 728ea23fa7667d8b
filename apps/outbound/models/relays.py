"""The servers that take our mail on."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.organisations.models import new_id


class RelaySecurity(models.TextChoices):
    """How the line to a relay is protected. Only the last two check who is at the other end."""

    NONE = "none", _("None")
    OPPORTUNISTIC = "opportunistic", _("STARTTLS when offered")
    STARTTLS = "starttls", _("STARTTLS, required")
    TLS = "tls", _("Implicit TLS")


class Relay(models.Model):
    """A server that takes our mail on. Those of RELAY_URL are read-only; their passwords stay out of the database."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    name = models.CharField(max_length=255, unique=True)
    host = models.CharField(max_length=255)
    port = models.PositiveIntegerField()
    security = models.CharField(max_length=16, choices=RelaySecurity.choices)
    username = models.CharField(max_length=255, blank=True)
    position = models.PositiveSmallIntegerField(default=0, help_text=_("Lower is asked first"))
    is_active = models.BooleanField(default=True)
    from_environment = models.BooleanField(default=False)

    def __str__(self) -> str:
        return self.name
