"""The queue in numbers, and what holds it up.

Counts of unfinished deliveries are of all; counts of finished ones of the last day, so that the answer costs the same
however much was ever sent.

Limits: what holds a queue up, and where to, is read from the oldest `LOOKED_AT` of each state. In a longer queue those
figures are of these only; `depth` and `by_state` are exact, and read from an index alone.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import (
    Count,
    DurationField,
    Exists,
    ExpressionWrapper,
    F,
    FloatField,
    Max,
    Min,
    OuterRef,
    Q,
    QuerySet,
)
from django.db.models.aggregates import Aggregate
from django.db.models.functions import Extract

from apps.accounts.principal import Principal
from apps.mailboxes.models import Side
from apps.mailboxes.selectors import entries_for
from apps.outbound.causes import Cause
from apps.outbound.models import UNFINISHED, WAITING, Delivery, DeliveryState
from apps.outbound.retry import DEFAULT_RETRY_POLICY

IN_THE_QUEUE = (DeliveryState.QUEUED, DeliveryState.DEFERRED, DeliveryState.SENDING)
DESTINATIONS_SHOWN = 20
LOOKED_AT = 20_000
RATE_WINDOW = timedelta(minutes=5)
LATENCY_WINDOW = timedelta(hours=1)
FINISHED_WINDOW = timedelta(days=1)
# A worker that lives takes a due delivery up within a sweep or two.
OVERDUE_SECONDS = 15

_ACTIONS = {
    Cause.RELAY_UNAVAILABLE: "Look at the relay: is it running, reachable, and are its credentials right?",
    Cause.RELAY_REFUSED: "Look at the relay's settings: it answers, but takes no mail from us. Its test tells more.",
    Cause.NO_RELAY_SERVES: "Add a relay for this mail, or widen what one of those you have is for.",
    Cause.RECIPIENT_UNAVAILABLE: "Nothing to do yet: the recipients' servers asked us to come again.",
    Cause.STORE_UNAVAILABLE: "Look at the object store (S3): messages' bytes cannot be read.",
    Cause.SCANNER_UNAVAILABLE: "Look at the scanners: do clamd (CLAMD_URL) and rspamd (RSPAMD_URL) run and answer?",
    Cause.WORKER_LOST: "Look at the workers' log: one was killed while it was sending.",
    Cause.PLATFORM_FAULT: "Look at the workers' log: something unforeseen went wrong here.",
    Cause.SENDER_LIMIT: "Nothing to do: they go as fast as the sender's limit allows. Raise it if it is too low.",
    Cause.ORGANISATION_LIMIT: "Nothing to do: they go as fast as the organisation's limit allows.",
    Cause.RELAY_LIMIT: "Nothing to do: they go as fast as the relay's limit allows. Another relay would help.",
    Cause.DESTINATION_LIMIT: "Nothing to do: they go as fast as the limit for their destination allows.",
    Cause.LIMITS_UNKNOWN: "Nothing to do: it takes some seconds. If it lasts, look whether Redis keeps its counts.",
    Cause.PROVIDER_LIMIT: "Nothing to do yet: the provider had enough, and we go slower. Another relay would help.",
    Cause.GREYLISTED: "Nothing to do: the recipients' servers take strangers on the second try.",
    Cause.MAILBOX_FULL: "Tell the recipients another way: their mailboxes are full.",
    Cause.REPUTATION_BLOCK: "See why the provider distrusts us: SPF, DKIM, complaints. Another relay may do better.",
    Cause.REPLY_LOST: "Decide for each of these whether it was sent; only then is it tried again.",
}


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One thing that holds deliveries up: its code, what tells us so, what a person can do, how many are affected."""

    cause: str
    evidence: str
    action: str
    affected: int


@dataclass(frozen=True, slots=True)
class RelayFigures:
    """One relay: what waits after it was asked, and what it took or refused within the last day."""

    relay: str
    waiting: int
    sent: int
    failed: int


@dataclass(frozen=True, slots=True)
class DestinationFigures:
    """One domain that recipients wait for; `next_attempt_at` is None while all of them are being sent."""

    domain: str
    depth: int
    next_attempt_at: datetime | None


@dataclass(frozen=True, slots=True)
class QueueFigures:
    """`depth` counts what is queued, deferred or being sent; what is scheduled for later is in `by_state` only."""

    depth: int
    oldest_due_seconds: float
    by_state: dict[str, int]
    by_relay: list[RelayFigures]
    by_destination: list[DestinationFigures]
    workers_busy: int
    rates: dict[str, float]
    latency: dict[str, float | None]
    diagnosis: list[Diagnosis]


class _Percentile(Aggregate):
    """PostgreSQL's ordered-set aggregate over seconds."""

    function = "PERCENTILE_CONT"
    template = "%(function)s(%(fraction)s) WITHIN GROUP (ORDER BY %(expressions)s)"
    output_field = FloatField()

    def __init__(self, expression: Any, *, fraction: float, **extra: Any) -> None:
        super().__init__(expression, fraction=fraction, **extra)


