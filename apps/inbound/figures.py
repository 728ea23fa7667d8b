"""What /metrics tells of mail that was accepted."""

from django.db.models import Count, Min
from django.utils import timezone

from apps.inbound.ingest import WAITING
from apps.inbound.models import ReceivedMessage
from apps.monitoring.figures import Figure, register
from apps.tickets.models import HeldMessage, HeldState


def waiting_by_state() -> dict[str, float]:
    """Accepted messages that are not filed yet."""
    rows = ReceivedMessage.objects.filter(state__in=WAITING).values("state").annotate(n=Count("id"))
    return {row["state"]: float(row["n"]) for row in rows}


def oldest_waiting_seconds() -> dict[str, float]:
    """The age of the oldest of them; 0 when all is filed."""
    oldest = ReceivedMessage.objects.filter(state__in=WAITING).aggregate(at=Min("received_at"))["at"]
    return {"": (timezone.now() - oldest).total_seconds() if oldest else 0.0}


def held_by_cause() -> dict[str, float]:
    """Received mail that waits for a person."""
    rows = (
        HeldMessage.objects.filter(state=HeldState.WAITING).order_by().values("cause").annotate(n=Count("id"))
    )
    return {row["cause"]: float(row["n"]) for row in rows}


def register_figures() -> None:
    register(Figure("mail_held", "Received mail held for a person, by cause.", held_by_cause, label="cause"))
    register(
        Figure(
            "mail_received_waiting",
            "Accepted messages that are not filed yet, by state.",
            waiting_by_state,
            label="state",
        )
    )
    register(
        Figure(
            "mail_received_oldest_waiting_seconds",
            "Age of the oldest accepted message that is not filed yet.",
            oldest_waiting_seconds,
        )
    )
