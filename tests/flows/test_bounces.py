"""A mail comes back: from the report's arrival over SMTP to the address that is written to no more, and back again."""

import pytest
from django.utils import timezone

from apps.events.models import Event
from apps.inbound.ingest import ingest_due
from apps.inbound.models import ReceivedMessage
from apps.mailboxes.models import MailboxEntry, Message, MessageKind
from apps.mailboxes.selectors import message_for, raw_of
from apps.monitoring.figures import exposition
from apps.outbound.bounces.notices import sentence_of
from apps.outbound.bounces.suppressions import remove_suppression, suppressions_for
from apps.outbound.models import (
    Delivery,
    DeliveryNotice,
    DeliveryReport,
    DeliveryState,
    ReportProof,
    Suppression,
    SuppressionReason,
)
from apps.outbound.selectors import errors_for
from apps.outbound.services import resubmit_delivery
from apps.outbound.submission.replies import Reply, reply_to_ticket
from apps.tickets.models import Ticket, TicketState
from tests.arrivals import arrive
from tests.inbound.wire import RawClient
from tests.mail import raw_mail
from tests.outbound.sending import drain, only_delivery, send
from tests.people import House
from tests.remote.server import RemoteServer
from tests.reports import block, complaint, dsn, original_of, prose
from tests.telling import tell_senders

pytestmark = pytest.mark.django_db(transaction=True)

ELENA = "elena@customer.example"


def comes_back(port: int, raw: bytes, to: str, *, sender: str = "") -> None:
    """A mail system delivers a report over SMTP, and a worker files it."""
    with RawClient(port) as client:
        assert client.sends(raw, to, sender=sender).startswith("250")
    assert ingest_due(limit=10, seconds=30) == 1


def sent(house: House, relay: RemoteServer, *to: str) -> tuple[Delivery, str]:
    """A delivery that the remote accepted, and the return path it was sent with."""
    submitted = send(house.as_alice, *(to or (ELENA,)))
    drain()
    delivery = Delivery.objects.filter(message=submitted.message).order_by("id")[0]
    assert delivery.state == DeliveryState.SENT
    taken = next(one for one in relay.messages if one.recipients == (delivery.recipient,))
    return delivery, taken.sender


def test_a_bounce_at_the_return_path_is_told_suppresses_and_can_be_undone(
    house: House, relay: RemoteServer, port: int
) -> None:
    delivery, return_path = sent(house, relay)
    assert return_path.startswith("bounce+")
    assert return_path.endswith("@house.test")

    comes_back(port, dsn(), return_path)
    delivery.refresh_from_db()
    assert (delivery.state, delivery.cause) == (DeliveryState.BOUNCED, "bounced")
    assert delivery.reason.startswith("It came back: there is no such address.")
    assert "User unknown" in delivery.reason
    report = DeliveryReport.objects.select_related("message").get(delivery=delivery)
    assert (report.action, report.proof, report.status) == ("failed", ReportProof.SIGNATURE, "5.1.1")
    filed = report.message
    assert filed is not None
    assert filed.kind == MessageKind.BOUNCE
    assert filed.thread_id == delivery.message.thread_id
    assert raw_of(message_for(house.as_alice, filed.pk)).startswith(b"From: MAILER-DAEMON")
    assert not Ticket.objects.exists()
    figures = exposition().decode()
    assert 'mail_reports{action="failed"} 1.0' in figures
    assert 'mail_suppressions{reason="hard_bounce"} 1.0' in figures

    again = only_delivery(send(house.as_alice, "Elena <ELENA@customer.example>"))
    assert (again.state, again.cause) == (DeliveryState.SUPPRESSED, "suppressed")
    assert "bounced for good" in again.reason
    assert again in errors_for(house.as_alice)

    suppression = suppressions_for(house.as_alice).get()
    assert (suppression.address, suppression.reason) == (ELENA, SuppressionReason.HARD_BOUNCE)
    remove_suppression(house.as_key, suppression, now=timezone.now())
    resubmit_delivery(house.as_alice, again, timezone.now())
    drain()
    again.refresh_from_db()
    assert again.state == DeliveryState.SENT
    assert relay.taken_by_recipient[ELENA] + relay.taken_by_recipient["ELENA@customer.example"] == 2


