"""Mail on its way through ingest: taken into custody and judged, filed or held, as a worker does it."""

from dataclasses import dataclass, field
from typing import Any

from django.utils import timezone

from apps.inbound.admission import judge
from apps.inbound.ingest import ingest_due
from apps.inbound.models import ReceivedMessage
from apps.inbound.receiving import Envelope, accept_message
from apps.mailboxes.projection import prepare
from apps.tickets.holding import Hold
from tests.mail import raw_mail
from tests.people import House


@dataclass(frozen=True)
class FoundOut:
    """What authentication might have found out about a sender, for tests that need no DNS."""

    dmarc: dict[str, Any] = field(default_factory=lambda: {"result": "none", "reason": "none published"})
    spf: dict[str, Any] = field(default_factory=lambda: {"result": "none", "reason": "none published"})
    dkim: dict[str, Any] = field(default_factory=lambda: {"result": "none", "reason": "unsigned"})

    def as_json(self) -> dict[str, Any]:
        return {"dmarc": self.dmarc, "spf": self.spf, "dkim": self.dkim}


PROVEN = FoundOut(
    dmarc={"result": "pass", "reason": "aligned", "disposition": "none", "proven_by": "signature"}
)


def fails_dmarc(disposition: str) -> FoundOut:
    return FoundOut(
        dmarc={
            "result": "fail",
            "reason": "Neither SPF nor DKIM is of customer.example.",
            "domain": "customer.example",
            "policy": disposition,
            "disposition": disposition,
        }
    )


def receive(house: House, raw: bytes | None = None, *recipients: str) -> ReceivedMessage:
    """Take custody of one mail."""
    envelope = Envelope(
        sender="elena@customer.example",
        recipients={house.organisation.pk: recipients or (f"support@{house.domain}",)},
        peer="192.0.2.1",
        helo="client.example",
    )
    accepted = accept_message(envelope, raw or raw_mail(), now=timezone.now())
    return ReceivedMessage.objects.get(pk=accepted.received_ids[0])


def take(house: House, raw: bytes | None = None, *recipients: str) -> ReceivedMessage:
    """Take custody of one mail and let a worker do what is due."""
    row = receive(house, raw, *recipients)
    ingest_due(limit=100, seconds=30)
    row.refresh_from_db()
    return row


def judged(house: House, raw: bytes, authentication: FoundOut | None = None) -> Hold | None:
    """What `judge` says of one mail that has just come."""
    return judge(receive(house, raw), prepare(raw), raw, authentication, now=timezone.now())
