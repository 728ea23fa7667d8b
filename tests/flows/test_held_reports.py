"""A report on our mail that carries harm: what it tells happens, and what it carries waits for a person."""

import pytest
from django.test import Client
from django.utils import timezone

from apps.events.models import Event
from apps.inbound.admission import PATIENCE, judge_again
from apps.inbound.ingest import ingest_due
from apps.inbound.models import ReceivedMessage
from apps.mailboxes.models import Message, MessageKind
from apps.outbound.models import Delivery, DeliveryReport, DeliveryState, ReportProof, Suppression
from apps.tickets.holding import release
from apps.tickets.models import HeldMessage, HeldState, HoldCause, Ticket
from tests.flows.test_bounces import comes_back, sent
from tests.people import House
from tests.remote.server import RemoteServer
from tests.reports import dsn, original_of
from tests.screening.conftest import clamd, rspamd
from tests.screening.daemons import FakeClamd, FakeRspamd
from tests.screening.files import EICAR, PE

__all__ = ["clamd", "rspamd"]
pytestmark = pytest.mark.django_db(transaction=True)


def carrying(report: bytes, content: bytes) -> bytes:
    """The report with one more part."""
    part = b"--=_r\r\nContent-Disposition: attachment; filename=bill.txt\r\n\r\n" + content + b"\r\n--=_r--"
    return report.replace(b"--=_r--", part)


def bounced(delivery: Delivery) -> bool:
    delivery.refresh_from_db()
    return delivery.state == DeliveryState.BOUNCED


def test_a_bounce_with_a_virus_in_it_is_acted_on_and_held(
    house: House, relay: RemoteServer, port: int
) -> None:
    delivery, return_path = sent(house, relay)
    comes_back(port, carrying(dsn(), EICAR), return_path)
    assert bounced(delivery)
    assert Suppression.objects.get().address == delivery.recipient
    held = HeldMessage.objects.get()
    assert (held.cause, held.about_id) == (HoldCause.INFECTED, delivery.message_id)
    assert list(Message.objects.all()) == [delivery.message]
    report = DeliveryReport.objects.get()
    assert (report.proof, report.message) == (ReportProof.SIGNATURE, None)

    browser = Client()
    browser.force_login(house.alice)
    shown = browser.get(f"/m/{house.support.pk}/sent/{delivery.message.thread_id}/").content.decode()
    assert "It came back" in shown
    assert "Its report" not in shown, "there is none to be had"

    filed = release(house.as_key, held, now=timezone.now())
    assert (filed.thread_id, filed.kind) == (delivery.message.thread_id, MessageKind.BOUNCE)
    assert not Ticket.objects.exists()
    assert DeliveryReport.objects.count() == 1


def test_who_quotes_our_message_id_in_a_report_of_their_own_making_lays_no_program_into_a_conversation(
    house: House, relay: RemoteServer, port: int
) -> None:
    delivery, _return_path = sent(house, relay)
    made_up = dsn(original=original_of(delivery.message.rfc_message_id))
    comes_back(port, carrying(made_up, PE), "support@house.test", sender="mallory@elsewhere.example")
    assert HeldMessage.objects.get().cause == HoldCause.FORBIDDEN_FILE
    assert list(Message.objects.all()) == [delivery.message]
    assert bounced(delivery), "what it tells is believed as before, and suppresses nobody"
    assert not Suppression.objects.exists()


def test_a_bounce_loses_nothing_while_a_scanner_is_away_and_is_filed_when_it_is_back(
    house: House, relay: RemoteServer, port: int, clamd: FakeClamd
) -> None:
    delivery, return_path = sent(house, relay)
    clamd.answer = "stream: something went wrong ERROR"
    comes_back(port, dsn(), return_path)
    assert bounced(delivery), "it does not wait"
    assert HeldMessage.objects.get().cause == HoldCause.SCANNER_UNAVAILABLE

    clamd.answer = "stream: OK"
    assert judge_again() == 0, "a mail on which a scanner fails would go round and round"
    earlier = timezone.now() - PATIENCE
    HeldMessage.objects.update(held_at=earlier, received_at=earlier)
    ReceivedMessage.objects.update(received_at=earlier)
    assert judge_again() == 1
    ingest_due(limit=10, seconds=30)
    report = DeliveryReport.objects.get()
    assert report.message is not None
    assert report.message.thread_id == delivery.message.thread_id
    assert Event.objects.filter(kind="delivery.reported_failed").count() == 1
    assert not HeldMessage.objects.filter(state=HeldState.WAITING).exists()


def test_a_bounce_is_not_held_for_looking_like_spam(
    house: House, relay: RemoteServer, port: int, rspamd: FakeRspamd
) -> None:
    delivery, return_path = sent(house, relay)
    rspamd.body = '{"action": "reject", "score": 17.2, "symbols": {}}'
    comes_back(port, dsn(), return_path)
    assert bounced(delivery)
    assert DeliveryReport.objects.get().message is not None
    assert not HeldMessage.objects.exists()