def test_the_sender_is_told_in_the_conversation_and_the_ticket_stays_as_it_was(
    house: House, relay: RemoteServer, port: int
) -> None:
    arrive(house.support)
    ticket = Ticket.objects.get()
    answer = reply_to_ticket(
        house.as_alice,
        ticket,
        Reply(text="It is mended.", state="solved"),
        idempotency_key=None,
        now=timezone.now(),
    )
    drain()
    comes_back(port, dsn(), relay.messages[0].sender)
    assert tell_senders() == 1
    assert tell_senders() == 0

    notice = DeliveryNotice.objects.get(message=answer.message)
    assert sentence_of(notice, timezone.now()).startswith(
        f"Not delivered to {ELENA}. It came back: there is no such address."
    )
    copy = MailboxEntry.objects.get(message=answer.message, side="sender")
    assert not copy.is_read
    ticket.refresh_from_db()
    assert ticket.state == TicketState.SOLVED
    # The next answer goes to the customer, not to the mail system that wrote last.
    next_answer = reply_to_ticket(
        house.as_alice, ticket, Reply(text="Hello?"), idempotency_key=None, now=timezone.now()
    )
    assert next_answer.deliveries[0].recipient == ELENA
    assert next_answer.message.in_reply_to == [answer.message.rfc_message_id]


def test_a_full_mailbox_bounces_and_the_address_is_written_to_again(
    house: House, relay: RemoteServer, port: int
) -> None:
    delivery, return_path = sent(house, relay)
    full = block(status="5.2.2", diagnostic="smtp; 552 5.2.2 Mailbox full")
    comes_back(port, dsn(full), return_path)
    delivery.refresh_from_db()
    assert delivery.state == DeliveryState.BOUNCED
    assert "mailbox is full" in delivery.reason
    assert not Suppression.objects.exists()
    assert only_delivery(send(house.as_alice, ELENA)).state == DeliveryState.QUEUED


@pytest.mark.parametrize("action", ["delayed", "delivered", "relayed", "expanded"])
def test_what_is_no_failure_is_noted_and_changes_nothing(
    house: House, relay: RemoteServer, port: int, action: str
) -> None:
    delivery, return_path = sent(house, relay)
    comes_back(port, dsn(block(action=action, status="4.4.7", diagnostic="")), return_path)
    delivery.refresh_from_db()
    assert delivery.state == DeliveryState.SENT
    assert delivery.reports.get().action == action
    assert Event.objects.filter(delivery_id=delivery.pk, kind=f"delivery.reported_{action}").exists()


def test_a_report_decides_what_nobody_could_tell(house: House, relay: RemoteServer, port: int) -> None:
    first, first_path = sent(house, relay, "anna@x.example")
    second, second_path = sent(house, relay, "ben@x.example")
    Delivery.objects.update(state=DeliveryState.UNCERTAIN, cause="reply_lost", finished_at=None)
    comes_back(port, dsn(block("anna@x.example", action="delayed", status="4.4.7")), first_path)
    comes_back(port, dsn(block("ben@x.example")), second_path)
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.state, second.state) == (DeliveryState.SENT, DeliveryState.BOUNCED)


def test_a_report_that_overtakes_our_own_result_waits_for_it(
    house: House, relay: RemoteServer, port: int
) -> None:
    delivery, return_path = sent(house, relay)
    Delivery.objects.update(
        state=DeliveryState.SENDING,
        lease_token=delivery.pk,
        lease_expires_at=timezone.now(),
        finished_at=None,
    )
    comes_back(port, dsn(), return_path)
    waiting = ReceivedMessage.objects.get()
    assert (waiting.state, waiting.attempts) == ("accepted", 0)
    Delivery.objects.update(state=DeliveryState.SENT, lease_token=None, lease_expires_at=None)
    ReceivedMessage.objects.update(due_at=timezone.now())
    assert ingest_due(limit=10, seconds=30) == 1
    delivery.refresh_from_db()
    assert delivery.state == DeliveryState.BOUNCED


