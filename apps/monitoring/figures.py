"""What is measured, in Prometheus' words. Rooms above this one register their own figures when they are loaded."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from django.db.models import Count
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from apps.blobs.models import SpooledBytes
from apps.events.models import Event
from apps.outbound.models import Delivery, DeliveryReport, Suppression


@dataclass(frozen=True, slots=True)
class Figure:
    """A gauge that is read when asked: label value to number, or {"": number} without a label."""

    name: str
    help: str
    read: Callable[[], dict[str, float]]
    label: str = ""


_figures: list[Figure] = []


def register(figure: Figure) -> None:
    """Add a figure to /metrics. Called once, when its room is loaded."""
    _figures.append(figure)


class _OnDemand(Collector):
    """Reads every figure from the database at each scrape, so that all web processes tell the same."""

    def __init__(self, figures: Iterable[Figure]) -> None:
        self.figures = figures

    def collect(self) -> Iterator[Metric]:
        for figure in self.figures:
            labels = [figure.label] if figure.label else []
            family = GaugeMetricFamily(figure.name, figure.help, labels=labels)
            for value, number in figure.read().items():
                family.add_metric([value] if labels else [], number)
            yield family


def exposition() -> bytes:
    """Every registered figure in the text format of Prometheus."""
    registry = CollectorRegistry()
    registry.register(_OnDemand(_figures))
    return generate_latest(registry)


def _deliveries_by_state() -> dict[str, float]:
    rows = Delivery.objects.values("state").annotate(n=Count("id"))
    return {row["state"]: float(row["n"]) for row in rows}


register(
    Figure(
        "mail_deliveries",
        "Recipients of outgoing messages, by the state of their delivery.",
        _deliveries_by_state,
        label="state",
    )
)


def _reports_by_action() -> dict[str, float]:
    rows = DeliveryReport.objects.order_by().values("action").annotate(n=Count("id"))
    return {row["action"]: float(row["n"]) for row in rows}


def _suppressions_by_reason() -> dict[str, float]:
    rows = Suppression.objects.filter(removed_at__isnull=True).values("reason").annotate(n=Count("id"))
    return {row["reason"]: float(row["n"]) for row in rows}


register(
    Figure(
        "mail_reports",
        "Reports that came back about recipients of ours (bounces, delays, complaints), by what they say.",
        _reports_by_action,
        label="action",
    )
)
register(
    Figure(
        "mail_suppressions",
        "Addresses on the list of those not written to, by the reason.",
        _suppressions_by_reason,
        label="reason",
    )
)
register(
    Figure(
        "blobs_spooled",
        "Contents committed to PostgreSQL that S3 does not have yet.",
        lambda: {"": float(SpooledBytes.objects.count())},
    )
)
register(
    Figure(
        "events_unsequenced",
        "Committed events that consumers cannot see yet.",
        lambda: {"": float(Event.objects.filter(sequence__isnull=True).count())},
    )
)