def queue_figures(principal: Principal, now: datetime) -> QueueFigures:
    """The queue as far as the caller may know of it."""
    deliveries = _known_to(principal)
    unfinished = deliveries.filter(state__in=UNFINISHED)
    by_state = _by_state(unfinished, deliveries.filter(finished_at__gt=now - FINISHED_WINDOW))
    unfinished = _oldest_of_each_state(unfinished)
    oldest = unfinished.filter(state__in=WAITING, due_at__lte=now).aggregate(at=Min("due_at"))["at"]
    oldest_seconds = (now - oldest).total_seconds() if oldest is not None else 0.0
    busy = by_state.get(DeliveryState.SENDING, 0)
    return QueueFigures(
        depth=sum(by_state.get(state, 0) for state in IN_THE_QUEUE),
        oldest_due_seconds=oldest_seconds,
        by_state=by_state,
        by_relay=_by_relay(unfinished, deliveries.filter(finished_at__gt=now - FINISHED_WINDOW)),
        by_destination=_by_destination(unfinished),
        workers_busy=busy,
        rates=_rates(deliveries, now),
        latency=_latency(deliveries, now),
        diagnosis=_diagnosis(unfinished, oldest_seconds, busy),
    )


def _known_to(principal: Principal) -> QuerySet[Delivery]:
    deliveries = Delivery.objects.filter(organisation_id=principal.organisation_id).order_by()
    if principal.sees_everything:
        return deliveries
    senders_copy = entries_for(principal).filter(message=OuterRef("message"), side=Side.SENDER)
    return deliveries.filter(Exists(senders_copy))


def _by_state(unfinished: QuerySet[Delivery], finished: QuerySet[Delivery]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for deliveries in (unfinished, finished):
        counts |= dict(deliveries.values_list("state").annotate(n=Count("id")))
    return counts


def _oldest_of_each_state(unfinished: QuerySet[Delivery]) -> QuerySet[Delivery]:
    """Enough of them to tell what is the matter, found by an index however many there are."""
    first, *others = [
        unfinished.filter(state=state).order_by("created_at").values("pk")[:LOOKED_AT] for state in UNFINISHED
    ]
    return Delivery.objects.filter(pk__in=first.union(*others, all=True)).order_by()


def _by_relay(unfinished: QuerySet[Delivery], finished: QuerySet[Delivery]) -> list[RelayFigures]:
    counts: dict[str, dict[str, int]] = {}
    for name, deliveries in (("waiting", unfinished.filter(state__in=WAITING)), ("finished", finished)):
        rows = deliveries.filter(relay__isnull=False).values_list("relay__name", "state")
        for relay, state, n in rows.annotate(n=Count("id")):
            counted_as = state if name == "finished" else name
            of_relay = counts.setdefault(relay, {})
            of_relay[counted_as] = of_relay.get(counted_as, 0) + n
    return [
        RelayFigures(
            relay,
            of_relay.get("waiting", 0),
            of_relay.get(DeliveryState.SENT, 0),
            of_relay.get(DeliveryState.FAILED, 0),
        )
        for relay, of_relay in sorted(counts.items())
    ]


def _by_destination(unfinished: QuerySet[Delivery]) -> list[DestinationFigures]:
    """The domains most recipients wait for."""
    rows = (
        unfinished.filter(state__in=IN_THE_QUEUE)
        .values_list("destination")
        .annotate(depth=Count("id"), next_attempt_at=Min("due_at"))
        .order_by("-depth", "destination")[:DESTINATIONS_SHOWN]
    )
    return [DestinationFigures(*row) for row in rows]


def _rates(deliveries: QuerySet[Delivery], now: datetime) -> dict[str, float]:
    """Per minute, over the last five."""
    minutes = RATE_WINDOW.total_seconds() / 60
    finished = deliveries.filter(finished_at__gt=now - RATE_WINDOW)
    done = finished.aggregate(
        sent=Count("id", filter=Q(state__in=[DeliveryState.SENT, DeliveryState.DELIVERED])),
        failed=Count("id", filter=~Q(state__in=[DeliveryState.SENT, DeliveryState.DELIVERED])),
    )
    return {
        "sent_per_minute": done["sent"] / minutes,
        "failed_per_minute": done["failed"] / minutes,
    }


def _latency(deliveries: QuerySet[Delivery], now: datetime) -> dict[str, float | None]:
    """Seconds from when a recipient first was due until a server took it, over the last hour; None without any."""
    # A delivery's lifetime counts from when it first is due: that moment, then, without the undo window.
    took = ExpressionWrapper(
        F("finished_at") - F("expires_at") + DEFAULT_RETRY_POLICY.lifetime, output_field=DurationField()
    )
    seconds = Extract(took, "epoch")
    sent = deliveries.filter(state=DeliveryState.SENT, finished_at__gt=now - LATENCY_WINDOW)
    figures: dict[str, float | None] = sent.aggregate(
        p50_seconds=_Percentile(seconds, fraction=0.5),
        p99_seconds=_Percentile(seconds, fraction=0.99),
    )
    return figures


def _diagnosis(unfinished: QuerySet[Delivery], oldest_seconds: float, busy: int) -> list[Diagnosis]:
    found = [
        Diagnosis(row["cause"], row["evidence"], _ACTIONS[Cause(row["cause"])], row["affected"])
        for row in unfinished.filter(cause__in=[cause.value for cause in _ACTIONS])
        .values("cause")
        .annotate(affected=Count("id"), evidence=Max("reason"))
        .order_by("-affected")
    ]
    if oldest_seconds > OVERDUE_SECONDS and busy == 0:
        waiting = unfinished.filter(state__in=WAITING).count()
        evidence = f"The oldest has been due for {oldest_seconds:.0f} s and no worker has taken anything up."
        found.insert(
            0, Diagnosis(Cause.WAITING_FOR_WORKER, evidence, "Start a worker (manage.py work).", waiting)
        )
    return found