def test_only_the_recipient_that_bounced_is_touched(house: House, relay: RemoteServer, port: int) -> None:
    submitted = send(house.as_alice, *(f"customer{n}@x.example" for n in range(5)))
    drain()
    path = next(one.sender for one in relay.messages if one.recipients == ("customer3@x.example",))
    # The server that refused it knew the recipient by another name: it was forwarded.
    comes_back(port, dsn(block("c3@elsewhere.example", original="customer3@x.example")), path)
    states = dict(Delivery.objects.filter(message=submitted.message).values_list("recipient", "state"))
    assert states.pop("customer3@x.example") == DeliveryState.BOUNCED
    assert set(states.values()) == {DeliveryState.SENT}
    assert Suppression.objects.get().address == "customer3@x.example"


def test_a_group_of_which_some_have_it_has_not_bounced(house: House, relay: RemoteServer, port: int) -> None:
    delivery, path = sent(house, relay)
    told = dsn(block("one@inside.example"), block("two@inside.example", action="delivered", status="2.0.0"))
    comes_back(port, told, path)
    delivery.refresh_from_db()
    assert delivery.state == DeliveryState.SENT
    assert not Suppression.objects.exists()


def test_a_bounce_that_comes_to_the_mailbox_is_known_by_message_id_and_suppresses_nobody(
    house: House, relay: RemoteServer, port: int
) -> None:
    delivery, _path = sent(house, relay)
    raw = dsn(original=original_of(delivery.message.rfc_message_id))
    comes_back(port, raw, "support@house.test", sender="postmaster@mx.relay.example")
    delivery.refresh_from_db()
    assert delivery.state == DeliveryState.BOUNCED
    assert delivery.reports.get().proof == ReportProof.MESSAGE_ID
    assert not Suppression.objects.exists()
    assert not Ticket.objects.exists()


def test_a_bounce_in_prose_is_understood(house: House, relay: RemoteServer, port: int) -> None:
    delivery, path = sent(house, relay)
    text = (
        "Hi. This is the qmail-send program at mx.relay.example.\n"
        "I'm afraid I wasn't able to deliver your message to the following addresses.\n"
        "This is a permanent error; I've given up. Sorry it didn't work out.\n\n"
        f"<{ELENA}>:\n192.0.2.25 does not like recipient.\n"
        "Remote host said: 550 5.1.1 no such user here\nGiving up on 192.0.2.25.\n\n"
        "--- Below this line is a copy of the message.\n\nReturn-Path: <x@house.test>\n"
    )
    comes_back(port, prose(text, to=path), path)
    delivery.refresh_from_db()
    assert delivery.state == DeliveryState.BOUNCED
    assert Suppression.objects.get().address == ELENA


def test_a_complaint_suppresses_for_good_and_the_sender_learns_of_it(
    house: House, relay: RemoteServer, port: int
) -> None:
    delivery, path = sent(house, relay)
    # The provider hides the recipient, and returns the mail with its return path.
    original = original_of(delivery.message.rfc_message_id, return_path=path, recipient="undisclosed")
    comes_back(port, complaint(original=original), "support@house.test", sender="fbl@provider.example")
    delivery.refresh_from_db()
    assert delivery.state == DeliveryState.SENT
    suppression = Suppression.objects.get()
    assert (suppression.address, suppression.reason) == (ELENA, SuppressionReason.COMPLAINT)
    assert suppression.expires_at is None
    assert "reported this mail as spam" in sentence_of(DeliveryNotice.objects.get(), timezone.now())
    filed = delivery.reports.get().message
    assert filed is not None
    assert filed.kind == MessageKind.COMPLAINT


