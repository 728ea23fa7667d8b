"""The road in, whole: a mail program, the receive process, a worker, and the ticket an agent opens."""

import smtplib
from email.message import EmailMessage

import pytest
from django.utils import timezone

from apps.accounts.principal import Principal
from apps.blobs.selectors import read
from apps.events.models import Event
from apps.inbound.models import ReceivedMessage
from apps.mailboxes.errors import NotVisible
from apps.mailboxes.models import Message
from apps.mailboxes.selectors import message_for, messages_for, raw_of, text_of
from apps.tickets.finding import find_messages
from apps.tickets.selectors import messages_of, tickets_for
from tests.inbound.processes import ReceiveProcess, Worker
from tests.people import House
from tests.polling import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def compose(subject: str, text: str, **headers: str) -> EmailMessage:
    mail = EmailMessage()
    mail["From"] = "Elena Marsh <elena@customer.example>"
    mail["To"] = "support@house.test"
    mail["Subject"] = subject
    for name, value in headers.items():
        mail[name.replace("_", "-")] = value
    mail.set_content(text)
    return mail


def test_a_customers_mail_becomes_a_ticket_and_the_answer_to_it_joins(house: House, stranger: House) -> None:
    first = compose(
        "Rechnung 20931 für März",
        "Grüße, die Karte wurde doppelt belastet.",
        Message_ID="<a@customer.example>",
    )
    first.add_attachment(b"%PDF-1.7", maintype="application", subtype="pdf", filename="Rechnung März.pdf")
    second = compose(
        "Re: Rechnung",
        "Es hat sich erledigt.",
        Message_ID="<b@customer.example>",
        References="<a@customer.example>",
    )
    with ReceiveProcess() as process, Worker():
        with smtplib.SMTP("127.0.0.1", process.port) as program:
            assert program.send_message(first) == {}
            wait_until(Message.objects.exists, what="filing the first mail")
            assert program.send_message(second) == {}
        wait_until(lambda: Message.objects.count() == 2, what="filing the second mail")
        wait_until(lambda: not ReceivedMessage.objects.exclude(state="filed").exists(), what="marking both")

    ticket = tickets_for(house.as_alice).get()
    assert (ticket.number, ticket.subject, ticket.state) == (1, "Rechnung 20931 für März", "open")
    assert (ticket.requester_name, ticket.requester_address) == ("Elena Marsh", "elena@customer.example")
    one, two = messages_of(house.as_alice, ticket)
    assert text_of(one).strip() == "Grüße, die Karte wurde doppelt belastet."
    assert text_of(two).strip() == "Es hat sich erledigt."
    part = one.parts.get()
    assert (part.filename, part.content_type, read(part.blob)) == (
        "Rechnung März.pdf",
        "application/pdf",
        b"%PDF-1.7",
    )
    assert raw_of(two) == second.as_bytes().replace(b"\n", b"\r\n")
    assert (
        find_messages(house.as_alice, messages_for(house.as_alice), "doppelt belastet", timezone.now()).get()
        == one
    )
    assert set(Event.objects.filter(ticket_id=ticket.pk).values_list("kind", flat=True)) == {
        "ticket.opened",
        "ticket.answered_by_customer",
    }
    assert_outsider_sees_nothing(Principal.of_key(stranger.key), one)


def assert_outsider_sees_nothing(outsider: Principal, message: Message) -> None:
    assert not tickets_for(outsider).exists()
    assert not messages_for(outsider).exists()
    with pytest.raises(NotVisible):
        message_for(outsider, message.pk)


def test_one_mail_to_two_of_our_addresses_and_another_house_reaches_all(
    house: House, stranger: House
) -> None:
    mail = compose("To all", "hello")
    recipients = ["support@house.test", "alice@house.test", "support@stranger.test"]
    with ReceiveProcess() as process, Worker():
        with smtplib.SMTP("127.0.0.1", process.port) as program:
            program.send_message(mail, to_addrs=recipients)
        wait_until(
            lambda: ReceivedMessage.objects.filter(state="filed").count() == 2, what="filing for both houses"
        )
    ours = messages_for(house.as_alice).get()
    assert {entry.mailbox_id for entry in ours.entries.all()} == {house.support.pk, house.alices.pk}
    theirs = messages_for(stranger.as_alice).get()
    assert theirs.pk != ours.pk
    assert (tickets_for(house.as_alice).count(), tickets_for(stranger.as_alice).count()) == (1, 1)


def test_mail_is_filed_without_waiting_for_a_sweep(house: House) -> None:
    """The sweeper is not running: each mail's own wake-up brings it."""
    with ReceiveProcess() as process, Worker(), smtplib.SMTP("127.0.0.1", process.port) as program:
        for n in range(10):
            program.send_message(compose(f"Mail {n}", "hello"))
            wait_until(Message.objects.filter(subject=f"Mail {n}").exists, 10, what=f"mail {n}")
