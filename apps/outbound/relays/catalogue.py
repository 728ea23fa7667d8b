"""The relays as workers know them: read with each batch of claims, and read in full only when something changed.

Whoever changes a relay sets `updated_at`. Their count and the sum of these moments change with any change, also with
one that is committed after a later one, and with rows that went with their organisation. So a change is known to every
worker at its next batch, without a restart and without a message that could be lost.
"""

from decimal import Decimal

from django.db.models import Count, DecimalField, Sum
from django.db.models.functions import Extract

from apps.outbound.models import Relay

# Extract would have it rounded to whole seconds.
_TO_MICROSECONDS: "DecimalField[Decimal, Decimal]" = DecimalField(max_digits=40, decimal_places=6)
_Version = tuple[int, Decimal | None]

_known: tuple[_Version, tuple[Relay, ...]] | None = None


def known_relays() -> tuple[Relay, ...]:
    """All relays that were not removed, paused ones included; the very same tuple while nothing has changed."""
    global _known  # noqa: PLW0603 - one memory per process, replaced as a whole
    moments = Sum(Extract("updated_at", "epoch"), output_field=_TO_MICROSECONDS)
    told = Relay.objects.aggregate(count=Count("pk"), moments=moments)
    version = (told["count"], told["moments"])
    if _known is None or _known[0] != version:
        _known = version, tuple(Relay.objects.filter(removed_at__isnull=True))
    return _known[1]


def active_relays() -> list[Relay]:
    """Those that may be asked, first the one that is asked first."""
    return list(Relay.objects.filter(is_active=True, removed_at__isnull=True).order_by("priority", "id"))