def test_not_spam_is_no_complaint(house: House, relay: RemoteServer, port: int) -> None:
    _delivery, path = sent(house, relay)
    comes_back(port, complaint(kind="not-spam", sender=path), "support@house.test")
    assert not Suppression.objects.exists()
    assert not DeliveryNotice.objects.exists()


def test_forged_return_paths_are_refused_at_rcpt(house: House, relay: RemoteServer, port: int) -> None:
    delivery, path = sent(house, relay)
    flipped = path.replace(path[7], "a" if path[7] != "a" else "b", 1)
    with RawClient(port) as client:
        good, bad = client.addresses(path.upper().replace("HOUSE.TEST", "house.test"), flipped, sender="")
    assert good.startswith("250")
    assert bad.startswith("550 5.1.1")
    Delivery.objects.filter(pk=delivery.pk).delete()
    with RawClient(port) as client:
        assert client.addresses(path, sender="")[0].startswith("550 5.1.1")


def test_a_holiday_answer_to_the_return_path_is_mail_for_who_wrote(
    house: House, relay: RemoteServer, port: int
) -> None:
    delivery, path = sent(house, relay)
    raw = raw_mail(
        to=path,
        subject="Away until May",
        text="I am away. Your message could not be delivered to one or more recipients, I am joking.\r\n",
        headers={
            "Auto-Submitted": "auto-replied",
            "In-Reply-To": f"<{delivery.message.rfc_message_id}>",
        },
    )
    comes_back(port, raw, path)
    answer = Message.objects.get(subject="Away until May")
    assert (answer.kind, answer.thread_id) == (MessageKind.AUTO_REPLY, delivery.message.thread_id)
    assert answer.entries.get().mailbox == house.support
    delivery.refresh_from_db()
    assert delivery.state == DeliveryState.SENT


def test_a_bounce_of_a_bounce_goes_nowhere_and_is_kept(house: House, port: int) -> None:
    returned = "Return-Path: <>\n" + original_of("bounce@house.test").replace(
        "House Support <support@house.test>", "MAILER-DAEMON@house.test"
    )
    comes_back(port, dsn(original=returned), "support@house.test")
    kept = Message.objects.get()
    assert kept.entries.get().folder == "archive"
    assert not Ticket.objects.exists()
    assert Event.objects.get(message_id=kept.pk, kind="report.ignored").data == {"why": "bounce_of_a_bounce"}


def test_a_bounce_of_a_mail_nobody_knows_is_shown_to_a_person(house: House, port: int) -> None:
    comes_back(port, dsn(), "support@house.test")
    assert Message.objects.get().entries.get().folder == "inbox"
    assert Event.objects.filter(kind="report.unmatched").exists()


def test_another_organisations_message_id_matches_nothing(
    house: House, stranger: House, relay: RemoteServer, port: int
) -> None:
    delivery, _path = sent(house, relay)
    comes_back(port, dsn(original=original_of(delivery.message.rfc_message_id)), "support@stranger.test")
    delivery.refresh_from_db()
    assert delivery.state == DeliveryState.SENT


def test_a_suppression_that_comes_while_a_mail_waits_stops_it(
    house: House, relay: RemoteServer, port: int
) -> None:
    _delivery, path = sent(house, relay)
    waiting = send(house.as_alice, ELENA, "ben@x.example")
    comes_back(port, dsn(), path)
    drain()
    states = dict(Delivery.objects.filter(message=waiting.message).values_list("recipient", "state"))
    assert states == {ELENA: DeliveryState.SUPPRESSED, "ben@x.example": DeliveryState.SENT}
    assert relay.taken_by_recipient[ELENA] == 1


def test_what_answers_by_itself_is_sent_from_the_null_path(house: House, relay: RemoteServer) -> None:
    submitted = send(house.as_alice, ELENA)
    Message.objects.filter(pk=submitted.message.pk).update(kind=MessageKind.AUTO_REPLY)
    drain()
    assert relay.messages[0].sender == ""
