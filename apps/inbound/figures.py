"""What /metrics tells of mail that was accepted, and of what was not."""

from functools import partial

from django.db.models import Count, Min
from django.utils import timezone
from redis.exceptions import RedisError

from apps.inbound.claims import WAITING
from apps.inbound.models import ReceivedMessage
from apps.inbound.tally import key_of
from apps.monitoring.figures import Figure, register
from apps.monitoring.heartbeat import connect
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


def refused_by_reply(listener: str) -> dict[str, float]:
    """What a listener refused; nothing while Redis is away, so that the other figures are told."""
    try:
        counts = connect().hgetall(key_of(listener))
    except RedisError:
        return {}
    # Bytes here; the types know of clients that decode.
    return {
        codes if isinstance(codes, str) else codes.decode(): float(times) for codes, times in counts.items()
    }


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
    for listener, name in (("smtp", "mail_refused"), ("submission", "submissions_refused")):
        register(
            Figure(
                name,
                f"Replies 4xx and 5xx of the {listener} port, by code, since Redis was last emptied.",
                partial(refused_by_reply, listener),
                label="reply",
            )
        )
