"""What became of a message we sent, recipient by recipient, as pages show it."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from apps.accounts.principal import Principal
from apps.mailboxes.models import Message
from apps.outbound.bounces.selectors import reports_by_delivery
from apps.outbound.bounces.words import told_by
from apps.outbound.models import WAITING, Delivery, DeliveryReport, DeliveryState, ReportAction
from apps.outbound.selectors import Explanation, deliveries_by_message, explain
from apps.webmail.content_tokens import ContentKind, content_url_for


@dataclass(frozen=True, slots=True)
class ShownReport:
    """What came back about one recipient, and where the mail that said so can be had; "" while it is held."""

    report: DeliveryReport
    sentence: str
    url: str


@dataclass(frozen=True, slots=True)
class DeliveryTruth:
    """One recipient of a message we sent, and what is known about it."""

    delivery: Delivery
    explanation: Explanation
    reports: tuple["ShownReport", ...] = ()

    @property
    def can_be_stopped(self) -> bool:
        """No worker has it yet. Others may be quicker than the click; the answer is then 409."""
        return self.delivery.state in WAITING

    @property
    def can_be_hurried(self) -> bool:
        return self.delivery.state == DeliveryState.DEFERRED

    @property
    def is_scheduled(self) -> bool:
        return self.delivery.state == DeliveryState.SCHEDULED

    @property
    def needs_decision(self) -> bool:
        return self.delivery.state == DeliveryState.UNCERTAIN


def truths_by_message(
    principal: Principal, messages: Sequence[Message], now: datetime
) -> dict[uuid.UUID, list[DeliveryTruth]]:
    found = deliveries_by_message(principal, messages)
    reports = reports_by_delivery(principal, [one for deliveries in found.values() for one in deliveries])
    return {
        message_id: [
            DeliveryTruth(
                delivery,
                explain(delivery, now),
                tuple(_show_report(principal, delivery, one, now) for one in reports.get(delivery.pk, ())),
            )
            for delivery in deliveries
        ]
        for message_id, deliveries in found.items()
    }


def _show_report(
    principal: Principal, delivery: Delivery, report: DeliveryReport, now: datetime
) -> ShownReport:
    # What a bounced delivery says of itself is what its report said.
    is_said = delivery.state == DeliveryState.BOUNCED and report.action == ReportAction.FAILED
    mail = report.message
    url = content_url_for(principal, ContentKind.ORIGINAL, mail, now) if mail is not None else ""
    return ShownReport(report, "" if is_said else told_by(report), url)
